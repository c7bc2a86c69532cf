"""Ctrl-C and SIGTERM: the first ends every deadline, so that what was done is reported; the second ends the process."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from handler.deadline import Cancellation


@dataclass(slots=True)
class Interruption:
    """Whether somebody said stop."""

    cancellation: Cancellation = field(default_factory=Cancellation)
    signal: int = 0
    """The signal's number, 0 while there was none."""

    def stop(self, number: int, _: FrameType | None) -> None:
        """Handle a signal: no call of the API is made in the thread that Python interrupts for it."""
        if self.signal:
            os._exit(128 + number)  # no thread is waited for
        self.signal = number
        self.cancellation.cancel()
        os.write(2, b"unmirror: stopping, and reporting what was done; once more ends it at once\n")


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let SIGINT and SIGTERM cancel, while the block runs, instead of breaking it off."""
    interruption = Interruption()
    before = {number: signal.signal(number, interruption.stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
