"""Recognition, batches and limits: what holds for every envelope."""

from __future__ import annotations

import inspect
import itertools
import json
from typing import Any

import pytest

from handler import events
from handler.errors import BadEvent, Violation
from handler.events import schemas
from handler.events.envelopes import BATCH, ENVELOPES, Envelope
from handler.model import InterfacesDeleted, NothingForUs

EXAMPLES = [
    pytest.param(envelope, value, id=f"{envelope.name}-{index}")
    for envelope in (*ENVELOPES, BATCH)
    for index, value in enumerate(schemas.schema(envelope.name)["examples"])
]


@pytest.mark.parametrize(("envelope", "value"), EXAMPLES)
def test_every_example_is_recognised_as_its_own_envelope_and_as_no_other(envelope: Envelope, value: object) -> None:
    reading = events.read(value)
    assert reading.envelope == envelope.name
    assert all(event.origin.id for event in reading.events)
    assert not any(isinstance(event, NothingForUs) for event in reading.events[:1])


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(ENVELOPES, 2)], ids=lambda envelope: envelope.name)
def test_the_marks_of_two_are_ambiguous(one: Envelope, other: Envelope) -> None:
    """A trace and a timer, say. Where marks exclude each other, there is no such payload."""
    both = dict.fromkeys((*one.has, *other.has)) | dict(one.says) | dict(other.says)
    if not (one.bears(both) and other.bears(both)):
        assert set(one.lacks) & set(both) or set(other.lacks) & set(both) or one.says.keys() & other.says.keys()
        return
    with pytest.raises(BadEvent) as refused:
        events.read(both)
    assert refused.value.violations == (Violation("$", f"one envelope, not {one.name} and {other.name}"),)


def test_a_reader_is_small() -> None:
    for envelope in (*ENVELOPES, BATCH):
        if envelope.name != "trace":  # which reads ten operations, by their table
            assert len(inspect.getsource(envelope.read).splitlines()) <= 20, envelope.name


@pytest.mark.parametrize("payload", [None, True, 1, 1.5, "{}", b"{}", float("nan")])
def test_what_is_no_object_is_refused(payload: object) -> None:
    with pytest.raises(BadEvent) as refused:
        events.read(payload)
    assert refused.value.violations == (Violation("$", "type: object"),)


def nested(levels: int) -> object:
    """Return a list in a list in a list."""
    value: object = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "foreign", [nested(100_000), {1: 2}, object(), (1,), 10**5000, {"a": {1, 2}}], ids=lambda v: type(v).__name__
)
def test_what_no_json_decoder_gives_is_refused_wherever_it_stands(foreign: object, trace: Any) -> None:
    """Platforms hand over values that they have decoded themselves."""
    for payload in (foreign, {"cts": foreign}, trace(resource_id=foreign), trace(trace_id=foreign)):
        with pytest.raises(BadEvent):
            events.read(payload)


def test_an_unknown_payload_is_told_the_nearest_envelopes_and_what_each_misses(trace: Any) -> None:
    with pytest.raises(BadEvent) as refused:
        events.read(trace(trace_id=...))
    assert refused.value.violations == (Violation("$", "trace: required: trace_id"),)
    assert str(refused.value) == "no envelope that is known; nearest: trace"
    assert refused.value.envelope is None
    with pytest.raises(BadEvent) as refused:
        events.read({"type": "io.unmirror.interface.deleted.v2", "id": "1", "data": {}})
    assert Violation("$.type", "interface-deleted: const: io.unmirror.interface.deleted.v1") in refused.value.violations


def test_a_payload_like_nothing_is_told_just_that() -> None:
    for payload in ({}, {"secret-name": 1}):
        with pytest.raises(BadEvent) as refused:
            events.read(payload)
        assert refused.value.violations == (Violation("$", "the marks of a known envelope"),)


def test_all_violations_are_told_at_once_and_sorted() -> None:
    with pytest.raises(BadEvent) as refused:
        events.read({"cts": {"trace_id": 5, "time": {}, "user": []}})
    assert refused.value.envelope == "cts"
    assert list(refused.value.violations) == [
        Violation("$.cts", "required: resource_type"),
        Violation("$.cts", "required: service_type"),
        Violation("$.cts", "required: trace_name"),
        Violation("$.cts.time", "type: integer, number, string, null"),
        Violation("$.cts.trace_id", "type: string"),
        Violation("$.cts.user", "type: object, string, null"),
    ]


def test_one_bad_part_does_not_stop_the_others(trace: Any) -> None:
    messages = ["hello", json.dumps(trace()), '{"secret": 1}', json.dumps({"cts": trace(resource_id="secret")})]
    parts = events.read({"records": [{"messages": messages}]}).events
    assert [type(part) for part in parts] == [NothingForUs, InterfacesDeleted, NothingForUs, NothingForUs]
    reasons = [part.reason for part in parts if isinstance(part, NothingForUs)]
    assert [reason.split()[0] for reason in reasons] == [f"$.records[0].messages[{index}]" for index in (0, 2, 3)]
    assert reasons[2].endswith("$.records[0].messages[3].cts.resource_id format: uuid")
    assert "secret" not in str(reasons)


def test_a_batch_of_nothing_but_bad_parts_is_refused_with_all_their_rules() -> None:
    with pytest.raises(BadEvent) as refused:
        events.read({"traces": [{"trace_id": "1", "trace_name": "x"}, 5, {}]})
    assert [violation.path for violation in refused.value.violations] == ["$.traces[0]"] * 2 + [
        "$.traces[1]",
        "$.traces[2]",
    ]


@pytest.mark.parametrize(
    "payload", [[], {"traces": []}, {"events": []}, {"record": []}, {"records": [{"messages": []}]}]
)
def test_an_empty_batch_asks_for_nothing(payload: object) -> None:
    (event,) = events.read(payload).events
    assert isinstance(event, NothingForUs)


def test_a_delivery_is_named_after_its_first_event(trace: Any) -> None:
    assert events.read([trace(trace_id="1"), trace(trace_id="2")]).id == "1"


@pytest.mark.parametrize(
    "wrap", [lambda traces: {"records": [{"messages": traces}]}, lambda traces: [traces[:600], traces[600:]]]
)
def test_a_delivery_holds_a_thousand_events_and_no_more(trace: Any, wrap: Any) -> None:
    assert len(events.read(wrap([trace()] * events.MAX_EVENTS)).events) == events.MAX_EVENTS
    with pytest.raises(BadEvent) as refused:
        events.read(wrap([trace()] * (events.MAX_EVENTS + 1)))
    assert "1000 events" in refused.value.violations[0].rule


def test_a_delivery_names_ten_thousand_interfaces_and_no_more(example: Any) -> None:
    def batch(count: int) -> object:
        ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(count)]
        halves = (ids[: count // 2], ids[count // 2 :])
        return [example("cloudevent", 1, data={"interface_ids": half}) for half in halves]

    assert len(events.read(batch(events.MAX_INTERFACES)).events) == 2
    with pytest.raises(BadEvent) as refused:
        events.read(batch(events.MAX_INTERFACES + 1))
    assert "10000 interface ids" in refused.value.violations[0].rule


def test_carriers_within_each_other_end_somewhere(trace: Any) -> None:
    payload: object = trace()
    for _ in range(events.MAX_DEPTH):
        payload = {"traces": [payload]}
    assert isinstance(events.read(payload).events[0], InterfacesDeleted)
    for too_deep in ({"traces": [payload]}, {"traces": [payload, trace()]}):
        with pytest.raises(BadEvent) as refused:
            events.read(too_deep)
        assert "within each other" in refused.value.violations[0].rule


def test_ten_thousand_wrong_ids_are_not_all_complained_about(example: Any, trace: Any) -> None:
    nics = trace(service_type="ECS", resource_type="ecs", trace_name="delNic", request={"nics": [{"id": "x"}] * 10_000})
    own = example("interface-deleted", data={"interface_ids": ["x"] * 10_000})
    for payload in (own, nics, [nics, nics]):
        with pytest.raises(BadEvent) as refused:
            events.read(payload)
        assert len(refused.value.violations) == schemas.MAX_VIOLATIONS
