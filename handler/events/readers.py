"""One reader for each envelope: what it says itself, and what it holds.

A reader gets a value that the schema of its envelope has found valid, and the metadata that the envelopes around it
have told. It yields events, and embedded values that are parsed in turn. It raises BadEvent, with paths that start at
its own value, for what a schema cannot say. Where an embedded value is one of many, only its own parsing judges it:
no schema of a carrier looks into what it carries, so that one bad part does not stop the others.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from handler.errors import BadEvent, UnsupportedMedia, Violation
from handler.events.cloudevents import from_http
from handler.events.cts import SERVICES, Kind, deletion, is_warning, name_key, parse_trace
from handler.events.fields import as_object, canonical_ids, decoded, enrich, from_base64, select, time
from handler.model import CheckRequested, Event, EventMetadata, Ignored, InterfacesDeleted, SweepRequested

INTERFACE_DELETED = "io.unmirror.interface.deleted.v1"
SWEEP_DUE = "io.unmirror.sweep.due.v1"
CHECK_DUE = "io.unmirror.check.due.v1"


class Embedded(NamedTuple):
    """Something within an envelope that is parsed in turn: an object, a list, or JSON text."""

    path: str
    """Below the envelope: `.record[0].smn.message`."""
    value: object
    metadata: EventMetadata
    """As far as it is known; what the value says itself comes first."""


Content: TypeAlias = Iterator[Event | Embedded]


def cts(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read what FunctionGraph's CTS trigger sends."""
    return parse_trace(value["cts"], metadata, "$.cts")


def own(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read an event of our own, as a webhook, a scheduler or a console's test event sends it."""
    project_id = _project(value.get("data"))
    metadata = enrich(metadata, id=value.get("id"), time=time(value.get("time")), project_id=project_id)
    if value["type"] == INTERFACE_DELETED:
        yield InterfacesDeleted(metadata, canonical_ids(value["data"]["interface_ids"]))
    elif value["type"] == SWEEP_DUE:
        yield SweepRequested(metadata, "a sweep was asked for")
    else:
        yield CheckRequested(metadata)


def _project(data: object) -> object:
    """Return the project that data names which an operator has written: a webhook's, a ping's, a timer's text."""
    named = as_object(data)
    return named.get("project_id") or as_object(named.get("data")).get("project_id")


def cloudevent(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read a CloudEvent of a type that is known, and ignore any other: triggers are often broader than needed."""
    metadata = enrich(metadata, id=value["id"], time=time(value.get("time")))
    event_type, (path, data) = value["type"], (".data", value.get("data"))
    service, _, trace_type = event_type.lower().partition(":cloudtrace:")  # `VPC:CloudTrace:ApiCall` of `HC.VPC`
    is_trace = trace_type and service in SERVICES and value["source"].lower() == f"hc.{service}"
    is_own = event_type in (INTERFACE_DELETED, SWEEP_DUE, CHECK_DUE)
    if event_type == "dev.knative.sources.ping":
        yield SweepRequested(enrich(metadata, project_id=_project(data)), "a PingSource's time has come")
    elif not (is_trace or is_own or event_type == "dev.knative.kafka.event"):
        yield Ignored(metadata, "a CloudEvent of another source or type")
    else:
        if (text := value.get("data_base64")) is not None:
            path, data = ".data_base64", from_base64(text, "$.data_base64")
        if is_own:  # without its attributes it is what a webhook posts
            plain = {name: value[name] for name in ("type", "id", "time") if name in value}
            path, data = "", plain | {"data": decoded(data, f"${path}")}
        yield Embedded(path, data, metadata)


def items(values: list[object], metadata: EventMetadata, path: str = "") -> Content:
    """Read a JSON array: a CloudEvents batch, a file of traces, or any other events."""
    for index, value in enumerate(values):
        yield Embedded(f"{path}[{index}]", value, metadata)


def items_of(member: str, value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read an object around an array: of the CTS API, of EventGrid, of Cloud Eye's API."""
    return items(value[member], metadata, f".{member}")


def smn_trigger(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read FunctionGraph's SMN trigger: messages of a topic, whose URN tells region and project."""
    for index, record in enumerate(value["record"]):
        message = as_object(as_object(record).get("smn"))
        yield Embedded(f".record[{index}].smn.message", message.get("message"), _of_topic(message, metadata))


def smn_http(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read a message that SMN posts to a subscriber; the handshake of a subscription is the edge's matter."""
    metadata = _of_topic(value, metadata)
    if value["type"] == "Notification":
        yield Embedded(".message", value["message"], metadata)
    else:
        yield Ignored(metadata, "a change of an SMN subscription")


def _of_topic(message: dict[str, Any], metadata: EventMetadata) -> EventMetadata:
    urn = message.get("topic_urn")
    match = re.match(r"urn:smn:([0-9A-Za-z_-]+):([0-9A-Za-z_-]+):.", urn) if isinstance(urn, str) else None
    region, project_id = match.groups() if match else (None, None)
    sent_at = time(message.get("timestamp"))
    return enrich(metadata, id=message.get("message_id"), time=sent_at, region=region, project_id=project_id)


def kafka_trigger(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read FunctionGraph's Kafka, DMS and RocketMQ triggers: texts in batches, and the region."""
    metadata = enrich(metadata, region=value.get("region"), time=time(value.get("event_time")))
    for index, record in enumerate(value["records"]):
        messages = as_object(record).get("messages")
        yield from items(messages if isinstance(messages, list) else [None], metadata, f".records[{index}].messages")


def lts_trigger(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read FunctionGraph's LTS trigger: log lines as JSON, in JSON, in base64."""
    content = as_object(decoded(from_base64(value["lts"]["data"], "$.lts.data"), "$.lts.data"))
    lines = decoded(content.get("logs"), "$.lts.data.logs")
    if not isinstance(lines, list):
        raise BadEvent("log lines are an array", (Violation("$.lts.data.logs", "type: array"),))
    for index, line in enumerate(lines):
        path = f".lts.data.logs[{index}]"
        if isinstance(line, dict) and "message" in line and "trace_name" not in line:  # a trace has a message too
            path, line = f"{path}.message", line["message"]
        yield Embedded(path, line, metadata)


def apig_trigger(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read FunctionGraph's API gateway trigger: a whole HTTP request."""
    metadata = enrich(metadata, id=value["requestContext"].get("requestId"))
    headers = {name: text for name, text in (value.get("headers") or {}).items() if isinstance(text, str)}
    text = value.get("body") or ""
    body = from_base64(text, "$.body") if value.get("isBase64Encoded") else text.encode("utf-8", "surrogatepass")
    try:
        yield Embedded(".body", from_http(headers, body, "$.body"), metadata)
    except UnsupportedMedia as error:
        raise BadEvent(str(error), (Violation("$.headers", "content-type: JSON in UTF-8"),)) from error


def functiongraph_failure(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read what FunctionGraph tells of an asynchronous call: after a failure, the event to be parsed once more.

    Its URN tells where the function runs, which need not be the project or the region that the event is about.
    """
    metadata = enrich(metadata, id=value["request_context"].get("request_id"))
    answer = as_object(value.get("response_context"))
    if answer.get("status_code") == 200 and not answer.get("function_error"):
        yield Ignored(metadata, "an asynchronous call that succeeded")
    else:
        yield Embedded(".request_payload", value["request_payload"], metadata)


def timer(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read FunctionGraph's timer; its free text may be JSON that names a project."""
    metadata = enrich(metadata, time=time(value.get("time")), project_id=_project(value.get("user_event")))
    yield SweepRequested(metadata, "a timer's time has come")


# What Cloud Eye and Config tell of, by its source and name. Neither names an interface.
_DELETIONS: dict[tuple[str, ...], Kind] = {
    # https://github.com/opentelekomcloud-docs/cloud-eye, events of the Elastic Cloud Server
    ("sys.ecs", "deleteserver"): "servers",
    ("sys.ecs", "deletenic"): "interfaces",
    # https://github.com/opentelekomcloud-docs/config, supported resources
    ("ecs.cloudservers", "delete"): "servers",
    ("bms.servers", "delete"): "servers",
    ("cci.pods", "delete"): "interfaces",
    ("elb.loadbalancers", "delete"): "target",
}


def cloud_eye(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read an event of Cloud Eye, which names a server."""
    project_id = value.get("project_id") or value.get("tenant_id")
    metadata = enrich(metadata, id=value.get("event_id"), time=time(value.get("time")), project_id=project_id)
    has_failed = is_warning(as_object(value.get("detail")).get("event_state"))
    kind = None if has_failed else _DELETIONS.get(name_key(value["event_source"], value["event_name"]))
    servers = select(value, "detail.resource_id") + select(value, "detail.dimensions[].value")
    yield deletion(kind, servers if kind == "servers" else [], metadata, "a Cloud Eye event")


def cloud_eye_alarm(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read an alarm of Cloud Eye as SMN delivers it; the statuses `ok` and `insufficient_data` tell its end."""
    variables = as_object(value.get("template_variable"))
    region = str(variables.get("Region"))
    is_region = re.fullmatch(r"[a-z]{2}(-[a-z0-9]+)+", region)  # else the name that people read
    metadata = enrich(metadata, time=time(value.get("time")), region=region if is_region else None)
    has_ended = str(value.get("alarm_status") or "alarm").lower() != "alarm"
    kind = None if has_ended else _DELETIONS.get(name_key(value["namespace"], value["metric_name"]))
    dimension = str(value.get("dimension")).removeprefix("instance_id:")
    servers = [("$.template_variable.ResourceId", variables.get("ResourceId")), ("$.dimension", dimension)]
    yield deletion(kind, servers if kind == "servers" else [], metadata, "a Cloud Eye alarm")


def config_rms(value: dict[str, Any], metadata: EventMetadata) -> Content:
    """Read a notification of Config, the only one of the cloud's that documents a region."""
    detail = as_object(value.get("detail"))
    resource = as_object(detail.get("resource"))
    metadata = enrich(
        metadata,
        project_id=resource.get("project_id"),
        region=resource.get("region_id"),
        time=time(detail.get("capture_time")) or time(value.get("notification_creation_time")),
    )
    change = name_key(str(detail.get("resource_type")), str(detail.get("event_type")))
    kind = _DELETIONS.get(change) if value["notification_type"] == "ResourceChanged" else None
    ids = select(value, "detail.resource_id") if kind != "interfaces" else []
    yield deletion(kind, ids, metadata, "a Config notification")
