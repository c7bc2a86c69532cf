"""Recognition, batches and limits: what holds for every envelope."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handler import events
from handler.errors import MAX_VIOLATIONS, BadEvent, Violation
from handler.events import schemas
from handler.events.envelopes import ARRAY, ENVELOPES, Envelope
from handler.events.parser import MAX_DEPTH, MAX_EVENTS, MAX_IDS
from handler.model import Ignored, InterfacesDeleted, ServersDeleted, Unreadable
from tests.support.events import REGION, example, kafka, only, smn, trace, violations

EXAMPLES = [
    pytest.param(envelope, value, id=f"{envelope.name}-{index}")
    for envelope in (*ENVELOPES, ARRAY)
    for index, value in enumerate(schemas.schema(envelope.name)["examples"])
]


@pytest.mark.parametrize(("envelope", "value"), EXAMPLES)
def test_every_example_is_its_own_envelope_alone_and_in_an_array(envelope: Envelope, value: object) -> None:
    alone, within = events.parse(value), events.parse([value])
    assert (alone.envelope, within.envelope) == (envelope.name, "event-array")
    assert all(event.metadata.id for event in alone.events)
    assert not isinstance(alone.events[0], Ignored | Unreadable)
    assert [type(event) for event in within.events] == [type(event) for event in alone.events]


@pytest.mark.parametrize("one", ENVELOPES, ids=lambda envelope: envelope.name)
def test_the_marks_of_two_are_ambiguous(one: Envelope) -> None:
    """A trace and a timer, say. Where marks exclude each other, there is no such payload."""
    for other in ENVELOPES[ENVELOPES.index(one) + 1 :]:
        both = dict.fromkeys((*one.has, *other.has)) | dict(one.says) | dict(other.says)
        if one.matches(both) and other.matches(both):
            assert violations(both) == (Violation("$", f"one envelope, not {one.name} and {other.name}"),)
        else:
            assert set(one.lacks) & set(both) or set(other.lacks) & set(both) or one.says.keys() & other.says.keys()


@pytest.mark.parametrize(
    "payload", [None, True, 1, 1.5, "{}", b"{}", float("nan"), object(), (1,)], ids=lambda value: type(value).__name__
)
def test_what_is_no_object_is_refused(payload: object) -> None:
    assert violations(payload) == (Violation("$", "type: object"),)


def nested(levels: int) -> object:
    """Return a list in a list in a list."""
    value: object = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "foreign",
    [nested(100_000), {1: 2}, object(), (1,), 10**5000, {"a": {1, 2}}],
    ids=lambda value: type(value).__name__,
)
def test_what_no_json_decoder_gives_is_refused_wherever_it_is_read(foreign: object) -> None:
    """Platforms hand over values that they have decoded themselves."""
    for payload in (foreign, {"cts": foreign}, trace(resource_id=foreign), trace(trace_id=foreign)):
        assert violations(payload)
    for unread in (trace(user=foreign), trace(code=foreign)):
        first, second = events.parse(kafka(unread, foreign, trace())).events[::2]
        assert isinstance(first, InterfacesDeleted | Unreadable)
        assert isinstance(second, InterfacesDeleted)


def test_an_unknown_payload_is_told_the_nearest_envelopes_and_what_each_has_that_it_has_not() -> None:
    with pytest.raises(BadEvent, match=r"^no envelope that is known; nearest: trace$") as refused:
        events.parse(trace(trace_id=...))
    assert (refused.value.violations, refused.value.envelope) == ((Violation("$", "trace: required: trace_id"),), None)
    newer = {"type": "io.unmirror.interface.deleted.v2", "id": "1", "data": {}}
    assert Violation("$.type", "interface-deleted: const: io.unmirror.interface.deleted.v1") in violations(newer)
    for like_nothing in ({}, {"secret-name": 1}):
        assert violations(like_nothing) == (Violation("$", "the marks of a known envelope"),)


def test_all_violations_are_told_at_once_and_sorted() -> None:
    with pytest.raises(BadEvent) as refused:
        events.parse({"cts": {"trace_id": 5, "time": {}, "user": []}})
    assert refused.value.envelope == "cts"
    assert list(refused.value.violations) == [
        Violation("$.cts", "required: resource_type"),
        Violation("$.cts", "required: service_type"),
        Violation("$.cts", "required: trace_name"),
        Violation("$.cts.time", "type: integer, number, string, null"),
        Violation("$.cts.trace_id", "type: string"),
        Violation("$.cts.user", "type: object, string, null"),
    ]


# --- several parts ---------------------------------------------------------------------------------------------


def test_one_bad_part_is_a_400_of_its_own_and_does_not_stop_the_others() -> None:
    bad = {"cts": trace(resource_id="secret")}
    messages = ["hello", json.dumps(trace()), '{"secret": 1}', json.dumps(bad), "[1,", "NaN", '{"a": 1, "a": 2}']
    parsed = events.parse(kafka(*messages))
    assert [type(part) for part in parsed.events] == [Unreadable, InterfacesDeleted, *[Unreadable] * 5]
    unreadable = [part for part in parsed.events if isinstance(part, Unreadable)]
    paths = [violation.path for part in unreadable for violation in part.error.violations]
    places = [f"$.records[0].messages[{index}]" for index in (0, 2, 3, 4, 5, 6)]
    assert paths == [f"{place}.cts.resource_id" if place.endswith("[3]") else place for place in places]
    assert [part.error.envelope for part in unreadable] == [None, None, "cts", None, None, None]
    assert all(part.error.status == 400 for part in unreadable)
    assert "secret" not in repr([(str(part.error), part.error.violations) for part in unreadable])
    assert len({part.metadata.id for part in unreadable}) == len(unreadable)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[" * 64 + "{}" + "]" * 64, "JSON nested at most 64 levels deep"),
        ('{"a": 1, "a": 2}', "JSON without duplicate names in an object"),
        ("[-Infinity]", "JSON without NaN and Infinity"),
        ('{"\\udc00": 1}', "JSON without lone surrogates"),
        ("1" * 4_301, "JSON with integers of at most 4,300 digits"),
    ],
    ids=lambda text: text[:20],
)
@pytest.mark.parametrize("wrap", [list, lambda parts: {"traces": parts}, lambda parts: kafka(*parts)])
def test_what_is_no_strict_json_costs_what_stands_beside_it_nothing(wrap: Any, text: str, rule: str) -> None:
    good = json.dumps(trace())
    in_trace = f'{good[:-1]}, "x": {text}}}'
    for bad in (text, in_trace, f'{{"cts": {in_trace}}}', f'{{"cts": {good}, "x": {text}}}'):
        body = json.dumps(wrap([trace(), "bad", trace()])).replace('"bad"', bad).encode()
        first, unreadable, last = events.parse(events.from_http({}, body)).events
        assert type(first) is type(last) is InterfacesDeleted
        assert isinstance(unreadable, Unreadable)
        assert bad == text or unreadable.error.violations[0].rule == rule
        with pytest.raises(BadEvent):
            events.decode(body)


def test_a_part_that_cannot_be_read_keeps_what_its_carrier_tells() -> None:
    _, unreadable = events.parse(smn(trace(), "hello")).events
    assert (type(unreadable), unreadable.metadata.region) == (Unreadable, REGION)


def test_a_batch_of_nothing_but_bad_parts_is_refused_with_all_their_rules() -> None:
    told = violations({"traces": [{"trace_id": "1", "trace_name": "x"}, 5, {}]})
    assert [violation.path for violation in told] == ["$.traces[0]"] * 2 + ["$.traces[1]", "$.traces[2]"]


def test_a_batch_within_a_batch_that_cannot_be_read_is_one_part() -> None:
    first, second = events.parse([[1, 2], trace()]).events
    assert isinstance(first, Unreadable)
    assert [violation.path for violation in first.error.violations] == ["$[0][0]", "$[0][1]"]
    assert isinstance(second, InterfacesDeleted)


@pytest.mark.parametrize(
    "payload", [[], {"traces": []}, {"events": []}, {"record": []}, {"records": [{"messages": []}]}]
)
def test_an_empty_batch_asks_for_nothing(payload: object) -> None:
    assert isinstance(only(payload), Ignored)


def test_a_delivery_is_named_after_its_first_event() -> None:
    assert events.parse([trace(trace_id="1"), trace(trace_id="2")]).id == "1"


# --- limits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        lambda traces: {"traces": traces},
        lambda traces: kafka(*traces),
        lambda traces: [traces[:600], traces[600:]],
        lambda traces: [traces[:1], *traces[1:]],
    ],
)
def test_a_delivery_holds_a_thousand_events_and_what_is_beyond_is_refused_alone(wrap: Any) -> None:
    assert len(events.parse(wrap([trace()] * MAX_EVENTS)).events) == MAX_EVENTS
    parsed = events.parse(wrap([trace()] * (MAX_EVENTS + 7)))
    *within, beyond = parsed.events
    assert [type(event) for event in within] == [InterfacesDeleted] * MAX_EVENTS
    assert isinstance(beyond, Unreadable)
    assert beyond.error.violations[0].rule == "at most 1000 events in a delivery; 7 are left"


def test_however_many_parts_cannot_be_read_the_answer_is_bounded() -> None:
    parsed = events.parse([trace(), *[0] * 100_000])
    assert len(parsed.events) == MAX_EVENTS + 1
    nics = delete_nics(*["x"] * 10_000)
    own = example("interface-deleted", data={"interface_ids": ["x"] * 10_000})
    for payload in ([[0]] * 100_000, own, nics, [nics, nics]):
        assert len(violations(payload)) == MAX_VIOLATIONS
    assert len(events.validate("interface-deleted", own)) == MAX_VIOLATIONS


def delete_nics(*interface_ids: str) -> dict[str, Any]:
    """Return a trace that names those interfaces."""
    nics = {"nics": [{"id": each} for each in interface_ids]}
    return trace(service_type="ECS", resource_type="ecs", trace_name="delNic", request=nics)


def ids(count: int, start: int = 0) -> list[str]:
    """Return that many ids."""
    return [f"00000000-0000-4000-8000-{number:012}" for number in range(start, start + count)]


def test_a_delivery_names_ten_thousand_interfaces_and_servers_and_what_is_beyond_is_refused_alone() -> None:
    half = MAX_IDS // 2
    first = example("interface-deleted", data={"interface_ids": ids(half)})
    servers = example("trace", 2, request={"servers": [{"id": each} for each in ids(half - 1, 1)]})
    assert [type(event) for event in events.parse([first, servers]).events] == [InterfacesDeleted, ServersDeleted]
    over = example("interface-deleted", data={"interface_ids": ids(1)})
    parsed = events.parse([first, servers, over, example("sweep-due"), trace(trace_name="updatePort")])
    assert [type(event).__name__ for event in parsed.events[2:]] == ["Unreadable", "SweepRequested", "Ignored"]
    assert violations(example("interface-deleted", data={"interface_ids": ids(MAX_IDS + 1)}))
    rule = "at most 10000 interfaces and servers in a delivery"
    assert violations({"cts": delete_nics(*ids(MAX_IDS + 1))}) == (Violation("$", rule),)


def test_carriers_within_each_other_end_somewhere_and_cost_what_is_beside_them_nothing() -> None:
    payload: object = trace()
    for _ in range(MAX_DEPTH):
        payload = {"traces": [payload]}
    assert isinstance(only(payload), InterfacesDeleted)
    assert "within each other" in violations({"traces": [payload]})[0].rule
    first, second = events.parse({"traces": [payload, trace()]}).events
    assert isinstance(first, Unreadable)
    assert isinstance(second, InterfacesDeleted)
