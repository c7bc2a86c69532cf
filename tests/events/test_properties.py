"""Whatever comes: events or BadEvent, nothing else. From arbitrary JSON, and from the examples by mutation."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler import events
from handler.errors import BadEvent, UnsupportedMedia
from handler.events import schemas
from handler.events.envelopes import ARRAY, ENVELOPES
from handler.model import InterfacesDeleted, ServersDeleted, Unreadable
from tests.support.events import trace

EXAMPLES = [(each.name, value) for each in (*ENVELOPES, ARRAY) for value in schemas.schema(each.name)["examples"]]
NAMES = sorted({name for envelope in ENVELOPES for name in schemas.schema(envelope.name)["properties"]})
TEXTS = ["normal", "warning", "TIMER", "deletePort", "VPC", "ports", "1.0", "[", '{"a":1,"a":2}', "bnVsbA==", "FAIL"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**18)
    | st.floats()
    | st.text(max_size=20)
    | st.text(st.characters(categories=["Cs", "Cc"]), max_size=3)
    | st.sampled_from(TEXTS)
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=6)
        | inner.map(lambda value: json.dumps(value))
    ),
    max_leaves=20,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a value at which something stands: its holder, and its name or index there."""
    if isinstance(value, dict):
        own: list[tuple[Any, Any]] = [(value, name) for name in value]
    else:
        own = [(value, index) for index in range(len(value))] if isinstance(value, list) else []
    return own + [place for holder, name in own for place in places(holder[name])]


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, Any]:
    """Draw an example in which a few places hold something else, or nothing, or JSON text of what they held."""
    name, value = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        found = places(value)
        if not found:
            break
        holder, key = found[draw(st.integers(0, len(found) - 1))]
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
                holder[key] = copy.deepcopy(draw(st.sampled_from(EXAMPLES))[1])
    return name, value


def judge(payload: object) -> None:
    """Parse and explain; whatever comes out is complete and in order."""
    told = events.explain(payload)
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


@given(anything)
def test_arbitrary_json_gives_events_or_bad_event(payload: object) -> None:
    judge(payload)


@given(mutants())
def test_a_mutated_example_gives_events_or_bad_event_and_costs_its_neighbour_nothing(mutant: tuple[str, Any]) -> None:
    _, payload = mutant
    judge(payload)
    (*_, last) = events.parse([payload, trace(trace_id="the-neighbour")]).events
    assert isinstance(last, InterfacesDeleted)
    assert last.metadata.id == "the-neighbour"


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\u0d8 1e-aE', max_size=60).map(str.encode))
def test_arbitrary_bytes_give_a_value_or_bad_event(body: bytes) -> None:
    try:
        value = events.decode(body)
    except BadEvent:
        return
    json.dumps(value).encode()


headers = st.dictionaries(
    st.sampled_from(["ce-id", "CE-Source", "ce-type", "ce-specversion", "ce-data", "content-type", "x-other"]),
    st.sampled_from(
        ["1.0", "application/json", "application/cloudevents+json", "text/plain; charset", ";charset=;", "%zz%e2"]
    )
    | st.text(max_size=10),
)


@given(headers, st.binary(max_size=30) | anything.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_requests_give_a_payload_or_one_of_two_errors(named: dict[str, str], body: bytes) -> None:
    try:
        payload = events.from_http(named, body)
    except (BadEvent, UnsupportedMedia):
        return
    judge(payload)
