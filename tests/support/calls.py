"""Calls one after another, in the thread of the test: what batches and sweeps are given in place of threads."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from typing import Any

from handler.calls import Calls, Ended
from handler.deadline import Deadline
from handler.errors import UnmirrorError


class SerialCalls(Calls):
    """Runs one call whenever the next one is waited for: the oldest, or the one that a seed draws."""

    def __init__(self, deadline: Deadline, chance: random.Random | None = None) -> None:
        super().__init__(deadline)
        self._chance = chance
        self._waiting: list[tuple[Hashable, Callable[[Deadline], Any], float]] = []

    def start(self, key: Hashable, work: Callable[[Deadline], Any], seconds: float) -> None:
        self._waiting.append((key, work, seconds))

    def next(self) -> Ended | None:
        if not self._waiting or self.deadline.remaining() <= 0:
            return None
        key, work, seconds = self._waiting.pop(self._chance.randrange(len(self._waiting)) if self._chance else 0)
        try:
            return Ended(key, work(self.deadline.sooner(seconds)))
        except UnmirrorError as error:
            return Ended(key, error=error)

    def is_running(self, key: Hashable) -> bool:
        return False  # a call has ended when its result is taken
