"""Which CloudEvents are read and which are ignored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handler import events
from handler.errors import BadEvent, Violation
from handler.model import (
    CheckRequested,
    Event,
    Ignored,
    InterfacesDeleted,
    SweepRequested,
    TargetDeleted,
)
from tests.support.events import example, trace

DATA = [{}, None, "text", "{", ["a"], {"name": "x"}, b"\x00\xff", 7]


def only(payload: object) -> Event:
    """Return the one event of a payload."""
    (event,) = events.parse(payload).events
    return event


@pytest.mark.parametrize("kind", ["ApiCall", "ConsoleAction", "SystemAction"])
def test_the_grid_s_traces_are_read_with_all_its_oddities(kind: str) -> None:
    """As EventGrid sends them: an empty dataschema, nine digits of a second, an extension as text. Constructed."""
    payload = example("cloudevent", type=f"VPC:CloudTrace:{kind}")
    assert (payload["dataschema"], payload["ttl"]) == ("", "4000")
    parsed = events.parse(payload)
    (event,) = parsed.events
    assert isinstance(event, InterfacesDeleted)
    assert (parsed.envelope, parsed.unwrapped, event.metadata.envelope) == ("cloudevent", ("cloudevent",), "trace")


def test_the_grid_s_data_may_be_a_list_and_a_target_in_it_hides_nothing() -> None:
    target = example("trace", 3)
    parsed = events.parse(example("cloudevent", data=[trace(trace_id="1"), target | {"trace_id": "2"}]))
    assert [event.metadata.id for event in parsed.events] == ["1", "2"]
    assert [type(event) for event in parsed.events] == [InterfacesDeleted, TargetDeleted]


def test_the_trace_s_time_counts_else_the_event_s() -> None:
    event = only(example("cloudevent", data=trace(time=..., record_time=...)))
    assert str(event.metadata.time) == "2026-01-02 03:04:07.204518+00:00"


@pytest.mark.parametrize(
    "members",
    [
        {"source": "HC.OBS"},
        {"source": "/mine"},
        {"type": "OBS:CloudTrace:ApiCall"},
        {"type": "VPC:CloudTrace:"},
        {"type": "com.example.other"},
        {"type": "io.unmirror.report.v1"},
        {"source": "HC.OBS.DWR", "type": "object:put"},
        {"source": "HC.OBS", "subject": 7, "dataschema": [], "data_base64": 7},
    ],
    ids=str,
)
def test_another_source_or_type_is_ignored_before_its_data_is_looked_at(members: dict[str, object]) -> None:
    """Triggers are often broader than needed, and a 400 would fill dead letter queues."""
    for data in DATA:
        event = only(example("cloudevent", **members, data=data))
        assert isinstance(event, Ignored)
        assert not event.pending


@pytest.mark.parametrize(
    ("members", "violation"),
    [
        ({"data": None}, Violation("$.data", "type: object")),
        ({"data": b"\xff"}, Violation("$.data", "UTF-8")),
        ({"data": {"trace_name": "deletePort"}}, Violation("$.data", "trace: required: trace_id")),
        ({"id": ""}, Violation("$.id", "minLength: 1")),
        ({"id": 7}, Violation("$.id", "type: string")),
        ({"specversion": "0.3"}, Violation("$.specversion", "const: 1.0")),
        ({"data_base64": "~"}, Violation("$.data_base64", "contentEncoding: base64")),
        ({"data_base64": 7}, Violation("$.data_base64", "contentEncoding: base64")),
        ({"data_base64": "bm8="}, Violation("$.data_base64", "JSON")),
    ],
    ids=str,
)
def test_an_event_of_ours_that_is_broken_is_told_where(members: dict[str, object], violation: Violation) -> None:
    with pytest.raises(BadEvent) as refused:
        events.parse(example("cloudevent") | members)
    assert violation in refused.value.violations


def test_control_characters_are_no_part_of_an_id() -> None:
    for name in ("id", "source", "type"):
        for character in "\0\n\r\x7f\x85\ud800":
            with pytest.raises(BadEvent) as refused:
                events.parse(example("cloudevent", **{name: f"a{character}"}))
            assert refused.value.violations[0].path == f"$.{name}"


@pytest.mark.parametrize(
    "data",
    [{"project_id": "p9"}, '{"project_id": "p9"}', b'{"project_id": "p9"}', {"data": {"project_id": "p9"}}, *DATA],
    ids=repr,
)
def test_a_ping_is_a_sweep_of_the_project_that_it_names_whatever_else_its_data_are(data: object) -> None:
    event = only(example("cloudevent", 2, data=data))
    assert isinstance(event, SweepRequested)
    assert (event.by, event.metadata.project_id) == ("timer", "p9" if "p9" in str(data) else None)


def test_data_that_nobody_needs_may_break_the_rules_of_strict_json() -> None:
    for index, more in ((0, {"type": "com.example.other"}), (2, {})):
        event = json.dumps(example("cloudevent", index, data=0, **more))
        for data in ("NaN", '{"a": 1, "a": 2}', "[" * 100 + "]" * 100, '"\\ud800"'):
            body = event.replace('"data": 0', f'"data": {data}').encode()
            payload = events.from_http({"Content-Type": "application/cloudevents+json"}, body)
            assert isinstance(only(payload), Ignored | SweepRequested)
    with pytest.raises(BadEvent):
        events.parse(events.from_http({}, event.replace('"data": 0', '"x": NaN').encode()))


def test_a_dead_letter_of_knative_can_be_sent_again() -> None:
    extensions = {"knativeerrordest": "http://x", "knativeerrorcode": "503", "knativeerrordata": "e30="}
    assert events.parse(example("cloudevent", **extensions)) == events.parse(example("cloudevent"))


def test_what_a_kafka_source_carries_is_looked_into() -> None:
    parsed = events.parse(example("cloudevent", type="dev.knative.kafka.event", data=example("timer")))
    assert parsed.unwrapped == ("cloudevent",)
    assert isinstance(parsed.events[0], SweepRequested)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("interface-deleted", InterfacesDeleted), ("sweep-due", SweepRequested), ("check-due", CheckRequested)],
)
def test_our_own_event_says_the_same_with_and_without_its_envelope(name: str, kind: type) -> None:
    plain = example(name)
    alone = only(plain)
    assert alone == only(plain | {"specversion": "1.0", "source": "/s"})
    assert isinstance(alone, kind)


@pytest.mark.parametrize("name", ["sweep-due", "check-due"])
def test_our_own_requests_need_no_data(name: str) -> None:
    plain = example(name, data=...) | {"specversion": "1.0", "source": "/s", "id": "1"}
    assert only(plain).metadata.project_id is None


@pytest.mark.parametrize(
    ("data", "violation"),
    [
        (None, Violation("$.data", "type: object")),
        ({}, Violation("$.data", "required: interface_ids")),
        ({"interface_ids": []}, Violation("$.data.interface_ids", "minItems: 1")),
        ({"interface_ids": ["x", 5]}, Violation("$.data.interface_ids[1]", "type: string")),
        (
            {"interface_ids": ["8f0e2c41-6f5d-4b7a-9d43-5c1f6a2b7e10\n"]},
            Violation("$.data.interface_ids[0]", "maxLength: 36"),
        ),
        ({"interface_ids": "all"}, Violation("$.data.interface_ids", "type: array")),
        ({"interface_ids": [], "project_id": "../x"}, Violation("$.data.project_id", "pattern: ^[0-9A-Za-z_-]*$")),
    ],
    ids=str,
)
def test_our_own_event_is_held_to_its_schema(data: object, violation: Violation) -> None:
    payloads: list[Any] = [example("interface-deleted", data=data), example("cloudevent", 1, data=data)]
    for payload in payloads:
        with pytest.raises(BadEvent) as refused:
            events.parse(payload)
        assert violation in refused.value.violations
