"""Whatever is sent: a clear answer, no defect, no call, and not one value of it in an answer or in the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.emulator.server import Emulator
from tests.support import schemas
from tests.support.function import Function, NewFunction, untraced
from tests.support.tenant import BATCH, CLOUDEVENT, DELETED

MARK = "marked 7f3a"
"""Stands in values that a test sends and that may not come back."""

ENVELOPES = [name for name in schemas.names() if "/" not in name and name not in ("report", "log")]


def member_names(schema: Any) -> Iterator[str]:
    """Yield the names of all members that a schema knows."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from member_names(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from member_names(value)


names = st.sampled_from(sorted({name for each in ENVELOPES for name in member_names(schemas.schema(each))})) | st.just(
    MARK
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(MARK),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
examples = st.sampled_from([example for name in ENVELOPES for example in schemas.schema(name).get("examples", [])])


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


HEADERS = ("Content-Type", "Content-Encoding", "ce-specversion", "ce-id", "ce-type", "ce-source", "ce-data", "ce-x")
MEDIA = ("application/json", CLOUDEVENT, BATCH, "text/plain", f"application/{MARK}")
ODD = ("1.0", DELETED, "HC.VPC", MARK, '"', '"%', "%ff", "%00", "\u00ff", "")
headers = st.dictionaries(st.sampled_from(HEADERS), st.sampled_from(MEDIA + ODD))
bodies = st.one_of(
    st.binary(max_size=200), json_values.map(json.dumps).map(str.encode), damaged().map(json.dumps).map(str.encode)
)


@pytest.fixture(params=["on_event", "on_cloud_event"])
def elsewhere(new_function: NewFunction, request: pytest.FixtureRequest) -> Function:
    """A function that may act in no project that a test names: what can be read is ignored or refused."""
    return new_function(request.param, UNMIRROR_PROJECTS="none-of-these", HUAWEICLOUD_SDK_PROJECT_ID="")


@untraced
@given(body=bodies, headers=headers, path=st.sampled_from(["/", "/invoke", "/x"]), chunked=st.booleans())
def test_nothing_that_can_be_sent_is_a_defect_or_comes_back(
    elsewhere: Function,
    emulator: Emulator,
    capfd: pytest.CaptureFixture[str],
    body: bytes,
    headers: dict[str, str],
    path: str,
    chunked: bool,
) -> None:
    answer = elsewhere.post(body, headers, path=path, chunked=chunked)
    assert answer.status in (200, 204, 400, 403, 415)
    out, err = capfd.readouterr()
    for line in map(json.loads, out.splitlines()):
        assert line["event"].startswith("delivery.")
        assert MARK not in json.dumps(without_ids(line))
    assert err == ""
    if answer.body not in (b"", b"OK"):
        told = answer.enclosed if "statusCode" in answer.json else answer
        assert MARK not in json.dumps(without_ids(told.json))
        assert len(told.body) < 20_000
    assert emulator.changes() == []


def without_ids(value: Any) -> Any:
    """Return the value less the ids of deliveries: the sender's own, and meant to be found in logs."""
    if isinstance(value, dict):
        return {name: without_ids(inner) for name, inner in value.items() if name != "delivery_id"}
    if isinstance(value, list):
        return [without_ids(inner) for inner in value]
    return value
