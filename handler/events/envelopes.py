"""Every envelope that is read: the marks that only it has, and its reader. One row each, one schema each.

A reader gets a value that the schema of its envelope has found valid, and what the envelopes around it have told of
the origin. It yields events, and parts that hold an envelope themselves. It raises BadEvent, with paths below its
own value, for what a schema cannot say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from handler.errors import BadEvent, Violation
from handler.events.strict import decode
from handler.events.trace import OPERATIONS, read_trace
from handler.events.values import from_base64, interface_id, said, time, unfolded
from handler.model import Event, InterfacesDeleted, NothingForUs, Origin, SweepDue

INTERFACE_DELETED = "io.unmirror.interface.deleted.v1"
SWEEP_DUE = "io.unmirror.sweep.due.v1"


@dataclass(frozen=True, slots=True)
class Part:
    """Something within an envelope that has to be read in turn: an object, a list, or JSON text."""

    path: str
    """Below the envelope: `.record[0].smn.message`."""
    value: object
    origin: Origin
    """As far as it is known; what the part says itself comes first."""


Said: TypeAlias = Iterator[Event | Part]


@dataclass(frozen=True, slots=True)
class Envelope:
    """One wrapper, by the name of its schema."""

    name: str
    read: Callable[[Any, Origin], Said]
    has: tuple[str, ...]
    """Members that it has, and that together no other envelope has."""
    says: Mapping[str, str] = field(default_factory=dict)
    """Members with a value that only it gives them."""
    lacks: tuple[str, ...] = ()
    """Members that would make it another envelope."""

    def marks(self, value: dict[str, object]) -> bool:
        """Tell whether the value bears all of its marks."""
        return not self.missed(value) and not any(name in value for name in self.lacks)

    def missed(self, value: dict[str, object]) -> tuple[str, ...]:
        """Return the rules by which the value is not this envelope."""
        return (
            *(f"required: {name}" for name in self.has if name not in value),
            *(f"{name} const: {asked}" for name, asked in self.says.items() if value.get(name) != asked),
        )


def recognise(value: object) -> tuple[Envelope, ...]:
    """Return the envelopes whose marks the value bears: one, unless it is unknown or ambiguous."""
    if isinstance(value, list):
        return (BATCH,)
    if not isinstance(value, dict):
        return ()
    return tuple(envelope for envelope in ENVELOPES if envelope.marks(value))


# --- traces ------------------------------------------------------------------------------------------------


def _cts(value: dict[str, Any], origin: Origin) -> Said:
    try:
        yield from read_trace(value["cts"], origin)
    except BadEvent as error:
        raise below(".cts", error) from error


def _cts_list(value: dict[str, Any], origin: Origin) -> Said:
    return _each(value["traces"], ".traces", origin)


# --- CloudEvents ---------------------------------------------------------------------------------------------


def _cloudevent(value: dict[str, Any], origin: Origin) -> Said:
    origin = replace(origin, **said(id=value["id"], time=time(value.get("time"))))
    for of_type, read in _CLOUDEVENTS:
        if of_type(value["type"], value["source"]):
            yield from read(value, origin)
            return
    yield NothingForUs(origin, "ignored", "a CloudEvent of another source or type")


def _ours(value: dict[str, Any], origin: Origin) -> Said:
    """Take the attributes off: what is left is what a webhook posts."""
    path, data = _data(value)
    plain = {name: value[name] for name in ("type", "id", "time") if name in value}
    yield Part("", plain | {"data": decoded(data, path)}, origin)


def _content(value: dict[str, Any], origin: Origin) -> Said:
    path, data = _data(value)
    if isinstance(data, list):
        return _each(data, path, origin)
    return iter([Part(path, data, origin)])


def _data(value: dict[str, Any]) -> tuple[str, object]:
    if (text := value.get("data_base64")) is None:
        return ".data", value.get("data")
    return ".data_base64", from_base64(text, "$.data_base64")


def _ping(value: dict[str, Any], origin: Origin) -> Said:
    yield SweepDue(replace(origin, **said(project_id=unfolded(value.get("data")).get("project_id"))), "a PingSource")


def _is_trace(of_type: str, source: str) -> bool:
    """Tell EventGrid's events of the services whose traces are read: `VPC:CloudTrace:ApiCall` of `HC.VPC`."""
    service, _, kind = of_type.lower().partition(":cloudtrace:")
    return bool(kind) and service in _SERVICES and source.lower() == f"hc.{service}"


_SERVICES = frozenset(operation.service.lower() for operation in OPERATIONS)

_CLOUDEVENTS: tuple[tuple[Callable[[str, str], bool], Callable[[dict[str, Any], Origin], Said]], ...] = (
    (lambda of_type, _: of_type in (INTERFACE_DELETED, SWEEP_DUE), _ours),
    (_is_trace, _content),
    (lambda of_type, _: of_type == "dev.knative.sources.ping", _ping),
    (lambda of_type, _: of_type == "dev.knative.kafka.event", _content),
    (lambda of_type, _: of_type == "google.cloud.pubsub.topic.v1.messagePublished", _content),
)
"""Which CloudEvents are read, by type and source. All others are ignored: triggers are often broader than needed."""


def _eventgrid_events(value: dict[str, Any], origin: Origin) -> Said:
    return _each(value["events"], ".events", origin)


def _batch(value: list[object], origin: Origin) -> Said:
    return _each(value, "", origin)


# --- our own -------------------------------------------------------------------------------------------------


def _interface_deleted(value: dict[str, Any], origin: Origin) -> Said:
    ids = dict.fromkeys(known for item in value["data"]["interface_ids"] if (known := interface_id(item)))
    yield InterfacesDeleted(_plain(value, origin), tuple(ids))


def _sweep_due(value: dict[str, Any], origin: Origin) -> Said:
    yield SweepDue(_plain(value, origin), "asked for")


def _plain(value: dict[str, Any], origin: Origin) -> Origin:
    project_id = (value.get("data") or {}).get("project_id")
    return replace(origin, **said(id=value.get("id"), time=time(value.get("time")), project_id=project_id))


# --- carriers ------------------------------------------------------------------------------------------------


def _each(values: list[object], path: str, origin: Origin) -> Said:
    for index, value in enumerate(values):
        yield Part(f"{path}[{index}]", value, origin)


def decoded(value: object, path: str) -> object:
    """Return what JSON text stands for, and any other value as it is."""
    if not isinstance(value, (str, bytes)):
        return value
    try:
        return decode(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)
    except BadEvent as error:
        raise below(path, error) from error


def below(path: str, error: BadEvent) -> BadEvent:
    """Return the error with its paths, which start at a part, starting at what holds the part."""
    moved = tuple(Violation(f"${path}{violation.path[1:]}", violation.rule) for violation in error.violations)
    return BadEvent(str(error), moved, error.envelope)


ENVELOPES: tuple[Envelope, ...] = (
    Envelope("cts", _cts, has=("cts",)),
    Envelope("trace", read_trace, has=("trace_id", "trace_name")),
    Envelope("cts-list", _cts_list, has=("traces",)),
    Envelope("cloudevent", _cloudevent, has=("specversion",)),
    Envelope("eventgrid-events", _eventgrid_events, has=("events",)),
    Envelope("interface-deleted", _interface_deleted, has=(), says={"type": INTERFACE_DELETED}, lacks=("specversion",)),
    Envelope("sweep-due", _sweep_due, has=(), says={"type": SWEEP_DUE}, lacks=("specversion",)),
)
BATCH = Envelope("cloudevents-batch", _batch, has=())


def is_gateway_request(value: object) -> bool:
    """Tell whether it is what an API gateway trigger hands on, which wants its own envelope as the answer."""
    return isinstance(value, dict) and {"httpMethod", "requestContext"} <= value.keys()
