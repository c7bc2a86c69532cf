"""Which CloudEvents are read and which are ignored."""

from __future__ import annotations

from typing import Any

import pytest

from handler import events
from handler.errors import BadEvent, Violation
from handler.model import InterfacesDeleted, NothingForUs, SweepDue

ONE = "8f0e2c41-6f5d-4b7a-9d43-5c1f6a2b7e10"


@pytest.mark.parametrize("kind", ["ApiCall", "ConsoleAction", "SystemAction"])
def test_the_grid_s_traces_are_read_with_all_its_oddities(example: Any, kind: str) -> None:
    """Imitates EventGrid's own: an empty dataschema, nine digits of a second, an extension as text. Constructed."""
    payload = example("cloudevent", type=f"VPC:CloudTrace:{kind}")
    assert (payload["dataschema"], payload["ttl"]) == ("", "4000")
    reading = events.read(payload)
    (event,) = reading.events
    assert isinstance(event, InterfacesDeleted)
    assert (reading.envelope, reading.unwrapped, event.origin.envelope) == ("cloudevent", ("cloudevent",), "trace")


def test_the_grid_s_data_may_be_a_list(example: Any, trace: Any) -> None:
    reading = events.read(example("cloudevent", data=[trace(trace_id="1"), trace(trace_id="2")]))
    assert [event.origin.id for event in reading.events] == ["1", "2"]


def test_the_trace_s_time_counts_else_the_event_s(example: Any, trace: Any) -> None:
    (event,) = events.read(example("cloudevent", data=trace(time=..., record_time=...))).events
    assert event.origin.time is not None
    assert event.origin.time.isoformat() == "2026-01-02T03:04:07.204518+00:00"


@pytest.mark.parametrize(
    "members",
    [
        {"source": "HC.OBS"},
        {"source": "/mine"},
        {"type": "OBS:CloudTrace:ApiCall"},
        {"type": "VPC:CloudTrace:"},
        {"type": "com.example.other"},
        {"type": "io.unmirror.report.v1"},
        {"source": "HC.OBS.DWR", "type": "object:put", "data": {"name": "x"}},
        {"type": "com.example.other", "data": None},
        {"type": "com.example.other", "data": "text"},
    ],
    ids=str,
)
def test_another_source_or_type_is_ignored(example: Any, members: dict[str, object]) -> None:
    """Triggers are often broader than needed, and a 400 would fill dead letter queues."""
    (event,) = events.read(example("cloudevent", **members)).events
    assert isinstance(event, NothingForUs)
    assert event.outcome == "ignored"


@pytest.mark.parametrize(
    ("members", "violation"),
    [
        ({"data": None}, Violation("$.data", "type: object")),
        ({"data": {"trace_name": "deletePort"}}, Violation("$.data", "trace: required: trace_id")),
        ({"id": ""}, Violation("$.id", "minLength: 1")),
        ({"id": 7}, Violation("$.id", "type: string")),
        ({"specversion": "0.3"}, Violation("$.specversion", "const: 1.0")),
        ({"data_base64": "~"}, Violation("$.data_base64", "contentEncoding: base64")),
        ({"data_base64": "bm8="}, Violation("$.data_base64", "JSON")),
    ],
    ids=str,
)
def test_an_event_of_ours_that_is_broken_is_told_where(
    example: Any, members: dict[str, object], violation: Violation
) -> None:
    with pytest.raises(BadEvent) as refused:
        events.read(example("cloudevent") | members)
    assert violation in refused.value.violations


def test_control_characters_are_no_part_of_an_id(example: Any) -> None:
    for name in ("id", "source", "type"):
        for character in "\0\n\r\x7f\x85\ud800":
            with pytest.raises(BadEvent) as refused:
                events.read(example("cloudevent", **{name: f"a{character}"}))
            assert refused.value.violations[0].path == f"$.{name}"


@pytest.mark.parametrize(
    "data", [{"project_id": "p9"}, '{"project_id": "p9"}', {"data": {"project_id": "p9"}}, "free text", None], ids=str
)
def test_a_ping_is_a_sweep_of_the_project_that_it_names(example: Any, data: object) -> None:
    (event,) = events.read(example("cloudevent", 2, data=data)).events
    assert isinstance(event, SweepDue)
    assert event.origin.project_id == ("p9" if "p9" in str(data) else None)


def test_a_dead_letter_of_knative_can_be_sent_again(example: Any) -> None:
    extensions = {"knativeerrordest": "http://x", "knativeerrorcode": "503", "knativeerrordata": "e30="}
    assert events.read(example("cloudevent", **extensions)) == events.read(example("cloudevent"))


@pytest.mark.parametrize("kind", ["dev.knative.kafka.event", "google.cloud.pubsub.topic.v1.messagePublished"])
def test_a_source_that_carries_anything_is_looked_into(example: Any, kind: str) -> None:
    reading = events.read(example("cloudevent", type=kind, data=example("pubsub-push")))
    assert reading.unwrapped == ("cloudevent", "pubsub-push")
    assert isinstance(reading.events[0], SweepDue)


def test_our_own_event_says_the_same_with_and_without_its_envelope(example: Any) -> None:
    plain = example("interface-deleted")
    (alone,) = events.read(plain).events
    (wrapped,) = events.read(plain | {"specversion": "1.0", "source": "/s"}).events
    assert alone == wrapped
    assert isinstance(alone, InterfacesDeleted)
    assert len(alone.interface_ids) == 2


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
def test_our_own_event_is_held_to_its_schema(example: Any, data: object, violation: Violation) -> None:
    for payload in (example("interface-deleted", data=data), example("cloudevent", 1, data=data)):
        with pytest.raises(BadEvent) as refused:
            events.read(payload)
        assert violation in refused.value.violations


def test_ids_are_told_once_and_in_lower_case(example: Any) -> None:
    (event,) = events.read(example("interface-deleted", data={"interface_ids": [ONE.upper(), ONE]})).events
    assert isinstance(event, InterfacesDeleted)
    assert event.interface_ids == (ONE,)


def test_a_sweep_is_asked_for_with_and_without_a_project(example: Any) -> None:
    named, bare = (events.read(example("sweep-due", index)).events[0] for index in range(2))
    assert isinstance(named, SweepDue)
    assert isinstance(bare, SweepDue)
    assert named.origin.project_id == example("sweep-due")["data"]["project_id"]
    assert bare.origin.project_id is None
    assert bare.origin.id
