"""What brings an envelope within another, and what tells of servers, load balancers and time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handler import events
from handler.errors import Violation
from handler.events.explain import explain
from handler.model import (
    EventMetadata,
    Ignored,
    InterfacesDeleted,
    ServersDeleted,
    SweepRequested,
    TargetDeleted,
    Unreadable,
)
from tests.support.events import PROJECT, REGION, apig, b64, example, kafka, lts, only, smn, trace, violations

ONE = "8f0e2c41-6f5d-4b7a-9d43-5c1f6a2b7e10"
SERVER, OTHER = "5d3b7f92-1c64-4e0a-b8d7-2a96e4c1f058", "0a6c5e18-94d3-4b7f-8c21-e3f05d9b7a46"


def place(metadata: EventMetadata) -> tuple[str | None, str | None]:
    """Return project and region."""
    return metadata.project_id, metadata.region


# --- carriers --------------------------------------------------------------------------------------------------


def test_a_topic_tells_region_and_project_of_what_does_not_say_them_itself() -> None:
    first, second = events.parse(smn(trace(project_id=...), trace(project_id="mine"))).events
    assert place(first.metadata) == (PROJECT, REGION)
    assert place(second.metadata) == ("mine", REGION)


@pytest.mark.parametrize("topic_urn", ["topicUrn", "", "urn:smn:cn-north-4", "urn:other:r:p:t", "urn:smn:\n:\n:t"])
def test_a_topic_that_is_no_urn_tells_nothing(topic_urn: str) -> None:
    assert place(only(smn(trace(project_id=...), topic_urn=topic_urn)).metadata) == (None, None)


def test_a_carrier_s_time_is_that_of_what_has_none() -> None:
    silent = trace(time=..., record_time="")
    by_smn = example("smn-http", message=json.dumps(silent), timestamp="2026-01-02T03:04:08Z")
    assert str(only(by_smn).metadata.time) == "2026-01-02 03:04:08+00:00"
    assert str(only(example("cloudevent", data=silent)).metadata.time) == "2026-01-02 03:04:07.204518+00:00"


def test_a_notification_of_smn_is_read_and_a_change_of_its_subscription_is_not() -> None:
    assert isinstance(only(example("smn-http")), InterfacesDeleted)
    assert isinstance(only(example("smn-http", type="SubscriptionConfirmation", message="visit the URL")), Ignored)
    assert violations(example("smn-http", type="Other"))[0].rule.startswith("enum: Notification, SubscriptionConf")


@pytest.mark.parametrize(
    ("wrap", "path", "bad"),
    [
        *((smn, "$.record[0].smn.message", each) for each in (None, {}, {"smn": 1}, {"smn": {}})),
        *((smn, "$.record[0].smn.message", {"smn": {"message": each}}) for each in ({}, "hello")),
        *((kafka, "$.records[0].messages[0]", each) for each in (None, {}, {"messages": "x"}, {"messages": [7]})),
    ],
)
def test_one_bad_record_does_not_stop_the_others(wrap: Any, path: str, bad: object) -> None:
    payload = wrap(trace())
    payload["records" if wrap is kafka else "record"].insert(0, bad)
    first, second = events.parse(payload).events
    assert isinstance(first, Unreadable)
    assert first.error.violations[0].path == path
    assert isinstance(second, InterfacesDeleted)


def test_a_queue_s_messages_may_be_texts_objects_or_texts_of_texts() -> None:
    parsed = events.parse(kafka(json.dumps(trace()), trace(), json.dumps(json.dumps(trace()))))
    assert [(type(event), event.metadata.region) for event in parsed.events] == [(InterfacesDeleted, REGION)] * 3


def test_a_log_line_is_its_message_or_the_trace_itself() -> None:
    text = json.dumps(trace())
    parsed = events.parse(lts({"message": text, "line_no": 1}, {"message": trace()}, trace(message="DELETE"), text))
    assert [type(event) for event in parsed.events] == [InterfacesDeleted] * 4


@pytest.mark.parametrize(
    ("payload", "path", "rule"),
    [
        ({"lts": {"data": "~"}}, "$.lts.data", "contentEncoding: base64"),
        ({"lts": {"data": "ü"}}, "$.lts.data", "contentEncoding: base64"),
        ({"lts": {"data": b64("no JSON")}}, "$.lts.data", "JSON"),
        ({"lts": {"data": b64([])}}, "$.lts.data.logs", "type: array"),
        ({"lts": {"data": b64({"logs": "{}"})}}, "$.lts.data.logs", "type: array"),
        ({"lts": {"data": b64({"logs": "["})}}, "$.lts.data.logs", "JSON"),
        (lts({"message": "plain line"}), "$.lts.data.logs[0].message", "JSON"),
        (lts(7), "$.lts.data.logs[0]", "type: object"),
        (apig(""), "$.body", "JSON"),
        (apig("{}", content_type="text/html"), "$.headers", "content-type: JSON in UTF-8"),
        (apig("{}") | {"body": "~"}, "$.body", "contentEncoding: base64"),
        (apig("{}") | {"requestContext": None}, "$.requestContext", "type: object"),
        (apig('{"cts": 1}'), "$.body.cts", "type: object"),
        (apig("1"), "$.body", "type: object"),
        (apig("[1]"), "$.body[0]", "type: object"),
        (apig("1", content_type="application/cloudevents+json"), "$.body", "type: object"),
    ],
    ids=str,
)
def test_a_broken_log_or_request_is_told_where(payload: object, path: str, rule: str) -> None:
    assert violations(payload) == (Violation(path, rule),)


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
        assert isinstance(only(payload), InterfacesDeleted)
        assert events.is_gateway_request(payload)
    assert not events.is_gateway_request(own)
    assert not events.is_gateway_request(None)


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
    passed = ["smn-trigger", "functiongraph-failure", "apig-trigger", "kafka-trigger", "lts-trigger"]
    assert explain(smn(failed))["unwrapped"] == passed
    event = only(smn(failed))
    assert (*place(event.metadata), event.metadata.envelope) == (PROJECT, REGION, "trace")


# --- our own ---------------------------------------------------------------------------------------------------


def test_ids_are_told_once_and_in_lower_case() -> None:
    event = only(example("interface-deleted", data={"interface_ids": [ONE.upper(), ONE]}))
    assert isinstance(event, InterfacesDeleted)
    assert event.interface_ids == (ONE,)


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


EVENT = [
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
]
ALARM = [
    ({}, (SERVER,)),
    ({"alarm_status": ..., "message_type": ..., "alarm_id": ..., "time": ...}, (SERVER,)),
    ({"template_variable": ...}, (SERVER,)),
    ({"template_variable": {"ResourceId": SERVER.upper()}, "dimension": None}, (SERVER,)),
    ({"template_variable": None, "dimension": "disk:sda"}, SweepRequested),
    ({"metric_name": "deleteNic"}, SweepRequested),
    ({"metric_name": "cpu_util"}, Ignored),
    ({"namespace": "SYS.RDS"}, Ignored),
    ({"alarm_status": "ok"}, Ignored),
]


@pytest.mark.parametrize(
    ("name", "members", "expected"),
    [*(("cloud-eye", *row) for row in EVENT), *(("cloud-eye-alarm", *row) for row in ALARM)],
    ids=str,
)
def test_cloud_eye_tells_of_servers(name: str, members: dict[str, Any], expected: Any) -> None:
    one = example(name, **members)
    listed = {"event_info": [one]} if name == "cloud-eye" else [one]
    for payload in (one, listed, smn(one), example("smn-http", message=json.dumps(one))):
        event = only(payload)
        if isinstance(expected, tuple):
            assert event == ServersDeleted(event.metadata, expected)
        else:
            assert isinstance(event, expected)
            assert not isinstance(event, SweepRequested) or event.by == "server"


@pytest.mark.parametrize(("region", "known"), [("eu-de", "eu-de"), ("EU-Frankfurt", REGION), ("", REGION), (7, REGION)])
def test_an_alarm_s_region_counts_where_it_is_an_id(region: object, known: str) -> None:
    """Its name for people would be refused as that of another region."""
    alarm = example("cloud-eye-alarm", template_variable={"Region": region})
    assert place(only(smn(alarm)).metadata) == (PROJECT, known)


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"resource_type": "ecs.cloudservers"}, ServersDeleted),
        ({"resource_type": "ecs.cloudservers", "event_type": "UPDATE"}, Ignored),
        ({"resource_type": "ecs.cloudservers", "resource_id": "web-2"}, SweepRequested),
        ({"resource_type": "bms.servers"}, ServersDeleted),
        ({"resource_type": "bms.servers", "resource_id": None}, SweepRequested),
        ({"resource_type": "cci.pods"}, SweepRequested),
        ({"resource_type": "elb.loadbalancers"}, TargetDeleted),
        ({"resource_type": "elb.loadbalancers", "resource_id": None}, Ignored),
        ({"resource_type": "evs.volumes"}, Ignored),
        ({"resource_type": None}, Ignored),
    ],
    ids=str,
)
def test_config_tells_of_servers_and_load_balancers_and_of_the_region(members: dict[str, object], kind: type) -> None:
    payload = example("config-rms")
    payload["detail"] |= members
    event = only(smn(payload, topic_urn="urn:smn:other:other:topic"))
    assert isinstance(event, kind)
    assert place(event.metadata) == (PROJECT, REGION)


def test_config_s_other_notifications_are_ignored_and_a_target_s_id_has_to_be_one() -> None:
    assert isinstance(only(example("config-rms", notification_type="SnapshotArchiveCompleted", detail=None)), Ignored)
    broken = example("config-rms", 1)
    broken["detail"]["resource_id"] = "lb-1"
    assert violations(broken) == (Violation("$.detail.resource_id", "format: uuid"),)
