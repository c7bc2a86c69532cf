"""What a snapshot says of interfaces, and for which deletions it may answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.deadline import Clock, Instant
from handler.mirror.snapshot import MARGIN, Snapshot
from handler.model import Listing
from tests.support.clock import NOON, FakeClock
from tests.support.cloud import TARGET, FakeCloud


def taken(cloud: FakeCloud) -> Snapshot:
    return Snapshot(cloud.api().list_sessions(cloud.clock.deadline()))


def test_an_interface_is_found_in_every_session_that_lists_it_as_source_or_target() -> None:
    cloud = FakeCloud()
    cloud.add("one", ["a", "b"])
    cloud.add("two", ["b"])
    cloud.add("addresses", ["b"], type="eip")
    snapshot = taken(cloud)
    assert [each.id for each in snapshot.holding("b")] == ["one", "two"]
    assert [each.id for each in snapshot.targeting(TARGET)] == ["one", "two", "addresses"]
    assert snapshot.holding("c") == snapshot.targeting("a") == []


def test_many_sessions_may_mirror_to_one_target() -> None:
    cloud = FakeCloud()
    ids = [f"s{number}" for number in range(5)]
    for id_ in ids:
        cloud.add(id_, [])
    assert [each.id for each in taken(cloud).targeting(TARGET)] == ids


def test_what_an_answer_showed_absent_is_taken_out_and_nothing_else() -> None:
    cloud = FakeCloud()
    cloud.add("one", ["a", "b"])
    cloud.add("two", ["b"])
    snapshot = taken(cloud)
    snapshot.remove("one", {"b"})
    assert [each.id for each in snapshot.holding("b")] == ["two"]
    assert snapshot.holding("a")[0].sources == ("a",)
    snapshot.remove("two", None)
    assert snapshot.holding("b") == []
    snapshot.remove("two", {"b"})
    assert [each.id for each in snapshot.targeting(TARGET)] == ["one"]


def test_a_listing_takes_over_what_left_meanwhile_and_nothing_that_it_does_not_show() -> None:
    cloud = FakeCloud()
    cloud.add("one", ["a", "b", "c"])
    first, second = taken(cloud), taken(cloud)
    cloud.unwatch("one", "a")
    third = taken(cloud)
    first.remove("one", {"a"})
    first.remove("one", set())
    second.take_over(first)
    third.take_over(second)
    assert second.sessions["one"].sources == third.sessions["one"].sources == ("b", "c")
    assert (len(second._removed), third._removed) == (1, []), "else a project that is only swept remembers all of it"


SECONDS = st.floats(-1000, 1000)


@given(taken_at=SECONDS, event=st.none() | SECONDS, arrived=SECONDS, began=SECONDS, elapsed=SECONDS, now=SECONDS)
def test_a_snapshot_answers_for_what_was_deleted_before_it(
    taken_at: float, event: float | None, arrived: float, began: float, elapsed: float, now: float
) -> None:
    """Because it began after the delivery, or because the event is surely older, and the snapshot not too old."""
    listing = Listing((), NOON + timedelta(seconds=taken_at), Instant(began, NOON))
    event_time = None if event is None else NOON + timedelta(seconds=event)
    clock = Clock(lambda: began + elapsed, lambda: NOON + timedelta(seconds=now))
    may_answer = Snapshot(listing).may_answer(arrived, event_time, clock, max_age=300)
    older = (
        event_time is not None
        and event_time + MARGIN <= listing.taken_at
        and event_time <= NOON + timedelta(seconds=now)
    )
    assert may_answer == (began >= arrived or (older and clock.age(listing.began) <= 300))


@pytest.mark.parametrize(("event", "age", "answers"), [(-2.0, 300, True), (-1.999, 300, False), (-2.0, 301, False)])
def test_two_seconds_and_the_greatest_age_decide(event: float, age: float, answers: bool) -> None:
    listing = Listing((), NOON, Instant(0.0, NOON))
    clock = Clock(lambda: age, lambda: NOON)
    assert Snapshot(listing).may_answer(1.0, NOON + timedelta(seconds=event), clock, max_age=300) == answers


def test_a_snapshot_ages_while_the_process_is_frozen() -> None:
    cloud = FakeCloud(FakeClock())
    snapshot, clock = taken(cloud), cloud.clock
    clock.pass_(10)
    assert clock.clock.age(snapshot.listing.began) == 10
    clock.freeze(3600)
    assert clock.clock.age(snapshot.listing.began) == 3610
    clock.wall_offset = -7200  # somebody sets the wall clock back
    assert clock.clock.age(snapshot.listing.began) == 10
