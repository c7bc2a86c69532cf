"""What becomes of an event at the HTTP function: its sender's answer, the sessions afterwards, the calls it cost."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from handler.cli.commands.demo import cts_event
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY, Tenant
from handler.emulator.server import Emulator, Fault
from tests.conftest import MAIN, NewFunction
from tests.support.function import Answer, Function, settings_for

VICTIM = "api-3"
"""Mirrored by three sessions, each of which has other sources, too."""


def deleted(*interface_ids: str, **data: object) -> dict[str, Any]:
    """Return our own event, as a webhook posts it."""
    return {
        "type": "io.unmirror.interface.deleted.v1",
        "id": "cleanup-4711",
        "data": {"interface_ids": list(interface_ids), **data},
    }


def cloud_event(data: object, kind: str = "VPC:CloudTrace:ApiCall", source: str = "HC.VPC") -> dict[str, Any]:
    """Return a CloudEvent with the oddities of EventGrid's."""
    return {
        "specversion": "1.0",
        "id": "0c4b8e27-5d91-46fa-8a3e-b17d2f60c94e",
        "source": source,
        "type": kind,
        "subject": "",
        "datacontenttype": "application/json",
        "dataschema": "",
        "time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f") + "937Z",
        "ttl": "4000",
        "data": data,
    }


def trace(interface_id: str, **members: object) -> dict[str, Any]:
    """Return a CTS trace of its deletion, recorded just now."""
    return {**cts_event(interface_id, trace=1)["cts"], **members}


def structured(function: Function, event: Mapping[str, Any]) -> Answer:
    return function.post(json.dumps(event).encode(), {"Content-Type": "application/cloudevents+json; charset=UTF-8"})


def binary(function: Function, event: Mapping[str, Any]) -> Answer:
    attributes = {f"ce-{name}": value for name, value in event.items() if name not in ("data", "datacontenttype")}
    return function.post(
        json.dumps(event["data"]).encode(), {**attributes, "Content-Type": str(event["datacontenttype"])}
    )


def sources(tenant: Tenant) -> dict[str, tuple[str, ...]]:
    """Return the sources of each session by its name."""
    found = tenant.cloud.sources(PROJECT_ID)
    return {name: found[id_] for name, id_ in tenant.sessions.items()}


def without(before: Mapping[str, tuple[str, ...]], *gone: str) -> dict[str, tuple[str, ...]]:
    return {name: tuple(id_ for id_ in ids if id_ not in gone) for name, ids in before.items()}


def delete(tenant: Tenant, name: str = VICTIM) -> str:
    """Delete an interface, which leaves it in its sessions, and return its id."""
    tenant.cloud.delete_port(tenant.interfaces[name])
    return tenant.interfaces[name]


def operations(emulator: Emulator) -> list[str]:
    return [call.operation for call in emulator.calls]


# --- every way in which a deletion is told ----------------------------------------------------------------


ENVELOPES = {
    "the CTS trigger's": lambda function, id_: function.post({"cts": trace(id_)}),
    "EventGrid's, bare": lambda function, id_: function.post(cloud_event(trace(id_))),
    "EventGrid's, structured": lambda function, id_: structured(function, cloud_event(trace(id_))),
    "EventGrid's, binary": lambda function, id_: binary(function, cloud_event(trace(id_))),
    "EventGrid's list": lambda function, id_: function.post({"events": [cloud_event(trace(id_))]}),
    "our webhook": lambda function, id_: function.post(deleted(id_)),
    "our webhook that names the project": lambda function, id_: function.post(deleted(id_, project_id=PROJECT_ID)),
    "our CloudEvent, structured": lambda function, id_: structured(
        function, cloud_event({"interface_ids": [id_]}, "io.unmirror.interface.deleted.v1", "/inventory")
    ),
    "our CloudEvent, binary": lambda function, id_: binary(
        function, cloud_event({"interface_ids": [id_]}, "io.unmirror.interface.deleted.v1", "/inventory")
    ),
}


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_a_deleted_interface_leaves_all_its_sessions_and_nothing_else_does(
    envelope: str, function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    before, gone = sources(tenant), delete(tenant)
    answer = ENVELOPES[envelope](function, gone)
    assert (answer.status, answer.report["outcome"]) == (200, "detached")
    assert sources(tenant) == without(before, gone)
    assert operations(emulator) == ["list_sessions", "show_port", *["remove_sources"] * 3]
    assert answer.report["api_calls"] == 5


def test_the_report_proves_what_was_done(function: Function, tenant: Tenant, emulator: Emulator) -> None:
    before, gone = sources(tenant), delete(tenant)
    report = function.post({"cts": trace(gone)}).report
    assert (report["delivery_id"], report["envelope"]) == ("00000000-0000-4000-8000-000000000001", "cts")
    assert (report["project_id"], report["retry"], report["error"]) == (PROJECT_ID, False, None)
    by_name = {each["session_name"]: each for each in report["detachments"]}
    assert set(by_name) == {"ids-api-tier", "pci-payments", "forensics-case-17"}
    for name, detachment in by_name.items():
        assert detachment["session_id"] == tenant.sessions[name]
        assert (detachment["interface_ids"], detachment["status"]) == ([gone], "detached")
        assert tuple(detachment["sources_before"]) == before[name]
        assert tuple(detachment["sources_after"]) == without(before, gone)[name]
        assert len(detachment["request_ids"]) == 1
    assert [each["interface_id"] for each in report["gone"]] == [gone]
    assert report["gone"][0]["request_id"]


def test_interfaces_of_one_event_leave_a_session_by_one_call(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    before, gone = sources(tenant), [delete(tenant, name) for name in ("db-1", "db-2", "db-3")]
    report = function.post(deleted(*gone)).report
    assert report["outcome"] == "detached"
    assert sources(tenant) == without(before, *gone)
    removed = {call.path: call.ids for call in emulator.calls if call.operation == "remove_sources"}
    assert sorted(len(ids) for ids in removed.values()) == [1, 3]  # db-2 is in another session, too


def test_an_interface_that_is_in_no_session_costs_the_look_and_no_more(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    before = sources(tenant)
    stranger = tenant.cloud.new_id()
    answer = function.post(deleted(stranger))
    assert (answer.status, answer.report["outcome"]) == (200, "nothing_to_do")
    assert [(each["interface_id"], each["why"]) for each in answer.report["kept"]] == [(stranger, "not_mirrored")]
    assert operations(emulator) == ["list_sessions"]
    assert sources(tenant) == before


def test_the_same_event_again_changes_nothing_and_is_a_success(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    gone = delete(tenant)
    event = {"cts": trace(gone)}
    function.post(event)
    after, changes = sources(tenant), len(emulator.changes())
    again = function.post(event)
    assert (again.status, again.report["outcome"]) == (200, "nothing_to_do")
    assert (sources(tenant), len(emulator.changes())) == (after, changes)


@pytest.mark.parametrize(("max_age", "looks"), [("", 1), ("300", 1), ("0.000001", 3)])
def test_a_look_serves_all_that_was_deleted_before_it_unless_it_is_too_old(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator, max_age: str, looks: int
) -> None:
    function = new_function(UNMIRROR_SNAPSHOT_MAX_AGE=max_age)
    long_ago = datetime.now(timezone.utc) - timedelta(minutes=3)
    for name in ("web-1", "web-2", "mail-1"):
        event = {**deleted(delete(tenant, name)), "time": long_ago.isoformat()}
        assert function.post(event).report["outcome"] == "detached"
    assert emulator.counts["list_sessions"] == looks


def test_every_page_is_read(tenant: Tenant) -> None:
    gone = delete(tenant)
    with Emulator(tenant.cloud, keys={ACCESS_KEY: SECRET_KEY}, page_cap=3) as emulator:
        report = Function(settings_for(emulator), source=MAIN).post(deleted(gone)).report
        assert (report["outcome"], len(report["detachments"])) == ("detached", 3)
        assert emulator.counts["list_sessions"] == 3


# --- what is refused to be believed --------------------------------------------------------------------------


def test_a_living_interface_is_never_detached(hasty: Function, tenant: Tenant, emulator: Emulator) -> None:
    before = sources(tenant)
    answer = hasty.post({"cts": trace(tenant.interfaces[VICTIM])})
    assert (answer.status, answer.report["outcome"], answer.report["retry"]) == (503, "still_exists", True)
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.report["error"]["type"].endswith("/still-exists")
    assert sources(tenant) == before
    assert emulator.changes() == []
    assert emulator.counts["show_port"] == 4  # asked a few times: a deletion and the view of it are not one moment


def test_who_has_little_time_is_told_that_it_lives_before_that_is_up(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator
) -> None:
    """There is time for the first pause, and none for the second."""
    answer = new_function(source=MAIN, UNMIRROR_DEADLINE="0.9").post({"cts": trace(tenant.interfaces[VICTIM])})
    assert (answer.status, answer.report["outcome"]) == (503, "still_exists")
    assert emulator.counts["show_port"] <= 2


def test_it_leaves_as_soon_as_it_is_gone(hasty: Function, tenant: Tenant, emulator: Emulator) -> None:
    event = {"cts": trace(tenant.interfaces[VICTIM])}
    assert hasty.post(event).status == 503
    delete(tenant)
    assert hasty.post(event).report["outcome"] == "detached"


def test_the_dead_leave_though_a_living_one_was_named_with_them(
    hasty: Function, tenant: Tenant, emulator: Emulator
) -> None:
    before, gone, alive = sources(tenant), delete(tenant, "web-1"), tenant.interfaces["web-2"]
    answer = hasty.post(deleted(alive, gone))
    assert (answer.status, answer.report["outcome"]) == (503, "partial")
    assert sources(tenant) == without(before, gone)
    assert [(each["interface_id"], each["why"]) for each in answer.report["kept"]] == [(alive, "still_exists")]


def test_dry_run_plans_and_changes_nothing(new_function: NewFunction, tenant: Tenant, emulator: Emulator) -> None:
    before, gone = sources(tenant), delete(tenant)
    answer = new_function(UNMIRROR_DRY_RUN="1").post({"cts": trace(gone)})
    assert (answer.status, answer.report["outcome"], answer.report["dry_run"]) == (200, "planned", True)
    assert answer.report["reason"] == "dry run: would detach 1 deleted interface(s) in 3 session(s)"
    assert {each["status"] for each in answer.report["detachments"]} == {"planned"}
    assert all(gone not in each["sources_after"] for each in answer.report["detachments"])
    assert sources(tenant) == before
    assert emulator.changes() == []


def test_a_protected_session_keeps_what_it_has(new_function: NewFunction, tenant: Tenant) -> None:
    before, gone = sources(tenant), delete(tenant)
    protect = f"forensics-* {tenant.sessions['pci-payments']}"
    report = new_function(UNMIRROR_PROTECT=protect).post({"cts": trace(gone)}).report
    assert report["outcome"] == "detached"
    assert sources(tenant) == {**before, "ids-api-tier": without(before, gone)["ids-api-tier"]}
    (kept,) = report["kept"]
    assert (kept["interface_id"], kept["why"]) == (gone, "protected")
    assert set(kept["session_ids"]) == {tenant.sessions["pci-payments"], tenant.sessions["forensics-case-17"]}


def test_what_only_protected_sessions_list_is_told_apart_from_what_none_lists(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator
) -> None:
    report = new_function(UNMIRROR_PROTECT="*").post(deleted(delete(tenant))).report
    assert report["outcome"] == "nothing_to_do"
    assert report["reason"] == "no session has anything to lose; 1 interface(s) stay in protected sessions"
    assert emulator.changes() == []


def test_a_living_interface_is_found_alive_in_a_protected_session_too(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator
) -> None:
    living = tenant.interfaces["web-1"]
    answer = new_function(UNMIRROR_PROTECT="*").post(deleted(living))
    assert answer.status == 503
    (kept,) = answer.report["kept"]
    assert (kept["why"], kept["session_ids"]) == (
        "still_exists",
        [id_ for id_, ids in tenant.cloud.sources(PROJECT_ID).items() if living in ids],
    )
    assert emulator.changes() == []


def test_where_nothing_could_change_the_answer_does_not_wait_for_the_api(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator
) -> None:
    """A protected session keeps it, gone or not: that it cannot be asked for is no reason to send again."""
    emulator.faults.append(Fault(operation="show_port", status=403, body=b'{"error_code":"VPC.0010"}'))
    answer = new_function(UNMIRROR_PROTECT="*").post(deleted(delete(tenant)))
    assert (answer.status, [each["why"] for each in answer.report["kept"]]) == (200, ["protected"])


def test_the_interfaces_of_one_event_are_asked_for_side_by_side(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    """No answer is given before all three have been asked for."""
    dead = [delete(tenant, name) for name in ("mail-1", "mail-2", "db-1")]
    reached, all_there = [], asyncio.Event()

    async def meet(operation: str) -> None:
        if operation == "show_port":
            reached.append(operation)
            if len(reached) == len(dead):
                all_there.set()
            await asyncio.wait_for(all_there.wait(), 10)

    emulator.hold = meet
    report = function.post(deleted(*dead)).report
    assert report["outcome"] == "detached"
    assert [each["interface_id"] for each in report["gone"]] == dead
    assert len(reached) == len(dead), "none had to be asked for again"


def test_where_there_was_nothing_to_do_there_is_no_cause(function: Function, tenant: Tenant) -> None:
    report = function.post({"cts": trace(delete(tenant))}).report
    assert report["cause"]["operation"] == "VPC deletePort"
    again = function.post({"cts": trace(tenant.interfaces["api-3"])}).report
    assert (again["outcome"], again["cause"]) == ("nothing_to_do", None)


def test_a_dry_run_never_says_that_it_detached(new_function: NewFunction, tenant: Tenant) -> None:
    event = deleted(delete(tenant), tenant.interfaces["web-1"])
    report = new_function(UNMIRROR_DRY_RUN="1").post(event).report
    assert report["outcome"] == "partial"
    assert report["reason"].startswith("dry run: would detach 1 deleted interface(s) in 3 session(s); ")


def test_a_session_that_lost_its_target_is_reported_and_never_touched(
    function: Function, tenant: Tenant, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    before, gone = sources(tenant), delete(tenant, "ids-sensor-b")
    answer = function.post({"cts": trace(gone)})
    assert answer.report["outcome"] == "nothing_to_do"
    lost = {each["session_name"]: each["target_id"] for each in answer.report["lost_targets"]}
    assert lost == dict.fromkeys(("pci-payments", "ids-databases", "edge-access", "mail-dlp"), gone)
    assert sources(tenant) == before
    assert emulator.changes() == []
    assert capsys.readouterr().out.count("session.target_lost") == 4


def test_a_sender_of_cloudevents_is_told_of_a_lost_target(function: Function, tenant: Tenant) -> None:
    answer = binary(function, cloud_event(trace(delete(tenant, "ids-sensor-b"))))
    assert (answer.status, answer.headers["ce-type"]) == (200, "io.unmirror.report.v1")
    assert len(answer.report["lost_targets"]) == 4


def test_an_elastic_ip_s_session_is_none_of_ours(function: Function, tenant: Tenant) -> None:
    gone = delete(tenant)
    other = tenant.cloud.add_session(PROJECT_ID, name="by-address", type="eip", sources=[gone])
    assert function.post({"cts": trace(gone)}).report["outcome"] == "detached"
    assert tenant.cloud.sources(PROJECT_ID)[other] == (gone,)


# --- where the API is not as one would like ------------------------------------------------------------------


@pytest.mark.parametrize("published", [("v1", "v2.0"), ("v2.0",)], ids=str)
def test_verification_falls_back_to_the_version_that_the_region_publishes(
    function: Function, tenant: Tenant, emulator: Emulator, published: tuple[str, ...]
) -> None:
    emulator.behaviour = replace(emulator.behaviour, ports_versions=published)
    before, gone = sources(tenant), [delete(tenant), delete(tenant, "web-1")]
    assert function.post(deleted(gone[0])).report["outcome"] == "detached"
    asked_before = emulator.counts["show_port"]
    assert function.post(deleted(gone[1])).report["outcome"] == "detached"
    assert sources(tenant) == without(before, *gone)
    assert emulator.counts["show_port"] == asked_before + 1  # the second time it knows which version to ask


def test_a_gateway_s_404_is_no_absence(function: Function, tenant: Tenant, emulator: Emulator) -> None:
    emulator.behaviour = replace(emulator.behaviour, ports_versions=())
    before, gone = sources(tenant), delete(tenant)
    answer = function.post(deleted(gone))
    assert answer.status == 502
    assert sources(tenant) == before


def test_a_removal_whose_answer_still_lists_the_interface_is_read_again(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    emulator.behaviour = replace(emulator.behaviour, stale_removals=True)
    before, gone = sources(tenant), delete(tenant)
    report = function.post(deleted(gone)).report
    assert report["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)
    assert emulator.counts["show_session"] == 3
    assert all(gone not in each["sources_after"] for each in report["detachments"])
    assert {len(each["request_ids"]) for each in report["detachments"]} == {2}


@pytest.mark.parametrize(
    ("absent_source", "fate", "outcome"),
    [("reject", "already_absent", "nothing_to_do"), ("ignore", "detached", "detached")],
)
def test_an_interface_that_somebody_else_removed_meanwhile_is_a_success(
    function: Function, tenant: Tenant, emulator: Emulator, absent_source: Any, fate: str, outcome: str
) -> None:
    emulator.behaviour = replace(emulator.behaviour, absent_source=absent_source)
    gone = delete(tenant, "vpn-gw")

    async def meanwhile(operation: str) -> None:
        if operation == "remove_sources":
            tenant.cloud.set_sources(PROJECT_ID, tenant.sessions["edge-access"], [tenant.interfaces["jump-host"]])

    emulator.hold = meanwhile
    report = function.post(deleted(gone)).report
    assert (report["outcome"], [each["status"] for each in report["detachments"]]) == (outcome, [fate])


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (Fault("list_sessions", status=503, times=-1), 503, "api-unavailable"),
        (Fault("list_sessions", status=302, headers={"Location": "/login"}, times=-1), 503, "bad-reply"),
        (Fault("list_sessions", status=200, body=b"<html>please log in</html>", times=-1), 503, "bad-reply"),
        (Fault("list_sessions", status=429, body=b"{}", headers={"Retry-After": "77"}, times=-1), 503, "api-throttled"),
        (Fault("list_sessions", status=403, body=b'{"error_code":"APIGW.0302"}', times=-1), 502, "api-refused"),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
def test_an_api_that_does_not_answer_as_documented_is_no_empty_list(
    hasty: Function, tenant: Tenant, emulator: Emulator, fault: Fault, status: int, kind: str
) -> None:
    emulator.faults.append(fault)
    before = sources(tenant)
    answer = hasty.post(deleted(delete(tenant)))
    assert answer.status == status
    error = answer.problem if status == 502 else answer.report["error"]
    assert error["type"].endswith(kind)
    assert ("Retry-After" in answer.headers) == (status == 503)
    if kind == "api-throttled":
        assert answer.headers["Retry-After"] == "77"
    assert sources(tenant) == before


def test_wrong_keys_are_a_502_that_says_so(new_function: NewFunction, tenant: Tenant) -> None:
    answer = new_function(HUAWEICLOUD_SDK_SK="marked-wrong-secret").post(deleted(delete(tenant)))
    assert answer.status == 502
    assert "access key" in answer.problem["detail"]
    assert b"marked" not in answer.body


# --- what is none of ours ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "outcome"),
    [
        ({"trace_name": "createPort"}, "ignored"),
        ({"service_type": "IAM", "resource_type": "user", "trace_name": "deleteUser"}, "ignored"),
        ({"trace_rating": "warning"}, "ignored"),
        ({"trace_rating": "normal", "trace_status": "warning"}, "ignored"),
        ({"response": {"job_id": "ff80", "status": "RUNNING"}}, "not_yet"),
        ({"response": '{"job_id": "ff80"}'}, "not_yet"),
    ],
    ids=str,
)
def test_a_trace_of_something_else_is_a_success_that_says_why(
    function: Function, tenant: Tenant, emulator: Emulator, members: dict[str, object], outcome: str
) -> None:
    answer = function.post({"cts": trace(delete(tenant), **members)})
    assert (answer.status, answer.report["outcome"]) == (200, outcome)
    assert answer.report["reason"]
    assert answer.report["project_id"] is None  # it was not acted anywhere
    assert emulator.calls == []


@pytest.mark.parametrize("send", [structured, binary])
def test_a_cloudevent_of_another_source_or_type_is_taken_and_ignored(send: Any, function: Function) -> None:
    answer = send(function, cloud_event({"any": "thing"}, "com.example.other", "/elsewhere"))
    assert (answer.status, answer.body) == (204, b"")


def test_a_trace_that_does_not_name_the_interface_is_a_clear_400(function: Function, emulator: Emulator) -> None:
    for resource_id in ({}, None, "", "not-an-id"):
        answer = function.post({"cts": trace("", resource_id=resource_id)})
        assert answer.status == 400
        assert answer.problem["violations"][0]["path"].startswith("$.cts")
    assert emulator.calls == []


def test_another_project_is_refused(function: Function, tenant: Tenant, emulator: Emulator) -> None:
    answer = function.post(deleted(delete(tenant), project_id="another"))
    assert (answer.status, answer.problem["type"]) == (403, "https://unmirror.io/problems/not-allowed")
    assert b"another" not in answer.body.replace(b"another region", b"")
    assert emulator.calls == []


def test_several_projects_may_be_acted_in_and_the_event_names_which(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator
) -> None:
    function = new_function(UNMIRROR_PROJECTS=f"another,{PROJECT_ID}", HUAWEICLOUD_SDK_PROJECT_ID="")
    gone = delete(tenant)
    unnamed = function.post(deleted(gone))
    assert (unnamed.status, unnamed.problem["type"]) == (502, "https://unmirror.io/problems/not-configured")
    assert function.post(deleted(gone, project_id="another")).report["outcome"] == "nothing_to_do"
    assert function.post(deleted(gone, project_id=PROJECT_ID)).report["outcome"] == "detached"


def test_another_region_is_refused(new_function: NewFunction, tenant: Tenant, emulator: Emulator) -> None:
    function = new_function(UNMIRROR_REGION="eu-west-101")
    event = json.dumps({"cts": trace(delete(tenant))})
    told = {"trigger_type": "KAFKA", "records": [{"messages": [event]}]}
    assert function.post({**told, "region": "cn-north-4"}).status == 403
    assert emulator.calls == []
    assert function.post({**told, "region": "eu-west-101"}).report["outcome"] == "detached"


def test_without_an_endpoint_or_a_project_a_deletion_is_sent_again_until_they_are_set(
    new_function: NewFunction, tenant: Tenant
) -> None:
    function = new_function(UNMIRROR_VPC_ENDPOINT="", HUAWEICLOUD_SDK_PROJECT_ID="")
    answer = function.post(deleted(delete(tenant)))
    assert (answer.status, answer.problem["type"]) == (502, "https://unmirror.io/problems/not-configured")
    assert "UNMIRROR_REGION" in answer.problem["detail"]
    assert "HUAWEICLOUD_SDK_PROJECT_ID" in answer.problem["detail"]
    nothing_for_us = {"cts": trace("", trace_name="createPort")}
    assert function.post(nothing_for_us).report["outcome"] == "ignored"  # which needs neither


# --- what names no interface -----------------------------------------------------------------------------------


def test_a_deleted_server_becomes_a_sweep_of_its_project(function: Function, tenant: Tenant) -> None:
    before, gone = sources(tenant), [delete(tenant, name) for name in ("web-1", "db-2")]
    members = {"service_type": "ECS", "resource_type": "ecs", "trace_name": "deleteServer"}
    answer = function.post({"cts": trace(tenant.cloud.new_id(), **members)})
    assert (answer.status, answer.report["outcome"]) == (200, "detached")
    assert answer.report["sweep"]["detached"] == 2
    assert sources(tenant) == without(before, *gone)


def test_a_timer_sweeps_every_project(new_function: NewFunction, tenant: Tenant) -> None:
    function = new_function(UNMIRROR_PROJECTS=f"another,{PROJECT_ID}", HUAWEICLOUD_SDK_PROJECT_ID="")
    before, gone = sources(tenant), delete(tenant)
    timer = {"version": "v1.0", "time": "2026-01-02T03:04:05+08:00", "trigger_type": "TIMER", "trigger_name": "nightly"}
    answer = function.post(timer, path="/invoke")
    assert (answer.status, answer.report["outcome"], answer.report["project_id"]) == (200, "detached", None)
    assert {part["project_id"]: part["outcome"] for part in answer.report["parts"]} == {
        "another": "nothing_to_do",
        PROJECT_ID: "detached",
    }
    assert sources(tenant) == without(before, gone)


def test_a_deleted_load_balancer_is_reported_where_it_was_a_target(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    balancer = tenant.cloud.new_id()
    session = tenant.cloud.add_session(PROJECT_ID, name="to-balancer", target_id=balancer, target_type="elb")
    members = {"service_type": "ELB", "resource_type": "loadbalancer", "trace_name": "deleteLoadbalancer"}
    answer = function.post({"cts": trace(balancer, **members)})
    assert (answer.status, answer.report["outcome"]) == (200, "nothing_to_do")
    assert [(each["session_id"], each["target_id"]) for each in answer.report["lost_targets"]] == [(session, balancer)]
    assert operations(emulator) == ["list_sessions"]


# --- several events at once ------------------------------------------------------------------------------------


def batch(function: Function, events: list[dict[str, Any]]) -> Answer:
    return function.post(json.dumps(events).encode(), {"Content-Type": "application/cloudevents-batch+json"})


@pytest.mark.parametrize("send", [batch, lambda function, events: function.post({"events": events})])
def test_a_batch_reports_each_of_its_events(send: Any, function: Function, tenant: Tenant) -> None:
    before, gone = sources(tenant), [delete(tenant), delete(tenant, "mail-1")]
    answer = send(function, [cloud_event(trace(id_, trace_id=id_)) for id_ in gone])
    assert (answer.status, answer.report["outcome"]) == (200, "detached")
    assert [part["delivery_id"] for part in answer.report["parts"]] == gone
    assert [part["outcome"] for part in answer.report["parts"]] == ["detached", "detached"]
    assert answer.report["api_calls"] == sum(part["api_calls"] for part in answer.report["parts"])
    assert sources(tenant) == without(before, *gone)


def test_a_batch_answers_the_worst_of_its_parts(hasty: Function, tenant: Tenant) -> None:
    before, gone, alive = sources(tenant), delete(tenant), tenant.interfaces["mail-1"]
    events = [
        cloud_event(trace(gone, trace_id="1")),
        cloud_event(trace(alive, trace_id="2")),
        cloud_event({}, "com.example.other"),
        cloud_event(trace(gone, trace_id="4", project_id="another")),
    ]
    answer = batch(hasty, events)
    assert (answer.status, answer.report["outcome"], answer.report["retry"]) == (503, "partial", True)
    parts = [part["outcome"] for part in answer.report["parts"]]
    assert parts == ["detached", "still_exists", "ignored", "failed"]
    assert sources(tenant) == without(before, gone)


def test_one_event_of_a_batch_that_cannot_be_read_does_not_hold_up_the_others(
    function: Function, tenant: Tenant
) -> None:
    gone = delete(tenant)
    answer = batch(function, [{"specversion": "2.0"}, cloud_event(trace(gone))])
    assert (answer.status, [part["outcome"] for part in answer.report["parts"]]) == (200, ["ignored", "detached"])


# --- what a sender of CloudEvents reads ------------------------------------------------------------------------


@pytest.mark.parametrize("send", [structured, binary])
def test_a_cloudevent_is_answered_with_a_cloudevent_when_something_was_done(
    send: Any, function: Function, tenant: Tenant
) -> None:
    answer = send(function, cloud_event(trace(delete(tenant), trace_id="a 100 % odd id: \u00e9")))
    assert (answer.status, answer.headers["ce-specversion"]) == (200, "1.0")
    assert (answer.headers["ce-type"], answer.headers["ce-source"]) == ("io.unmirror.report.v1", "unmirror")
    assert answer.headers["ce-id"] == "a%20100%20%25%20odd%20id:%20%C3%A9"
    assert answer.headers["ce-time"].endswith("Z")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.report["outcome"] == "detached"


@pytest.mark.parametrize("send", [structured, binary])
def test_a_cloudevent_is_answered_with_nothing_when_nothing_was_done(
    send: Any, function: Function, tenant: Tenant
) -> None:
    answer = send(function, cloud_event(trace(tenant.cloud.new_id())))
    assert (answer.status, answer.body, answer.headers.get("Content-Type")) == (204, b"", None)


def test_a_cloudevent_that_has_to_be_sent_again_is_answered_with_the_report(hasty: Function, tenant: Tenant) -> None:
    answer = structured(hasty, cloud_event(trace(tenant.interfaces[VICTIM])))
    assert (answer.status, answer.report["outcome"]) == (503, "still_exists")
    assert "Retry-After" in answer.headers
    assert not any(name.startswith("ce-") for name in answer.headers)


# --- what else is asked by HTTP --------------------------------------------------------------------------------


def test_readiness_says_what_is_missing_and_no_secret(new_function: NewFunction) -> None:
    ready = new_function().get()
    assert (ready.status, ready.json["name"], ready.json["ready"], ready.json["missing"]) == (200, "unmirror", True, [])
    missing = new_function(UNMIRROR_VPC_ENDPOINT="", HUAWEICLOUD_SDK_PROJECT_ID="", UNMIRROR_TRUST="").get()
    assert (missing.status, missing.json["ready"]) == (200, False)
    named = " ".join(missing.json["missing"])
    assert all(name in named for name in ("UNMIRROR_REGION", "HUAWEICLOUD_SDK_PROJECT_ID", "UNMIRROR_TRUST=platform"))
    assert SECRET_KEY not in ready.body.decode() + missing.body.decode()


def test_head_is_get_without_the_body(function: Function) -> None:
    answer = function.get(method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == function.get().headers["Content-Length"]


def test_the_webhook_handshake_consents(function: Function) -> None:
    asked = {"WebHook-Request-Origin": "eventemitter.example.com", "WebHook-Request-Rate": "120"}
    answer = function.get(method="OPTIONS", headers=asked)
    assert answer.status == 204
    assert (answer.headers["WebHook-Allowed-Origin"], answer.headers["WebHook-Allowed-Rate"]) == ("*", "*")
    assert "POST" in answer.headers["Allow"]


def test_options_without_a_handshake_name_the_methods(function: Function) -> None:
    answer = function.get(method="OPTIONS")
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert "WebHook-Allowed-Origin" not in answer.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_are_not_allowed(function: Function, emulator: Emulator, tenant: Tenant, method: str) -> None:
    answer = function.post(deleted(delete(tenant)), method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert answer.problem["title"]
    assert emulator.calls == []


# --- when it is our own fault ----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["on_event", "on_cloud_event"])
def test_a_defect_is_a_500_that_tells_the_sender_nothing_and_the_log_where(
    new_function: NewFunction,
    tenant: Tenant,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    target: str,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("marked: something that nobody thought of")

    monkeypatch.setattr(socket, "getaddrinfo", broken)
    answer = structured(new_function(target), cloud_event(trace(delete(tenant))))
    assert (answer.status, answer.problem["title"]) == (500, "Internal error")
    out, err = capfd.readouterr()
    assert "marked" not in answer.body.decode() + out + err
    said = json.loads(out)
    assert (said["level"], said["event"], said["message"]) == ("critical", "defect", "a defect: RuntimeError")
    assert any(place.startswith("detach.py:") for place in said["places"])


def test_a_log_that_nobody_reads_any_more_fails_no_delivery(
    function: Function, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = delete(tenant)
    with (closed := io.StringIO()):
        pass
    monkeypatch.setattr(sys, "stdout", closed)
    assert function.post(deleted(gone)).status == 200


# --- FunctionGraph's image -------------------------------------------------------------------------------------


def test_init_is_readiness_and_invoke_is_a_delivery(function: Function, tenant: Tenant) -> None:
    assert function.post(b"", path="/init").json["ready"] is True
    answer = function.post({"cts": trace(delete(tenant))}, path="/invoke")
    assert (answer.status, answer.report["outcome"]) == (200, "detached")


def test_invoke_always_answers_with_the_report(function: Function, tenant: Tenant) -> None:
    """EventGrid's trigger hands on a bare CloudEvent, but it is the platform that reads the answer."""
    answer = function.post(cloud_event(trace(tenant.cloud.new_id())), path="/invoke")
    assert (answer.status, answer.report["outcome"]) == (200, "nothing_to_do")


TEMPORARY = ("TEMPORARY", "temporary-secret", "temporary-token")


def keys(*three: str) -> dict[str, str]:
    """Return the headers in which FunctionGraph gives an image its keys."""
    return dict(
        zip(("X-CFF-Security-Access-Key", "X-CFF-Security-Secret-Key", "X-CFF-Security-Token"), three, strict=True)
    )


def test_the_platform_s_keys_are_used_before_others(function: Function, tenant: Tenant, emulator: Emulator) -> None:
    assert emulator.door is not None
    emulator.door.keys[TEMPORARY[0]] = TEMPORARY[1:]
    assert function.post(deleted(delete(tenant)), keys(*TEMPORARY), path="/invoke").report["outcome"] == "detached"
    assert {call.access_key for call in emulator.calls} == {TEMPORARY[0]}


def test_what_one_key_is_told_holds_for_no_other(hasty: Function, tenant: Tenant, emulator: Emulator) -> None:
    """A key of somebody else's, to which the API shows nothing, makes no living interface gone for ours."""
    assert emulator.door is not None
    emulator.door.keys[TEMPORARY[0]] = TEMPORARY[1:]
    living = tenant.interfaces["web-1"]
    emulator.faults += [
        Fault("show_port", status=404, body=b'{"error_code":"VPC.2502","error_msg":"Port not found"}'),
        Fault("remove_sources", status=403, body=b'{"error_code":"VPC.2201"}', times=-1),
    ]
    assert hasty.post(deleted(living), keys(*TEMPORARY), path="/invoke").status == 502
    emulator.clear_faults()
    answer = hasty.post(deleted(living))
    assert (answer.status, answer.report["outcome"]) == (503, "still_exists")
    assert all(living in ids for name, ids in sources(tenant).items() if name == "ids-web-tier")


def test_keys_that_are_the_text_null_are_none(function: Function, tenant: Tenant, emulator: Emulator) -> None:
    answer = function.post(deleted(delete(tenant)), keys("null", "null", "null"), path="/invoke")
    assert answer.report["outcome"] == "detached"
    assert {call.access_key for call in emulator.calls} == {ACCESS_KEY}


def test_keys_in_headers_are_nothing_where_anybody_can_set_headers(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator
) -> None:
    function = new_function(UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS="marked-token")
    headers = {**keys(*TEMPORARY), "Authorization": "Bearer marked-token"}
    assert function.post(deleted(delete(tenant)), headers, path="/invoke").report["outcome"] == "detached"
    assert {call.access_key for call in emulator.calls} == {ACCESS_KEY}


def through_gateway(body: object) -> dict[str, Any]:
    """Return what an API gateway trigger hands on for a posted body (constructed)."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {
        "httpMethod": "POST",
        "path": "/",
        "requestContext": {"apiId": "7d2f9c14", "requestId": "83b6e1f05c2d47a9", "stage": "RELEASE"},
        "headers": {"content-type": "application/json"},
        "queryStringParameters": {},
        "pathParameters": {},
        "body": base64.b64encode(text).decode(),
        "isBase64Encoded": True,
    }


def test_a_gateway_is_answered_in_its_envelope(function: Function, tenant: Tenant) -> None:
    answer = function.post(through_gateway(deleted(delete(tenant))), path="/invoke")
    assert (answer.status, answer.json["statusCode"]) == (200, 200)
    assert json.loads(answer.json["body"])["outcome"] == "detached"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not JSON", 400),
        ({"un": "known"}, 400),
        (deleted("00000000-0000-4000-8000-000000000000", project_id="another"), 403),
    ],
    ids=str,
)
def test_a_gateway_is_told_of_a_refusal_in_its_envelope(function: Function, body: object, status: int) -> None:
    answer = function.post(through_gateway(body), path="/invoke")
    assert (answer.status, answer.json["statusCode"]) == (200, status)
    assert json.loads(answer.json["body"])["status"] == status
    assert answer.json["headers"]["Content-Type"] == "application/problem+json"


def test_a_gateway_is_told_to_send_again_in_its_envelope(hasty: Function, tenant: Tenant) -> None:
    answer = hasty.post(through_gateway(deleted(tenant.interfaces[VICTIM])), path="/invoke")
    assert (answer.status, answer.json["statusCode"]) == (200, 503)
    assert "Retry-After" in answer.json["headers"]
