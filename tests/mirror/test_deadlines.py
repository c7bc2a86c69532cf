"""What is shared is shared with its deadline: the end of one delivery's time is not the end of another's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import pytest

from handler.errors import DeadlineExceeded
from handler.mirror.api import MirrorApi
from handler.mirror.freshness import Need
from handler.mirror.removal import Removals
from handler.mirror.snapshot import Looks
from handler.mirror.verification import Verifications
from handler.model import MirrorSession
from tests.mirror.cloud import Cloud, Hold

T = TypeVar("T")


def short_and_long(cloud: Cloud, operation: str, work: Callable[[MirrorApi], T]) -> tuple[Future[T], Future[T]]:
    """Begin work that has a second; once work that has a minute has joined it, let the call take ten."""
    hold, joined = Hold(), threading.Event()
    cloud.next(operation, hold)
    with ThreadPoolExecutor(2) as pool:
        short = pool.submit(work, cloud.api(1))
        assert hold.reached.wait(10)
        long = pool.submit(work, cloud.api(60, noticed=joined.set))
        assert joined.wait(10)
        cloud.clock.pass_(10)
        hold.go_on.set()
    return short, long


def test_a_look_that_ran_out_of_its_takers_time_is_taken_again_by_who_has_some(cloud: Cloud) -> None:
    """Who arrived before it began waits for it; its end by time is no answer."""
    cloud.add("s1", ["a"])
    looks = Looks(300, cloud.clock)
    hold = Hold()
    cloud.next("list_sessions", hold, lambda: cloud.clock.pass_(10))
    with ThreadPoolExecutor(3) as pool:
        running = pool.submit(looks.look, cloud.api(), Need(cloud.clock()))
        assert hold.reached.wait(10)
        cloud.clock.pass_(1)
        waiting = []
        for seconds in (5, 60):
            waits = threading.Event()
            api = cloud.api(seconds, noticed=waits.set)
            waiting.append(pool.submit(looks.look, api, Need(cloud.clock())))
            assert waits.wait(10)
        hold.go_on.set()
        assert running.result().holding("a")
        assert waiting[1].result().holding("a")


def test_a_verification_that_ran_out_of_anothers_time_is_asked_again(cloud: Cloud) -> None:
    verifications = Verifications()
    short, long = short_and_long(cloud, "find_interface", lambda api: verifications.ask(api, "dead"))
    with pytest.raises(DeadlineExceeded):
        short.result()
    assert not long.result().exists


def test_a_removal_that_ran_out_of_anothers_time_is_asked_again(cloud: Cloud) -> None:
    cloud.add("s1", ["dead", "a"], alive=["a"])
    session = cloud.sessions["s1"]
    removals = Removals(lambda *_: None)
    short, long = short_and_long(cloud, "remove_sources", lambda api: removals.remove(api, session, ["dead"]))
    assert isinstance(short.result().fates["dead"], DeadlineExceeded)
    assert long.result().fates == {"dead": "detached"}
    assert cloud.sessions["s1"] == MirrorSession("s1", "name of s1", ("a",), target_id="the-target")
