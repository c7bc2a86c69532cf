"""CloudEvents over HTTP in all three modes, and everything that is posted as plain JSON."""

from __future__ import annotations

import base64
import json

import pytest

from handler import events
from handler.errors import BadEvent, UnsupportedMedia
from handler.model import Ignored, InterfacesDeleted, SweepRequested
from tests.support.events import binary, example, posted, trace

ATTRIBUTES = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}
PING = ATTRIBUTES | {"ce-type": "dev.knative.sources.ping"}


@pytest.mark.parametrize("index", range(3))
def test_every_mode_reads_the_same(index: int) -> None:
    event = example("cloudevent", index)
    of_binary = events.parse(events.from_http(*binary(event)))
    of_structured = events.parse(posted(event, "Application/CloudEvents+JSON; charset=UTF-8"))
    of_plain = events.parse(posted(event))
    assert of_binary == of_structured == of_plain


@pytest.mark.parametrize(
    "content_type", ["application/cloudevents-batch+json", "application/json", "text/plain", "application/x+json", ""]
)
def test_an_array_is_a_list_of_events_whatever_it_is_called(content_type: str) -> None:
    parsed = events.parse(posted([example("cloudevent"), example("interface-deleted"), trace()], content_type))
    assert parsed.envelope == "event-array"
    assert [type(event) for event in parsed.events] == [InterfacesDeleted] * 3


@pytest.mark.parametrize(
    ("media", "body"), [("application/cloudevents-batch+json", b"{}"), ("application/cloudevents+json", b"[]")]
)
def test_a_mode_and_its_body_must_agree(media: str, body: bytes) -> None:
    with pytest.raises(BadEvent):
        events.from_http({"Content-Type": media}, body)


def test_attributes_are_unquoted_and_percent_decoded_once() -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "Euro%20%E2%82%AC%2525",
        "ce-source": '"/a \\"quoted\\" one"',
        "ce-type": "x",
        "ce-ttl": "4000",
        "ce-data": "not an attribute",
        "ce-not_one": "",
    }
    payload = events.from_http(headers, b"")
    assert payload == {"specversion": "1.0", "id": "Euro €%25", "source": '/a "quoted" one', "type": "x", "ttl": "4000"}


@pytest.mark.parametrize("literal", ["100%", "%", "%zz", "%ff", "50%25 of %e2%82", "caf\u00e9"])
def test_what_is_not_percent_encoded_stays_as_it_is(literal: str) -> None:
    """Some SDKs send a `%` unencoded; it is no reason to refuse an event, above all where nobody reads it."""
    headers, body = binary(example("cloudevent", 1))
    payload = events.from_http(headers | {"ce-progress": literal, "ce-subject": literal}, body)
    assert isinstance(payload, dict)
    assert payload["progress"] == literal
    assert isinstance(events.parse(payload).events[0], InterfacesDeleted)
    assert events.parse(events.from_http(PING | {"ce-id": literal}, b"")).id == literal


def test_an_incomplete_event_is_told_what_it_misses() -> None:
    with pytest.raises(BadEvent) as refused:
        events.parse(events.from_http({"ce-id": "1", "ce-source": "/s", "ce-type": "t"}, b"{}"))
    assert any(violation.rule == "cloudevent: required: specversion" for violation in refused.value.violations)


BODIES = [b"", b"nightly sweep", b"{", b'{"a": 1, "a": 2}', b"\xff\xfe", b"\x00Obj\x01", b"[" * 70, "\u00fc".encode()]
TYPES = [
    None,
    "",
    "text/plain; charset=utf-8",
    "application/json",
    "application/avro",
    "image/png",
    "a/b; charset=utf-16",
]


@pytest.mark.parametrize("content_type", TYPES)
def test_data_that_nobody_needs_may_be_anything(content_type: str | None) -> None:
    """Of an event of another type, and of a ping: Knative's sources send no content type where none is set."""
    more = {} if content_type is None else {"Content-Type": content_type}
    for body in BODIES:
        assert isinstance(events.parse(events.from_http(ATTRIBUTES | more, body)).events[0], Ignored)
        assert isinstance(events.parse(events.from_http(PING | more, body)).events[0], SweepRequested)


@pytest.mark.parametrize("content_type", [*TYPES, "application/vnd.example+json"])
def test_data_that_are_needed_are_json_whatever_they_are_called(content_type: str | None) -> None:
    headers, body = binary(example("cloudevent"))
    headers = {name: value for name, value in headers.items() if name != "Content-Type"}
    headers |= {} if content_type is None else {"Content-Type": content_type}
    assert isinstance(events.parse(events.from_http(headers, body)).events[0], InterfacesDeleted)
    for broken in BODIES[1:]:
        with pytest.raises(BadEvent) as refused:
            events.parse(events.from_http(headers, broken))
        assert refused.value.violations[0].path == "$.data"


def test_our_own_event_may_come_as_text_or_bytes() -> None:
    event = example("cloudevent", 1)
    text = json.dumps(event.pop("data"))
    for data in ({"data": text}, {"data": text.encode()}, {"data_base64": base64.b64encode(text.encode()).decode()}):
        assert isinstance(events.parse(event | data).events[0], InterfacesDeleted)


@pytest.mark.parametrize(
    "content_type",
    [
        *("application/json", 'Application/JSON; Charset="UTF-8"', "application/vnd.example+json"),
        *("text/plain", "text/plain;charset=us-ascii;format=flowed", "application/octet-stream", "", None),
    ],
)
def test_json_is_read_whatever_it_is_called(content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert events.from_http(headers, b'{"a": 1}') == {"a": 1}


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
