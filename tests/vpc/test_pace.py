"""The pace towards an API that throttles: close to what it bears, with few calls refused."""

from __future__ import annotations

import pytest

from handler.errors import DeadlineExceeded
from handler.model import Deadline
from handler.vpc.manners import Pace


class Clock:
    """Moved by what waits."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_who_has_no_time_left_waits_for_no_turn_and_takes_none() -> None:
    clock = Clock()
    pace = Pace(clock, clock.sleep)
    pace.throttled(clock(), retry_after=8)
    with pytest.raises(DeadlineExceeded):
        pace.wait(Deadline.within(0, clock))
    assert clock() == 1000
    assert pace.wait(Deadline.within(20, clock)) == 1008


@pytest.mark.parametrize("limit", [20, 50, 200])
def test_it_uses_most_of_the_limit_and_is_seldom_refused(limit: int) -> None:
    """The gateway lets so many calls through in each whole second; four hundred a second could be made."""
    clock = Clock()
    pace = Pace(clock, clock.sleep)
    deadline = Deadline.within(86_400, clock)
    window, used, good, refused = 0, 0, 0, 0
    while good < 60 * limit:
        sent_at = pace.wait(deadline)
        clock.now += 1 / 400
        if int(clock.now) != window:
            window, used = int(clock.now), 0
        used += 1
        if used > limit:
            refused += 1
            pace.throttled(sent_at, 0.0)
        else:
            good += 1
            pace.went_well()
    assert good / (clock.now - 1000) >= 0.8 * limit
    assert refused <= 0.05 * good
