"""One delivery at work: what has come of each of its events, and how that becomes a report."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from handler.errors import DeadlineExceeded, Interrupted, UnmirrorError
from handler.mirror.jobs import OUT_OF_TIME, SweepTask, Task
from handler.mirror.removal import of_parts
from handler.mirror.retry import Submission
from handler.model import (
    By,
    Cause,
    CheckStep,
    Event,
    Ignored,
    InterfacesDeleted,
    ServersDeleted,
    SweepRequested,
    TargetDeleted,
)
from handler.report import Report

# Characters of a text of an event that are repeated in a report: a session's name may have as many.
MAX_TEXT = 64
_BY: Mapping[type[Event], By] = {InterfacesDeleted: "event", TargetDeleted: "event", ServersDeleted: "server"}


class Work:
    """One event in one project, and what has come of it so far."""

    def __init__(self, event: Event, project_id: str | None = None, failure: UnmirrorError | None = None) -> None:
        """Take None for the project where nothing is to be done in any, and what keeps it from being done."""
        self.event, self.project_id, self.failure = event, project_id, failure
        self.submission: Submission | None = None
        self.sweep: SweepTask | None = None
        self.check: tuple[CheckStep, ...] | None = None
        self.calls: list[list[str]] = []
        """Those of the check."""

    @property
    def by(self) -> By | None:
        """What leads to the detachments of the event."""
        return self.event.by if isinstance(self.event, SweepRequested) else _BY.get(type(self.event))

    @property
    def wants_sweep(self) -> bool:
        """Whether a sweep is to be made; after servers only once none of their interfaces is mirrored any more."""
        if self.submission is not None and isinstance(self.event, ServersDeleted):
            return not any(part.errors(id_) for id_, part in self.submission.parts.items())
        return isinstance(self.event, SweepRequested)

    def report(self, dry_run: bool, now: datetime, seconds: float) -> Report:
        """Return what became of the event, whose delivery took so many seconds until now."""
        metadata = self.event.metadata
        members: dict[str, Any] = {"project_id": self.project_id, "dry_run": dry_run, "by": self.by}
        members |= {"failure": self.failure, "check": self.check, "seconds": seconds}
        if isinstance(self.event, Ignored):
            members |= {"ignored": self.event.reason, "pending": self.event.pending}
        tasks: list[Task] = []
        if self.submission is not None:
            members |= of_parts(self.submission.parts, self)
            tasks += self.submission.jobs
        if self.sweep is not None:
            members |= _of_sweep(self.sweep, self)
            tasks.append(self.sweep)
        members["snapshot"] = next((task.evidence for task in reversed(tasks) if task.evidence), None)
        members["unreadable_sessions"] = next((task.unreadable for task in reversed(tasks) if task.unreadable), ())
        members["calls"] = (*self.calls, *(calls for task in tasks for calls in task.calls))
        members["cause"] = self._cause(now)
        return Report(metadata.id, metadata.envelope, **members)

    def _cause(self, now: datetime) -> Cause:
        metadata, seconds = self.event.metadata, None
        if isinstance(self.event, InterfacesDeleted) and metadata.time:
            seconds = max(0.0, (now - metadata.time).total_seconds())
        return Cause(metadata.operation, metadata.actor and metadata.actor[:MAX_TEXT], metadata.time, seconds)


def report_of_parts(delivery_id: str, parts: Sequence[Report], kind: str = "events") -> Report:
    """Return the report of several events or projects; that of the only one as it is."""
    if len(parts) == 1:
        return parts[0]
    projects = {part.project_id for part in parts}
    return Report(
        delivery_id,
        parts[0].envelope,
        project_id=projects.pop() if len(projects) == 1 else None,
        dry_run=parts[0].dry_run,
        seconds=parts[0].seconds,
        calls=tuple(calls for part in parts for calls in part.calls),
        parts=tuple(parts),
        part_kind=kind,
    )


def _of_sweep(task: SweepTask, reporter: Work) -> dict[str, Any]:
    swept, cancelled = task.swept, task.delivery.deadline.cancellation.cancelled
    if swept is None:
        late = Interrupted("interrupted before the end of the sweep") if cancelled else DeadlineExceeded(OUT_OF_TIME)
        return {"failure": task.failure or late}
    owner = swept.counted_by.setdefault("sweep", reporter)  # atomic: several may report it at once
    members = of_parts(swept.parts, reporter, owner)
    servers = reporter.event.server_ids if isinstance(reporter.event, ServersDeleted) else ()
    alive = (each for server_id in servers for each in swept.unlisted.get(server_id, ()))
    return members | {
        "kept": (*members["kept"], *swept.undecided, *alive),
        "failure": swept.failure or members["failure"],
        "sweep": swept.figures,
        "coalesced": owner is not reporter,
    }
