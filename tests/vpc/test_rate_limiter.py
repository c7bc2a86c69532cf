"""The rate towards an API that throttles: close to what it bears, with few calls refused."""

from __future__ import annotations

import pytest

from handler.errors import ApiThrottled, DeadlineExceeded
from handler.vpc.rate_limiter import BACKOFF_FACTOR, RateLimiter
from tests.support.clock import FakeClock


def test_who_has_no_time_left_waits_for_no_turn_and_takes_none() -> None:
    time = FakeClock()
    limiter = RateLimiter(time.clock)
    limiter.on_throttled(time.monotonic(), retry_after=8)
    with pytest.raises(DeadlineExceeded):
        limiter.acquire(time.deadline(0))
    with pytest.raises(ApiThrottled) as caught:
        limiter.acquire(time.deadline(7))
    assert caught.value.retry_after == 8
    assert time.monotonic() == 1000
    limiter.acquire(time.deadline(20))
    assert time.monotonic() == 1008


def test_what_the_api_asks_to_wait_passes_while_the_process_is_frozen() -> None:
    time = FakeClock()
    limiter = RateLimiter(time.clock)
    limiter.on_throttled(time.monotonic(), retry_after=300)
    time.freeze(3600)
    limiter.acquire(time.deadline())
    assert time.monotonic() <= 1001


def test_who_waits_for_a_turn_when_the_api_asks_to_wait_waits_for_that_too() -> None:
    time, slept = FakeClock(), list[float]()

    def sleep(seconds: float) -> None:
        time.pass_(seconds)
        slept.append(seconds)
        if len(slept) == 1:
            limiter.on_throttled(time.monotonic(), retry_after=4)

    limiter = RateLimiter(time.clock._replace(sleep=sleep))
    limiter.on_throttled(time.monotonic(), retry_after=0)
    limiter.acquire(time.deadline())
    assert slept == []
    limiter.acquire(time.deadline())
    assert slept == [pytest.approx(0.1), 4]


def test_a_wait_that_the_api_has_asked_for_is_nobodys_turn() -> None:
    """Somebody sleeps through it, a frozen process for an hour; who comes then has his turn."""
    time = FakeClock()

    def sleep(seconds: float) -> None:
        if seconds > 10:
            time.freeze(3600)
            limiter.acquire(time.deadline(2))
        time.pass_(seconds)

    limiter = RateLimiter(time.clock._replace(sleep=sleep))
    limiter.on_throttled(time.monotonic(), retry_after=20)
    limiter.acquire(time.deadline(25))
    assert time.monotonic() == 1020


def test_after_throttling_the_rate_comes_back_little_by_little() -> None:
    time = FakeClock()
    limiter, gaps = RateLimiter(time.clock), []
    for _ in range(10):
        limiter.acquire(time.deadline())
    limiter.on_throttled(time.monotonic(), retry_after=0)
    for _ in range(60):
        before = time.monotonic()
        limiter.acquire(time.deadline())
        gaps.append(time.monotonic() - before)
        limiter.on_success()
    assert gaps[5] > gaps[20] > gaps[55] > 0


@pytest.mark.parametrize("limit", [20, 50, 200])
def test_it_uses_most_of_the_limit_and_is_seldom_refused(limit: int) -> None:
    """The gateway lets so many calls through in each whole second; four hundred a second could be made."""
    time = FakeClock()
    limiter, deadline = RateLimiter(time.clock), time.deadline(86_400)
    window, used, good, refused = 0, 0, 0, 0
    while good < 60 * limit:
        limiter.acquire(deadline)
        sent_at = time.monotonic()
        time.pass_(1 / 400)
        if int(time.monotonic()) != window:
            window, used = int(time.monotonic()), 0
        used += 1
        if used > limit:
            refused += 1
            limiter.on_throttled(sent_at, 0.0)
        else:
            good += 1
            limiter.on_success()
    assert good / (time.monotonic() - 1000) >= 0.95 * limit
    assert refused <= 0.07 * good


def test_what_was_refused_is_no_part_of_what_the_gateway_bears() -> None:
    """A burst across two windows gets twice their limit through: the second throttling, not a fifth, corrects that."""
    time = FakeClock()
    limiter, deadline = RateLimiter(time.clock), time.deadline(86_400)
    for _ in range(100):
        limiter.acquire(deadline)
    limiter.on_throttled(time.monotonic(), 0.0)
    for _ in range(86):
        limiter.acquire(deadline)
    for _ in range(30):
        limiter.on_throttled(time.monotonic() - 0.01, 0.0)
    limiter.acquire(deadline)
    limiter.on_throttled(time.monotonic(), 0.0)
    limiter.acquire(deadline)
    before = time.monotonic()
    limiter.acquire(deadline)
    borne = 86 - 30  # of those sent within the last second
    assert time.monotonic() - before == pytest.approx(1 / (BACKOFF_FACTOR * borne), rel=0.05)


def test_a_second_in_which_all_is_refused_takes_no_more_than_half_of_the_rate() -> None:
    """Another client had used up the window. Else it would take a minute until the rate is what the gateway bears."""
    time = FakeClock()
    limiter, deadline = RateLimiter(time.clock), time.deadline(86_400)
    for _ in range(100):
        limiter.acquire(deadline)
    while time.monotonic() < 1002.5:
        limiter.on_throttled(time.monotonic(), 0.0)
        limiter.acquire(deadline)
    before = time.monotonic()
    limiter.acquire(deadline)
    assert time.monotonic() - before == pytest.approx(1 / (BACKOFF_FACTOR * 100 / 2 / 2))


def test_one_call_that_is_refused_does_not_make_the_next_ones_wait_for_a_second_each() -> None:
    time = FakeClock()
    limiter = RateLimiter(time.clock)
    limiter.acquire(time.deadline())
    limiter.on_throttled(time.monotonic(), 0.0)
    for _ in range(6):
        limiter.acquire(time.deadline())
    assert time.monotonic() == pytest.approx(1000.5)


def test_who_gives_up_leaves_its_turn_to_those_who_come_later() -> None:
    time = FakeClock()

    def sleep(seconds: float) -> None:
        limiter.on_throttled(time.monotonic(), retry_after=5)
        time.pass_(seconds)

    limiter = RateLimiter(time.clock._replace(sleep=sleep))
    limiter.on_throttled(time.monotonic(), retry_after=0)
    limiter.acquire(time.deadline())
    first = time.monotonic()
    with pytest.raises(ApiThrottled):
        limiter.acquire(time.deadline(3))
    with pytest.raises(ApiThrottled) as caught:
        limiter.acquire(time.deadline(0.1))
    assert caught.value.retry_after is not None
    assert time.monotonic() + caught.value.retry_after <= first + 7
