"""The report: what the function did with a delivery. `schemas/report.json` describes its JSON.

A report holds what happened; its outcome, reason, error and status follow from that and are never set.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

from handler.errors import RETRY_AFTER_SECONDS, StillExists, UnmirrorError
from handler.model import (
    By,
    Cause,
    CheckStep,
    Detachment,
    Gone,
    Kept,
    LostTarget,
    SnapshotEvidence,
    SweepFigures,
    UnreadableSession,
)

# What became of a delivery, from the most harmless to the gravest.
Outcome: TypeAlias = Literal[
    "ignored",
    "nothing_to_do",
    "checked",
    "pending",
    "planned",
    "detached",
    "stopped",
    "still_exists",
    "partial",
    "failed",
]

SEVERITY: Mapping[Outcome, int] = {outcome: rank for rank, outcome in enumerate(get_args(Outcome))}
# Outcomes of a delivery that asked for nothing, or for what already was so.
NO_OP: frozenset[Outcome] = frozenset({"ignored", "nothing_to_do", "pending"})


class Report:
    """What became of one delivery, or of one part of it. As a dataclass it would cost each start half a millisecond."""

    project_id: str | None = None
    dry_run: bool = False
    by: By | None = None
    ignored: str | None = None
    """Why the event asks for nothing, in words; None when it asks for something."""
    pending: bool = False
    """With `ignored`: whether its result follows in another event."""
    failure: UnmirrorError | None = None
    """What kept the event as a whole from being worked on, or worked off."""
    detachments: tuple[Detachment, ...] = ()
    kept: tuple[Kept, ...] = ()
    lost_targets: tuple[LostTarget, ...] = ()
    unreadable_sessions: tuple[UnreadableSession, ...] = ()
    gone: tuple[Gone, ...] = ()
    snapshot: SnapshotEvidence | None = None
    sweep: SweepFigures | None = None
    """None when the event asked for no sweep, or the sweep could not begin."""
    check: tuple[CheckStep, ...] | None = None
    cause: Cause | None = None
    """The event, as far as it says. The JSON has it only where there was something to do."""
    calls: tuple[Sequence[str], ...] = ()
    """The HTTP calls of each batch, sweep and check that it took part in; they may have served others, too."""
    seconds: float = 0.0
    coalesced: bool = False
    """Whether another delivery has told the sweep before, and counts it."""
    parts: "tuple[Report, ...]" = ()
    """The reports of a delivery of several events or projects, in its order."""
    part_kind: str = "events"

    def __init__(self, delivery_id: str, envelope: str, **members: Any) -> None:
        """Take those of the members above that say something."""
        self.delivery_id, self.envelope = delivery_id, envelope
        vars(self).update(members)

    @cached_property
    def error(self) -> UnmirrorError | None:
        """The worst of what went wrong, by its status; None when all went well."""
        errors = [self.failure, *(each.error for each in self.detachments), *(each.error for each in self.kept)]
        errors += [part.error for part in self.parts]
        found = [each for each in errors if each is not None]
        if self._is_stopped:  # sending again would meet the same limit, but what still exists may be gone by then
            found = [each for each in found if isinstance(each, StillExists)]
        return max(found, key=lambda each: (each.status, each.retry_after or RETRY_AFTER_SECONDS), default=None)

    @property
    def api_calls(self) -> int:
        """How many calls they were, those that several parts share counted once."""
        return sum(map(len, {id(each): each for each in self.calls}.values()))

    @property
    def status(self) -> int:
        """The HTTP status that tells the sender the truth."""
        return self.error.status if self.error else 200

    @property
    def retry(self) -> bool:
        """Whether the same delivery, sent again, can end differently."""
        return self.error is not None and self.error.retry

    @cached_property
    def outcome(self) -> Outcome:
        """What became of the delivery, in one word."""
        if self.parts:
            done = any(part.outcome in ("detached", "planned", "partial") for part in self.parts)
            return "partial" if done and self._worst.error else self._worst.outcome
        if self.ignored is not None:
            return "pending" if self.pending else "ignored"
        if self._is_stopped:
            return "stopped"
        statuses = {each.status for each in self.detachments}
        if self.error is not None:
            if statuses & {"detached", "planned"}:
                return "partial"
            failed = self.failure or any(each.error for each in self.detachments)
            return (
                "failed" if failed or any(e.error and e.reason != "still_exists" for e in self.kept) else "still_exists"
            )
        if self.check is not None:
            return "checked"
        return "planned" if "planned" in statuses else "detached" if "detached" in statuses else "nothing_to_do"

    @cached_property
    def reason(self) -> str:
        """One line for people."""
        if self.parts:
            return f"{len(self.parts)} {self.part_kind}, at worst: {self._worst.reason}"
        if self.ignored is not None:
            return self.ignored
        if self.check is not None and self.error is None:
            failed = ", ".join(each.step for each in self.failed_steps)
            return f"to be fixed: {failed}" if failed else "everything that a deletion needs works here"
        if self.outcome == "stopped" and self.sweep is not None:
            return _STOPPED[self.sweep.stop or "limit"].format(gone=self.sweep.gone, sources=self.sweep.sources)
        return "; ".join(_clauses(self)) or "no session lists a deleted interface"

    @property
    def _is_stopped(self) -> bool:
        """Whether a safety limit ended the sweep; a dry run goes on beyond UNMIRROR_SWEEP_LIMIT."""
        stop = self.sweep and self.sweep.stop
        return stop == "blind" or (stop == "limit" and not self.dry_run)

    @property
    def _worst(self) -> "Report":
        return max(self.parts, key=lambda part: (part.status, SEVERITY[part.outcome], len(part.failed_steps)))

    @property
    def failed_steps(self) -> list[CheckStep]:
        """The steps of checks that failed."""
        return [step for leaf in self.leaves() for step in leaf.check or () if step.status == "failed"]

    def leaves(self) -> "Iterator[Report]":
        """Yield the reports of single events and single projects: of this delivery, or of its parts."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    @cached_property
    def as_json(self) -> dict[str, Any]:
        """The report as `schemas/report.json` describes it. It is made once and shared: do not change it."""
        found = {name: _encode(getattr(self, name)) for name in _MEMBERS}
        if self.outcome in NO_OP and not self.detachments:
            found["cause"] = None
        return found


_MEMBERS = (
    *("delivery_id", "envelope", "project_id", "outcome", "reason", "dry_run", "by", "detachments", "kept"),
    *("lost_targets", "unreadable_sessions", "gone", "snapshot", "cause", "sweep", "check", "api_calls", "seconds"),
    *("coalesced", "retry", "error", "parts"),
)


def _clauses(report: Report) -> Iterator[str]:
    """Yield what was done, what was not, and why."""
    for status, words in (("planned", "dry run: would detach"), ("detached", "detached")):
        done = [each for each in report.detachments if each.status == status]
        if done:
            interfaces = len({id_ for each in done for id_ in each.interface_ids})
            sessions = len({each.session_id for each in done})
            yield f"{words} {interfaces} deleted interface(s) from {sessions} session(s)"
    if report.sweep is not None and report.sweep.stop == "limit":
        yield "this is more than UNMIRROR_SWEEP_LIMIT: without the dry run nothing would be changed"
    for reason, words in _KEPT_WORDS.items():
        if count := sum(each.reason == reason for each in report.kept):
            yield f"{count} interface(s) {words}"
    for status in ("failed", "not_tried"):
        if count := sum(each.status == status for each in report.detachments):
            yield f"{count} removal(s) {status.replace('_', ' ')}"
    if report.sweep is not None and report.sweep.undecided:
        yield f"{report.sweep.undecided} source(s) undecided"
    if report.failure is not None:
        yield str(report.failure)


_KEPT_WORDS = {
    "still_exists": "said to be deleted still exist",
    "undecided": "could not be decided",
    "protected": "stay in protected sessions",
}

_STOPPED = {
    "limit": "stopped and changed nothing: {gone} of {sources} sources are gone, which is over UNMIRROR_SWEEP_LIMIT; "
    "see them with `unmirror sweep --dry-run`, allow them with `unmirror sweep --limit`",
    "blind": "stopped and changed nothing: no interface at all can be seen in a project with {sources} sources; check "
    "that the credentials may read its ports (vpc:ports:get); if they are deleted, name them: `unmirror detach ID...`",
}


def problem(error: UnmirrorError) -> dict[str, Any]:
    """Return the RFC 9457 problem details of an error: one line, no value of any payload."""
    kind = f"urn:unmirror:problem:{error.slug}"
    details = {"type": kind, "title": error.title, "status": error.status, "detail": str(error)}
    for member in ("code", "request_id", "envelope"):
        if value := getattr(error, member, None):
            details[member] = value
    if violations := getattr(error, "violations", ()):
        details["violations"] = [{"path": each.path, "rule": each.rule} for each in violations]
    return details


def rfc3339(moment: datetime | None) -> str | None:
    """Return the moment in UTC as RFC 3339 with a Z, or None."""
    return None if moment is None else f"{moment.astimezone(UTC).isoformat()[:-6]}Z"  # without its +00:00


def _encode(value: Any) -> Any:
    """Return a value of a report as JSON has it: the one encoder for all of them."""
    match value:
        case None | str() | bool() | int():
            return value
        case float():
            return round(value, 3)
        case tuple() if hasattr(value, "_fields"):
            return {name: _encode(each) for name, each in zip(value._fields, value, strict=True)}
        case tuple():
            return [_encode(each) for each in value]
        case datetime():
            return rfc3339(value)
        case UnmirrorError():
            return problem(value)
        case Report():
            return value.as_json
    raise TypeError(f"a report holds no {type(value).__name__}")
