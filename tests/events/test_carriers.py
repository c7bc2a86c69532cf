"""What brings an envelope within another: texts in lists, base64 in texts, requests in events."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from handler import events
from handler.errors import BadEvent, Violation
from handler.model import InterfacesDeleted, NothingForUs, SweepDue, TargetDeleted

PROJECT, REGION = "3f6b1d8e42a94c07b5e20d9f7c81a6d4", "cn-north-4"


def b64(value: object) -> str:
    """Return a value as base64 of its JSON, or of a text itself."""
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.b64encode(text.encode()).decode()


def smn(*messages: str, topic_urn: str = f"urn:smn:{REGION}:{PROJECT}:deletions") -> dict[str, Any]:
    """Return an SMN trigger's event that carries the texts."""
    return {"record": [{"smn": {"message": message, "topic_urn": topic_urn}} for message in messages]}


def lts(*lines: object) -> dict[str, Any]:
    """Return an LTS trigger's event that carries the lines."""
    return {"lts": {"data": b64({"logs": json.dumps(lines)})}}


def kafka(*messages: object) -> dict[str, Any]:
    """Return a Kafka trigger's event that carries the messages."""
    return {"trigger_type": "KAFKA", "region": REGION, "records": [{"messages": list(messages)}]}


def apig(body: str, *, encoded: bool = True, **headers: str) -> dict[str, Any]:
    """Return an API gateway trigger's event for a POST."""
    return {
        "httpMethod": "POST",
        "requestContext": {"requestId": "r-1"},
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "body": b64(body) if encoded else body,
        "isBase64Encoded": encoded,
    }


def test_a_topic_tells_region_and_project_of_what_does_not_say_them_itself(trace: Any) -> None:
    silent, outspoken = (json.dumps(trace(project_id=project)) for project in (..., "mine"))
    first, second = events.read(smn(silent, outspoken)).events
    assert (first.origin.project_id, first.origin.region) == (PROJECT, REGION)
    assert (second.origin.project_id, second.origin.region) == ("mine", REGION)


@pytest.mark.parametrize("topic_urn", ["topicUrn", "", "urn:smn:cn-north-4", "urn:other:r:p:t"])
def test_a_topic_that_is_no_urn_tells_nothing(trace: Any, topic_urn: str) -> None:
    (event,) = events.read(smn(json.dumps(trace(project_id=...)), topic_urn=topic_urn)).events
    assert (event.origin.project_id, event.origin.region) == (None, None)


def test_a_carrier_s_time_is_that_of_what_has_none(example: Any, trace: Any) -> None:
    payload = example("smn-trigger")
    payload["record"][0]["smn"]["message"] = json.dumps(trace(time="", record_time=""))
    (event,) = events.read(payload).events
    assert event.origin.time is not None
    assert event.origin.time.isoformat() == "2026-01-02T03:04:08+00:00"


def test_a_notification_of_smn_is_read_and_a_change_of_its_subscription_is_not(example: Any) -> None:
    assert isinstance(events.read(example("smn-http")).events[0], InterfacesDeleted)
    (event,) = events.read(example("smn-http", type="SubscriptionConfirmation", message="visit the URL")).events
    assert isinstance(event, NothingForUs)
    with pytest.raises(BadEvent) as refused:
        events.read(example("smn-http", type="Other"))
    assert refused.value.violations[0].rule.startswith("enum: Notification, SubscriptionConfirmation")


def test_a_queue_s_messages_may_be_texts_objects_or_texts_of_texts(trace: Any) -> None:
    payload = kafka(json.dumps(trace()), trace(), json.dumps(json.dumps(trace())))
    reading = events.read(payload)
    assert [type(event) for event in reading.events] == [InterfacesDeleted] * 3
    assert {event.origin.region for event in reading.events} == {REGION}


def test_a_log_line_is_its_message_or_the_trace_itself(trace: Any) -> None:
    text = json.dumps(trace())
    reading = events.read(lts({"message": text, "line_no": 1}, {"message": trace()}, trace(message="DELETE"), text))
    assert [type(event) for event in reading.events] == [InterfacesDeleted] * 4


@pytest.mark.parametrize(
    ("data", "violation"),
    [
        ("~", Violation("$.lts.data", "contentEncoding: base64")),
        ("ü", Violation("$.lts.data", "contentEncoding: base64")),
        (b64("no JSON"), Violation("$.lts.data", "JSON")),
        (b64([]), Violation("$.lts.data.logs", "type: array")),
        (b64({"logs": "{}"}), Violation("$.lts.data.logs", "type: array")),
        (b64({"logs": "["}), Violation("$.lts.data.logs", "JSON")),
        (b64({"logs": [{"message": "plain line"}]}), Violation("$.lts.data.logs[0].message", "JSON")),
        (b64({"logs": [7]}), Violation("$.lts.data.logs[0]", "type: object")),
    ],
)
def test_a_broken_log_is_told_where(data: str, violation: Violation) -> None:
    with pytest.raises(BadEvent) as refused:
        events.read({"lts": {"data": data}})
    assert refused.value.violations == (violation,)


def test_a_gateway_s_request_is_read_as_if_it_had_come_by_http(example: Any) -> None:
    own, event = example("interface-deleted"), example("cloudevent", 1)
    attributes = {f"ce_{name}": value for name, value in event.items() if name != "data"}
    for payload in (
        apig(json.dumps(own), content_type="application/json"),
        apig(json.dumps(own), encoded=False),
        apig(json.dumps(event), content_type="application/cloudevents+json"),
        apig(json.dumps(event["data"]), content_type="application/json", **attributes),
    ):
        reading = events.read(payload)
        assert reading.envelope == "apig-trigger"
        assert isinstance(reading.events[0], InterfacesDeleted)
        assert events.is_gateway_request(payload)
    assert not events.is_gateway_request(own)
    assert not events.is_gateway_request(None)


@pytest.mark.parametrize(
    ("payload", "violation"),
    [
        (apig(""), Violation("$.body", "JSON")),
        (apig("{}", content_type="text/html"), Violation("$.headers", "content-type: JSON in UTF-8")),
        (apig("{}") | {"body": "~"}, Violation("$.body", "contentEncoding: base64")),
        (apig("{}") | {"requestContext": None}, Violation("$.requestContext", "type: object")),
        (apig('{"cts": 1}'), Violation("$.body.cts", "type: object")),
        (apig("[1]"), Violation("$.body", "type: object")),
    ],
    ids=str,
)
def test_a_broken_request_is_told_where(payload: object, violation: Violation) -> None:
    with pytest.raises(BadEvent) as refused:
        events.read(payload)
    assert refused.value.violations == (violation,)


def test_a_dead_letter_of_functiongraph_can_be_sent_again(example: Any) -> None:
    original = example("cts")
    del original["cts"]["project_id"]
    letter = example("functiongraph-failure", request_payload=json.dumps(original))
    (event,), (before,) = events.read(letter).events, events.read(original).events
    assert isinstance(event, InterfacesDeleted)
    assert isinstance(before, InterfacesDeleted)
    assert event.interface_ids == before.interface_ids
    assert (event.origin.id, event.origin.envelope) == (before.origin.id, before.origin.envelope)
    assert (event.origin.project_id, event.origin.region) == (PROJECT, REGION)


def test_a_call_that_succeeded_is_no_dead_letter(example: Any) -> None:
    answered = {"status_code": 200, "function_error": ""}
    (event,) = events.read(example("functiongraph-failure", response_context=answered, request_payload="")).events
    assert isinstance(event, NothingForUs)


@pytest.mark.parametrize("user_event", ["", "nightly", None, '{"a": "b"}', "[1]", "{broken", '{"project_id": 5}'])
def test_a_timer_sweeps_whatever_its_text_says(example: Any, user_event: object) -> None:
    (event,) = events.read(example("timer", user_event=user_event)).events
    assert isinstance(event, SweepDue)
    assert event.origin.project_id is None
    assert event.origin.time is not None


def test_a_timer_s_id_is_the_same_at_every_delivery_and_another_at_the_next_time(example: Any) -> None:
    first, again = (events.read(example("timer")).id for _ in range(2))
    assert first == again != events.read(example("timer", time="2026-01-03T03:00:00+08:00")).id


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({}, SweepDue),
        ({"event_name": "DeleteNic"}, SweepDue),
        ({"event_name": "rebootServer"}, NothingForUs),
        ({"event_source": "SYS.VPC"}, NothingForUs),
        ({"detail": {"event_state": "incident"}}, NothingForUs),
        ({"detail": None}, SweepDue),
    ],
    ids=str,
)
def test_cloud_eye_tells_of_servers(example: Any, members: dict[str, object], kind: type) -> None:
    one = example("cloud-eye", **members)
    for payload in (one, {"event_info": [one]}, smn(json.dumps(one))):
        assert isinstance(events.read(payload).events[0], kind)


@pytest.mark.parametrize(
    ("kind", "event_type", "read"),
    [
        ("ecs.cloudservers", "DELETE", SweepDue),
        ("ecs.cloudservers", "UPDATE", NothingForUs),
        ("elb.loadbalancers", "DELETE", TargetDeleted),
        ("evs.volumes", "DELETE", NothingForUs),
    ],
)
def test_config_tells_of_servers_and_load_balancers_and_of_the_region(
    example: Any, kind: str, event_type: str, read: type
) -> None:
    payload = example("config-rms")
    payload["detail"] |= {"resource_type": kind, "event_type": event_type}
    (event,) = events.read(smn(json.dumps(payload), topic_urn="urn:smn:other:other:topic")).events
    assert isinstance(event, read)
    assert (event.origin.project_id, event.origin.region) == (PROJECT, REGION)


def test_config_s_other_notifications_are_ignored_and_a_target_needs_an_id(example: Any) -> None:
    (event,) = events.read(example("config-rms", notification_type="SnapshotArchiveCompleted", detail=None)).events
    assert isinstance(event, NothingForUs)
    broken = example("config-rms", 1)
    broken["detail"]["resource_id"] = "lb-1"
    with pytest.raises(BadEvent) as refused:
        events.read(broken)
    assert refused.value.violations == (Violation("$.detail.resource_id", "format: uuid"),)


def test_carriers_nest(trace: Any) -> None:
    """A trace in a log, in a queue, behind a gateway, of a call that failed, in a message."""
    payload = smn(
        json.dumps(
            {
                "request_context": {"function_urn": f"urn:fss:eu-de:{PROJECT}:function:default:f:latest"},
                "request_payload": json.dumps(apig(json.dumps(kafka(json.dumps(lts(trace(project_id=...))))))),
            }
        )
    )
    reading = events.read(payload)
    assert reading.unwrapped == ("smn-trigger", "functiongraph-failure", "apig-trigger", "kafka-trigger", "lts-trigger")
    (event,) = reading.events
    assert (event.origin.project_id, event.origin.region, event.origin.envelope) == (PROJECT, REGION, "trace")
