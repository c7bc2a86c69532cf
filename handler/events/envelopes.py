"""Every envelope that is read: the marks that only it has, and its reader. One row and one schema each."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from handler.errors import BadEvent, Violation
from handler.events import readers, schemas
from handler.events.cts import parse_trace
from handler.events.strict_json import check
from handler.model import EventMetadata

# How many envelopes are named to the sender of an unknown one.
MAX_NEAREST = 3


class Envelope(NamedTuple):
    """One wrapper, by the name of its schema."""

    name: str
    read: Callable[[Any, EventMetadata], readers.Content]
    has: tuple[str, ...] = ()
    """Members that it has, and that together no other envelope has."""
    says: Mapping[str, str] = {}
    """Members with a value that only it gives them."""
    lacks: tuple[str, ...] = ()
    """Members that would make it another envelope."""

    def matches(self, value: Mapping[str, object]) -> bool:
        """Tell whether the object has all marks."""
        names = value.keys()
        return names >= {*self.has} and value.items() >= self.says.items() and names.isdisjoint(self.lacks)


# The envelopes that are JSON objects. No two of them may be marked alike: what has the marks of two is refused.
ENVELOPES = (
    Envelope("cts", readers.cts, has=("cts",)),
    Envelope("trace", parse_trace, has=("trace_id", "trace_name")),
    Envelope("cts-list", partial(readers.items_of, "traces"), has=("traces",)),
    Envelope("interface-deleted", readers.own, says={"type": readers.INTERFACE_DELETED}, lacks=("specversion",)),
    Envelope("sweep-due", readers.own, says={"type": readers.SWEEP_DUE}, lacks=("specversion",)),
    Envelope("check-due", readers.own, says={"type": readers.CHECK_DUE}, lacks=("specversion",)),
    Envelope("cloudevent", readers.cloudevent, has=("specversion",)),
    Envelope("eventgrid-events", partial(readers.items_of, "events"), has=("events",)),
    Envelope("smn-trigger", readers.smn_trigger, has=("record",)),
    Envelope("smn-http", readers.smn_http, has=("topic_urn", "message_id")),
    Envelope("kafka-trigger", readers.kafka_trigger, has=("records",)),
    Envelope("lts-trigger", readers.lts_trigger, has=("lts",)),
    Envelope("apig-trigger", readers.apig_trigger, has=("httpMethod", "requestContext")),
    Envelope("functiongraph-failure", readers.functiongraph_failure, has=("request_context", "request_payload")),
    Envelope("timer", readers.timer, says={"trigger_type": "TIMER"}),
    Envelope("cloud-eye", readers.cloud_eye, has=("event_source", "event_name")),
    Envelope("cloud-eye-events", partial(readers.items_of, "event_info"), has=("event_info",)),
    Envelope("cloud-eye-alarm", readers.cloud_eye_alarm, has=("namespace", "metric_name")),
    Envelope("config-rms", readers.config_rms, has=("notification_type",)),
)

# The one envelope that is a JSON array: of CloudEvents, of traces, of whatever is known.
ARRAY = Envelope("event-array", readers.items)


def recognise(value: object) -> Envelope:
    """Return the one envelope whose marks the value has; raise BadEvent for none or several, paths from the value."""
    if isinstance(value, list):
        return ARRAY
    if not isinstance(value, dict):
        check(value)
        raise BadEvent("an event is a JSON object", (Violation("$", "type: object"),))
    found = [envelope for envelope in ENVELOPES if envelope.matches(value)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(envelope.name for envelope in found)
        raise BadEvent(f"ambiguous: it has the marks of {names}", (Violation("$", f"one envelope, not {names}"),))
    near = nearest(value)
    broken = [Violation(miss.path, f"{name}: {miss.rule}") for name, misses in near.items() for miss in misses]
    raise BadEvent(
        f"no envelope that is known; nearest: {', '.join(near) or 'none'}",
        broken or [Violation("$", "the marks of a known envelope")],
    )


def nearest(value: Mapping[str, object]) -> dict[str, tuple[Violation, ...]]:
    """Return the few envelopes that an unknown object is most like, nearest first, with the rules that it breaks."""
    shared = {each.name: len(schemas.schema(each.name)["properties"].keys() & value.keys()) for each in ENVELOPES}
    ranked = sorted(shared, key=lambda name: -shared[name])
    near = [name for name in ranked[:MAX_NEAREST] if shared[name] * 2 > max(shared.values())]
    return {name: schemas.validate(name, value) for name in near}


def is_gateway_request(value: object) -> bool:
    """Tell whether it is what an API gateway trigger hands on, which wants its own envelope as the answer."""
    return isinstance(value, dict) and any(e.name == "apig-trigger" and e.matches(value) for e in ENVELOPES)
