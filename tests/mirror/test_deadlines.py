"""What is shared is shared with its deadline: the end of one delivery's time is not the end of another's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from handler.errors import DeadlineExceeded
from handler.mirror.freshness import Need
from handler.mirror.removal import Removals
from handler.mirror.snapshot import Looks
from handler.mirror.verification import Verifications
from tests.support.cloud import Cloud, Hold


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
    verifications = Verifications(cloud.clock)
    hold, joined = Hold(), threading.Event()
    cloud.next("find_interface", hold)
    with ThreadPoolExecutor(2) as pool:
        short = pool.submit(verifications.ask, cloud.api(1), "dead")
        assert hold.reached.wait(10)
        long = pool.submit(verifications.ask, cloud.api(60, noticed=joined.set), "dead")
        assert joined.wait(10)
        cloud.clock.pass_(10)
        hold.go_on.set()
    with pytest.raises(DeadlineExceeded):
        short.result()
    assert not long.result().exists


def test_a_group_whose_opener_ran_out_of_time_is_committed_by_who_has_some(cloud: Cloud) -> None:
    """Two wait for the session's turn in one group; when it comes, the time of who opened the group is up."""
    cloud.add("s1", ["dead-1", "dead-2", "a"], alive=["a"])
    session = cloud.sessions["s1"]
    removals = Removals(lambda *_: None)
    hold = Hold()
    cloud.next("remove_sources", hold)
    with ThreadPoolExecutor(3) as pool:
        pool.submit(removals.remove, cloud.api(), session, ["dead-1"])
        assert hold.reached.wait(10)
        waiting = []
        for seconds in (5, 60):
            waits = threading.Event()
            api = cloud.api(seconds, noticed=waits.set)
            waiting.append(pool.submit(removals.remove, api, session, ["dead-2"]))
            assert waits.wait(10)
        cloud.clock.pass_(10)
        hold.go_on.set()
    short, long = (each.result().fates["dead-2"] for each in waiting)
    assert isinstance(short, DeadlineExceeded)
    assert long == "detached"
    assert cloud.sessions["s1"].sources == ("a",)


def test_a_group_whose_turn_never_came_goes_again_with_who_has_time(cloud: Cloud) -> None:
    """Who opened it gave up waiting for the session's turn before it came."""
    cloud.add("s1", ["dead-1", "dead-2"], alive=[])
    session = cloud.sessions["s1"]
    removals = Removals(lambda *_: None)
    hold, opened, joined = Hold(), threading.Event(), threading.Event()
    cloud.next("remove_sources", hold)
    with ThreadPoolExecutor(3) as pool:
        pool.submit(removals.remove, cloud.api(), session, ["dead-1"])
        assert hold.reached.wait(10)
        short = pool.submit(removals.remove, cloud.api(0.2, noticed=opened.set), session, ["dead-2"])
        assert opened.wait(10)
        long = pool.submit(removals.remove, cloud.api(60, noticed=joined.set), session, ["dead-2"])
        assert joined.wait(10)
        with pytest.raises(DeadlineExceeded):
            short.result(10)
        hold.go_on.set()
        assert long.result(10).fates == {"dead-2": "detached"}
