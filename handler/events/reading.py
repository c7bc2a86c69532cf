"""From a decoded payload to its events: recognise, validate, read, and so on with what is within."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from handler.errors import BadEvent, Violation
from handler.events import schemas
from handler.events.envelopes import ENVELOPES, Envelope, Part, below, decoded, recognise
from handler.events.strict import check
from handler.model import Event, InterfacesDeleted, NothingForUs, Origin

MAX_DEPTH = 8
"""Envelopes and JSON texts within each other."""
MAX_EVENTS = 1_000
MAX_INTERFACES = 10_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What a delivery says."""

    id: str
    """Of its first event, which for most envelopes is its only one."""
    envelope: str
    """The outermost, by its schema's name."""
    unwrapped: tuple[str, ...]
    """The envelopes that held other envelopes, outermost first; none when the outermost speaks for itself."""
    events: tuple[Event, ...]
    """At least one, in the order of the delivery."""


def read(payload: object) -> Reading:
    """Return what a decoded JSON value says; raise BadEvent when it can never be read. Pure.

    Where one of several parts cannot be read, the others are; that part becomes NothingForUs with a reason that
    names its place and the rules. When no part can be read, BadEvent names the rules of them all.
    """
    return Walk().read(payload)


class Walk:
    """One way through a payload, and how far it came."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        """The envelopes met, outermost first, each once."""
        self.carriers: list[str] = []
        """Those of them that held others."""
        self.room = MAX_EVENTS - 1

    def read(self, payload: object) -> Reading:
        """Return the reading of the whole payload."""
        check(payload)
        if isinstance(payload, (str, bytes)):
            raise BadEvent("an event is a JSON object", (Violation("$", "type: object"),))
        events = tuple(_named(event) for event in self._part(payload, Origin("", ""), "$", 0))
        if sum(len(event.interface_ids) for event in events if isinstance(event, InterfacesDeleted)) > MAX_INTERFACES:
            raise _TooMuch(f"a delivery holds at most {MAX_INTERFACES} interface ids")
        return Reading(events[0].origin.id, self.passed[0], tuple(self.carriers), events)

    def _part(self, value: object, origin: Origin, at: str, depth: int) -> list[Event]:
        if depth > MAX_DEPTH:
            raise _TooMuch(f"a delivery holds at most {MAX_DEPTH} envelopes within each other")
        if isinstance(value, (str, bytes)):
            return self._part(decoded(value, at[1:]), origin, at, depth + 1)
        envelope = the_envelope(value, at)
        _once(self.passed, envelope.name)
        if broken := schemas.validate(envelope.name, value, at):
            raise BadEvent(f"not a valid {envelope.name}: {_words(broken)}", broken, envelope.name)
        origin = replace(origin, envelope=envelope.name)
        said = _said(envelope, value, origin, at)
        self.room -= max(len(said) - 1, 0)
        if self.room < 0:
            raise _TooMuch(f"a delivery holds at most {MAX_EVENTS} events")
        if any(isinstance(item, Part) for item in said):
            _once(self.carriers, envelope.name)
        if len(said) == 1 and isinstance(part := said[0], Part):
            return self._part(part.value, part.origin, at + part.path, depth + 1)
        return self._parts(said, at, depth) or [NothingForUs(origin, "ignored", "an empty batch")]

    def _parts(self, said: list[Event | Part], at: str, depth: int) -> list[Event]:
        events: list[Event] = []
        unread: list[BadEvent] = []
        for item in said:
            if not isinstance(item, Part):
                events.append(item)
                continue
            try:
                events += self._part(item.value, item.origin, at + item.path, depth + 1)
            except _TooMuch:
                raise
            except BadEvent as error:
                unread.append(error)
                events.append(NothingForUs(item.origin, "ignored", f"{at}{item.path} cannot be read: {error}"))
        if unread and len(unread) == len(said):
            raise _all_of(unread)
        return events


class _TooMuch(BadEvent):
    """Over a limit of the delivery as a whole, so that none of its parts is read."""


def the_envelope(value: object, at: str) -> Envelope:
    """Return the one envelope that the value is; raise BadEvent when there is none, or more than one."""
    found = recognise(value)
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(envelope.name for envelope in found)
        raise BadEvent(f"ambiguous: it has the marks of {names}", (Violation(at, f"one envelope, not {names}"),))
    if not isinstance(value, dict):
        raise BadEvent("an event is a JSON object", (Violation(at, "type: object"),))
    near = nearest(value)
    if not near:
        raise BadEvent("no envelope that is known", (Violation(at, "the marks of a known envelope"),))
    missed = tuple(Violation(at, f"{envelope.name} {rule}") for envelope in near for rule in envelope.missed(value))
    names = ", ".join(envelope.name for envelope in near)
    raise BadEvent(f"no envelope that is known; the nearest: {names}", tuple(sorted(missed)))


def nearest(value: dict[str, object]) -> tuple[Envelope, ...]:
    """Return the up to three envelopes whose schemas share most members with the value; none when none does."""

    def shared(envelope: Envelope) -> int:
        return len(schemas.schema(envelope.name).get("properties", {}).keys() & value.keys())

    near = sorted(
        (envelope for envelope in ENVELOPES if shared(envelope)),
        key=lambda envelope: (len(envelope.missed(value)), -shared(envelope)),
    )
    return tuple(near[:3])


def _said(envelope: Envelope, value: Any, origin: Origin, at: str) -> list[Event | Part]:
    try:
        return list(envelope.read(value, origin))
    except BadEvent as error:
        raise below(at[1:], BadEvent(str(error), error.violations, envelope.name)) from error


def _all_of(unread: list[BadEvent]) -> BadEvent:
    violations = sorted({violation for error in unread for violation in error.violations})
    return BadEvent(f"none of its {len(unread)} parts can be read", tuple(violations[: schemas.MAX_VIOLATIONS]))


def _named(event: Event) -> Event:
    """Give an event that says no id one that is the same however often it is delivered."""
    if event.origin.id:
        return event
    digest = hashlib.sha256(repr(event).encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return replace(event, origin=replace(event.origin, id=f"{event.origin.envelope}-{digest}"))


def _words(violations: tuple[Violation, ...]) -> str:
    return "; ".join(f"{violation.path} {violation.rule}" for violation in violations[:3])


def _once(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
