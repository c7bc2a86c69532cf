"""Ctrl-C and SIGTERM: what was done is reported, whenever they come."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from types import FrameType

from handler.model import Deadline
from handler.report import Report
from handler.service import Service


class Interruption:
    """Whether somebody said stop: then nothing more begins."""

    def __init__(self) -> None:
        self.signal = 0
        """The signal's number, 0 while there was none."""

    def clock(self) -> float:
        """Return monotonic seconds, and after an interruption a time at which every deadline has come."""
        return inf if self.signal else time.monotonic()

    def deadline(self, seconds: float) -> Deadline:
        """Return the deadline so many seconds from now, which an interruption brings about at once."""
        return Deadline(time.monotonic() + seconds, self.clock)

    def exit_code(self, otherwise: int) -> int:
        """Return what a shell expects of a process that a signal ended."""
        return 128 + self.signal if self.signal else otherwise


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Keep SIGINT and SIGTERM in mind instead of breaking off; the second one ends the process at once."""
    interruption = Interruption()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _: FrameType | None) -> None:
        if interruption.signal:
            os.write(2, b"\x1b[?25h\n" if os.isatty(2) else b"")  # a progress bar has hidden the cursor
            os._exit(128 + number)  # no thread is waited for
        interruption.signal = number
        os.write(2, b"unmirror: stopping, and reporting what was done; once more ends it at once\n")

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's matter
        yield interruption
        return
    for number in before:
        signal.signal(number, stop)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def carry_out(service: Service, event: object, interruption: Interruption, seconds: float = inf) -> Report:
    """Let the service do what the event asks for, within its own deadline and these seconds.

    After an interruption the report says how far it came. Raises BadEvent, and nothing else.
    """
    began = time.monotonic()
    report = replace(service, clock=interruption.clock).handle(event, seconds=seconds)
    return replace(report, seconds=time.monotonic() - began)
