"""Whatever is sent: a clear answer, no defect, no call, and not one value of it in an answer or in the log."""

from __future__ import annotations

import json
import re
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


EXAMPLES = [example for name in ENVELOPES for example in schemas.schema(name).get("examples", [])]
names = st.sampled_from([MARK, *sorted({name for each in EXAMPLES if isinstance(each, dict) for name in each})])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(MARK),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def damaged(example: str, at: int, wrong: object) -> str:
    """Return the JSON with the wrong thing in the place of one text, name or number of it."""
    places = [*re.finditer(r'"(?:[^"\\]|\\.)*"|\d+', example)]
    start, end = places[at % len(places)].span()
    return f"{example[:start]}{json.dumps(wrong)}{example[end:]}"


HEADERS = ("Content-Type", "Content-Encoding", "ce-specversion", "ce-id", "ce-type", "ce-source", "ce-data", "ce-x")
MEDIA = ("application/json", CLOUDEVENT, BATCH, "text/plain", f"application/{MARK}")
ODD = ("1.0", DELETED, "HC.VPC", MARK, '"', '"%', "%ff", "%00", "\u00ff", "")
headers = st.dictionaries(st.sampled_from(HEADERS), st.sampled_from(MEDIA + ODD))
texts = st.builds(damaged, st.sampled_from(EXAMPLES).map(json.dumps), st.integers(0, 200), json_values)
bodies = st.binary(max_size=200) | json_values.map(json.dumps).map(str.encode) | texts.map(str.encode)


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
