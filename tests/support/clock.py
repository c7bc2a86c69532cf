"""The one fake clock: monotonic seconds and a wall clock that a test moves."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from handler.deadline import Cancellation, Clock, Deadline

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class FakeClock:
    """Time that passes only where somebody sleeps, or a test says so."""

    monotonic_now: float = 1000.0
    wall_offset: float = 0.0
    """Seconds that our wall clock is ahead of the cloud's."""
    frozen: float = 0.0
    """Seconds that went by while the process was frozen and its monotonic clock stood still."""
    cancellation: Cancellation = field(default_factory=Cancellation)

    @property
    def clock(self) -> Clock:
        """What the product takes."""
        return Clock(self.monotonic, self.now, self.pass_)

    @property
    def cloud(self) -> datetime:
        """The cloud's own time, UTC."""
        return NOON + timedelta(seconds=self.monotonic_now - 1000 + self.frozen)

    def monotonic(self) -> float:
        return self.monotonic_now

    def now(self) -> datetime:
        return self.cloud + timedelta(seconds=self.wall_offset)

    def pass_(self, seconds: float) -> None:
        self.monotonic_now += seconds

    def freeze(self, seconds: float) -> None:
        """Let time pass while the monotonic clock stands still, as where a process is frozen between two events."""
        self.frozen += seconds

    def deadline(self, seconds: float = 25.0) -> Deadline:
        return Deadline.within(seconds, self.monotonic, self.cancellation)


class RealClock(FakeClock):
    """The machine's own time, for tests with real threads: a test can wait for it, and not move it."""

    @property
    def cloud(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def pass_(self, seconds: float) -> None:
        assert seconds == 0
