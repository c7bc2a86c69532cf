"""What a snapshot shows once something has changed since it was taken."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from handler.mirror.freshness import Need
from handler.mirror.snapshot import Looks, Snapshot
from tests.support.cloud import PROJECT, Cloud, Hold


@pytest.fixture
def looks(cloud: Cloud) -> Looks:
    return Looks(300, cloud.clock)


def look(looks: Looks, cloud: Cloud) -> Snapshot:
    return looks.look(cloud.api(), Need(cloud.clock()))


def test_a_removals_answer_takes_out_what_is_gone_and_changes_no_more(looks: Looks, cloud: Cloud) -> None:
    """The API's own example of that answer shows an empty target, and it may be older than the look."""
    cloud.add("s1", ["a", "b"], target_id="t")
    listed = look(looks, cloud).sessions["s1"]
    looks.learn(PROJECT, "s1", ["a", "never there"])
    snapshot = look(looks, cloud)
    assert snapshot.session("s1") == replace(listed, sources=("b",))
    assert (snapshot.holding("a"), snapshot.holding("b"), snapshot.targeting("t")) == (
        (),
        snapshot.targeting("t"),
        (replace(listed, sources=("b",)),),
    )


def test_a_session_that_is_gone_is_in_no_answer(looks: Looks, cloud: Cloud) -> None:
    cloud.add("s1", ["a"], target_id="t")
    look(looks, cloud)
    looks.learn(PROJECT, "s1", None)
    snapshot = look(looks, cloud)
    assert (snapshot.current(), snapshot.holding("a"), snapshot.targeting("t")) == ([], (), ())


def test_what_is_removed_while_a_look_is_under_way_is_not_in_it(looks: Looks, cloud: Cloud) -> None:
    """The look may have read that session's page before."""
    cloud.add("s1", ["a", "b"])
    hold = Hold()
    cloud.next("list_sessions", hold)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(look, looks, cloud)
        assert hold.reached.wait(10)
        looks.learn(PROJECT, "s1", ["a"])
        hold.go_on.set()
        assert running.result().holding("a") == ()
    assert look(looks, cloud).holding("a") == ()
