"""One payload in, one report out. The composition root: the only place where the parts are wired."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import ceil, inf
from typing import Literal

from handler import events
from handler.bulkhead import Bulkhead
from handler.calls import Calls, CallThreads
from handler.deadline import Cancellation, Clock, Deadline, Instant
from handler.delivery import Work, report_of_parts
from handler.errors import DeadlineExceeded, Forbidden, NotConfigured, Overloaded, UnmirrorError
from handler.mirror.jobs import Delivery, Job, Progress, SweepTask
from handler.mirror.retry import Submission, work_off
from handler.mirror.rules import Rules
from handler.mirror.worker import MAX_CALLS, WorkerConfig, Workers, earlier
from handler.model import (
    CheckRequested,
    Event,
    Ignored,
    InterfacesDeleted,
    ServersDeleted,
    SweepRequested,
    TargetDeleted,
    Unreadable,
)
from handler.observability import settings as observability_settings
from handler.observability.trace_context import TraceContext, current_trace
from handler.report import Report
from handler.settings import Settings
from handler.vpc.client import VpcClient
from handler.vpc.credentials import AccessKey, CredentialChain

# Projects that one delivery sweeps at a time: each has a share of its time, and a rate limit of its own.
MAX_SWEPT_PROJECTS = 4


class Service:
    """Everything that the deliveries of a process share."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
        threads: float = inf,
        cancellation: Cancellation | None = None,
    ) -> None:
        """Wire the parts as the settings have it; raise NotConfigured that names every wrong one. Calls nothing.

        `jitter` gives numbers from 0 to 1; `threads` is how many deliveries there can be at a time.
        """
        self.settings = settings = Settings.from_env(environ)
        self.instrumentation = observability_settings.from_env(environ)
        self.cancellation = cancellation or Cancellation()
        self.clock, self._jitter = clock or Clock(sleep=self.cancellation.sleep), jitter
        credentials = CredentialChain.from_env(environ, clock=self.clock)
        self.client = VpcClient(settings.endpoint, credentials, environ=environ, clock=self.clock, jitter=jitter)
        """Without an endpoint it cannot call; what needs no call works all the same."""
        self._check_threads = CallThreads()
        self._bulkhead = Bulkhead(threads, len(settings.projects))
        rules = Rules(settings.protect, settings.dry_run, settings.sweep_limit.allows)
        config = WorkerConfig(self.instrumentation, self.clock, rules, jitter, settings.snapshot_max_age)
        self._workers = Workers(config)

    def deadline(self, seconds: float = inf) -> Deadline:
        """Return the time budget of a delivery that arrives now: UNMIRROR_DEADLINE, or less."""
        return Deadline.within(min(self.settings.deadline, seconds), self.clock.monotonic, self.cancellation)

    def deliver(
        self,
        payload: object,
        *,
        deadline: Deadline,
        key: AccessKey | None = None,
        trace: TraceContext | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Do what the payload asks for and report it. Raises what failed for the delivery as a whole.

        `key` is what the platform gave with the delivery, `trace` its sender's span. A report with an error holds
        what was done all the same; 503 with nothing done comes as a report, too, as the sender is to come again.
        """
        arrived = self.clock.instant()
        with self.instrumentation.delivery(trace) as span:
            current_trace.set(span)
            parsed = events.parse(payload)
            delivery = Delivery(arrived.monotonic, deadline, span, key, progress)
            report = report_of_parts(parsed.id, self._work_off(parsed.events, delivery, arrived))
            report.envelope = parsed.envelope
            is_told = report.status == 503 or report.detachments or report.sweep
            if report.failure is not None and not is_told:
                raise report.failure
            self.instrumentation.on_finished(report)
        return report

    # --- steps ---------------------------------------------------------------------------------------

    def _work_off(self, all_events: Sequence[Event], delivery: Delivery, arrived: Instant) -> list[Report]:
        """Return a report for each event, in their order."""
        by_event = [self._in_projects(event) for event in all_events]
        if works := [work for of_event in by_event for work in of_event if work.project_id is not None]:
            try:
                with self._bulkhead.slot({str(work.project_id) for work in works}, delivery.deadline):
                    self._detach(works, delivery)
                    self._sweep(works, delivery)
                    self._check(works, delivery)
            except Overloaded as error:
                for work in works:
                    work.failure = error
        dry_run, now, seconds = self.settings.dry_run, self.clock.now(), self.clock.age(arrived)
        reports = [[work.report(dry_run, now, seconds) for work in of_event] for of_event in by_event]
        return [report_of_parts(parts[0].delivery_id, parts, kind="projects") for parts in reports]

    def _in_projects(self, event: Event) -> list[Work]:
        """Return the event for each project that it is about; without one where there is nothing to do in any."""
        if isinstance(event, Ignored):
            return [Work(event)]
        if isinstance(event, Unreadable):
            return [Work(event, failure=event.error)]
        try:
            return [Work(event, project_id) for project_id in self._projects_of(event)]
        except UnmirrorError as error:
            return [Work(event, failure=error)]

    def _projects_of(self, event: Event) -> list[str]:
        """Return the projects that an event is about; raise NotConfigured, or Forbidden for one that is not ours."""
        settings, metadata = self.settings, event.metadata
        if settings.missing:
            raise NotConfigured("cannot act on any event before this is set: " + "; ".join(settings.missing))
        if metadata.region and settings.region and metadata.region != settings.region:
            raise Forbidden("the event is about another region than UNMIRROR_REGION")
        if isinstance(event, SweepRequested | CheckRequested) and metadata.project_id is None:
            return sorted(settings.projects)
        project_id = metadata.project_id or settings.project_id
        if project_id is None:
            raise NotConfigured("the event names no project: set HUAWEICLOUD_SDK_PROJECT_ID")
        if project_id not in settings.projects:
            raise Forbidden(
                "the event's project is not among UNMIRROR_PROJECTS, the projects that this function may act in"
            )
        return [project_id]

    def _detach(self, works: Sequence[Work], delivery: Delivery) -> None:
        """Hand the ids that events name to the workers of their projects."""
        for work in works:
            add = partial(self._add, str(work.project_id))
            job = partial(Job, event_time=work.event.metadata.time)
            match work.event:
                case InterfacesDeleted(interface_ids=ids):
                    work.submission = Submission(add, ids, partial(job, "interfaces"))
                case ServersDeleted(server_ids=ids):
                    work.submission = Submission(add, ids, partial(job, "servers"))
                case TargetDeleted(target_id=id_):
                    work.submission = Submission(add, (id_,), partial(job, "target"))
        work_off([work.submission for work in works if work.submission], delivery, self.clock, self._jitter)

    def _sweep(self, works: Sequence[Work], delivery: Delivery) -> None:
        """Sweep once in each project for what asks for it, and for servers with no interface left to be named."""
        by_project = _by_project(works, lambda work: work.wants_sweep)
        projects = list(by_project)
        for start in range(0, len(projects), MAX_SWEPT_PROJECTS):
            rounds = ceil((len(projects) - start) / MAX_SWEPT_PROJECTS)
            share = delivery._replace(deadline=delivery.deadline.sooner(delivery.deadline.remaining() / rounds))
            waits = []
            for project_id in projects[start : start + MAX_SWEPT_PROJECTS]:
                sharing = by_project[project_id]
                by: Literal["timer", "server"] = "timer" if any(work.by == "timer" for work in sharing) else "server"
                task = SweepTask(by, share)
                for work in sharing:
                    work.sweep = task
                waits.append(self._add(project_id, task))
            for wait in waits:
                wait()

    def _check(self, works: Sequence[Work], delivery: Delivery) -> None:
        """Check each project once for all events that ask for it, side by side."""
        by_project = _by_project(works, lambda work: isinstance(work.event, CheckRequested))
        if not by_project:
            return
        from handler.check import Check  # no other delivery needs it

        on_call = partial(self.instrumentation.on_call, traces=[delivery.trace] if delivery.trace else [])
        checks = {each: Check(self.settings, self.client, each, delivery.key, on_call) for each in by_project}
        calls = Calls(delivery.deadline, MAX_CALLS, self._check_threads)  # a check makes one call at a time
        ends = earlier(delivery.deadline)
        results = dict(calls.map(lambda each, _: checks[each].run(ends), by_project))
        late = DeadlineExceeded("no time left for the whole check")
        for project_id, sharing in by_project.items():
            for work in sharing:
                work.check, work.calls = tuple(checks[project_id].steps), [checks[project_id].calls]
                work.failure = results.get(project_id, late)

    def _add(self, project_id: str, task: Job | SweepTask) -> Callable[[], None]:
        """Put a task into the queue of its worker; return what waits for it."""
        key = task.delivery.key
        # the chain's own key keeps its worker when it is renewed
        return self._workers.add(project_id, key or "own", partial(self.client.api, project_id, key), task)


def _by_project(works: Iterable[Work], wanted: Callable[[Work], bool]) -> dict[str, list[Work]]:
    """Return those of the works that are wanted, by project."""
    by_project: dict[str, list[Work]] = {}
    for work in filter(wanted, works):
        by_project.setdefault(str(work.project_id), []).append(work)
    return by_project
