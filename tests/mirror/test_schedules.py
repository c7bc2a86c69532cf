"""No deletion slips between a look and its use, in whatever order threads go on.

The use case's modules are loaded anew with locks of ours, so that one thread runs at a time and a seed draws which goes
on wherever one could be interrupted: at each lock, each wait, on a call's way there and on its way back. What fails,
fails again with the same seed. `SCHEDULES=2000 pytest --timeout=0 tests/mirror/test_schedules.py` takes more of them.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - with locks of its own, before there are others
import importlib
import os
import random
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest

import handler
import handler.mirror
from handler.errors import ApiUnavailable, OutcomeUnknown, RemovalRejected, UnmirrorError
from handler.model import Deadline, InterfacesDeleted, Listing, MirrorSession, Origin, Presence, SessionReply
from handler.report import Report
from tests.conftest import untraced
from tests.support.cloud import PROJECT, Clock, Cloud

SCHEDULES = int(os.environ.get("SCHEDULES", "40"))
SESSIONS, ACTIONS = 4, 16
MOST_DELIVERIES = 200
MOMENT = 0.1
"""Seconds that may pass while nobody does anything: more than a removal waits for others, less than any deadline."""
KNOWN = 10.0
"""Seconds within which what a call ended with is surely known: a few steps of its thread, while all others go on."""
TICK = 1e-6
"""Seconds that any step takes: a clock that stood still could not tell what came first."""
SKEW = 1.9
"""Seconds that the clock of the traces is off that of the API: less than the margin, either way."""


# --- threads of which one runs at a time ----------------------------------------------------------------------


class Over(BaseException):
    """The schedule has ended with a failure in another thread."""


def always() -> bool:
    return True


class Turn:
    """A thread's place in the schedule."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.ready: Callable[[], bool] = always
        self.until = float("inf")
        """When it goes on even so."""
        self.ended = False


class Schedule:
    """Threads that take turns. A seed draws who is next; `step` is where one lets go."""

    def __init__(self, chance: random.Random, clock: Clock) -> None:
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

    def step(self, ready: Callable[[], bool] = always, until: float = float("inf")) -> None:
        """Let another go on; return when it is our turn again, and ready or it is time."""
        turn = getattr(self._own, "turn", None)
        if turn is None:  # the test's own thread, when none runs
            return
        turn.ready, turn.until = ready, until
        self._back.release()
        turn.go.acquire()
        if self._failure is not None:
            raise Over
        self.clock.pass_(self.chance.choice((TICK, TICK, 0.01, 0.3)))

    def run(self) -> None:
        """Return when all threads have ended; raise what one of them raised, or that all wait for one another."""
        while left := [turn for turn in self._turns if not turn.ended]:
            able = left if self._failure else [turn for turn in left if turn.ready() or self.clock() >= turn.until]
            soonest = min(turn.until for turn in left)
            if not able and soonest <= self.clock() + MOMENT:
                self.clock.pass_(soonest - self.clock())
                continue
            if not able:
                self._failure = AssertionError("all wait for one another")
                continue
            self.chance.choice(able).go.release()
            self._back.acquire()
        if self._failure is not None:
            raise self._failure

    def threading(self) -> ModuleType:
        """Return what a module imports as `threading` to take part."""
        module = ModuleType("threading")
        vars(module).update(vars(threading))
        vars(module).update({kind.__name__: partial(kind, self) for kind in (Lock, Condition, Event)})
        return module


class Lock:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.held = schedule, False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        until = float("inf") if timeout < 0 else self.schedule.clock() + timeout * blocking
        self.schedule.step(lambda: not self.held, until)
        taken, self.held = not self.held, True
        return taken

    def release(self) -> None:
        assert self.held
        self.held = False

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition:
    def __init__(self, schedule: Schedule, lock: Lock | None = None) -> None:
        self.schedule, self.lock = schedule, lock or Lock(schedule)
        self.waiting: list[list[bool]] = []

    def wait(self, timeout: float = float("inf")) -> bool:
        assert self.lock.held
        until, told = self.schedule.clock() + timeout, [False]
        self.waiting.append(told)
        self.lock.release()
        self.schedule.step(lambda: told[0], until)
        self.lock.acquire()
        return told[0]

    def notify_all(self) -> None:
        assert self.lock.held
        for told in self.waiting:
            told[0] = True
        self.waiting.clear()

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


class Event:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.happened = schedule, False

    def set(self) -> None:
        self.happened = True

    def wait(self, timeout: float = float("inf")) -> bool:
        until = self.schedule.clock() + timeout
        self.schedule.step(lambda: self.happened, until)
        return self.happened


@contextmanager
def loaded_anew(schedule: Schedule) -> Iterator[dict[str, Any]]:
    """Yield the modules of `handler.mirror` by name, with the schedule's locks."""
    names = [name for name in sys.modules if name.startswith("handler.mirror")]
    with patch.dict(sys.modules, {"threading": schedule.threading()}), patch.object(handler, "mirror", handler.mirror):
        for name in names:
            del sys.modules[name]
        yield {
            name: importlib.import_module(f"handler.mirror.{name}")
            for name in ("detach", "snapshot", "removal", "verification")
        }


# --- a cloud whose calls can be interrupted ---------------------------------------------------------------------


class World:
    """A project in which interfaces are made, watched and deleted while their events are worked on."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a schedule that can be repeated
        self.clock = Clock()
        self.schedule = Schedule(self.chance, self.clock)
        self.cloud = Cloud(self.clock)
        for number in range(SESSIONS):
            self.cloud.add(f"s{number}", [f"i{number}", f"i{number + 1}"])
        self.rejects_absent, self.trouble = self.chance.random() < 0.5, self.chance.choice((0.0, 0.1, 0.4))
        self.told: list[str] = []
        self.failures: dict[str, float] = {}
        """When each call failed that we let fail, by the words of its error."""
        self.in_flight: set[tuple[str, ...]] = set()
        with loaded_anew(self.schedule) as modules:
            looks = modules["snapshot"].Looks(300, self.clock)
            self.detach = modules["detach"].Detach(
                looks=looks,
                verifications=modules["verification"].Verifications(self.clock),
                removals=modules["removal"].Removals(looks.learn),
                clock=self.clock,
                pause=self.pause,
                in_flight=1,  # the threads are the schedule's
            )

    def pause(self, seconds: float) -> None:
        self.clock.pass_(seconds)
        self.schedule.step()

    # --- what happens, one thing after another

    def live(self) -> None:
        """Make, watch and delete interfaces; announce those that are deleted, and sometimes one that is not."""
        for number in range(ACTIONS):
            living = sorted(self.cloud.interfaces.keys() - {"the-target"})
            some = self.chance.sample(living, min(len(living), self.chance.randint(1, 3)))
            match self.chance.choice(("make", "watch", "watch and delete", "delete", "forge")) if some else "make":
                case "make":
                    self.cloud.interfaces[f"new-{number}"] = None
                    self.watch(f"new-{number}")
                case "watch":
                    self.watch(some[0])
                case "watch and delete":
                    self.watch(some[0])
                    self.delete(some[:1])
                case "delete":
                    self.delete(some)
                case _:
                    self.announce(some[:1], self.clock.cloud, true=False)
            for _ in range(self.chance.randint(0, 12)):
                self.schedule.step()
        self.trouble = 0.0

    def watch(self, interface_id: str) -> None:
        session = self.cloud.sessions[self.chance.choice(sorted(self.cloud.sessions))]
        if interface_id not in session.sources:
            self.cloud.put_back(session.id, interface_id)

    def delete(self, interface_ids: Sequence[str]) -> None:
        self.cloud.delete(*interface_ids)
        self.told += interface_ids
        recorded = self.clock.cloud + timedelta(seconds=self.chance.uniform(-SKEW, SKEW))
        times = self.chance.choice((recorded, recorded, recorded, None, self.clock.cloud + timedelta(days=1)))
        for _ in range(self.chance.choice((1, 1, 2))):  # at least once
            self.announce(interface_ids, times, true=True)

    def announce(self, interface_ids: Sequence[str], recorded: datetime | None, *, true: bool) -> None:
        event = InterfacesDeleted(Origin("e", "cts", PROJECT, time=recorded), tuple(interface_ids))

        def deliver() -> None:
            for _ in range(MOST_DELIVERIES):
                if self.done(event):
                    listed = {id_: session.sources for id_, session in self.cloud.sessions.items()}
                    left = not any({*interface_ids} & {*sources} for sources in listed.values())
                    assert left or not true, f"{interface_ids} answered as done, and still in {listed}"
                    return
                if not true:
                    return
                self.pause(1.0)
            raise AssertionError(f"{interface_ids} are never done")

        self.schedule.spawn(deliver)

    # --- what is true of every answer

    def done(self, event: InterfacesDeleted) -> bool:
        """Deliver once and tell whether the sender may forget the event."""
        arrived = self.clock()
        api = Api(self, Deadline(arrived + self.chance.choice((5.0, 500.0)), self.clock))
        try:
            report: Report = self.detach.interfaces(event, api, arrived)
        except UnmirrorError as error:
            self.waited_for(error, arrived)
            return False
        for each in (*report.detachments, *report.kept):
            self.waited_for(each.error, arrived)
        return report.error is None

    def waited_for(self, error: UnmirrorError | None, arrived: float) -> None:
        """A call that failed before a delivery arrived must not fail it, once that is known to all threads."""
        assert self.failures.get(str(error), arrived) >= arrived - KNOWN


@dataclass(frozen=True)
class Api:
    """The port, for one delivery; no call of a kind that must be shared is ever made twice at once."""

    world: World
    deadline: Deadline
    project_id: str = PROJECT
    asked_by: str = ""

    @contextmanager
    def call(self, *what: str) -> Iterator[str]:
        world = self.world
        self.deadline.require(what[0])
        assert what[:2] not in world.in_flight, f"{what[:2]} overlaps"
        world.in_flight.add(what[:2])
        number = f"request {what[0]} {world.clock()} {world.chance.random()}"
        try:
            world.schedule.step()
            if world.chance.random() < world.trouble:
                self.fail(ApiUnavailable(number))
            yield number
            world.schedule.step()
        finally:
            world.in_flight.remove(what[:2])

    def fail(self, error: UnmirrorError) -> None:
        self.world.failures[str(error)] = self.world.clock()
        raise error

    def list_sessions(self) -> Listing:
        """Read each session at another moment, as from a page of its own."""
        began, taken_at = self.world.clock(), self.world.clock.cloud
        found = []
        with self.call("list_sessions") as number:
            for id_ in sorted(self.world.cloud.sessions):
                found.append(self.world.cloud.sessions[id_])
                self.world.schedule.step()
        return Listing(tuple(found), taken_at, began, (number,))

    def show_session(self, session_id: str) -> SessionReply:
        with self.call("show_session", session_id, str(id(self))) as number:
            return SessionReply(self.world.cloud.sessions[session_id], number)

    def remove_sources(self, session_id: str, interface_ids: Sequence[str]) -> SessionReply:
        cloud = self.world.cloud
        with self.call("remove_sources", session_id) as number:
            assert not {*interface_ids} & cloud.interfaces.keys(), "a living interface leaves"
            session = cloud.sessions[session_id]
            if self.world.rejects_absent and not {*interface_ids} <= {*session.sources}:
                raise RemovalRejected(number)
            left = tuple(id_ for id_ in session.sources if id_ not in interface_ids)
            reply = SessionReply(self.changed(replace(session, sources=left)), number)
            if self.world.chance.random() < self.world.trouble:
                self.fail(OutcomeUnknown(number))
        return reply

    def changed(self, session: MirrorSession) -> MirrorSession:
        self.world.cloud.sessions[session.id] = session
        return session

    def find_interface(self, interface_id: str) -> Presence:
        with self.call("find_interface", interface_id) as number:
            return Presence(interface_id in self.world.cloud.interfaces, number)

    def list_interfaces(self, interface_ids: Collection[str]) -> frozenset[str]:
        raise NotImplementedError

    def list_all_interfaces(self) -> Iterator[frozenset[str]]:
        raise NotImplementedError


@untraced
@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_no_deletion_slips_between_a_look_and_its_use(seed: int) -> None:
    """And no living interface is detached, no removals overlap on a session, and nobody waits for ever."""
    world = World(seed)
    world.schedule.spawn(world.live)
    world.schedule.run()
    listed = {id_ for session in world.cloud.sessions.values() for id_ in session.sources}
    assert not listed & {*world.told}
