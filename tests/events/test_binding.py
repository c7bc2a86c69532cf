"""CloudEvents over HTTP in all three modes, and everything that is posted as plain JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from handler import events
from handler.errors import BadEvent, UnsupportedMedia
from handler.model import InterfacesDeleted, NothingForUs


def binary(event: dict[str, Any]) -> dict[str, str]:
    """Return the headers of an event in binary mode."""
    headers = {f"CE-{name.title()}": value for name, value in event.items() if name not in ("data", "datacontenttype")}
    return headers | {"Content-Type": "application/json"}


@pytest.mark.parametrize("index", range(3))
def test_every_mode_reads_the_same(example: Any, index: int) -> None:
    event = example("cloudevent", index)
    body = json.dumps(event["data"]).encode() if "data" in event else b""
    of_binary = events.read(events.from_http(binary(event), body))
    of_structured = events.read(
        events.from_http({"content-type": "Application/CloudEvents+JSON; charset=UTF-8"}, json.dumps(event).encode())
    )
    of_plain = events.read(events.from_http({"content-type": "application/json"}, json.dumps(event).encode()))
    assert of_binary == of_structured == of_plain


def test_a_batch_is_a_list_of_events(example: Any) -> None:
    batch = [example("cloudevent"), example("cloudevent", 1)]
    payload = events.from_http({"Content-Type": "application/cloudevents-batch+json"}, json.dumps(batch).encode())
    assert payload == batch
    assert [type(event) for event in events.read(payload).events] == [InterfacesDeleted] * 2


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


def test_an_attribute_that_is_no_utf_8_is_refused() -> None:
    with pytest.raises(BadEvent):
        events.from_http({"ce-id": "%ff"}, b"")


def test_an_incomplete_event_is_told_what_it_misses() -> None:
    with pytest.raises(BadEvent) as refused:
        events.read(events.from_http({"ce-id": "1", "ce-source": "/s", "ce-type": "t"}, b"{}"))
    assert any(violation.rule == "cloudevent: required: specversion" for violation in refused.value.violations)


@pytest.mark.parametrize(
    ("content_type", "kept"),
    [
        ("text/plain; charset=utf-8", {"data": "h\u00fc"}),
        ("image/png", {"data_base64": base64.b64encode("h\u00fc".encode()).decode()}),
        ("application/json; charset=utf-16", {"data_base64": base64.b64encode("h\u00fc".encode()).decode()}),
    ],
)
def test_data_that_is_no_json_is_kept(content_type: str, kept: dict[str, str]) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "content-type": content_type}
    payload = events.from_http(headers, "h\u00fc".encode())
    assert isinstance(payload, dict)
    assert {name: payload[name] for name in payload if name.startswith("data") and name != "datacontenttype"} == kept
    assert isinstance(events.read(payload).events[0], NothingForUs)


def test_our_own_event_may_come_as_text_or_bytes(example: Any) -> None:
    event = example("cloudevent", 1)
    text = json.dumps(event.pop("data"))
    for data in ({"data": text}, {"data": text.encode()}, {"data_base64": base64.b64encode(text.encode()).decode()}):
        assert isinstance(events.read(event | data).events[0], InterfacesDeleted)


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
        *(
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/html",
            "application/xml",
            "json",
        ),
        *("application/json; charset=utf-16", "text/plain; charset=iso-8859-1", "application/cloudevents+avro"),
        *("application/cloudevents", "application/cloudevents+json; charset=latin1"),
    ],
)
def test_what_is_no_json_in_utf_8_is_an_unsupported_media_type(content_type: str) -> None:
    with pytest.raises(UnsupportedMedia):
        events.from_http({"Content-Type": content_type}, b"{}")
