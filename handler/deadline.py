"""Time as an argument: the clock, the budget of a delivery, and what ends it early."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, Self

from handler.errors import DeadlineExceeded, Interrupted

# Before the second attempt at most, and twice as long each time; with full jitter, as AWS advises
# (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.4, 5.0
# Between two looks whether somebody said stop. A signal handler cannot wake who waits: that takes a lock, which the
# thread that it interrupts may hold.
LOOK_SECONDS = 0.2


def longest_backoff(failures: int) -> float:
    """Return the seconds to wait at most after so many earlier failures and this one; jitter takes a part of them."""
    return min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2.0**failures)


class Instant(NamedTuple):
    """A moment on both clocks of this machine."""

    monotonic: float
    """Seconds; stands still while a serverless process is frozen between two events."""
    wall: datetime
    """UTC; goes on while the process is frozen, and jumps when somebody sets it."""


class Clock(NamedTuple):
    """The time of this machine, as its users take it."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = partial(datetime.now, UTC)
    sleep: Callable[[float], None] = time.sleep

    def instant(self) -> Instant:
        """Return this moment."""
        return Instant(self.monotonic(), self.now())

    def age(self, then: Instant) -> float:
        """Return the seconds since a moment: the larger of what the two clocks say.

        Either clock alone can make something look newer than it is.
        """
        return max(self.monotonic() - then.monotonic, (self.now() - then.wall).total_seconds())


class Cancellation:
    """Ends every deadline that carries it, at once: SIGTERM and Ctrl-C do so. Who waits has to look for it."""

    cancelled = False

    def cancel(self) -> None:
        """End the deadlines. Safe in a signal handler."""
        self.cancelled = True

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until the deadlines are ended."""
        ends = time.monotonic() + seconds
        while not self.cancelled and (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))


class Deadline(NamedTuple):
    """The time budget of a delivery or of one call. Everything that waits is given what is left of it."""

    at: float
    """On the same monotonic clock as `clock`, seconds. Finite: whoever has no deadline takes a day."""
    clock: Callable[[], float]
    cancellation: Cancellation = Cancellation()
    """By default one that nobody cancels."""

    @classmethod
    def within(cls, seconds: float, clock: Callable[[], float], cancellation: Cancellation | None = None) -> Self:
        """Return the deadline `seconds` from now."""
        return cls(clock() + seconds, clock, cancellation or Cancellation())

    def sooner(self, seconds: float) -> "Deadline":
        """Return the earlier of this deadline and `seconds` from now."""
        return Deadline(min(self.at, self.clock() + seconds), self.clock, self.cancellation)

    def remaining(self) -> float:
        """Return the seconds left, never negative; none after a cancellation."""
        return 0.0 if self.cancellation.cancelled else max(0.0, self.at - self.clock())

    def require(self, what: str) -> float:
        """Return the seconds left; raise DeadlineExceeded, naming what was not started, when none are.

        After a cancellation it is Interrupted that is raised.
        """
        left = self.remaining()
        if left > 0:
            return left
        if self.cancellation.cancelled:
            raise Interrupted(f"interrupted before {what}")
        raise DeadlineExceeded(f"no time left for: {what}")
