"""No deletion slips through the worker, in whatever order its threads go on.

A seed draws which thread goes on wherever one could be interrupted: at each lock, each wait, on a call's way there and
on its way back. `SCHEDULES=2000 pytest --timeout=0 tests/mirror/test_schedules.py` takes more of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pytest

from handler.errors import ApiRefused, ApiUnavailable, OutcomeUnknown
from handler.model import Listing, MirrorSession, Presence, SessionReply
from tests.support.clock import FakeClock
from tests.support.cloud import TARGET, FakeApi, FakeCloud
from tests.support.observer import RecordingObserver
from tests.support.schedule import Schedule

SCHEDULES = int(os.environ.get("SCHEDULES", "40"))
SESSIONS, ACTIONS = 4, 14
MAX_DELIVERIES = 300
SKEW = 1.9
"""Seconds that the clock of the traces is off that of the API: less than the margin, either way."""
KEPT = "keep-*"
LONG = 500.0
"""Seconds that a delivery may take that is to be answered before its time is up."""


@dataclass
class Api(FakeApi):
    """The port for one identity; a narrow one sees no interface, and may change nothing."""

    world: World | None = None
    narrow: bool = False

    @property
    def _world(self) -> World:
        assert self.world is not None
        return self.world

    def list_sessions(self, deadline: Any) -> Listing:
        """Read each session at another moment, as from a page of its own."""
        began, taken_at = self.cloud.clock.clock.instant(), self.cloud.moment()
        found: list[MirrorSession] = []
        with self._call(deadline, "list_sessions") as request_id:
            pass
        for id_ in sorted(self.cloud.sessions):
            found.append(self.cloud.sessions[id_])
            self._world.schedule.step()
        return Listing(tuple(found), taken_at, began, (request_id,))

    def show_session(self, session: MirrorSession, deadline: Any) -> SessionReply:
        reply = super().show_session(session, deadline)
        if reply.session:
            self._world.names_read[session.id] = reply.session.name
        return reply

    def remove_sources(self, session: MirrorSession, interface_ids: Sequence[str], deadline: Any) -> SessionReply:
        if self.narrow:
            raise ApiRefused("no permission")
        assert not {*interface_ids} & self.cloud.interfaces.keys(), "a living interface leaves"
        assert not fnmatchcase(self._world.names_read[session.id], KEPT), "a protected session loses a source"
        return super().remove_sources(session, interface_ids, deadline)

    def find_interface(self, interface_id: str, deadline: Any) -> Presence:
        presence = super().find_interface(interface_id.lower(), deadline)
        return presence._replace(exists=presence.exists and not self.narrow)


class World:
    """Projects in which interfaces are made, watched and deleted while their events are worked on."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a schedule that can be repeated
        self.clock = FakeClock(wall_offset=self.chance.choice((0.0, 0.0, 40.0, -40.0)))
        self.schedule = Schedule(self.chance, self.clock)
        ahead = (0.0, None) if self.clock.wall_offset > 0 else (0.0, 30.0, 7200.0, None)
        date_offset = self.chance.choice(ahead)  # nobody could tell if both clocks were ahead
        self.trouble = self.chance.choice((0.0, 0.1, 0.3))
        self.hangs = self.chance.choice((0.0, 0.0, 0.02))
        self.projects = {
            name: self.project(name, date_offset) for name in ("one", "two")[: self.chance.choice((1, 1, 2))]
        }
        self.stopped_at: float | None = None
        self.names_read: dict[str, str] = {}
        self.told: set[str] = set()
        self.protected_once: set[str] = set()
        self.observer = RecordingObserver()

    def project(self, name: str, date_offset: float | None) -> FakeCloud:
        """Return a project with a few sessions, of which some spell their sources in capitals."""
        cloud = FakeCloud(self.clock, rejects_absent=self.chance.random() < 0.5, interleave=self.interleave)
        cloud.date_offset = date_offset
        for number in range(SESSIONS):
            ids = [f"{name}-{number}", f"{name}-{number + 1}"]
            cloud.add(f"{name}-s{number}", map(str.upper, ids) if self.chance.random() < 0.2 else ids)
        return cloud

    def run(self, *, stop: bool = False) -> None:
        names = ("deadline", "calls", "mirror.worker", "mirror.retry", "mirror.jobs")
        with self.schedule.loaded(*names) as (self.deadline, calls, worker, self.retry, self.jobs):
            calls.LOOK_SECONDS = worker.LOOK_SECONDS = 2.0  # each look is a step, which takes time here
            self.cancellation = self.deadline.Cancellation()
            self.product_clock = self.deadline.Clock(self.clock.monotonic, self.clock.now, self.schedule.sleep)
            rules = worker.Rules((KEPT,), sweep_limit=self.within)
            self.workers = worker.Workers(worker.WorkerConfig(self.observer, self.product_clock, rules))
            for name, cloud in self.projects.items():
                self.schedule.spawn(partial(self.live, name, cloud))
            if stop:
                self.schedule.spawn(self.stop)
            self.schedule.run()
        assert self.observer.bugs == []

    def within(self, leaving: int, sources: int) -> bool:
        return leaving <= 2

    def interleave(self) -> None:
        """Let others go on while a call is under way; sometimes it hangs, sometimes it fails."""
        assert self.stopped_at is None or self.clock.monotonic() < self.stopped_at + 9, "a call goes on after the grace"
        self.schedule.step()
        if self.chance.random() < self.hangs:
            self.schedule.sleep(self.chance.choice((7.0, 20.0, 60.0)))
        elif self.chance.random() < self.trouble / 2:
            raise self.chance.choice((ApiUnavailable, OutcomeUnknown))("trouble")

    # --- what happens in a project, one thing after another

    def live(self, name: str, cloud: FakeCloud) -> None:
        """Make, watch and delete interfaces; announce those that are deleted, and sometimes one that is not."""
        for number in range(ACTIONS):
            living = sorted(id_ for id_ in cloud.interfaces if id_ != TARGET)
            some = self.chance.sample(living, min(len(living), self.chance.randint(1, 3)))
            match self.chance.choice(("make", "watch", "delete", "delete", "forge", "rename", "freeze", "sweep")):
                case "make":
                    cloud.interfaces[f"{name}-new-{number}"] = ""
                    self.watch(cloud, f"{name}-new-{number}")
                case "watch" if some:
                    self.watch(cloud, some[0])
                case "delete" if some:
                    self.watch(cloud, some[0])
                    self.delete(name, cloud, some)
                case "forge" if some:
                    self.announce(name, cloud, some[:1], self.clock.cloud, true=False)
                case "rename":
                    session_id = self.chance.choice(sorted(cloud.sessions))
                    cloud.rename(session_id, self.chance.choice(("keep-it", "plain")))
                    self.protected_once.add(session_id)
                case "freeze" if self.chance.random() < 0.3:
                    self.clock.freeze(3600)
                case "sweep":
                    self.schedule.spawn(partial(self.swept, name, cloud))
            for _ in range(self.chance.randint(0, 12)):
                self.schedule.step()
        self.trouble = self.hangs = 0.0
        for session_id in cloud.sessions:
            cloud.rename(session_id, "plain")

    def stop(self) -> None:
        """Somebody says stop at some point."""
        for _ in range(self.chance.randint(0, 400)):
            self.schedule.step()
        self.cancellation.cancel()
        self.stopped_at = self.clock.monotonic()

    def watch(self, cloud: FakeCloud, interface_id: str) -> None:
        session = cloud.sessions[self.chance.choice(sorted(cloud.sessions))]
        if interface_id not in session.sources and not session.spellings:
            cloud.watch(session.id, interface_id)

    def delete(self, name: str, cloud: FakeCloud, interface_ids: Sequence[str]) -> None:
        cloud.delete(*interface_ids)
        self.told |= {*interface_ids}
        recorded = self.clock.cloud + timedelta(seconds=self.chance.uniform(-SKEW, SKEW))
        time = self.chance.choice((recorded, recorded, recorded, None, self.clock.cloud + timedelta(days=1)))
        for _ in range(self.chance.choice((1, 1, 2))):  # at least once
            self.announce(name, cloud, interface_ids, time, true=True)

    def announce(
        self, name: str, cloud: FakeCloud, interface_ids: Sequence[str], recorded: datetime | None, *, true: bool
    ) -> None:
        narrow = not true and self.chance.random() < 0.5

        def deliver() -> None:
            for _ in range(MAX_DELIVERIES):
                if self.done(name, cloud, interface_ids, recorded, narrow=narrow):
                    left = self.listed() & {*interface_ids}
                    assert not true or not left, f"{left} answered as done, and still listed"
                    return
                if not true or self.cancellation.cancelled:
                    return
                self.schedule.sleep(1.0)
            raise AssertionError(f"{interface_ids} are never done")

        self.schedule.spawn(deliver)

    def listed(self) -> set[str]:
        """Return what sessions list that are not protected, and were not renamed on the way."""
        sessions = [each for cloud in self.projects.values() for each in cloud.sessions.values()]
        return {id_ for each in sessions if each.id not in self.protected_once for id_ in each.sources}

    # --- what is true of every answer

    def done(
        self, name: str, cloud: FakeCloud, interface_ids: Sequence[str], recorded: datetime | None, *, narrow: bool
    ) -> bool:
        """Deliver once and tell whether the sender may forget the event."""
        with self.in_time() as deadline:
            add = partial(self.workers.add, name, "narrow" if narrow else "own", self.connect(cloud, narrow=narrow))
            job = partial(self.jobs.Job, "interfaces", event_time=recorded)
            submission = self.retry.Submission(add, tuple(interface_ids), job)
            delivery = self.jobs.Delivery(self.clock.monotonic(), deadline)
            self.retry.work_off([submission], delivery, self.product_clock, self.chance.random)
        return not any(part.errors(id_) for id_, part in submission.parts.items())

    def swept(self, name: str, cloud: FakeCloud) -> None:
        """Sweep once; removing and verifying are watched by the API itself."""
        by = self.chance.choice(("timer", "server"))
        with self.in_time() as deadline:
            task = self.jobs.SweepTask(by, self.jobs.Delivery(self.clock.monotonic(), deadline))
            self.workers.add(name, "own", self.connect(cloud, narrow=False), task)()
        swept = task.swept
        if swept is not None and swept.figures.stop:
            assert not swept.parts
            assert not swept.undecided

    @contextmanager
    def in_time(self) -> Iterator[Any]:
        """Yield a deadline; what is done within the block ends by it, and by the grace after a stop."""
        began, seconds = self.clock.monotonic(), self.chance.choice((5.0, LONG))
        yield self.deadline.Deadline.within(seconds, self.clock.monotonic, self.cancellation)
        took = self.clock.monotonic() - began
        ends = seconds if self.stopped_at is None else self.stopped_at + 5.0 - began
        assert took <= max(ends, 0.0) + 4.0, "it outlasts its deadline by more than the steps of other threads"
        assert self.cancellation.cancelled or took < LONG / 2, "a delivery waits for nothing"

    def connect(self, cloud: FakeCloud, *, narrow: bool) -> Any:
        return lambda on_call, attempts: Api(cloud, on_call, world=self, narrow=narrow)


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_no_deletion_slips_through_and_no_living_interface_leaves(seed: int) -> None:
    """And no protected session loses anything, no removals overlap on a session, and nobody waits for ever."""
    world = World(seed)
    world.run()
    assert not world.listed() & world.told


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(SCHEDULES // 4))
def test_a_stop_ends_every_delivery_within_the_grace(seed: int) -> None:
    World(seed).run(stop=True)
