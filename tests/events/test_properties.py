"""Whatever comes: events or BadEvent, nothing else. From arbitrary JSON, and from the examples by mutation."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handler import events
from handler.errors import BadEvent, UnsupportedMedia
from handler.events import schemas
from handler.events.envelopes import BATCH, ENVELOPES
from handler.events.explain import explain
from handler.model import InterfacesDeleted

# The examples with everything in them unfolded once more, so that mutation reaches what is carried as text.
EXAMPLES = [value for envelope in (*ENVELOPES, BATCH) for value in schemas.schema(envelope.name)["examples"]]
NAMES = sorted({name for envelope in ENVELOPES for name in schemas.schema(envelope.name)["properties"]})

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**18)
    | st.floats()
    | st.text(max_size=20)
    | st.text(st.characters(categories=["Cs", "Cc"]), max_size=3)
    | st.sampled_from(
        ["normal", "TIMER", "deletePort", "VPC", "ports", "1.0", "[", '{"a":1,"a":2}', "bnVsbA==", "Notification"]
    )
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
def mutants(draw: st.DrawFn) -> Any:
    """Draw an example in which a few places hold something else, or nothing, or JSON text of what they held."""
    value = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        found = places(value)
        if not found:
            break
        holder, name = found[draw(st.integers(0, len(found) - 1))]
        match draw(st.sampled_from(["other", "none", "text", "double", "graft"])):
            case "other":
                holder[name] = draw(anything)
            case "none":
                del holder[name]
            case "text":
                holder[name] = json.dumps(holder[name])
            case "double":
                holder[name] = [holder[name], holder[name]]
            case "graft":
                holder[name] = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    return value


def judge(payload: object) -> None:
    """Read and explain; whatever comes out is complete and in order."""
    explanation = explain(payload)
    json.dumps(explanation.to_json())
    if explanation.fault is not None:
        with pytest.raises(BadEvent) as refused:
            events.read(payload)
        violations = refused.value.violations
        assert violations
        assert list(violations) == sorted(set(violations))
        assert all(violation.path.startswith("$") for violation in violations)
        return
    reading = events.read(payload)
    assert reading.events == explanation.events
    assert reading.id
    for event in reading.events:
        assert event.origin.id
        if isinstance(event, InterfacesDeleted):
            assert event.interface_ids
            assert all(len(known) == 36 and known == known.lower() for known in event.interface_ids)


@given(anything)
def test_arbitrary_json_gives_events_or_bad_event(payload: object) -> None:
    judge(payload)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(mutants())
def test_a_mutated_example_gives_events_or_bad_event(payload: object) -> None:
    judge(payload)


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
        judge(events.from_http(named, body))
    except (BadEvent, UnsupportedMedia):
        return
