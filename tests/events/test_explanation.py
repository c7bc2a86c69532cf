"""`explain`: for whoever connects a trigger and sees nothing happen."""

from __future__ import annotations

import json
from typing import Any

from handler.errors import Violation
from handler.events.explain import explain


def test_it_shows_the_way_from_the_outermost_envelope_to_the_events(example: Any) -> None:
    told = explain(example("smn-trigger")).to_json()
    assert told["readable"]
    assert told["envelope"] == "smn-trigger"
    assert told["schema"] == "https://unmirror.io/schemas/smn-trigger.json"
    assert [step["envelope"] for step in told["envelopes"]] == ["smn-trigger", "trace"]
    assert told["unwrapped"] == ["smn-trigger"]
    (event,) = told["events"]
    assert event["event"] == "interfaces_deleted"
    assert event["interface_ids"] == ["8f0e2c41-6f5d-4b7a-9d43-5c1f6a2b7e10"]
    assert event["region"] == "cn-north-4"
    assert event["time"] == "2026-01-02T03:04:06.377000+00:00"


def test_every_kind_of_event_can_be_told(example: Any) -> None:
    kinds = {}
    for payload in (example("cts"), example("timer"), example("trace", 3), example("trace", trace_name="updatePort")):
        (event,) = explain(payload).to_json()["events"]
        kinds[event["event"]] = event
    assert set(kinds) == {"interfaces_deleted", "sweep_due", "target_deleted", "nothing_for_us"}
    assert kinds["nothing_for_us"]["outcome"] == "ignored"
    assert kinds["target_deleted"]["target_id"]


def test_it_shows_how_far_a_broken_payload_came(example: Any, trace: Any) -> None:
    broken = json.dumps({"cts": trace(resource_id=...)})
    explanation = explain({"records": [{"messages": [broken]}]})
    assert explanation.envelopes == ("kafka-trigger", "cts")
    assert explanation.unwrapped == ("kafka-trigger",)
    assert explanation.faulty == "cts"
    assert explanation.violations == (Violation("$.records[0].messages[0].cts", "required: resource_id"),)
    assert not explanation.to_json()["readable"]


def test_it_shows_what_the_nearest_envelopes_miss(trace: Any) -> None:
    told = explain(trace(trace_id=...)).to_json()
    assert told["envelope"] is told["schema"] is told["faulty"] is None
    assert told["nearest"][0] == {"envelope": "trace", "missed": [{"path": "$", "rule": "required: trace_id"}]}


def test_it_explains_even_what_is_no_json_at_all() -> None:
    for payload in (object(), None, [None], {"cts": {"a": {1: 2}}}):
        told = explain(payload).to_json()
        assert told["fault"]
        assert told["violations"]
        assert told["nearest"] == []
        assert json.dumps(told)
