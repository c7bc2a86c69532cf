"""Which looks serve which events, and how many looks many events cost."""

from __future__ import annotations

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.errors import ApiUnavailable, DeadlineExceeded
from handler.mirror.freshness import MARGIN, Need, Shared, serves
from handler.model import Deadline

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
MAX_AGE = 300.0


@dataclass(frozen=True)
class Look:
    """Taken at a moment of the cloud, begun at a second of ours."""

    taken_at: datetime
    began: float
    number: int = 0


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("event_time", "began", "now", "fresh"),
    [
        pytest.param(NOON - seconds(60), 90, 100, True, id="deleted a minute before the look"),
        pytest.param(NOON - MARGIN, 90, 100, True, id="deleted exactly the margin before it"),
        pytest.param(NOON - seconds(1), 90, 100, False, id="deleted within the margin"),
        pytest.param(NOON + seconds(60), 90, 100, False, id="deleted after the look"),
        pytest.param(NOON + timedelta(days=4000), 90, 100, False, id="a time in the future"),
        pytest.param(NOON + seconds(60), 100, 101, True, id="a time in the future, and a look begun on arrival"),
        pytest.param(None, 90, 100, False, id="no time"),
        pytest.param(None, 100, 100, True, id="no time, and a look begun on arrival"),
        pytest.param(NOON - seconds(999), 90, 390, True, id="a look as old as may be"),
        pytest.param(NOON - seconds(999), 90, 390.1, False, id="a look too old"),
        pytest.param(datetime.min.replace(tzinfo=timezone.utc), 90, 100, True, id="the oldest time there is"),
    ],
)
def test_a_look_serves_an_event_that_happened_a_margin_before_it(
    event_time: datetime | None, began: float, now: float, fresh: bool
) -> None:
    assert serves(Look(NOON, began), Need(100, event_time), now, MAX_AGE) is fresh


@given(st.datetimes(timezones=st.just(timezone.utc)), st.datetimes(timezones=st.just(timezone.utc)))
def test_an_older_look_never_serves_an_event_recorded_after_it(taken_at: datetime, event_time: datetime) -> None:
    """Whatever the clocks say: a look begun before the arrival and taken before the deletion proves nothing."""
    if taken_at <= event_time:
        assert not serves(Look(taken_at, 0), Need(1, event_time), 2, MAX_AGE)


class Clock:
    """Our monotonic clock, moved by the test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shared(clock: Clock) -> Shared[Look]:
    return Shared("a look", MAX_AGE, clock)


class Taker:
    """Takes looks, counts them, and holds each at a gate while the gate is shut."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.taken = 0
        self.started = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.failures: list[ApiUnavailable] = []

    def __call__(self) -> Look:
        self.taken += 1
        number, began = self.taken, self.clock.now
        self.started.release()
        assert self.gate.wait(10)
        if self.failures:
            raise self.failures.pop(0)
        return Look(NOON, began, number)


@pytest.fixture
def take(clock: Clock) -> Taker:
    return Taker(clock)


def deadline(within: float = 30) -> Deadline:
    return Deadline.within(within, time.monotonic)


def test_a_thousand_old_deletions_cost_one_look(shared: Shared[Look], take: Taker) -> None:
    need = Need(100, NOON - seconds(60))
    assert {shared.get("p", need, deadline(), take).number for _ in range(1000)} == {1}
    assert take.taken == 1


def test_those_who_arrive_during_a_look_share_the_next_one(shared: Shared[Look], take: Taker, clock: Clock) -> None:
    """The look under way began before their arrival, so it cannot serve them; one more serves them all."""
    take.gate.clear()
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(shared.get, "p", Need(clock.now), deadline(), take)
        assert take.started.acquire(timeout=10)
        clock.now += 1
        waiting = [pool.submit(shared.get, "p", Need(clock.now), deadline(), take) for _ in range(20)]
        take.gate.set()
        assert first.result().number == 1
        assert {each.result().number for each in waiting} <= {2, 3}
    assert take.taken <= 3


def test_a_failed_look_fails_only_those_who_waited_for_it(shared: Shared[Look], take: Taker, clock: Clock) -> None:
    take.failures = [ApiUnavailable("away")]
    take.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(shared.get, "p", Need(clock.now), deadline(), take)
        assert take.started.acquire(timeout=10)
        clock.now += 1
        second = pool.submit(shared.get, "p", Need(clock.now), deadline(), take)
        take.gate.set()
        with pytest.raises(ApiUnavailable, match="away"):
            first.result()
        assert second.result().number == 2


def test_all_who_waited_for_a_failed_look_are_told(shared: Shared[Look], take: Taker, clock: Clock) -> None:
    """Otherwise each of them would try in turn, and an API in trouble would get one call for each event."""
    take.failures = [ApiUnavailable("away") for _ in range(100)]
    take.gate.clear()
    with ThreadPoolExecutor(40) as pool:
        calls = [pool.submit(shared.get, "p", Need(clock.now), deadline(), take) for _ in range(40)]
        assert take.started.acquire(timeout=10)
        take.gate.set()
        assert all(isinstance(call.exception(), ApiUnavailable) for call in calls)
    assert take.taken < 40


def test_who_waits_too_long_is_told_so(shared: Shared[Look], take: Taker, clock: Clock) -> None:
    take.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shared.get, "p", Need(clock.now), deadline(), take)
        assert take.started.acquire(timeout=10)
        with pytest.raises(DeadlineExceeded):
            shared.get("p", Need(clock.now + 1), deadline(0.01), take)
        take.gate.set()
        first.result()


def test_a_slow_project_delays_no_other(shared: Shared[Look], take: Taker, clock: Clock) -> None:
    take.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(shared.get, "slow", Need(clock.now), deadline(), take)
        assert take.started.acquire(timeout=10)
        assert shared.get("quick", Need(clock.now), deadline(), lambda: Look(NOON, clock.now, 7)).number == 7
        take.gate.set()
        slow.result()


def test_what_is_known_since_changes_the_last_look(shared: Shared[Look], take: Taker) -> None:
    shared.amend("p", lambda look: Look(look.taken_at, look.began, 99))  # nothing there yet: nothing to change
    need = Need(100, NOON - seconds(60))
    shared.get("p", need, deadline(), take)
    shared.amend("p", lambda look: Look(look.taken_at, look.began, 42))
    assert shared.get("p", need, deadline(), take).number == 42


def test_the_least_recently_used_project_is_forgotten(clock: Clock, take: Taker) -> None:
    shared = Shared[Look]("a look", MAX_AGE, clock, most=2)
    need = Need(100, NOON - seconds(60))
    for project in ("a", "b", "c"):
        shared.get(project, need, deadline(), take)
    shared.get("c", need, deadline(), take)
    assert take.taken == 3
    shared.get("a", need, deadline(), take)
    assert take.taken == 4


def test_a_look_that_is_too_old_for_anybody_is_not_kept(shared: Shared[Look], take: Taker, clock: Clock) -> None:
    """Tens of megabytes, where there are many sessions."""
    need = Need(100, NOON - seconds(60))
    kept = [weakref.ref(shared.get(project, need, deadline(), take)) for project in ("old", "younger")]
    clock.now += MAX_AGE
    shared.get("other", Need(clock.now), deadline(), take)
    assert all(each() for each in kept), "they still serve"
    clock.now += 1
    shared.get("other", Need(clock.now), deadline(), take)
    assert not any(each() for each in kept)


def test_a_project_in_use_is_not_forgotten(clock: Clock, take: Taker) -> None:
    """Who comes meanwhile would begin another look beside the one that is under way."""
    shared = Shared[Look]("a look", MAX_AGE, clock, most=1)
    take.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(shared.get, "busy", Need(100), deadline(), take)
        assert take.started.acquire(timeout=10)
        for project in ("a", "b"):
            shared.get(project, Need(100), deadline(), Taker(clock))
        waiting = threading.Event()
        clocked = Deadline(time.monotonic() + 30, lambda: waiting.set() or time.monotonic())
        second = pool.submit(shared.get, "busy", Need(100), clocked, take)
        assert waiting.wait(10)
        take.gate.set()
        assert first.result() is second.result()
    assert take.taken == 1


def test_what_became_known_during_a_look_changes_that_look_and_no_later_one(
    shared: Shared[Look], take: Taker, clock: Clock
) -> None:
    take.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shared.get, "p", Need(100), deadline(), take)
        assert take.started.acquire(timeout=10)
        shared.amend("p", lambda look: Look(look.taken_at, look.began, look.number + 41))
        take.gate.set()
        assert first.result().number == 42
    clock.now += 1
    assert shared.get("p", Need(clock.now), deadline(), take).number == 2


def test_a_defect_in_a_look_does_not_leave_the_others_waiting(shared: Shared[Look], take: Taker) -> None:
    def broken() -> Look:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shared.get("p", Need(100), deadline(), broken)
    assert shared.get("p", Need(100), deadline(), take).number == 1
