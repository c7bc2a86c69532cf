"""Whatever is sent: a clear 4xx, no call, and not one value of it in an answer or in the log."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handler.emulator.sample import PROJECT_ID
from handler.emulator.server import Emulator
from handler.events import schemas
from tests.conftest import NewFunction, untraced
from tests.support.function import Answer, Function
from tests.web.test_on_event import deleted, trace

MARK = "marked 7f3a"
"""Stands in values that a test sends and that may not come back; its first word in all of them."""
OTHER_PROJECT = "marked-project"

LIVING = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(autouse=True)
def _silent(emulator: Emulator, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing here reaches the API, and nothing that was sent reaches a log."""
    yield
    out, err = capfd.readouterr()
    assert "marked" not in out + err
    assert '"event":"defect"' not in out
    assert "Traceback" not in out + err
    assert emulator.calls == []


def refused(answer: Answer, status: int = 400, says: str = "") -> None:
    assert answer.status == status
    assert answer.problem["status"] == status
    assert "marked" not in answer.body.decode() + str(answer.headers)
    assert says in answer.body.decode()
    assert len(answer.body) < 20_000


NOT_JSON = {
    "empty": b"",
    "text": MARK.encode(),
    "cut off": f'{{"cts": {{"trace_id": "{MARK}"'.encode(),
    "two values": f'{{}} {{"x":"{MARK}"}}'.encode(),
    "not UTF-8": b'{"x": "' + MARK.encode() + b'\xff"}',
    "UTF-16": json.dumps({"x": MARK}).encode("utf-16"),
    "a NUL byte": f'{{"x": "{MARK}\0"}}'.encode(),
    "NUL bytes": b"\0" * 100,
    "duplicate names": f'{{"{MARK}": 1, "{MARK}": 2}}'.encode(),
    "a lone surrogate": f'{{"x": "{MARK}\\ud800"}}'.encode(),
    "a lone surrogate as a name": f'{{"{MARK}\\udfff": 1}}'.encode(),
    "a raw surrogate": f'{{"x": "{MARK}\ud800"}}'.encode("utf-8", "surrogatepass"),
    "a huge integer": b'{"x": ' + b"9" * 5_000 + b"}",
    "a huge negative integer": b'{"x": -' + b"9" * 5_000 + b"}",
    "NaN": b'{"x": NaN}',
    "Infinity": b'{"x": -Infinity}',
    "10,000 arrays": b"[" * 10_000 + b"]" * 10_000,
    "10,000 objects": b'{"x":' * 10_000 + b"1" + b"}" * 10_000,
    "100,000 arrays that never end": b"[" * 100_000,
    "single quotes": f"{{'x': '{MARK}'}}".encode(),
    "a form": f"event={MARK}".encode(),
    "XML": f"<event>{MARK}</event>".encode(),
}


@pytest.mark.parametrize("kind", NOT_JSON)
def test_what_is_not_json_is_a_400(function: Function, kind: str) -> None:
    refused(function.post(NOT_JSON[kind], {"Content-Type": "application/json"}), 400, "$")


@pytest.mark.parametrize("kind", NOT_JSON)
def test_what_is_not_json_is_a_400_in_a_cloudevent_of_any_mode(function: Function, kind: str) -> None:
    body = NOT_JSON[kind]
    for media in ("application/cloudevents+json", "application/cloudevents-batch+json"):
        refused(function.post(body, {"Content-Type": media}))
    attributes = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "HC.VPC", "ce-type": "VPC:CloudTrace:ApiCall"}
    refused(function.post(body, {**attributes, "Content-Type": "application/json"}))


@pytest.mark.parametrize("kind", NOT_JSON)
def test_what_the_framework_cannot_parse_is_a_400_too(new_function: NewFunction, kind: str) -> None:
    """The framework would answer with the request and all its headers, or with a 500."""
    function, body = new_function("on_cloud_event"), NOT_JSON[kind]
    attributes = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "HC.VPC", "ce-type": "VPC:CloudTrace:ApiCall"}
    for mode in ({"Content-Type": "application/cloudevents+json"}, {**attributes, "Content-Type": "application/json"}):
        refused(function.post(body, {**mode, "X-Odd": MARK}))


@pytest.mark.parametrize(
    "body",
    [b"null", b"true", b"1", b"1e308", f'"{MARK}"'.encode(), f'["{MARK}"]'.encode(), b"{}"],
    ids=str,
)
def test_json_that_is_no_event_is_a_400(function: Function, body: bytes) -> None:
    refused(function.post(body, {"Content-Type": "application/json"}), 400, "$")


@pytest.mark.parametrize(
    "value",
    [
        {MARK: MARK},
        {"type": MARK},
        {"type": "io.unmirror.interface.deleted.v2", "id": MARK, "data": {}},
        {"specversion": MARK},
        {"detail-type": MARK, "detail": {"id": MARK}},
        {"cts": {"trace_id": MARK}, "events": [MARK]},
        {"cts": MARK},
        {"cts": [MARK]},
        {"cts": None},
        {"events": MARK},
        {"events": [MARK, {MARK: MARK}]},
        {"lts": {"data": MARK + "="}},
        {"record": [{"smn": {"message": MARK, "topic_urn": MARK}}]},
    ],
    ids=str,
)
def test_an_envelope_that_is_unknown_or_wrong_is_a_400(function: Function, value: object) -> None:
    refused(function.post(value), 400, "violations")


WRONG_TYPES: list[Any] = [None, True, 17, 1e300, MARK, [], [MARK], {}, {MARK: MARK}]


IN_A_TRACE = [
    *(("resource_id", wrong) for wrong in WRONG_TYPES),
    *((text, wrong) for text in ("trace_id", "trace_name", "service_type") for wrong in WRONG_TYPES if wrong != MARK),
]


@pytest.mark.parametrize(("member", "wrong"), IN_A_TRACE, ids=str)
def test_a_wrong_type_in_a_trace_is_a_400_with_its_place(function: Function, member: str, wrong: Any) -> None:
    answer = function.post({"cts": trace(LIVING, **{member: wrong})})
    refused(answer)
    assert answer.problem["envelope"] == "cts"
    assert any(violation["path"].startswith("$.cts") for violation in answer.problem["violations"])


@pytest.mark.parametrize(
    "data",
    [
        *({"interface_ids": wrong} for wrong in WRONG_TYPES),
        *({"interface_ids": [wrong]} for wrong in WRONG_TYPES),
        {"interface_ids": [LIVING, MARK]},
        {"interface_ids": [LIVING + "\n"]},
        {"interface_ids": [f"../{LIVING}"]},
        {"interface_ids": [LIVING], "project_id": 17},
        {"interface_ids": [LIVING], "project_id": f"../{MARK}"},
        {"interface_ids": [LIVING], "project_id": f"{MARK}\n"},
        {"interface_ids": [LIVING], "project_id": MARK * 100},
        {},
        [],
        MARK,
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_type_in_our_own_event_is_a_400_with_its_place(function: Function, data: object) -> None:
    answer = function.post({"type": "io.unmirror.interface.deleted.v1", "id": "1", "data": data})
    refused(answer)
    assert answer.problem["envelope"] == "interface-deleted"
    assert all(violation["path"].startswith("$.data") for violation in answer.problem["violations"])


def test_all_violations_are_named_at_once(function: Function) -> None:
    event = {"type": "io.unmirror.interface.deleted.v1", "id": 17, "time": {}, "data": {"interface_ids": [MARK, 1]}}
    answer = function.post(event)
    refused(answer)
    places = {violation["path"] for violation in answer.problem["violations"]}
    assert places == {"$.id", "$.time", "$.data.interface_ids[0]", "$.data.interface_ids[1]"}


@pytest.mark.parametrize("id_", ["\0", "a\nb", "\x1b[31m", "x" * 513, "\x7f", "\x9b"], ids=repr)
def test_an_id_that_could_write_a_log_line_of_its_own_is_a_400(function: Function, id_: str) -> None:
    refused(function.post({**deleted(LIVING), "id": id_}))
    refused(function.post({"cts": trace(LIVING, trace_id=id_)}))


def test_a_project_that_is_not_allowed_is_a_403(function: Function) -> None:
    for event in (deleted(LIVING, project_id=OTHER_PROJECT), {"cts": trace(LIVING, project_id=OTHER_PROJECT)}):
        refused(function.post(event), 403)


@pytest.mark.parametrize("project_id", ["../marked", f"marked/{PROJECT_ID}", f"{PROJECT_ID} ", f"{PROJECT_ID}\nmarked"])
def test_a_project_that_is_no_id_is_a_403_and_never_part_of_a_url(function: Function, project_id: str) -> None:
    refused(function.post({"cts": trace(LIVING, project_id=project_id)}), 403)


def test_a_region_that_is_not_ours_is_a_403(new_function: NewFunction) -> None:
    function = new_function(UNMIRROR_REGION="eu-west-101")
    event = {"trigger_type": "KAFKA", "region": MARK, "records": [{"messages": [json.dumps(deleted(LIVING))]}]}
    refused(function.post(event), 403)


# --- sizes, encodings, media types -------------------------------------------------------------------------


LARGE = b" " * (300 * 1024)


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "without"])
def test_a_body_over_256_kib_is_a_413(function: Function, chunked: bool) -> None:
    event = json.dumps(deleted(LIVING, project_id=OTHER_PROJECT)).encode()
    refused(function.post(event + LARGE, {"Content-Type": "application/json"}, chunked=chunked), 413)
    exactly = event.ljust(256 * 1024)
    refused(function.post(exactly, {"Content-Type": "application/json"}, chunked=chunked), 403)  # read, and so refused
    refused(function.post(exactly + b" ", {"Content-Type": "application/json"}, chunked=chunked), 413)


def test_a_body_without_an_end_is_given_up(function: Function) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.given += len(buffer)
            assert self.given < 64 * 1024 * 1024
            buffer[:] = b" " * len(buffer)
            return len(buffer)

    refused(function.stream(io.BufferedReader(Endless())), 413)


def test_a_body_that_breaks_off_is_a_400(function: Function) -> None:
    class BreaksOff(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: Any) -> int:
            raise OSError(MARK)

    refused(function.stream(BreaksOff()))
    refused(function.stream(io.BytesIO(b'{"x":'), length=1_000))


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip", MARK])
def test_a_content_encoding_is_a_415(function: Function, encoding: str) -> None:
    body = gzip.compress(json.dumps(deleted(LIVING)).encode())
    refused(function.post(body, {"Content-Type": "application/json", "Content-Encoding": encoding}), 415)


@pytest.mark.parametrize(
    "media",
    [
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/html",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "application/cloudevents+avro",
        "application/cloudevents+xml",
        "application/cloudevents",
        f"application/{MARK}",
        MARK,
    ],
)
def test_another_media_type_is_a_415(function: Function, media: str) -> None:
    refused(function.post(json.dumps(deleted(LIVING)).encode(), {"Content-Type": media}), 415)


@pytest.mark.parametrize(
    "media",
    [
        None,
        "application/json",
        "Application/JSON; Charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/vnd.example+json",
        "text/plain; charset=utf-8",
        "application/octet-stream",
    ],
)
def test_json_may_be_called_by_these_names(function: Function, media: str | None) -> None:
    """Read, and so refused for its project."""
    headers = {"Content-Type": media} if media else {}
    refused(function.post(json.dumps(deleted(LIVING, project_id=OTHER_PROJECT)).encode(), headers), 403)


def test_a_byte_order_mark_is_passed_over(function: Function) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(deleted(LIVING, project_id=OTHER_PROJECT)).encode()
    refused(function.post(body, {"Content-Type": "application/json", "Content-Encoding": "identity"}), 403)


def test_a_ce_header_that_is_not_utf_8_is_a_400(function: Function) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": f"{MARK}%ff", "ce-source": "HC.VPC", "ce-type": "x"}
    refused(function.post(b"{}", {**headers, "Content-Type": "application/json"}))


def test_a_cloudevent_without_its_attributes_is_a_400(function: Function) -> None:
    for name in ("ce-specversion", "ce-id", "ce-source", "ce-type"):
        refused(function.post(json.dumps({"x": MARK}).encode(), {name: "1.0", "Content-Type": "application/json"}))


# --- whatever else -----------------------------------------------------------------------------------------


names = st.sampled_from(sorted(schemas._known_names())) | st.just(MARK)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(MARK),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
examples = st.sampled_from([example for name in schemas.names() for example in schemas.schema(name)["examples"]])


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """Return an example of an envelope with one member, at any depth, in which the wrong thing stands."""
    value = json.loads(json.dumps(draw(examples)))
    node = value
    while isinstance(node, (dict, list)) and node:
        key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], (dict, list)) or not node[key] or draw(st.booleans()):
            node[key] = draw(json_values)
            return value
        node = node[key]
    return value


HEADERS = ("Content-Type", "Content-Encoding", "ce-specversion", "ce-id", "ce-type", "ce-source", "ce-data")
MEDIA = ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json", "text/plain")
ODD = ("1.0", "io.unmirror.interface.deleted.v1", "HC.VPC", MARK, '"', '"%', "%ff", "%00", "\u00ff", "")
headers = st.dictionaries(st.sampled_from(HEADERS), st.sampled_from(MEDIA + ODD))
bodies = st.one_of(
    st.binary(max_size=200), json_values.map(json.dumps).map(str.encode), damaged().map(json.dumps).map(str.encode)
)


@pytest.fixture
def elsewhere(new_function: NewFunction) -> Function:
    """A function that may act in no project that a test names: what can be read is ignored or refused."""
    return new_function(UNMIRROR_PROJECTS="none-of-these")


@untraced
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=bodies, headers=headers, path=st.sampled_from(["/", "/invoke", "/x"]), chunked=st.booleans())
def test_nothing_that_can_be_sent_is_a_defect_or_comes_back(
    elsewhere: Function,
    capfd: pytest.CaptureFixture[str],
    body: bytes,
    headers: dict[str, str],
    path: str,
    chunked: bool,
) -> None:
    answer = elsewhere.post(body, headers, path=path, chunked=chunked)
    assert answer.status in (200, 204, 400, 403, 415)
    out, err = capfd.readouterr()
    for line in out.splitlines():
        said = json.loads(line)
        assert said["event"].startswith("delivery.")
        assert MARK not in json.dumps(without_ids(said))
    assert err == ""
    if answer.body:
        assert MARK not in json.dumps(without_ids(answer.json))


def without_ids(value: Any) -> Any:
    """Return the value less the ids of deliveries: the sender's own, and meant to be found in logs."""
    if isinstance(value, dict):
        return {name: without_ids(inner) for name, inner in value.items() if name != "delivery_id"}
    if isinstance(value, list):
        return [without_ids(inner) for inner in value]
    return value
