"""Constructed events, from the schemas' own examples: the one place where tests get each envelope from."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from handler import events
from handler.errors import BadEvent, Violation
from handler.model import Event
from tests.support.schemas import schema

PROJECT, REGION = "3f6b1d8e42a94c07b5e20d9f7c81a6d4", "cn-north-4"
"""What the examples name."""


def example(name: str, index: int = 0, **members: object) -> Any:
    """Return a fresh copy of a schema's example, with other members; one that is `...` is left out."""
    value = copy.deepcopy(schema(name)["examples"][index])
    return {key: each for key, each in (value | members).items() if each is not ...} if members else value


def trace(**members: object) -> dict[str, Any]:
    """Return a deletePort trace with other members; one that is `...` is left out."""
    return example("trace", **members) if members else example("trace")


def only(payload: object) -> Event:
    """Return the one event of a payload."""
    (event,) = events.parse(payload).events
    return event


def violations(payload: object) -> tuple[Violation, ...]:
    """Return the rules that the payload breaks."""
    with pytest.raises(BadEvent) as refused:
        events.parse(payload)
    return refused.value.violations


def b64(value: object) -> str:
    """Return bytes, a text, or the JSON of another value, as base64."""
    text = value if isinstance(value, (bytes, str)) else json.dumps(value)
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def smn(*messages: object, topic_urn: str = f"urn:smn:{REGION}:{PROJECT}:deletions") -> dict[str, Any]:
    """Return an SMN trigger's event with those messages, as texts."""
    texts = [message if isinstance(message, str) else json.dumps(message) for message in messages]
    return {"record": [{"smn": {"message": text, "topic_urn": topic_urn}} for text in texts]}


def kafka(*messages: object) -> dict[str, Any]:
    """Return a Kafka trigger's event with those messages as they are."""
    return {"trigger_type": "KAFKA", "region": REGION, "records": [{"messages": list(messages)}]}


def lts(*lines: object) -> dict[str, Any]:
    """Return an LTS trigger's event with those lines."""
    return {"lts": {"data": b64({"logs": json.dumps(lines)})}}


def apig(body: str | bytes, *, encoded: bool = True, **headers: str) -> dict[str, Any]:
    """Return an API gateway trigger's event for a POST."""
    return {
        "httpMethod": "POST",
        "requestContext": {"requestId": "r-1"},
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "body": b64(body) if encoded else body,
        "isBase64Encoded": encoded,
    }


def eventgrid(value: dict[str, Any]) -> dict[str, Any]:
    """Return EventGrid's CloudEvent of a trace."""
    service = value["service_type"]
    return example("cloudevent", source=f"HC.{service}", type=f"{service}:CloudTrace:ApiCall", data=value)


def binary(event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a CloudEvent in binary mode."""
    attributes = {name: value for name, value in event.items() if name not in ("data", "datacontenttype")}
    headers = {f"CE-{name.title()}": value for name, value in attributes.items()}
    body = json.dumps(event["data"]).encode() if "data" in event else b""
    return headers | {"Content-Type": "application/json"}, body


def posted(value: object, content_type: str = "application/json") -> object:
    """Return the payload of a POST of the value as JSON."""
    return events.from_http({"Content-Type": content_type}, json.dumps(value).encode())


CARRIERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "bare": lambda value: value,
    "cts trigger": lambda value: {"cts": value},
    "list of the API": lambda value: {"traces": [value]},
    "array": lambda value: [value],
    "array, posted": lambda value: posted([value]),
    "CloudEvent, structured": lambda value: posted(eventgrid(value), "application/cloudevents+json"),
    "CloudEvent, binary": lambda value: events.from_http(*binary(eventgrid(value))),
    "CloudEvent with a list": lambda value: eventgrid(value) | {"data": [value]},
    "CloudEvents batch": lambda value: posted([eventgrid(value)], "application/cloudevents-batch+json"),
    "EventGrid's object": lambda value: {"events": [eventgrid(value)]},
    "SMN trigger": smn,
    "SMN by HTTP": lambda value: example("smn-http", message=json.dumps(value)),
    "Kafka, text": lambda value: kafka(json.dumps(value)),
    "Kafka, object": kafka,
    "KafkaSource": lambda value: example("cloudevent", type="dev.knative.kafka.event", data=value),
    "log line": lambda value: lts({"message": json.dumps(value), "line_no": 1}),
    "log line that is the trace": lts,
    "gateway": lambda value: apig(json.dumps(value)),
    "gateway, not encoded": lambda value: apig(json.dumps(value), encoded=False),
    "dead letter": lambda value: example("functiongraph-failure", request_payload=json.dumps({"cts": value})),
}
"""Every way in which a trace comes."""
