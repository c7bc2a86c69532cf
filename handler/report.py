"""The report: what the function did with a delivery. `schemas/report.json` describes its JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, TypeAlias

from handler.errors import UnmirrorError

Outcome: TypeAlias = Literal[
    "detached",
    "planned",
    "nothing_to_do",
    "ignored",
    "not_yet",
    "still_exists",
    "stopped",
    "partial",
    "failed",
]

DONE: frozenset[Outcome] = frozenset({"detached", "planned", "stopped"})
"""Outcomes with something to tell: a CloudEvent sender gets the report for these."""
IDLE: frozenset[Outcome] = frozenset({"nothing_to_do", "ignored", "not_yet"})
"""Outcomes of a delivery that asked for nothing, or for what already was so."""

_GRAVITY: tuple[Outcome, ...] = (
    *("ignored", "nothing_to_do", "not_yet", "planned", "detached"),
    *("stopped", "still_exists", "partial", "failed"),
)


@dataclass(frozen=True, slots=True)
class Detachment:
    """Interfaces that left one session together, or were to."""

    session_id: str
    session_name: str
    interface_ids: tuple[str, ...]
    status: Literal["detached", "already_absent", "planned", "failed"]
    """`already_absent`: the session, or the interface in it, was gone before we asked. A success."""
    request_ids: tuple[str, ...] = ()
    sources_before: tuple[str, ...] | None = None
    sources_after: tuple[str, ...] | None = None
    """As the API's own answer showed it; None when the session itself is gone or nothing was asked."""
    error: UnmirrorError | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """An interface that was not detached, and why."""

    interface_id: str
    why: Literal["not_mirrored", "still_exists", "unconfirmed", "protected", "put_back"]
    """`put_back`: gone, and put into the session again each time that we took it out; we no longer do."""
    session_ids: tuple[str, ...] = ()
    request_id: str = ""
    """Of the answer that decided it."""
    error: UnmirrorError | None = None
    session_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """The look that a decision rests on, as a proof of what was and was not mirrored."""

    request_ids: tuple[str, ...]
    """Of the pages of sessions."""
    age: float
    """Seconds since it began, when it was decided upon."""
    reused: bool
    """It began before the delivery arrived: for another, or for an earlier one."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The event that led to detachments, as far as it says. Its texts are short and printable."""

    operation: str | None
    actor: str | None
    time: datetime | None
    seconds: float | None
    """From the deletion until all was detached; None for a sweep, which finds what was deleted at any time."""


@dataclass(frozen=True, slots=True)
class LostTarget:
    """A session whose target is gone: it mirrors to nowhere. Reported, never touched."""

    session_id: str
    session_name: str
    target_id: str


@dataclass(frozen=True, slots=True)
class PutBack:
    """A gone interface that somebody put back into a session after we had removed it."""

    session_id: str
    interface_id: str
    removals: int
    """Ours before this one, as far as this process remembers."""


@dataclass(frozen=True, slots=True)
class SessionCount:
    """How many sessions, and which: the first hundred by id."""

    count: int
    session_ids: tuple[str, ...]

    @classmethod
    def of(cls, session_ids: Iterable[str]) -> SessionCount:
        """Count distinct sessions."""
        distinct = sorted(set(session_ids))
        return cls(len(distinct), tuple(distinct[:100]))


@dataclass(frozen=True, slots=True)
class SweepFigures:
    """What a sweep saw and did, counted. In a dry run what it would do."""

    sessions: int
    """All of the project, of any source type."""
    sources: int
    """Distinct interfaces that are a source of a session."""
    listed: int
    """Sources that the lists showed: they exist."""
    hidden: int
    """Sources that the lists do not show and that exist all the same: the lists show less than there is."""
    gone: int
    """Sources that the API confirmed gone."""
    detached: int
    """Distinct interfaces that left a session by this sweep."""
    protected: int
    """Gone sources that a protected session keeps; `kept` names them."""
    unknown: int
    """Sources of which nothing could be learned: all others are listed, hidden or gone. `kept` names the first hundred
    that were asked for, and says why."""
    found_by_sweep: int
    """Of the detached, those that no event of this process had named: events that were lost or are late."""
    places_freed: int
    """Places in sessions: an interface may have had several."""
    emptied: SessionCount
    """Enabled, and left mirroring nothing by this sweep."""
    near_quota: SessionCount
    """With nine or more sources left, where ten is the default quota."""
    orphaned: int
    """Sessions whose target interface is gone; `lost_targets` names them."""
    put_back: tuple[PutBack, ...]
    pages: int
    """Pages read of the list of all interfaces."""
    batches: int
    """Look-ups in the list by id."""
    asked: int
    """Interfaces asked for one by one."""
    complete: bool
    """Whether everything was looked at; False when time ran out, something failed or it was stopped."""
    stop: Literal["limit", "blind"] | None
    """The safety limit that it met; a dry run shows its plan all the same over the `limit`."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one delivery, or of one part of it."""

    delivery_id: str
    envelope: str
    outcome: Outcome
    reason: str
    """One line for people."""
    project_id: str | None = None
    dry_run: bool = False
    detachments: tuple[Detachment, ...] = ()
    kept: tuple[Kept, ...] = ()
    lost_targets: tuple[LostTarget, ...] = ()
    snapshot_time: datetime | None = None
    """The moment of the cloud's clock that the decision rests on."""
    gone_request_ids: Mapping[str, str] = field(default_factory=dict)
    """For each interface confirmed gone, the request id of the answer that said so."""
    api_calls: int = 0
    seconds: float = 0.0
    error: UnmirrorError | None = None
    """The worst of what went wrong, None when all went well; decides the status."""
    sweep: SweepFigures | None = None
    """None when the delivery asked for no sweep, or the sweep could not begin."""
    parts: tuple[Report, ...] = ()
    """The reports of a delivery that held several events, in its order."""
    look: Look | None = None
    cause: Cause | None = None
    """None where there was nothing to do."""
    shared: bool = False
    """Whether it was another delivery's sweep that did all this, and was fresh enough for this one."""
    _json: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def status(self) -> int:
        """The HTTP status that tells the sender the truth."""
        return self.error.status if self.error else 200

    @property
    def retry(self) -> bool:
        """Whether the same delivery, sent again, can end differently."""
        return self.error is not None and self.error.retry

    def leaves(self) -> Iterator[Report]:
        """Yield the reports of single events and single projects: of this delivery, or of its parts."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def to_json(self) -> dict[str, Any]:
        """Return the report as `schemas/report.json` describes it. It is made once and shared: do not change it."""
        if not self._json:
            self._json.update(self._made())
        return self._json

    def _made(self) -> dict[str, Any]:
        return {
            "delivery_id": self.delivery_id,
            "envelope": self.envelope,
            "project_id": self.project_id,
            "outcome": self.outcome,
            "reason": self.reason,
            "dry_run": self.dry_run,
            "detachments": [_detachment(detachment) for detachment in self.detachments],
            "kept": [_kept(kept) for kept in self.kept],
            "lost_targets": [
                {
                    "session_id": lost.session_id,
                    "session_name": lost.session_name,
                    "target_id": lost.target_id,
                }
                for lost in self.lost_targets
            ],
            "snapshot_time": rfc3339(self.snapshot_time),
            "gone": [{"interface_id": id_, "request_id": by} for id_, by in self.gone_request_ids.items()],
            "api_calls": self.api_calls,
            "seconds": round(self.seconds, 3),
            "retry": self.retry,
            "error": _problem(self.error),
            "sweep": _figures(self.sweep) if self.sweep else None,
            "parts": [part.to_json() for part in self.parts],
            "look": _look(self.look) if self.look else None,
            "cause": _cause(self.cause) if self.cause else None,
            "shared": self.shared,
        }


def gather(delivery_id: str, envelope: str, parts: Iterable[Report], what: str = "events") -> Report:
    """Return the report of a delivery that held several events: the worst outcome, each part as it was."""
    parts = tuple(parts)
    worst = max(parts, key=lambda part: (part.status, _GRAVITY.index(part.outcome)))
    projects = {part.project_id for part in parts}
    some_done = any(part.outcome in DONE for part in parts)
    return Report(
        delivery_id=delivery_id,
        envelope=envelope,
        outcome="partial" if worst.error and some_done else worst.outcome,
        reason=f"{len(parts)} {what}, at worst: {worst.reason}",
        project_id=projects.pop() if len(projects) == 1 else None,
        dry_run=worst.dry_run,
        api_calls=sum(part.api_calls for part in parts),
        error=worst.error,
        parts=parts,
    )


def problem(error: UnmirrorError) -> dict[str, Any]:
    """Return the RFC 9457 problem details of an error: one line, no value of any payload."""
    details = {
        "type": f"https://unmirror.io/problems/{error.slug}",
        "title": error.title,
        "status": error.status,
        "detail": str(error),
    }
    for member in ("code", "request_id", "envelope"):
        if value := getattr(error, member, None):
            details[member] = value
    if violations := getattr(error, "violations", ()):
        details["violations"] = [{"path": each.path, "rule": each.rule} for each in violations]
    return details


def rfc3339(moment: datetime | None) -> str | None:
    """Return the moment in UTC as RFC 3339 with a Z, or None."""
    if moment is None:
        return None
    if moment.tzinfo is not timezone.utc:
        moment = moment.astimezone(timezone.utc)
    return f"{moment.isoformat()[:-6]}Z"  # without its +00:00


def _problem(error: UnmirrorError | None) -> dict[str, Any] | None:
    return problem(error) if error else None


def _detachment(detachment: Detachment) -> dict[str, Any]:
    return {
        "session_id": detachment.session_id,
        "session_name": detachment.session_name,
        "interface_ids": list(detachment.interface_ids),
        "status": detachment.status,
        "request_ids": list(detachment.request_ids),
        "sources_before": _ids(detachment.sources_before),
        "sources_after": _ids(detachment.sources_after),
        "error": _problem(detachment.error),
    }


def _ids(ids: tuple[str, ...] | None) -> list[str] | None:
    return None if ids is None else list(ids)


def _look(look: Look) -> dict[str, Any]:
    return {"request_ids": list(look.request_ids), "age": round(look.age, 3), "reused": look.reused}


def _cause(cause: Cause) -> dict[str, Any]:
    seconds = None if cause.seconds is None else round(cause.seconds, 3)
    return {
        "operation": cause.operation,
        "actor": cause.actor,
        "time": rfc3339(cause.time),
        "seconds": seconds,
    }


def _kept(kept: Kept) -> dict[str, Any]:
    return {
        "interface_id": kept.interface_id,
        "why": kept.why,
        "session_ids": list(kept.session_ids),
        "session_names": list(kept.session_names),
        "request_id": kept.request_id,
        "error": _problem(kept.error),
    }


def _figures(figures: SweepFigures) -> dict[str, Any]:
    return {
        **asdict(figures),
        "emptied": _session_count(figures.emptied),
        "near_quota": _session_count(figures.near_quota),
        "put_back": [asdict(each) for each in figures.put_back],
    }


def _session_count(sessions: SessionCount) -> dict[str, Any]:
    return {"count": sessions.count, "session_ids": list(sessions.session_ids)}
