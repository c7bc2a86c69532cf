"""How a payload was read, or why it cannot be: for whoever connects a trigger and sees nothing happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from handler.errors import BadEvent, Violation
from handler.events.envelopes import ENVELOPES, nearest
from handler.events.parser import Walk
from handler.events.schemas import identifier
from handler.model import Event, InterfacesDeleted, NothingForUs, SweepDue, TargetDeleted


@dataclass(frozen=True, slots=True)
class Nearest:
    """An envelope that an unknown payload is like, and what it misses."""

    envelope: str
    missed: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of a payload on the way to its events. Unlike an error, it shows what the payload says."""

    envelopes: tuple[str, ...] = ()
    """Those that were recognised, the outermost first, each once; none for an unknown payload."""
    unwrapped: tuple[str, ...] = ()
    """Those of them that held others."""
    events: tuple[Event, ...] = ()
    """None when the payload cannot be read."""
    fault: str | None = None
    """Why it cannot be read, one line without values; None when it can."""
    faulty: str | None = None
    """The envelope that the violations are against; None when it was not recognised."""
    violations: tuple[Violation, ...] = ()
    nearest: tuple[Nearest, ...] = ()
    """Only for a payload that is unknown as a whole."""

    @property
    def envelope(self) -> str | None:
        """The outermost envelope."""
        return self.envelopes[0] if self.envelopes else None

    @property
    def schema(self) -> str | None:
        """The `$id` of the outermost envelope's schema."""
        return identifier(self.envelope) if self.envelope else None

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as JSON values."""
        return {
            "readable": self.fault is None,
            "envelope": self.envelope,
            "schema": self.schema,
            "envelopes": [{"envelope": name, "schema": identifier(name)} for name in self.envelopes],
            "unwrapped": list(self.unwrapped),
            "events": [_event(event) for event in self.events],
            "fault": self.fault,
            "faulty": self.faulty,
            "violations": _violations(self.violations),
            "nearest": [{"envelope": near.envelope, "missed": _violations(near.missed)} for near in self.nearest],
        }


def explain(payload: object) -> Explanation:
    """Return how the decoded JSON value is read, or which rule fails where. Raises nothing. Pure."""
    walk = Walk()
    try:
        reading = walk.read(payload)
    except BadEvent as error:
        return Explanation(
            envelopes=tuple(walk.passed),
            unwrapped=tuple(walk.carriers),
            fault=str(error),
            faulty=error.envelope,
            violations=error.violations,
            nearest=() if walk.passed else _nearest(payload),
        )
    return Explanation(envelopes=tuple(walk.passed), unwrapped=reading.unwrapped, events=reading.events)


def _nearest(payload: object) -> tuple[Nearest, ...]:
    if not isinstance(payload, dict) or any(envelope.bears(payload) for envelope in ENVELOPES):
        return ()
    return tuple(Nearest(envelope.name, envelope.missed(payload)) for envelope in nearest(payload))


def _violations(violations: tuple[Violation, ...]) -> list[dict[str, str]]:
    return [{"path": violation.path, "rule": violation.rule} for violation in violations]


def _event(event: Event) -> dict[str, Any]:
    origin = event.origin
    common = {
        "id": origin.id,
        "envelope": origin.envelope,
        "project_id": origin.project_id,
        "region": origin.region,
        "time": origin.time.isoformat() if origin.time else None,
        "actor": origin.actor,
    }
    match event:
        case InterfacesDeleted():
            return {"event": "interfaces_deleted", "interface_ids": list(event.interface_ids)} | common
        case TargetDeleted():
            return {"event": "target_deleted", "target_id": event.target_id} | common
        case SweepDue():
            return {"event": "sweep_due", "reason": event.reason} | common
        case NothingForUs():
            return {"event": "nothing_for_us", "outcome": event.outcome, "reason": event.reason} | common
