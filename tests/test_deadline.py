"""Time as an argument: what ends a wait early."""

from __future__ import annotations

import threading
import time

from handler.deadline import Cancellation


def test_a_stop_ends_a_pause() -> None:
    cancellation, began = Cancellation(), time.monotonic()
    threading.Timer(0.05, cancellation.cancel).start()
    cancellation.sleep(20)
    assert time.monotonic() - began < 10
