"""Whatever comes: events or BadEvent, nothing else. From arbitrary JSON, and from the examples by mutation."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler import events
from handler.errors import BadEvent, UnsupportedMedia
from handler.events import schemas
from handler.events.envelopes import ARRAY, ENVELOPES
from handler.events.explain import explain
from handler.model import InterfacesDeleted, ServersDeleted, Unreadable
from tests.support.events import trace

EXAMPLES = [value for each in (*ENVELOPES, ARRAY) for value in schemas.schema(each.name)["examples"]]
NAMES = sorted({name for envelope in ENVELOPES for name in schemas.schema(envelope.name)["properties"]})
TEXTS = ["normal", "warning", "TIMER", "deletePort", "VPC", "ports", "1.0", "[", '{"a":1,"a":2}', "bnVsbA==", "FAIL"]

numbers = st.integers() | st.integers(min_value=10**18) | st.floats()
texts = st.text(max_size=20) | st.text(st.characters(categories=["Cs", "Cc"]), max_size=3) | st.sampled_from(TEXTS)
names = st.sampled_from(NAMES) | st.text(max_size=5)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6) | inner.map(json.dumps),
    max_leaves=20,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a value at which something stands: its holder, and its name or index there."""
    keys: Any = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *places(value[key]))]


@st.composite
def mutants(draw: st.DrawFn) -> Any:
    """Draw an example in which a few places hold something else, or nothing, or JSON text of what they held."""
    value = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        if not (found := places(value)):
            break
        holder, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["other", "none", "text", "double", "graft"])):
            case "other":
                holder[key] = draw(anything)
            case "none":
                del holder[key]
            case "text":
                holder[key] = json.dumps(holder[key])
            case "double":
                holder[key] = [holder[key], holder[key]]
            case "graft":
                holder[key] = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    return value


def judge(payload: object) -> None:
    """Parse and explain; whatever comes out is complete and in order."""
    told = explain(payload)
    json.dumps(told)
    if told["fault"] is not None:
        with pytest.raises(BadEvent) as refused:
            events.parse(payload)
        judge_error(refused.value)
        return
    parsed = events.parse(payload)
    assert [event.metadata.id for event in parsed.events] == [event["id"] for event in told["events"]]
    assert parsed.id
    for event in parsed.events:
        assert event.metadata.id
        match event:
            case InterfacesDeleted(interface_ids=ids) | ServersDeleted(server_ids=ids):
                assert ids
                assert len(set(ids)) == len(ids)
                assert all(len(known) == 36 and known == known.lower() for known in ids)
            case Unreadable():
                judge_error(event.error)


def judge_error(error: BadEvent) -> None:
    """See that the error names what is wrong, sorted and once."""
    assert error.violations
    assert list(error.violations) == sorted(set(error.violations))
    assert all(violation.path.startswith("$") for violation in error.violations)


@given(mutants())
def test_a_mutated_example_gives_events_or_bad_event_and_costs_its_neighbour_nothing(payload: Any) -> None:
    judge(payload)
    (*_, last) = events.parse([payload, trace(trace_id="the-neighbour")]).events
    assert isinstance(last, InterfacesDeleted)
    assert last.metadata.id == "the-neighbour"


HEADERS = ("ce-id", "CE-Source", "ce-type", "ce-specversion", "ce-data", "content-type", "x-other")
ODD = ("1.0", "application/json", "application/cloudevents+json", "text/plain; charset", ";charset=;", "%zz%e2")
headers = st.dictionaries(st.sampled_from(HEADERS), st.sampled_from(ODD) | st.text(max_size=10))


tokens = st.text(alphabet='{}[]",:\\u0d8 1e-aE', max_size=60)


@given(headers, st.binary(max_size=200) | (tokens | anything.map(json.dumps)).map(str.encode))
def test_arbitrary_requests_give_a_payload_or_one_of_two_errors(named: dict[str, str], body: bytes) -> None:
    with suppress(BadEvent):
        json.dumps(events.decode(body), ensure_ascii=False).encode()
    try:
        payload = events.from_http(named, body)
    except (BadEvent, UnsupportedMedia):
        return
    judge(payload)
