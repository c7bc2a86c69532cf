"""`explain`: for whoever connects a trigger and sees nothing happen."""

from __future__ import annotations

import json

from handler.events.explain import explain
from tests.support.events import example, kafka, trace


def test_it_shows_the_way_from_the_outermost_envelope_to_the_events() -> None:
    told = explain(example("smn-trigger"))
    assert (told["readable"], told["envelope"], told["unwrapped"]) == (True, "smn-trigger", ["smn-trigger"])
    assert told["schema"] == "urn:unmirror:schema:smn-trigger"
    assert [step["envelope"] for step in told["envelopes"]] == ["smn-trigger", "trace"]
    (event,) = told["events"]
    assert event["interface_ids"] == ["8f0e2c41-6f5d-4b7a-9d43-5c1f6a2b7e10"]
    assert (event["region"], event["time"]) == ("cn-north-4", "2026-01-02T03:04:06.377000+00:00")


def test_every_kind_of_event_can_be_told() -> None:
    payloads = [example("cts"), example("timer"), example("trace", 2), example("trace", 3), example("check-due")]
    parts = [*payloads, trace(trace_name="updatePort"), 5]
    kinds = {event["event"]: event for event in explain(parts)["events"]}
    assert [*kinds] == [
        *("interfaces_deleted", "sweep_requested", "servers_deleted", "target_deleted"),
        *("check_requested", "ignored", "unreadable"),
    ]
    assert kinds["sweep_requested"]["by"] == "timer"
    assert kinds["servers_deleted"]["server_ids"]
    assert kinds["target_deleted"]["target_id"]
    assert kinds["ignored"]["pending"] is False
    assert kinds["unreadable"]["violations"] == [{"path": "$[6]", "rule": "type: object"}]


def test_it_shows_how_far_a_broken_payload_came() -> None:
    told = explain(kafka(json.dumps({"cts": trace(resource_id="port-1")})))
    assert [step["envelope"] for step in told["envelopes"]] == ["kafka-trigger", "cts"]
    assert (told["readable"], told["unwrapped"], told["faulty"]) == (False, ["kafka-trigger"], "cts")
    assert told["violations"] == [{"path": "$.records[0].messages[0].cts.resource_id", "rule": "format: uuid"}]


def test_it_shows_what_the_nearest_envelopes_have_that_it_has_not() -> None:
    told = explain(trace(trace_id=...))
    assert told["envelope"] is told["schema"] is told["faulty"] is None
    assert told["nearest"][0] == {"envelope": "trace", "mismatches": [{"path": "$", "rule": "required: trace_id"}]}


def test_it_explains_even_what_is_no_json_at_all() -> None:
    for payload in (object(), None, [None], {"cts": {"a": {1: 2}}}):
        told = explain(payload)
        assert told["fault"]
        assert told["violations"]
        assert told["nearest"] == []
        assert json.dumps(told)
