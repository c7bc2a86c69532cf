"""Every envelope that is read: the marks that only it has, and its reader. One row and one schema each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from handler.errors import BadEvent, Violation
from handler.events import readers, schemas
from handler.events.cts import read_trace
from handler.events.readers import INTERFACE_DELETED, SWEEP_DUE, Said
from handler.model import Origin

NEAREST = 3
"""How many envelopes are named to the sender of an unknown one."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One wrapper, by the name of its schema."""

    name: str
    read: Callable[[Any, Origin], Said]
    has: tuple[str, ...] = ()
    """Members that it has, and that together no other envelope has."""
    says: Mapping[str, str] = field(default_factory=dict)
    """Members with a value that only it gives them."""
    lacks: tuple[str, ...] = ()
    """Members that would make it another envelope."""

    def missed(self, value: Mapping[str, object]) -> tuple[Violation, ...]:
        """Return the rules by which the object is not this envelope; none when it bears all marks."""
        absent = [Violation("$", f"required: {name}") for name in self.has if name not in value]
        other = [Violation(f"$.{name}", f"const: {own}") for name, own in self.says.items() if value.get(name) != own]
        barred = [Violation("$", f"not: {name}") for name in self.lacks if name in value]
        return (*absent, *other, *barred)

    def bears(self, value: Mapping[str, object]) -> bool:
        """Tell whether the object bears all marks."""
        for name in self.has:  # a loop, because each event is asked this of each envelope
            if name not in value:
                return False
        return all(value.get(name) == own for name, own in self.says.items()) and not any(
            name in value for name in self.lacks
        )


ENVELOPES = (
    Envelope("cts", readers.cts, has=("cts",)),
    Envelope("trace", read_trace, has=("trace_id", "trace_name")),
    Envelope("cts-list", readers.cts_list, has=("traces",)),
    Envelope("interface-deleted", readers.interface_deleted, says={"type": INTERFACE_DELETED}, lacks=("specversion",)),
    Envelope("sweep-due", readers.sweep_due, says={"type": SWEEP_DUE}, lacks=("specversion",)),
    Envelope("cloudevent", readers.cloudevent, has=("specversion",)),
    Envelope("eventgrid-events", readers.eventgrid_events, has=("events",)),
    Envelope("smn-trigger", readers.smn_trigger, has=("record",)),
    Envelope("smn-http", readers.smn_http, has=("topic_urn", "message_id")),
    Envelope("kafka-trigger", readers.kafka_trigger, has=("records",)),
    Envelope("lts-trigger", readers.lts_trigger, has=("lts",)),
    Envelope("apig-trigger", readers.apig_trigger, has=("httpMethod", "requestContext")),
    Envelope("functiongraph-failure", readers.functiongraph_failure, has=("request_context", "request_payload")),
    Envelope("timer", readers.timer, says={"trigger_type": "TIMER"}),
    Envelope("pubsub-push", readers.pubsub_push, has=("message", "subscription")),
    Envelope("cloud-eye", readers.cloud_eye, has=("event_source", "event_name")),
    Envelope("cloud-eye-events", readers.cloud_eye_events, has=("event_info",)),
    Envelope("config-rms", readers.config_rms, has=("notification_type",)),
)
"""The envelopes that are JSON objects. No two of them may be marked alike: what bears the marks of two is refused."""

BATCH = Envelope("cloudevents-batch", readers.cloudevents_batch)
"""The one envelope that is a JSON array."""


def recognise(value: object) -> Envelope:
    """Return the one envelope whose marks the value bears; raise BadEvent for none or several, paths from the value."""
    if isinstance(value, list):
        return BATCH
    if not isinstance(value, dict):
        raise BadEvent("an event is a JSON object", (Violation("$", "type: object"),))
    found = [envelope for envelope in ENVELOPES if envelope.bears(value)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(envelope.name for envelope in found)
        raise BadEvent(f"ambiguous: it has the marks of {names}", (Violation("$", f"one envelope, not {names}"),))
    near = nearest(value)
    if not near:
        raise BadEvent("no envelope that is known", (Violation("$", "the marks of a known envelope"),))
    raise BadEvent(
        f"no envelope that is known; nearest: {', '.join(envelope.name for envelope in near)}",
        tuple(sorted(Violation(miss.path, f"{e.name}: {miss.rule}") for e in near for miss in e.missed(value))),
    )


def nearest(value: Mapping[str, object]) -> tuple[Envelope, ...]:
    """Return the few envelopes that an unknown object is most like, nearest first; none when it is like none."""

    def shared(envelope: Envelope) -> int:
        return len(schemas.schema(envelope.name)["properties"].keys() & value.keys())

    ranked = sorted(ENVELOPES, key=lambda envelope: (-shared(envelope), len(envelope.missed(value))))
    most = shared(ranked[0])
    return tuple(envelope for envelope in ranked[:NEAREST] if shared(envelope) * 2 > most)


def is_gateway_request(value: object) -> bool:
    """Tell whether it is what an API gateway trigger hands on, which wants its own envelope as the answer."""
    return isinstance(value, dict) and any(e.name == "apig-trigger" and e.bears(value) for e in ENVELOPES)
