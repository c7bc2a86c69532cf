"""One delivery in, one report out. The only place where the parts are wired."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from math import inf

from handler import events
from handler.bulkhead import Places
from handler.errors import Busy, NotAllowed, NotConfigured, UnmirrorError
from handler.events import Reading
from handler.mirror.abreast import each
from handler.mirror.detach import Detach, Protected
from handler.mirror.removal import Removals
from handler.mirror.snapshot import Looks
from handler.mirror.sweep import Sweep
from handler.mirror.verification import Verifications
from handler.model import Deadline, Event, InterfacesDeleted, NothingForUs, Origin, SweepDue, TargetDeleted
from handler.observability import instrumentation as signals
from handler.observability import logs as telemetry
from handler.observability.instrumentation import Listener, Signals
from handler.observability.logs import Trace
from handler.report import IDLE, Cause, Outcome, Report, gather
from handler.settings import Settings
from handler.vpc.client import Call, ProjectApi, VpcClient
from handler.vpc.credentials import AccessKey, Credentials

MOST_TEXT = 64
"""Characters of a text of an event that are repeated in a report."""


def utc_now() -> datetime:
    """Return the wall clock's time, UTC."""
    return datetime.now(timezone.utc)


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that deliveries share in a process."""

    settings: Settings
    detach: Detach
    sweep: Sweep
    client: VpcClient | None
    """None while no endpoint is configured; what needs no call works all the same."""
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = utc_now
    signals: Signals = field(default_factory=Signals)
    """What hears of deliveries."""
    places: Places = field(default_factory=lambda: Places(inf, frozenset()))

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
        threads: float = inf,
    ) -> Service:
        """Wire the service from settings; raise NotConfigured that names every wrong one. Calls nothing.

        `threads`: how many deliveries there can be at a time, which projects have to share.
        """
        settings = Settings.from_env(environ)
        looks = Looks(settings.snapshot_max_age, clock)
        detach = Detach(
            looks=looks,
            verifications=Verifications(clock),
            removals=Removals(looks.learn),
            clock=clock,
            pause=sleep,
            protect=Protected(settings.protect),
            dry_run=settings.dry_run,
        )
        client = None
        if settings.endpoint:
            client = VpcClient(
                settings.endpoint, Credentials.from_env(environ), environ=environ, clock=clock, sleep=sleep, draw=draw
            )
        sweep = Sweep(detach, settings.sweep_limit.allows)
        places = Places(threads, settings.projects)
        return cls(settings, detach, sweep, client, clock, signals=signals.from_env(environ), places=places)

    def handle(
        self,
        payload: object,
        *,
        credentials: AccessKey | None = None,
        seconds: float = inf,
    ) -> Report:
        """Do what the payload asks for and report it.

        Raises BadEvent for a payload that cannot be read; every other trouble is in the report. `credentials`
        are those that the platform gave with this delivery, `seconds` the time that it has left for it.
        """
        arrived = self.clock()
        deadline = Deadline(arrived + min(self.settings.deadline, seconds), self.clock)
        with self.signals.delivery(telemetry.trace() or Trace.of_event(payload)) as listener:
            telemetry.follow(listener.trace)
            delivery = _Delivery(arrived, deadline, credentials, listener)
            listener.read(reading := events.read(payload))
            try:
                with self._place(reading.events, deadline):
                    report = self._work(reading, delivery)
            except Busy as error:
                report = self._failed(reading.events[0].origin, error)
            report = replace(report, envelope=reading.envelope, seconds=self.clock() - arrived)
            listener.ended(report)
        return report

    def _place(self, events: Sequence[Event], deadline: Deadline) -> AbstractContextManager[None]:
        """Hold a place for the project of the first event that is to be acted on."""
        for event in events:
            if not isinstance(event, NothingForUs) and (project := event.origin.project_id or self.settings.project_id):
                return self.places.taken(project, deadline)
        return nullcontext()

    def _work(self, reading: Reading, delivery: _Delivery) -> Report:
        if len(reading.events) == 1:
            return self._handle(reading.events[0], delivery)
        parts = each(lambda event: self._handle(event, delivery), reading.events)
        return gather(reading.id, reading.envelope, parts)

    def _handle(self, event: Event, delivery: _Delivery) -> Report:
        origin = event.origin
        if isinstance(event, SweepDue) and origin.project_id is None and len(self.settings.projects) > 1:
            # one after another: each gets the pace that the API allows, and what fails in one stops no other
            projects = self.sweep.in_turn(self.settings.projects)
            sweeps = (replace(event, origin=replace(origin, project_id=project_id)) for project_id in projects)
            parts = [self._handle(one, delivery) for one in sweeps]
            return gather(origin.id, origin.envelope, parts, what="projects")
        api: ProjectApi | None = None
        try:
            if isinstance(event, NothingForUs):
                return _report(origin, event.outcome, event.reason)
            api = self.api(self.project_of(origin), delivery.deadline, delivery.credentials, delivery.listener.called)
            report = self._act(event, api, delivery.arrived)
        except UnmirrorError as error:
            report = replace(self._failed(origin, error), project_id=api.project_id if api else None)
        if report.detachments or report.outcome not in IDLE:
            report = replace(report, cause=self._cause(event))
        return replace(report, api_calls=api.calls) if api and api.calls else report

    def _act(self, event: InterfacesDeleted | TargetDeleted | SweepDue, api: ProjectApi, arrived: float) -> Report:
        match event:
            case InterfacesDeleted():
                return self.detach.interfaces(event, api, arrived)
            case TargetDeleted():
                return self.detach.target(event, api, arrived)
            case SweepDue():
                return self.sweep.project(event, api, arrived)

    def project_of(self, origin: Origin) -> str:
        """Return the project to act in; raise NotAllowed for one that is not ours, or for another region."""
        settings = self.settings
        if settings.missing:
            raise NotConfigured("cannot act on any event before this is set: " + "; ".join(settings.missing))
        if origin.region and settings.region and origin.region != settings.region:
            raise NotAllowed("the event is about another region than UNMIRROR_REGION")
        project_id = origin.project_id or settings.project_id
        if project_id is None:
            raise NotConfigured("the event names no project: set HUAWEICLOUD_SDK_PROJECT_ID")
        if project_id not in settings.projects:
            raise NotAllowed("the event's project is not among UNMIRROR_PROJECTS")
        return project_id

    def _failed(self, origin: Origin, error: UnmirrorError) -> Report:
        return replace(_report(origin, "failed", str(error)), error=error, dry_run=self.settings.dry_run)

    def _cause(self, event: Event) -> Cause:
        origin, seconds = event.origin, None
        if isinstance(event, InterfacesDeleted) and origin.time:
            seconds = max(0.0, (self.now() - origin.time).total_seconds())
        return Cause(origin.operation, _short(origin.actor), origin.time, seconds)

    def api(
        self,
        project_id: str,
        deadline: Deadline,
        credentials: AccessKey | None = None,
        tell: Callable[[Call], None] = lambda _: None,
    ) -> ProjectApi:
        """Return the VPC API for one project and one delivery; `tell` hears of each call that has ended."""
        if self.client is None:
            raise NotConfigured("no endpoint: set UNMIRROR_REGION or UNMIRROR_VPC_ENDPOINT")
        return self.client.project(project_id, deadline, credentials, tell)


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What all events of one delivery share."""

    arrived: float
    deadline: Deadline
    credentials: AccessKey | None
    listener: Listener


def _short(text: str | None) -> str | None:
    """Return a text of an event fit for reports and logs: printable, and no longer than a name."""
    return "".join(filter(str.isprintable, text))[:MOST_TEXT] or None if text else None


def _report(origin: Origin, outcome: Outcome, reason: str) -> Report:
    return Report(origin.id, origin.envelope, outcome, reason)
