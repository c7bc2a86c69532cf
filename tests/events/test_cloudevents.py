"""CloudEvents: over HTTP in all three modes and as plain JSON, which are read, and which are ignored."""

from __future__ import annotations

import base64
import json
from uuid import UUID

import pytest

from handler import events
from handler.errors import BadEvent, UnsupportedMedia, Violation
from handler.model import CheckRequested, Ignored, InterfacesDeleted, SweepRequested
from tests.support.events import binary, example, only, posted, violations

ATTRIBUTES = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}
PING = ATTRIBUTES | {"ce-type": "dev.knative.sources.ping"}


@pytest.mark.parametrize("index", range(3))
def test_every_mode_reads_the_same(index: int) -> None:
    event = example("cloudevent", index)
    structured = posted(event, "Application/CloudEvents+JSON; charset=UTF-8")
    assert events.parse(events.from_http(*binary(event))) == events.parse(structured) == events.parse(posted(event))


@pytest.mark.parametrize(
    "content_type",
    [
        *("application/json", 'Application/JSON; Charset="UTF-8"', "application/vnd.example+json"),
        *("text/plain", "text/plain;charset=us-ascii;format=flowed", "application/octet-stream", ""),
    ],
)
def test_json_is_read_whatever_it_is_called(content_type: str) -> None:
    """And where nothing says what it is."""
    for value in ({"a": 1}, [{"a": 1}]):
        assert posted(value, content_type) == events.from_http({}, json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("media", "body"), [("application/cloudevents-batch+json", b"{}"), ("application/cloudevents+json", b"[]")]
)
def test_a_mode_and_its_body_must_agree(media: str, body: bytes) -> None:
    with pytest.raises(BadEvent):
        events.from_http({"Content-Type": media}, body)


def test_attributes_are_unquoted_and_percent_decoded_once() -> None:
    headers = {"ce-id": "Euro%20%E2%82%AC%2525", "ce-source": '"/a \\"quoted\\" one"', "CE-TTL": "4000"}
    no_attributes = {"ce-data": "not an attribute", "ce-not_one": ""}
    payload = events.from_http(headers | no_attributes, b"")
    assert payload == {"id": "Euro €%25", "source": '/a "quoted" one', "ttl": "4000"}


def test_two_types_are_none() -> None:
    with pytest.raises(BadEvent, match="one type"):
        events.from_http(ATTRIBUTES | {"ce-type": "io.unmirror.sweep.due.v1,io.unmirror.sweep.due.v1"}, b"{}")


@pytest.mark.parametrize("literal", ["100%", "%", "%zz", "%ff", "50%25 of %e2%82", "caf\u00e9"])
def test_what_is_not_percent_encoded_stays_as_it_is(literal: str) -> None:
    """Some SDKs send a `%` unencoded; it is no reason to refuse an event, above all where nobody reads it."""
    headers, body = binary(example("cloudevent", 1))
    payload = events.from_http(headers | {"ce-progress": literal, "ce-subject": literal}, body)
    assert isinstance(payload, dict)
    assert payload["progress"] == literal
    assert isinstance(only(payload), InterfacesDeleted)
    assert events.parse(events.from_http(PING | {"ce-id": literal}, b"")).id == literal


BODIES = [b"", b"nightly sweep", b"{", b'{"a": 1, "a": 2}', b"\xff\xfe", b"\x00Obj\x01", b"[" * 70, "\u00fc".encode()]
TYPES = ["", "text/plain; charset=utf-8", "application/json", "application/avro", "image/png", "a/b; charset=utf-16"]


@pytest.mark.parametrize("more", [{}, *({"Content-Type": each} for each in TYPES)], ids=str)
def test_data_that_nobody_needs_may_be_anything(more: dict[str, str]) -> None:
    """Of an event of another type, and of a ping: Knative's sources send no content type where none is set."""
    for body in BODIES:
        assert isinstance(only(events.from_http(ATTRIBUTES | more, body)), Ignored)
        assert isinstance(only(events.from_http(PING | more, body)), SweepRequested)


@pytest.mark.parametrize("content_type", [*TYPES, "application/vnd.example+json"])
def test_data_that_are_needed_are_json_whatever_they_are_called(content_type: str) -> None:
    headers, body = binary(example("cloudevent"))
    headers["Content-Type"] = content_type
    assert isinstance(only(events.from_http(headers, body)), InterfacesDeleted)
    for broken in BODIES[1:]:
        assert violations(events.from_http(headers, broken))[0].path == "$.data"


def test_our_own_event_may_come_as_text_or_bytes() -> None:
    event = example("cloudevent", 1)
    text = json.dumps(event.pop("data"))
    for data in ({"data": text}, {"data": text.encode()}, {"data_base64": base64.b64encode(text.encode()).decode()}):
        assert isinstance(only(event | data), InterfacesDeleted)


@pytest.mark.parametrize(
    "content_type",
    [
        *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html", "application/xml"),
        *("json", "application/json; charset=utf-16", "text/plain; charset=iso-8859-1"),
        *("application/cloudevents+avro", "application/cloudevents", "application/cloudevents+json; charset=latin1"),
    ],
)
def test_what_is_no_json_in_utf_8_is_an_unsupported_media_type(content_type: str) -> None:
    with pytest.raises(UnsupportedMedia):
        events.from_http({"Content-Type": content_type}, b"{}")


# --- which are read ----------------------------------------------------------------------------------------------

DATA = [{}, None, "text", "{", ["a"], {"name": "x"}, b"\x00\xff", 7]


@pytest.mark.parametrize("kind", ["ApiCall", "ConsoleAction", "SystemAction"])
def test_the_grid_s_traces_are_read_with_all_its_oddities(kind: str) -> None:
    """As EventGrid sends them: an empty dataschema, nine digits of a second, an extension as text. Constructed."""
    payload = example("cloudevent", type=f"VPC:CloudTrace:{kind}")
    assert (payload["dataschema"], payload["ttl"]) == ("", "4000")
    assert isinstance(only(payload), InterfacesDeleted)


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
        *(({name: f"a{odd}"}, f"$.{name}") for name in ("id", "source", "type") for odd in "\0\n\r\x7f\x85\ud800"),
    ],
    ids=ascii,
)
def test_an_event_of_ours_that_is_broken_is_told_where(members: dict[str, object], violation: Violation | str) -> None:
    """No control character is part of an id."""
    told = violations(example("cloudevent") | members)
    assert violation in told or violation == told[0].path


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
    assert violations(events.from_http({}, event.replace('"data": 0', '"x": NaN').encode()))


def test_a_dead_letter_of_knative_can_be_sent_again() -> None:
    extensions = {"knativeerrordest": "http://x", "knativeerrorcode": "503", "knativeerrordata": "e30="}
    assert events.parse(example("cloudevent", **extensions)) == events.parse(example("cloudevent"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("interface-deleted", InterfacesDeleted), ("sweep-due", SweepRequested), ("check-due", CheckRequested)],
)
def test_our_own_event_says_the_same_with_and_without_its_envelope(name: str, kind: type) -> None:
    for plain in (example(name), example(name, -1)):
        event = only(plain)
        assert isinstance(event, kind)
        assert event == only({"id": event.metadata.id, **plain, "specversion": "1.0", "source": "/s"})
        assert event.metadata.project_id == plain.get("data", {}).get("project_id")


@pytest.mark.parametrize(
    ("data", "violation"),
    [
        (None, Violation("$.data", "type: object")),
        ({}, Violation("$.data", "required: interface_ids")),
        ({"interface_ids": []}, Violation("$.data.interface_ids", "minItems: 1")),
        ({"interface_ids": ["x", 5]}, Violation("$.data.interface_ids[1]", "type: string")),
        ({"interface_ids": [f"{UUID(int=1)}\n"]}, Violation("$.data.interface_ids[0]", "maxLength: 36")),
        ({"interface_ids": "all"}, Violation("$.data.interface_ids", "type: array")),
        ({"interface_ids": [], "project_id": "../x"}, Violation("$.data.project_id", "pattern: ^[0-9A-Za-z_-]*$")),
    ],
    ids=str,
)
def test_our_own_event_is_held_to_its_schema(data: object, violation: Violation) -> None:
    for payload in (example("interface-deleted", data=data), example("cloudevent", 1, data=data)):
        assert violation in violations(payload)
