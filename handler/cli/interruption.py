"""Ctrl-C and SIGTERM: the first ends every deadline, so that what was done is reported; the second ends the process."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from handler.deadline import Cancellation


@dataclass(slots=True)
class Interruption:
    """Whether somebody said stop."""

    cancellation: Cancellation = field(default_factory=Cancellation)
    signal: int = 0
    """The signal's number, 0 while there was none."""

    def watch(self, signals: socket.socket) -> None:
        """Wait for the numbers of signals, and obey them, until the other end is closed."""
        while number := signals.recv(1):
            if self.signal:
                os._exit(128 + number[0])  # no thread is waited for
            self.signal = number[0]
            self.cancellation.cancel()
            os.write(2, b"unmirror: stopping, and reporting what was done; once more ends it at once\n")


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let SIGINT and SIGTERM cancel, while the block runs, instead of breaking it off.

    Python runs a handler in the main thread alone, and not before that thread comes back from where it is blocked: the
    resolver, or a lock that it was about to wait for. The wakeup descriptor gets the signal's number at once.
    """
    interruption = Interruption()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    wakeup = signal.set_wakeup_fd(theirs.fileno())
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    watcher = threading.Thread(target=interruption.watch, args=(ours,), daemon=True)
    watcher.start()
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        theirs.close()
        watcher.join()
        ours.close()
