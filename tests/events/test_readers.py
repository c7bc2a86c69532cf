"""What brings an envelope within another, and what tells of servers, load balancers and time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handler import events
from handler.errors import BadEvent, Violation
from handler.model import (
    CheckRequested,
    Event,
    EventMetadata,
    Ignored,
    InterfacesDeleted,
    ServersDeleted,
    SweepRequested,
    TargetDeleted,
    Unreadable,
)
from tests.support.events import PROJECT, REGION, apig, b64, example, kafka, lts, smn, trace

ONE = "8f0e2c41-6f5d-4b7a-9d43-5c1f6a2b7e10"
SERVER, OTHER = "5d3b7f92-1c64-4e0a-b8d7-2a96e4c1f058", "0a6c5e18-94d3-4b7f-8c21-e3f05d9b7a46"


def only(payload: object) -> Event:
    """Return the one event of a payload."""
    (event,) = events.parse(payload).events
    return event


def place(metadata: EventMetadata) -> tuple[str | None, str | None]:
    """Return project and region."""
    return metadata.project_id, metadata.region


def violations(payload: object) -> tuple[Violation, ...]:
    """Return the rules that the payload breaks."""
    with pytest.raises(BadEvent) as refused:
        events.parse(payload)
    return refused.value.violations


# --- carriers --------------------------------------------------------------------------------------------------


def test_a_topic_tells_region_and_project_of_what_does_not_say_them_itself() -> None:
    first, second = events.parse(smn(trace(project_id=...), trace(project_id="mine"))).events
    assert place(first.metadata) == (PROJECT, REGION)
    assert place(second.metadata) == ("mine", REGION)


@pytest.mark.parametrize("topic_urn", ["topicUrn", "", "urn:smn:cn-north-4", "urn:other:r:p:t", "urn:smn:\n:\n:t"])
def test_a_topic_that_is_no_urn_tells_nothing(topic_urn: str) -> None:
    assert place(only(smn(trace(project_id=...), topic_urn=topic_urn)).metadata) == (None, None)


def test_a_carrier_s_time_is_that_of_what_has_none() -> None:
    payload = example("smn-trigger")
    payload["record"][0]["smn"]["message"] = json.dumps(trace(time="", record_time=""))
    assert str(only(payload).metadata.time) == "2026-01-02 03:04:08+00:00"


def test_a_notification_of_smn_is_read_and_a_change_of_its_subscription_is_not() -> None:
    assert isinstance(only(example("smn-http")), InterfacesDeleted)
    assert isinstance(only(example("smn-http", type="SubscriptionConfirmation", message="visit the URL")), Ignored)
    assert violations(example("smn-http", type="Other"))[0].rule.startswith("enum: Notification, SubscriptionConf")


def test_one_bad_record_does_not_stop_the_others() -> None:
    good = smn(trace())["record"][0]
    for bad in (None, {}, {"smn": 1}, {"smn": {}}, {"smn": {"message": {}}}, {"smn": {"message": "hello"}}):
        first, second = events.parse({"record": [bad, good]}).events
        assert isinstance(first, Unreadable)
        assert first.error.violations[0].path == "$.record[0].smn.message"
        assert isinstance(second, InterfacesDeleted)


def test_one_bad_queue_record_does_not_stop_the_others() -> None:
    good = kafka(trace())["records"][0]
    for bad in (None, {}, {"messages": "x"}, {"messages": [7]}):
        first, second = events.parse({"records": [bad, good]}).events
        assert isinstance(first, Unreadable)
        assert first.error.violations[0].path == "$.records[0].messages[0]"
        assert isinstance(second, InterfacesDeleted)


def test_a_queue_s_messages_may_be_texts_objects_or_texts_of_texts() -> None:
    parsed = events.parse(kafka(json.dumps(trace()), trace(), json.dumps(json.dumps(trace()))))
    assert [type(event) for event in parsed.events] == [InterfacesDeleted] * 3
    assert {event.metadata.region for event in parsed.events} == {REGION}


def test_a_log_line_is_its_message_or_the_trace_itself() -> None:
    text = json.dumps(trace())
    parsed = events.parse(lts({"message": text, "line_no": 1}, {"message": trace()}, trace(message="DELETE"), text))
    assert [type(event) for event in parsed.events] == [InterfacesDeleted] * 4


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
    assert violations({"lts": {"data": data}}) == (violation,)


def test_a_gateway_s_request_is_read_as_if_it_had_come_by_http() -> None:
    own, event = example("interface-deleted"), example("cloudevent", 1)
    attributes = {f"ce_{name}": value for name, value in event.items() if name != "data"}
    for payload in (
        apig(json.dumps(own), content_type="application/json"),
        apig(json.dumps(own), encoded=False),
        apig(json.dumps([own])),
        apig(json.dumps(event), content_type="application/cloudevents+json"),
        apig(json.dumps(event["data"]), content_type="application/json", **attributes),
    ):
        parsed = events.parse(payload)
        assert parsed.envelope == "apig-trigger"
        assert isinstance(parsed.events[0], InterfacesDeleted)
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
        (apig("1"), Violation("$.body", "type: object")),
        (apig("[1]"), Violation("$.body[0]", "type: object")),
    ],
    ids=str,
)
def test_a_broken_request_is_told_where(payload: object, violation: Violation) -> None:
    assert violations(payload) == (violation,)


def test_a_dead_letter_of_functiongraph_can_be_sent_again() -> None:
    original = {"cts": trace()}
    letter = only(example("functiongraph-failure", request_payload=json.dumps(original)))
    assert letter == only(original)


def test_the_project_of_the_function_that_failed_is_not_that_of_the_event() -> None:
    letter = example("functiongraph-failure", request_payload=json.dumps({"cts": trace(project_id=...)}))
    assert place(only(letter).metadata) == (None, None)


def test_a_call_that_succeeded_is_no_dead_letter() -> None:
    answered = {"status_code": 200, "function_error": ""}
    assert isinstance(only(example("functiongraph-failure", response_context=answered, request_payload="")), Ignored)


def test_carriers_nest() -> None:
    """A trace in a log, in a queue, behind a gateway, of a call that failed, in a message."""
    failed = {"request_context": {}, "request_payload": json.dumps(apig(json.dumps(kafka(lts(trace(project_id=...))))))}
    parsed = events.parse(smn(failed))
    assert parsed.unwrapped == ("smn-trigger", "functiongraph-failure", "apig-trigger", "kafka-trigger", "lts-trigger")
    (event,) = parsed.events
    assert (*place(event.metadata), event.metadata.envelope) == (PROJECT, REGION, "trace")


# --- our own ---------------------------------------------------------------------------------------------------


def test_ids_are_told_once_and_in_lower_case() -> None:
    event = only(example("interface-deleted", data={"interface_ids": [ONE.upper(), ONE]}))
    assert isinstance(event, InterfacesDeleted)
    assert event.interface_ids == (ONE,)


@pytest.mark.parametrize(("name", "kind"), [("sweep-due", SweepRequested), ("check-due", CheckRequested)])
def test_a_sweep_and_a_check_are_asked_for_with_and_without_a_project(name: str, kind: type) -> None:
    for index in range(2):
        payload = example(name, index)
        event = only(payload)
        assert isinstance(event, kind)
        assert event.metadata.project_id == payload.get("data", {}).get("project_id")
        assert event.metadata.id


@pytest.mark.parametrize("user_event", ["", "nightly", None, '{"a": "b"}', "[1]", "{broken", '{"project_id": 5}'])
def test_a_timer_sweeps_whatever_its_text_says(user_event: object) -> None:
    event = only(example("timer", user_event=user_event))
    assert isinstance(event, SweepRequested)
    assert (event.by, event.metadata.project_id) == ("timer", None)
    assert event.metadata.time is not None


def test_a_timer_s_id_is_the_same_at_every_delivery_and_another_at_the_next_time() -> None:
    first, again = (events.parse(example("timer")).id for _ in range(2))
    assert first == again != events.parse(example("timer", time="2026-01-03T03:00:00+08:00")).id


# --- Cloud Eye and Config --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, (SERVER,)),
        ({"event_name": "Delete Server"}, (SERVER,)),
        ({"detail": {"event_state": "incident", "resource_id": SERVER.upper()}}, (SERVER,)),
        ({"detail": {"resource_id": SERVER, "dimensions": [{"value": OTHER}, {"value": "disk"}]}}, (SERVER, OTHER)),
        ({"detail": {"dimensions": [{"name": "instance_id", "value": SERVER}]}}, (SERVER,)),
        ({"detail": None}, SweepRequested),
        ({"detail": {"resource_id": "web-2"}}, SweepRequested),
        ({"event_name": "DeleteNic"}, SweepRequested),
        ({"event_name": "rebootServer"}, Ignored),
        ({"event_source": "SYS.VPC"}, Ignored),
        ({"detail": {"event_state": "Warning", "resource_id": SERVER}}, Ignored),
    ],
    ids=str,
)
def test_cloud_eye_tells_of_servers(members: dict[str, object], expected: Any) -> None:
    one = example("cloud-eye", **members)
    for payload in (one, {"event_info": [one]}, [one], smn(one)):
        judge_server(only(payload), expected)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, (SERVER,)),
        ({"alarm_status": ..., "message_type": ..., "alarm_id": ..., "time": ...}, (SERVER,)),
        ({"template_variable": ...}, (SERVER,)),
        ({"template_variable": {"ResourceId": SERVER.upper()}, "dimension": None}, (SERVER,)),
        ({"template_variable": None, "dimension": "disk:sda"}, SweepRequested),
        ({"metric_name": "deleteNic"}, SweepRequested),
        ({"metric_name": "cpu_util"}, Ignored),
        ({"namespace": "SYS.RDS"}, Ignored),
        ({"alarm_status": "ok"}, Ignored),
    ],
    ids=str,
)
def test_an_alarm_of_cloud_eye_is_read_as_smn_delivers_it(members: dict[str, object], expected: Any) -> None:
    alarm = example("cloud-eye-alarm", **members)
    for payload in (alarm, smn(alarm), example("smn-http", message=json.dumps(alarm))):
        judge_server(only(payload), expected)


def judge_server(event: Event, expected: Any) -> None:
    """See that the event is of the kind, or names the servers."""
    if isinstance(expected, tuple):
        assert isinstance(event, ServersDeleted)
        assert event.server_ids == expected
    else:
        assert isinstance(event, expected)
        assert not isinstance(event, SweepRequested) or event.by == "server"


@pytest.mark.parametrize(("region", "known"), [("eu-de", "eu-de"), ("EU-Frankfurt", REGION), ("", REGION), (7, REGION)])
def test_an_alarm_s_region_counts_where_it_is_an_id(region: object, known: str) -> None:
    """Its name for people would be refused as that of another region."""
    alarm = example("cloud-eye-alarm", template_variable={"Region": region})
    assert place(only(smn(alarm)).metadata) == (PROJECT, known)


@pytest.mark.parametrize(
    ("resource_type", "event_type", "kind"),
    [
        ("ecs.cloudservers", "DELETE", ServersDeleted),
        ("ecs.cloudservers", "UPDATE", Ignored),
        ("bms.servers", "DELETE", ServersDeleted),
        ("cci.pods", "DELETE", SweepRequested),
        ("elb.loadbalancers", "DELETE", TargetDeleted),
        ("evs.volumes", "DELETE", Ignored),
        (None, "DELETE", Ignored),
    ],
)
def test_config_tells_of_servers_and_load_balancers_and_of_the_region(
    resource_type: object, event_type: str, kind: type
) -> None:
    payload = example("config-rms")
    payload["detail"] |= {"resource_type": resource_type, "event_type": event_type}
    event = only(smn(payload, topic_urn="urn:smn:other:other:topic"))
    assert isinstance(event, kind)
    assert place(event.metadata) == (PROJECT, REGION)


@pytest.mark.parametrize(
    ("resource_type", "resource_id", "kind"),
    [
        ("bms.servers", None, SweepRequested),
        ("ecs.cloudservers", "web-2", SweepRequested),
        ("elb.loadbalancers", None, Ignored),
    ],
)
def test_config_need_not_say_which(resource_type: str, resource_id: object, kind: type) -> None:
    payload = example("config-rms")
    payload["detail"] |= {"resource_type": resource_type, "resource_id": resource_id}
    assert isinstance(only(payload), kind)


def test_config_s_other_notifications_are_ignored_and_a_target_s_id_has_to_be_one() -> None:
    assert isinstance(only(example("config-rms", notification_type="SnapshotArchiveCompleted", detail=None)), Ignored)
    broken = example("config-rms", 1)
    broken["detail"]["resource_id"] = "lb-1"
    assert violations(broken) == (Violation("$.detail.resource_id", "format: uuid"),)
