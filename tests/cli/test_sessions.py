"""`unmirror sessions`: what is mirrored where, and what of it is gone."""

from __future__ import annotations

from typing import Any

from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Behaviour, Emulator, Fault
from tests.cli.conftest import Run, described
from tests.cli.golden import same


def listed(run: Run, settings: dict[str, str], *arguments: str) -> dict[str, Any]:
    result = run("sessions", *arguments, "--json", settings=settings)
    assert result.exit_code == 0
    return {each["name"]: each for each in described("sessions", result.stdout)["sessions"]}


def test_what_is_gone_is_marked(run: Run, settings: dict[str, str], tenant: Tenant, emulator: Emulator) -> None:
    tenant.cloud.delete_port(tenant.interfaces["api-3"])
    tenant.cloud.delete_port(tenant.interfaces["ids-sensor-b"])
    result = run("sessions", "--name", "[ep]*", settings=settings)
    assert (result.exit_code, result.stderr) == (0, "")
    same("sessions", result.stdout)
    assert emulator.changes() == []


def test_filters_narrow_what_is_listed(run: Run, settings: dict[str, str], tenant: Tenant) -> None:
    names = {"ids-api-tier", "pci-payments", "forensics-case-17"}
    assert set(listed(run, settings, "--interface", tenant.interfaces["api-3"].upper())) == names
    to_a = {"ids-web-tier", "ids-api-tier", "forensics-case-17", "build-chain"}
    assert set(listed(run, settings, "--target", tenant.interfaces["ids-sensor-a"])) == to_a
    assert set(listed(run, settings, "--name", "ids-*")) == {"ids-web-tier", "ids-api-tier", "ids-databases"}
    assert len(listed(run, settings)) == 8
    assert run("sessions", "--interface", "web-1", settings=settings).exit_code == 2
    assert "a target's id is a UUID" in run("sessions", "--target", "web-1", settings=settings).stderr


def test_an_interface_is_said_to_exist_or_not_whether_a_session_lists_it_or_none(
    run: Run, settings: dict[str, str], dead: str, tenant: Tenant, emulator: Emulator
) -> None:
    sensor, nowhere = tenant.interfaces["ids-sensor-a"], "6134900d-31a6-4b71-8453-dbca7f26982a"
    states = {dead: (3, 0, "gone"), tenant.interfaces["web-1"]: (1, 0, "exists"), sensor: (0, 4, "exists")}
    states[nowhere] = (0, 0, "gone")
    for id_, (mirroring, mirroring_to, state) in states.items():
        told = described("sessions", run("sessions", "--interface", id_, "--json", settings=settings).stdout)
        asked = told["interface"]
        assert (len(asked["mirrored_by"]), len(asked["target_of"]), asked["state"]) == (mirroring, mirroring_to, state)
        assert sorted(each["id"] for each in told["sessions"]) == sorted(asked["mirrored_by"])
    shown = [run("sessions", "--interface", id_, "--name", "mail-*", settings=settings).stdout for id_ in states]
    same("sessions-interface", "".join(shown))
    emulator.faults.append(Fault("show_port", status=403, body=b'{"error_code": "VPC.2201"}', times=-1))
    unknown = run("sessions", "--interface", nowhere, settings=settings)
    assert f"interface     {nowhere}  unknown" in unknown.stdout


def test_a_list_that_shows_less_marks_nothing_as_gone(
    run: Run, settings: dict[str, str], tenant: Tenant, emulator: Emulator
) -> None:
    emulator.behaviour = Behaviour(hidden_from_lists=frozenset(tenant.interfaces.values()))
    sessions = listed(run, settings)
    assert {source["state"] for each in sessions.values() for source in each["sources"]} == {"exists"}
    assert sessions["ids-web-tier"]["room"] == 2


def test_what_the_api_does_not_answer_is_unknown(
    run: Run, settings: dict[str, str], tenant: Tenant, emulator: Emulator
) -> None:
    tenant.cloud.delete_port(tenant.interfaces["mail-1"])
    emulator.faults.append(Fault("show_port", status=403, body=b'{"error_code": "VPC.2201"}', times=-1))
    states = [source["state"] for source in listed(run, settings)["mail-dlp"]["sources"]]
    assert states == ["unknown", "exists"]
    assert "no source gone; 1 source unknown" in run("sessions", settings=settings).stdout


def test_a_project_that_cannot_be_listed_does_not_stop_the_others(
    run: Run, settings: dict[str, str], emulator: Emulator
) -> None:
    emulator.faults.append(Fault("list_sessions", status=403, body=b'{"error_code": "VPC.2201"}'))
    result = run("sessions", settings={**settings, "UNMIRROR_PROJECTS": f"0,{PROJECT_ID}"})
    assert result.exit_code == 1
    assert "8 sessions, no source gone" in result.stdout
    assert "project 0: " in result.stderr
    assert "vpc:trafficMirrorSessions:list" in result.stderr


def test_nothing_configured_says_what_to_set(run: Run) -> None:
    result = run("sessions")
    assert result.exit_code == 1
    assert "UNMIRROR_REGION" in result.stderr
