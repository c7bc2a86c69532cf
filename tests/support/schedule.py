"""Threads of which one runs at a time, in an order that a seed draws; what fails, fails again with the same seed.

The modules under test are loaded anew with a `threading` of ours, so that each lock, wait and start of a thread lets
another thread go on. Time passes on a fake clock: a little at each step, and as far as the next time-out when all wait.
"""

from __future__ import annotations

import importlib
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any
from unittest.mock import patch

import handler
from handler import calls, deadline, lru, mirror
from tests.support.clock import FakeClock

TICK = 1e-6
"""Seconds that any step takes: a clock that stood still could not tell what came first."""
PASSING = (TICK, TICK, TICK, 0.01, 0.1)

NEVER = float("inf")


class Over(BaseException):
    """The schedule has ended with a failure in another thread."""


def always() -> bool:
    return True


class Turn:
    """A thread's place in the schedule."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.ready: Callable[[], bool] = always
        self.until = NEVER
        """When it goes on even so."""
        self.ended = False


class Schedule:
    """Threads that take turns. A seed draws who is next; `step` is where one lets go."""

    def __init__(self, chance: random.Random, clock: FakeClock) -> None:
        self.chance, self.clock = chance, clock
        self._turns: list[Turn] = []
        self._back = threading.Semaphore(0)
        self._own = threading.local()
        self._failure: BaseException | None = None

    def spawn(self, work: Callable[[], object]) -> None:
        """Let a thread do the work, from its first turn on."""
        turn = Turn()

        def run() -> None:
            self._own.turn = turn
            turn.go.acquire()
            try:
                if self._failure is None:
                    work()
            except BaseException as failure:  # noqa: BLE001 - told to the test, in its own thread
                self._failure = self._failure or failure
            finally:
                turn.ended = True
                self._back.release()

        self._turns.append(turn)
        threading.Thread(target=run, daemon=True).start()

    def step(self, ready: Callable[[], bool] = always, until: float = NEVER) -> None:
        """Let another go on; return when it is our turn again, and ready or it is time."""
        turn = getattr(self._own, "turn", None)
        if turn is None:  # the test's own thread, when none runs
            return
        turn.ready, turn.until = ready, until
        self._back.release()
        turn.go.acquire()
        if self._failure is not None:
            raise Over
        self.clock.pass_(self.chance.choice(PASSING))

    def sleep(self, seconds: float) -> None:
        self.step(lambda: False, self.clock.monotonic() + seconds)

    def run(self) -> None:
        """Return when all threads have ended; raise what one of them raised, or that all wait for one another."""
        while left := [turn for turn in self._turns if not turn.ended]:
            now = self.clock.monotonic()
            able = left if self._failure else [turn for turn in left if turn.ready() or now >= turn.until]
            soonest = min(turn.until for turn in left)
            if able:
                self.chance.choice(able).go.release()
                self._back.acquire()
            elif soonest < NEVER:
                self.clock.pass_(soonest - now)
            else:
                self._failure = AssertionError("all wait for one another")
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def loaded(self, *names: str) -> Iterator[list[Any]]:
        """Load modules of `handler` anew with the schedule's threads; yield those of these names."""
        anew = [name for name in sys.modules if name in ("handler.calls", "handler.deadline", "handler.lru")]
        anew += [name for name in sys.modules if name.startswith("handler.mirror")]
        kept = {name: sys.modules[name] for name in anew}
        try:
            with patch.dict(sys.modules, {"threading": self._threading()}):
                for name in anew:
                    del sys.modules[name]
                yield [importlib.import_module(f"handler.{name}") for name in names]
        finally:
            sys.modules.update(kept)
            for name, module in (("calls", calls), ("deadline", deadline), ("lru", lru), ("mirror", mirror)):
                setattr(handler, name, module)

    def _threading(self) -> ModuleType:
        module = ModuleType("threading")
        vars(module).update(vars(threading))
        for kind in (Lock, Condition, Event, Thread):
            vars(module)[kind.__name__] = partial(kind, self)
        return module


class Lock:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.held = schedule, False

    def __enter__(self) -> Lock:
        self.schedule.step(lambda: not self.held)
        assert not self.held
        self.held = True
        return self

    def __exit__(self, *_: object) -> None:
        self.held = False


class Condition(Lock):
    def __init__(self, schedule: Schedule) -> None:
        super().__init__(schedule)
        self.waiting: list[list[bool]] = []

    def wait(self, timeout: float = NEVER) -> None:
        assert self.held
        told = [False]
        self.waiting.append(told)
        self.held = False
        self.schedule.step(lambda: told[0], self.schedule.clock.monotonic() + timeout)
        if told in self.waiting:
            self.waiting.remove(told)
        self.schedule.step(lambda: not self.held)
        self.held = True

    def notify(self) -> None:
        assert self.held
        if self.waiting:
            self.waiting.pop(0)[0] = True


class Event:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.happened = schedule, False

    def set(self) -> None:
        self.happened = True

    def clear(self) -> None:
        self.happened = False

    def wait(self, timeout: float = NEVER) -> None:
        self.schedule.step(lambda: self.happened, self.schedule.clock.monotonic() + timeout)


class Thread:
    def __init__(self, schedule: Schedule, target: Callable[[], object], name: str, daemon: bool) -> None:
        assert daemon, name
        self.schedule, self.target = schedule, target

    def start(self) -> None:
        self.schedule.spawn(self.target)
        self.schedule.step()
