"""From a decoded payload to its events: recognise, validate, read, and so on with what is embedded."""

import hashlib
from typing import Any, NamedTuple

from handler.errors import BadEvent, Violation
from handler.events import schemas
from handler.events.envelopes import recognise
from handler.events.readers import Embedded
from handler.events.strict_json import check, decode_parts
from handler.model import Event, EventMetadata, Ignored, InterfacesDeleted, ServersDeleted, Unreadable

# Envelopes and JSON texts within each other; a dead letter of a gateway's request with a queue's messages has 6.
MAX_DEPTH = 8
# Of a delivery. A CloudEvents batch of 1 MiB, the largest body, holds about as many traces.
MAX_EVENTS = 1_000
# Interfaces and servers that a delivery names: each costs a call.
MAX_IDS = 10_000


class Parsed(NamedTuple):
    """What a delivery says."""

    id: str
    """Of its first event, which for most envelopes is its only one."""
    envelope: str
    """The outermost, by its schema's name."""
    events: tuple[Event, ...]
    """At least one, in the order of the delivery."""


def parse(payload: object) -> Parsed:
    """Return what a decoded JSON value says. Pure.

    A part of several that cannot be read, or is beyond a limit, becomes Unreadable, and the others are read. Raises
    BadEvent with the rules that are broken when no part can be read.
    """
    return Parser().parse(payload)


class Parser:
    """The way through one payload, and how far it came."""

    def __init__(self) -> None:
        self.passed: dict[str, bool] = {}
        """The envelopes met, outermost first, and whether they held others."""
        self._events_left, self._ids_left = MAX_EVENTS, MAX_IDS

    def parse(self, payload: object) -> Parsed:
        """Return what the whole payload says; raise BadEvent."""
        if isinstance(payload, (str, bytes)):
            raise BadEvent("an event is a JSON object", (Violation("$", "type: object"),))
        events = tuple(map(_with_id, self._parse(payload, EventMetadata("", ""), "$", 0)))
        return Parsed(events[0].metadata.id, next(iter(self.passed)), events)

    def _parse(self, value: object, metadata: EventMetadata, at: str, depth: int) -> list[Event]:
        """Return the events of a value that stands at a path; the paths of its BadEvent start at the payload."""
        if depth > MAX_DEPTH:
            raise _over_limit(at, f"at most {MAX_DEPTH} envelopes within each other")
        content = self._open(value, metadata, at)
        events: list[Event] = []
        for number, item in enumerate(content):
            if self._events_left <= 0:
                rule = f"at most {MAX_EVENTS} events in a delivery; {len(content) - number} are left"
                events.append(Unreadable(item.metadata, _over_limit(at, rule)))
                break
            try:
                if isinstance(item, Embedded):
                    events += self._parse(item.value, item.metadata, at + item.path, depth + 1)
                else:
                    events.append(self._counted(item, at))
            except BadEvent as error:
                if len(content) == 1:
                    raise
                events.append(Unreadable(item.metadata, error))
                self._events_left -= 1
        errors = [event.error for event in events if isinstance(event, Unreadable)]
        if len(errors) == len(events):
            broken = (violation for error in errors for violation in error.violations)
            raise BadEvent(f"none of its {len(content)} parts can be read", broken)
        return events

    def _open(self, value: Any, metadata: EventMetadata, at: str) -> list[Event | Embedded]:
        """Recognise, validate and read one envelope, or JSON text, that stands at a path."""
        name = None
        try:
            if isinstance(value, (str, bytes)):
                return [Embedded("", decode_parts(value), metadata)]
            envelope = recognise(value)
            name = envelope.name
            self.passed.setdefault(name, False)
            _require_valid(name, value)
            metadata = metadata._replace(envelope=name)
            content = list(envelope.read(value, metadata))
            embedded = [item.value for item in content if isinstance(item, Embedded)]
            data = value.get("data") if name == "cloudevent" else None  # perhaps of a type that is ignored
            check(value, {id(each) for each in (data, *embedded)})
        except BadEvent as error:
            broken = (Violation(at + violation.path[1:], violation.rule) for violation in error.violations)
            raise BadEvent(str(error), broken, name) from error
        self.passed[name] |= bool(embedded)
        return content or [Ignored(metadata, "an empty batch")]

    def _counted(self, event: Event, at: str) -> Event:
        match event:
            case InterfacesDeleted(interface_ids=ids) | ServersDeleted(server_ids=ids):
                self._ids_left -= len(ids)
                if self._ids_left < 0:
                    raise _over_limit(at, f"at most {MAX_IDS} interfaces and servers in a delivery")
        self._events_left -= 1
        return event


def _require_valid(envelope: str, value: object) -> None:
    if violations := schemas.validate(envelope, value):
        raise BadEvent(f"not a valid {envelope}", violations)


def _over_limit(at: str, rule: str) -> BadEvent:
    return BadEvent(f"over a limit: {rule}", (Violation(at, rule),))


def _with_id(event: Event) -> Event:
    """Give an event that says no id one that is the same however often it is delivered."""
    if event.metadata.id:
        return event
    broken = event.error.violations if isinstance(event, Unreadable) else ()
    digest = hashlib.sha256(repr((event, broken)).encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return event._replace(metadata=event.metadata._replace(id=f"{event.metadata.envelope}-{digest}"))
