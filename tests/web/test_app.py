"""What becomes of an event at the HTTP function: its sender's answer, the sessions afterwards, the calls it cost."""

from __future__ import annotations

from typing import Any

import pytest

from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY, Tenant
from handler.emulator.server import Emulator
from tests.support.function import Function, NewFunction
from tests.support.tenant import (
    DELETED,
    VICTIM,
    batch,
    binary,
    cloud_event,
    cts,
    delete,
    deleted,
    messages,
    operations,
    server_deleted,
    sources,
    structured,
    trace,
    without,
)

SENT = {
    "plain": lambda function, id_: function.post(cts(id_)),
    "structured": lambda function, id_: structured(function, cloud_event(trace(id_))),
    "binary": lambda function, id_: binary(function, cloud_event(trace(id_))),
    "a batch": lambda function, id_: batch(function, cloud_event(trace(id_))),
    "in capitals": lambda function, id_: function.post(deleted(id_.upper(), project_id=PROJECT_ID)),
}


@pytest.mark.parametrize("how", SENT)
def test_a_deleted_interface_leaves_all_its_sessions_and_nothing_else_does(
    how: str, function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    before, gone = sources(tenant), delete(tenant)
    answer = SENT[how](function, gone)
    assert (answer.status, answer.report["outcome"], answer.report["api_calls"]) == (200, "detached", 5)
    assert sources(tenant) == without(before, gone)
    assert operations(emulator) == ["list_sessions", "show_port", *["remove_sources"] * 3]


def test_the_report_proves_what_was_done(function: Function, tenant: Tenant) -> None:
    before, gone = sources(tenant), delete(tenant)
    report = function.post(cts(gone)).report
    assert (report["delivery_id"], report["envelope"]) == ("00000000-0000-4000-8000-000000000001", "cts")
    assert (report["project_id"], report["by"], report["retry"], report["error"]) == (PROJECT_ID, "event", False, None)
    by_name = {each["session_name"]: each for each in report["detachments"]}
    assert set(by_name) == {"ids-api-tier", "pci-payments", "forensics-case-17"}
    for name, detachment in by_name.items():
        assert (detachment["session_id"], detachment["status"]) == (tenant.sessions[name], "detached")
        assert detachment["interface_ids"] == [gone]
        assert tuple(detachment["sources_before"]) == before[name]
        assert tuple(detachment["sources_after"]) == without(before, gone)[name]
        assert len(detachment["request_ids"]) == 1
    assert [each["interface_id"] for each in report["gone"] if each["request_id"]] == [gone]
    assert report["snapshot"]["request_ids"]
    assert report["cause"]["operation"] == "VPC deletePort"


def test_the_same_event_again_changes_nothing_and_is_a_success(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    event = cts(delete(tenant))
    function.post(event)
    after, changes = sources(tenant), len(emulator.changes())
    again = function.post(event)
    assert (again.status, again.report["outcome"], again.report["cause"]) == (200, "nothing_to_do", None)
    assert (sources(tenant), len(emulator.changes())) == (after, changes)


# --- the status tells the truth --------------------------------------------------------------------------------


def test_a_living_interface_is_a_503_until_it_is_gone(hasty: Function, tenant: Tenant, emulator: Emulator) -> None:
    before, event = sources(tenant), cts(tenant.interfaces[VICTIM])
    answer = hasty.post(event)
    assert (answer.status, answer.report["outcome"], answer.report["retry"]) == (503, "still_exists", True)
    assert answer.headers["Retry-After"] == "10"
    assert answer.report["error"]["type"] == "urn:unmirror:problem:still-exists"
    assert sources(tenant) == before
    assert emulator.changes() == []
    gone = delete(tenant)
    assert hasty.post(event).report["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)


def test_a_missing_setting_is_a_502_that_names_it_and_stops_only_what_needs_it(new_function: NewFunction) -> None:
    function = new_function(UNMIRROR_VPC_ENDPOINT="", HUAWEICLOUD_SDK_PROJECT_ID="")
    answer = function.post(deleted("00000000-0000-4000-8000-000000000000"))
    assert (answer.status, answer.slug) == (502, "not-configured")
    assert "UNMIRROR_REGION" in answer.problem["detail"]
    assert "HUAWEICLOUD_SDK_PROJECT_ID" in answer.problem["detail"]
    assert function.post(cts("", trace_name="createPort")).report["outcome"] == "ignored"


@pytest.mark.parametrize(
    ("members", "outcome"), [({"trace_rating": "warning"}, "ignored"), ({"response": '{"job_id": "ff80"}'}, "pending")]
)
def test_a_trace_of_something_else_is_a_success_that_says_why(
    function: Function, tenant: Tenant, emulator: Emulator, members: dict[str, object], outcome: str
) -> None:
    answer = function.post(cts(delete(tenant), **members))
    assert (answer.status, answer.report["outcome"], answer.report["project_id"]) == (200, outcome, None)
    assert answer.report["reason"]
    assert emulator.calls == []


def test_an_unreadable_event_is_a_400_with_every_place_and_rule(function: Function, emulator: Emulator) -> None:
    event = {"type": DELETED, "id": 17, "time": {}, "data": {"interface_ids": ["marked", 1]}}
    answer = function.post(event)
    assert (answer.status, answer.slug, answer.problem["envelope"]) == (400, "bad-event", "interface-deleted")
    places = {violation["path"] for violation in answer.problem["violations"]}
    assert places == {"$.id", "$.time", "$.data.interface_ids[0]", "$.data.interface_ids[1]"}
    assert b"marked" not in answer.body
    assert function.post({"un": "known"}).slug == function.post(b"not JSON").slug == "bad-event"
    assert emulator.calls == []


@pytest.mark.parametrize("event", [deleted, cts], ids=["ours", "trace"])
def test_another_project_is_a_403(function: Function, tenant: Tenant, emulator: Emulator, event: Any) -> None:
    answer = function.post(event(delete(tenant), project_id="another"))
    assert (answer.status, answer.slug) == (403, "forbidden")
    assert b'"another"' not in answer.body
    assert emulator.calls == []


def test_another_region_is_a_403(new_function: NewFunction, tenant: Tenant, emulator: Emulator) -> None:
    function, event = new_function(UNMIRROR_REGION="eu-west-101"), messages(cts(delete(tenant)))
    assert function.post({**event, "region": "cn-north-4"}).status == 403
    assert emulator.calls == []
    assert function.post({**event, "region": "eu-west-101"}).report["outcome"] == "detached"


def test_a_deleted_server_is_a_503_while_its_interface_lives_and_a_sweep_when_it_is_gone(
    hasty: Function, tenant: Tenant
) -> None:
    before, server = sources(tenant), tenant.servers[VICTIM]
    tenant.cloud.delete_server(server, ports="pending")
    assert hasty.post(server_deleted(server)).report["outcome"] == "still_exists"
    assert sources(tenant) == before
    tenant.cloud.finish_deletion(server)
    answer = hasty.post(server_deleted(server))
    assert (answer.status, answer.report["outcome"]) == (200, "detached")
    assert sources(tenant) == without(before, tenant.interfaces[VICTIM])


# --- what a sender of CloudEvents reads ------------------------------------------------------------------------


@pytest.mark.parametrize("send", [structured, binary])
def test_a_cloudevent_is_answered_with_a_cloudevent_when_something_was_done(
    send: Any, function: Function, tenant: Tenant
) -> None:
    answer = send(function, cloud_event(trace(delete(tenant), trace_id="an odd id")))
    assert (answer.status, answer.report["outcome"]) == (200, "detached")
    assert (answer.headers["ce-specversion"], answer.headers["ce-id"]) == ("1.0", "an%20odd%20id")
    assert (answer.headers["ce-type"], answer.headers["ce-source"]) == ("io.unmirror.report.v1", "unmirror")
    assert answer.headers["ce-time"].endswith("Z")
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("send", [structured, binary])
def test_a_cloudevent_is_answered_with_nothing_when_there_is_nothing_to_tell(
    send: Any, function: Function, tenant: Tenant
) -> None:
    for event in (cloud_event(trace(tenant.cloud.new_id())), cloud_event({"any": "thing"}, "com.example.other", "/x")):
        answer = send(function, event)
        assert (answer.status, answer.body, answer.headers.get("Content-Type")) == (204, b"", None)


# --- what else is asked by HTTP --------------------------------------------------------------------------------


def test_readiness_says_what_is_missing_and_no_secret(new_function: NewFunction) -> None:
    ready = new_function().get()
    assert (ready.status, ready.json["name"], ready.json["ready"], ready.json["missing"]) == (200, "unmirror", True, [])
    missing = new_function(UNMIRROR_VPC_ENDPOINT="", HUAWEICLOUD_SDK_PROJECT_ID="", UNMIRROR_TRUST="").get()
    assert (missing.status, missing.json["ready"]) == (200, False)
    named = " ".join(missing.json["missing"])
    assert all(name in named for name in ("UNMIRROR_REGION", "HUAWEICLOUD_SDK_PROJECT_ID", "UNMIRROR_TRUST=platform"))
    assert not any(secret in ready.body.decode() + missing.body.decode() for secret in (ACCESS_KEY, SECRET_KEY))


def test_head_is_get_without_the_body(function: Function) -> None:
    answer = function.get(method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == function.get().headers["Content-Length"]


@pytest.mark.parametrize(
    ("origin", "consent"),
    [("eventemitter.example.com", True), ("*", True), ("", False), ("a b", False), ("\u00e9", False), (None, False)],
)
def test_the_webhook_handshake_echoes_the_origin(function: Function, origin: str | None, consent: bool) -> None:
    asked = {} if origin is None else {"WebHook-Request-Origin": origin, "WebHook-Request-Rate": "120"}
    answer = function.get(method="OPTIONS", headers=asked)
    assert (answer.status, answer.body, answer.headers["Allow"]) == (204, b"", "GET, HEAD, OPTIONS, POST")
    assert answer.headers.get("WebHook-Allowed-Origin") == (origin if consent else None)
    assert answer.headers.get("WebHook-Allowed-Rate") == ("*" if consent else None)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_are_not_allowed(
    function: Function, emulator: Emulator, tenant: Tenant, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = function.post(deleted(delete(tenant)), method=method)
    assert (answer.status, answer.slug) == (405, "method-not-allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert [vars(record)["event"] for record in caplog.records] == ["delivery.method-not-allowed"]
    assert emulator.calls == []
