"""One reader for each envelope: what it says itself, and what it holds.

A reader gets a value that the schema of its envelope has found valid, and what the envelopes around it have told of
the origin. It yields events, and parts that are to be read in turn. It raises BadEvent, with paths below its own
value, for what a schema cannot say. Where a part is one of many, only its own reading judges it: no schema of a
carrier looks into what it carries, so that one bad part does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from handler.errors import BadEvent, UnsupportedMedia, Violation
from handler.events.cloudevents import from_http
from handler.events.cts import SERVICES, read_trace
from handler.events.fields import from_base64, interface_id, said, time, unfolded, urn_parts
from handler.events.strict_json import decode
from handler.model import Event, InterfacesDeleted, NothingForUs, Origin, SweepDue, TargetDeleted

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


# --- traces ------------------------------------------------------------------------------------------------


def cts(value: dict[str, Any], origin: Origin) -> Said:
    """Read what FunctionGraph's CTS trigger sends."""
    try:
        yield from read_trace(value["cts"], origin)
    except BadEvent as error:
        raise below(".cts", error) from error


def cts_list(value: dict[str, Any], origin: Origin) -> Said:
    """Read the CTS API's answer to a query."""
    return _each(value["traces"], ".traces", origin)


# --- our own -----------------------------------------------------------------------------------------------


def interface_deleted(value: dict[str, Any], origin: Origin) -> Said:
    """Read our own event, as a webhook posts it."""
    ids = dict.fromkeys(known for item in value["data"]["interface_ids"] if (known := interface_id(item)))
    yield InterfacesDeleted(_own_origin(value, origin), tuple(ids))


def sweep_due(value: dict[str, Any], origin: Origin) -> Said:
    """Read our own request for a sweep, as a scheduler posts it."""
    yield SweepDue(_own_origin(value, origin), "a sweep was asked for")


def _own_origin(value: dict[str, Any], origin: Origin) -> Origin:
    return replace(origin, **said(id=value.get("id"), time=time(value.get("time")), project_id=_project(value)))


# --- CloudEvents -------------------------------------------------------------------------------------------


def cloudevent(value: dict[str, Any], origin: Origin) -> Said:
    """Read a CloudEvent of a type that is known, and ignore any other: triggers are often broader than needed."""
    origin = replace(origin, **said(id=value["id"], time=time(value.get("time"))))
    if _of_a_trace(value):
        return _content(value, origin)
    return _CLOUDEVENTS.get(value["type"], _other)(value, origin)


def cloudevents_batch(value: list[object], origin: Origin) -> Said:
    """Read a JSON array of CloudEvents."""
    return _each(value, "", origin)


def eventgrid_events(value: dict[str, Any], origin: Origin) -> Said:
    """Read EventGrid's object around an array of CloudEvents."""
    return _each(value["events"], ".events", origin)


def _of_a_trace(value: dict[str, Any]) -> bool:
    """Tell EventGrid's events of the services whose traces are read: `VPC:CloudTrace:ApiCall` of `HC.VPC`."""
    service, _, kind = value["type"].lower().partition(":cloudtrace:")
    return bool(kind) and service in SERVICES and value["source"].lower() == f"hc.{service}"


def _ours(value: dict[str, Any], origin: Origin) -> Said:
    """Take the attributes off: what is left is what a webhook posts."""
    path, data = _data(value)
    plain = {name: value[name] for name in ("type", "id", "time") if name in value}
    yield Part("", plain | {"data": decoded(data, path)}, origin)


def _ping(value: dict[str, Any], origin: Origin) -> Said:
    yield SweepDue(replace(origin, **said(project_id=_project(value))), "a PingSource's time has come")


def _other(_: dict[str, Any], origin: Origin) -> Said:
    yield NothingForUs(origin, "ignored", "a CloudEvent of another source or type")


def _content(value: dict[str, Any], origin: Origin) -> Said:
    path, data = _data(value)
    return _each(data, path, origin) if isinstance(data, list) else iter([Part(path, data, origin)])


def _data(value: dict[str, Any]) -> tuple[str, object]:
    if (text := value.get("data_base64")) is None:
        return ".data", value.get("data")
    return ".data_base64", from_base64(text, "$.data_base64")


_CLOUDEVENTS: dict[str, Callable[[dict[str, Any], Origin], Said]] = {
    INTERFACE_DELETED: _ours,
    SWEEP_DUE: _ours,
    "dev.knative.sources.ping": _ping,
    "dev.knative.kafka.event": _content,
    "google.cloud.pubsub.topic.v1.messagePublished": _content,
}


# --- carriers ----------------------------------------------------------------------------------------------


def smn_trigger(value: dict[str, Any], origin: Origin) -> Said:
    """Read FunctionGraph's SMN trigger: messages of a topic, whose URN tells region and project."""
    for index, record in enumerate(value["record"]):
        yield Part(f".record[{index}].smn.message", record["smn"]["message"], _smn_origin(record["smn"], origin))


def smn_http(value: dict[str, Any], origin: Origin) -> Said:
    """Read a message that SMN posts to a subscriber; the handshake of a subscription is the door's matter."""
    origin = _smn_origin(value, origin)
    if value["type"] == "Notification":
        yield Part(".message", value["message"], origin)
    else:
        yield NothingForUs(origin, "ignored", "a change of an SMN subscription")


def kafka_trigger(value: dict[str, Any], origin: Origin) -> Said:
    """Read FunctionGraph's Kafka, DMS and RocketMQ triggers: texts in batches, and the region."""
    origin = replace(origin, **said(region=value.get("region"), time=time(value.get("event_time"))))
    for index, record in enumerate(value["records"]):
        yield from _each(record["messages"], f".records[{index}].messages", origin)


def lts_trigger(value: dict[str, Any], origin: Origin) -> Said:
    """Read FunctionGraph's LTS trigger: log lines as JSON, in JSON, in base64."""
    content = unfolded(decoded(from_base64(value["lts"]["data"], "$.lts.data"), ".lts.data"))
    lines = decoded(content.get("logs"), ".lts.data.logs")
    if not isinstance(lines, list):
        raise BadEvent("log lines are an array", (Violation("$.lts.data.logs", "type: array"),))
    for index, line in enumerate(lines):
        path = f".lts.data.logs[{index}]"
        if isinstance(line, dict) and "message" in line and "trace_name" not in line:  # a trace has a message too
            yield Part(f"{path}.message", line["message"], origin)
        else:
            yield Part(path, line, origin)


def apig_trigger(value: dict[str, Any], origin: Origin) -> Said:
    """Read FunctionGraph's API gateway trigger: a whole HTTP request."""
    origin = replace(origin, **said(id=value["requestContext"].get("requestId")))
    headers = {name: text for name, text in (value.get("headers") or {}).items() if isinstance(text, str)}
    text = value.get("body") or ""
    body = from_base64(text, "$.body") if value.get("isBase64Encoded") else text.encode("utf-8", "surrogatepass")
    try:
        yield Part(".body", from_http(headers, body), origin)
    except UnsupportedMedia as error:
        raise BadEvent(str(error), (Violation("$.headers", "content-type: JSON in UTF-8"),)) from error
    except BadEvent as error:
        raise below(".body", error) from error


def pubsub_push(value: dict[str, Any], origin: Origin) -> Said:
    """Read what Google's Pub/Sub pushes, on its own or within a CloudEvent of Eventarc."""
    message = value["message"]
    origin = replace(origin, **said(id=message.get("messageId"), time=time(message.get("publishTime"))))
    yield Part(".message.data", from_base64(message["data"], "$.message.data"), origin)


def functiongraph_failure(value: dict[str, Any], origin: Origin) -> Said:
    """Read what FunctionGraph tells of an asynchronous call: after a failure, the event to be read once more."""
    context, answer = value["request_context"], unfolded(value.get("response_context"))
    origin = replace(origin, **said(id=context.get("request_id")), **urn_parts(context.get("function_urn")))
    if answer.get("status_code") == 200 and not answer.get("function_error"):
        yield NothingForUs(origin, "ignored", "an asynchronous call that succeeded")
    else:
        yield Part(".request_payload", value["request_payload"], origin)


# --- what tells of servers, load balancers and time ----------------------------------------------------------


def timer(value: dict[str, Any], origin: Origin) -> Said:
    """Read FunctionGraph's timer; its free text may be JSON that names a project."""
    said_by_timer = said(time=time(value.get("time")), project_id=_project({"data": value.get("user_event")}))
    yield SweepDue(replace(origin, **said_by_timer), "a timer's time has come")


def cloud_eye(value: dict[str, Any], origin: Origin) -> Said:
    """Read an event of Cloud Eye, which names a server and no interface."""
    name, state = value["event_name"], unfolded(value.get("detail")).get("event_state") or "normal"
    project_id = value.get("project_id") or value.get("tenant_id")
    origin = replace(origin, **said(id=value.get("event_id"), time=time(value.get("time")), project_id=project_id))
    if (value["event_source"].upper(), name.lower()) not in _CLOUD_EYE:
        yield NothingForUs(origin, "ignored", "a Cloud Eye event that deletes no interface")
    elif str(state).lower() != "normal":
        yield NothingForUs(origin, "ignored", "a Cloud Eye event of a failed operation")
    else:
        yield SweepDue(origin, "a Cloud Eye event names no interface")


_CLOUD_EYE = frozenset({("SYS.ECS", "deleteserver"), ("SYS.ECS", "deletenic")})


def cloud_eye_events(value: dict[str, Any], origin: Origin) -> Said:
    """Read Cloud Eye's object around an array of events."""
    return _each(value["event_info"], ".event_info", origin)


def config_rms(value: dict[str, Any], origin: Origin) -> Said:
    """Read a notification of Config, the only one of the cloud's that documents a region."""
    detail = unfolded(value.get("detail"))
    resource = unfolded(detail.get("resource"))
    taken = time(detail.get("capture_time")) or time(value.get("notification_creation_time"))
    where = said(project_id=resource.get("project_id"), region=resource.get("region_id"), time=taken)
    origin, kind = replace(origin, **where), detail.get("resource_type")
    if value["notification_type"] != "ResourceChanged" or detail.get("event_type") != "DELETE":
        yield NothingForUs(origin, "ignored", "a Config notification of no deletion")
    elif kind == "ecs.cloudservers":
        yield SweepDue(origin, "a Config notification names no interface")
    elif kind != "elb.loadbalancers":
        yield NothingForUs(origin, "ignored", "a Config notification of another resource type")
    elif target_id := interface_id(detail.get("resource_id")):
        yield TargetDeleted(origin, target_id)
    else:
        raise BadEvent("no id of the load balancer", (Violation("$.detail.resource_id", "format: uuid"),))


# --- in common ---------------------------------------------------------------------------------------------


def decoded(value: object, path: str) -> object:
    """Return what JSON text stands for, and any other value as it is."""
    if not isinstance(value, (str, bytes)):
        return value
    try:
        return decode(value)
    except BadEvent as error:
        raise below(path, error) from error


def below(path: str, error: BadEvent) -> BadEvent:
    """Return the error with its paths, which start at a part, starting at what holds the part."""
    moved = tuple(Violation(f"${path}{violation.path[1:]}", violation.rule) for violation in error.violations)
    return BadEvent(str(error), moved, error.envelope)


def _each(values: list[object], path: str, origin: Origin) -> Said:
    for index, value in enumerate(values):
        yield Part(f"{path}[{index}]", value, origin)


def _smn_origin(message: dict[str, Any], origin: Origin) -> Origin:
    said_by_smn = said(id=message.get("message_id"), time=time(message.get("timestamp")))
    return replace(origin, **said_by_smn, **urn_parts(message.get("topic_urn")))


def _project(value: dict[str, Any]) -> object:
    """Return the project that our own data names, in a webhook, a ping or a timer's text."""
    data = unfolded(value.get("data"))
    return data.get("project_id") or unfolded(data.get("data")).get("project_id")
