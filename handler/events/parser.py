"""From a decoded payload to its events: recognise, validate, read, and so on with what is within."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from handler.errors import BadEvent, Violation
from handler.events import schemas
from handler.events.drift import Drift, drift
from handler.events.envelopes import recognise
from handler.events.readers import Part, below, decoded
from handler.events.strict_json import check
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
    drift: frozenset[Drift] = frozenset()
    """What the schemas of its envelopes were not written for."""


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
        self.drift: set[Drift] = set()
        self.room = MAX_EVENTS - 1

    def read(self, payload: object) -> Reading:
        """Return the reading of the whole payload."""
        check(payload)
        if isinstance(payload, (str, bytes)):
            raise BadEvent("an event is a JSON object", (Violation("$", "type: object"),))
        events = tuple(_named(event) for event in self._part(payload, Origin("", ""), "$", 0))
        if sum(len(event.interface_ids) for event in events if isinstance(event, InterfacesDeleted)) > MAX_INTERFACES:
            raise _TooMuch(f"a delivery holds at most {MAX_INTERFACES} interface ids")
        return Reading(events[0].origin.id, self.passed[0], tuple(self.carriers), events, frozenset(self.drift))

    def _part(self, value: object, origin: Origin, at: str, depth: int) -> list[Event]:
        if depth > MAX_DEPTH:
            raise _TooMuch(f"a delivery holds at most {MAX_DEPTH} envelopes within each other")
        try:
            if isinstance(value, (str, bytes)):
                said: list[Event | Part] = [Part("", decoded(value, ""), origin)]
            else:
                said = self._opened(value, origin)
        except BadEvent as error:
            raise below(at[1:], error) from error
        self.room -= max(len(said) - 1, 0)
        if self.room < 0:
            raise _TooMuch(f"a delivery holds at most {MAX_EVENTS} events")
        if len(said) == 1 and isinstance(part := said[0], Part):
            return self._part(part.value, part.origin, at + part.path, depth + 1)
        return self._parts(said, at, depth)

    def _opened(self, value: object, origin: Origin) -> list[Event | Part]:
        """Recognise, validate and read one envelope; the paths of its BadEvent start at the value."""
        envelope = recognise(value)
        _once(self.passed, envelope.name)
        if broken := schemas.validate(envelope.name, value):
            raise BadEvent(f"not a valid {envelope.name}", broken, envelope.name)
        self.drift.update(drift(envelope.name, value))
        origin = replace(origin, envelope=envelope.name)
        try:
            said = list(envelope.read(value, origin))
        except BadEvent as error:
            raise BadEvent(str(error), _bounded(error.violations), envelope.name) from error
        if any(isinstance(item, Part) for item in said):
            _once(self.carriers, envelope.name)
        return said or [NothingForUs(origin, "ignored", "an empty batch")]

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
                events.append(NothingForUs(item.origin, "ignored", f"{at}{item.path} cannot be read: {_why(error)}"))
        if unread and len(unread) == len(said):
            raise _all_of(unread)
        return events


class _TooMuch(BadEvent):
    """Over a limit of the delivery as a whole, so that none of its parts is read."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule, (Violation("$", rule),))


def _all_of(unread: list[BadEvent]) -> BadEvent:
    violations = _bounded(violation for error in unread for violation in error.violations)
    return BadEvent(f"none of its {len(unread)} parts can be read", violations)


def _bounded(violations: Iterable[Violation]) -> tuple[Violation, ...]:
    return tuple(sorted(set(violations))[: schemas.MAX_VIOLATIONS])


def _named(event: Event) -> Event:
    """Give an event that says no id one that is the same however often it is delivered."""
    if event.origin.id:
        return event
    digest = hashlib.sha256(repr(event).encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return replace(event, origin=replace(event.origin, id=f"{event.origin.envelope}-{digest}"))


def _why(error: BadEvent) -> str:
    return "; ".join((str(error), *(f"{violation.path} {violation.rule}" for violation in error.violations[:3])))


def _once(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
