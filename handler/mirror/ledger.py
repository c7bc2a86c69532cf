"""What this process remembers of what it did and heard: bounded, and never the ground for a removal."""

from __future__ import annotations

import threading
from collections import OrderedDict

SETTLED = 10.0
"""Seconds after which a list surely shows what was done before; until then it may be an old one."""


class Ledger:
    """How often something happened to a key, for the keys it happened to last."""

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._entries: OrderedDict[tuple[str, ...], tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def enter(self, key: tuple[str, ...], now: float) -> None:
        """Note that it happened; again within SETTLED seconds counts as the same time."""
        with self._lock:
            times, last = self._entries.pop(key, (0, float("-inf")))
            self._entries[key] = (times + (now - last > SETTLED), now)
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)

    def times(self, key: tuple[str, ...], seen: float = float("inf")) -> int:
        """Return how often it happened; 0 unless it surely shows in what was seen at that second."""
        with self._lock:
            times, last = self._entries.get(key, (0, float("-inf")))
        return times if last + SETTLED < seen else 0
