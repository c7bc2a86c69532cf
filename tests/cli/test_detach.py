"""`unmirror detach`: take named interfaces out, if they are gone."""

from __future__ import annotations

import json

import pytest

from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator, Fault
from tests.cli.conftest import Run
from tests.cli.golden import same
from tests.support.function import check_report


def test_a_deleted_interface_leaves_its_sessions(run: Run, settings: dict[str, str], dead: str, tenant: Tenant) -> None:
    result = run("detach", dead.upper(), settings=settings)
    assert (result.exit_code, result.stderr) == (0, "")
    same("detach-gone", result.stdout)
    assert all(dead not in sources for sources in tenant.cloud.sources(PROJECT_ID).values())


@pytest.mark.usefixtures("hasty")
def test_a_living_interface_is_refused_and_said_to_live(run: Run, settings: dict[str, str], tenant: Tenant) -> None:
    before = tenant.cloud.sources(PROJECT_ID)
    result = run("detach", tenant.interfaces["db-1"], settings=settings)
    assert result.exit_code == 1
    same("detach-living", result.stdout)
    assert "lives: the VPC API still shows it" in result.stderr
    assert "next: " in result.stderr
    assert tenant.cloud.sources(PROJECT_ID) == before


def test_every_project_is_looked_in_and_those_that_list_it_are_shown(
    run: Run, settings: dict[str, str], dead: str, tenant: Tenant
) -> None:
    several = {**settings, "HUAWEICLOUD_SDK_PROJECT_ID": "0", "UNMIRROR_PROJECTS": f"0,{PROJECT_ID}"}
    planned = run("detach", dead, "--dry-run", "--json", settings=several)
    check_report(report := json.loads(planned.stdout))
    assert (planned.exit_code, report["outcome"], len(report["parts"])) == (0, "planned", 2)
    result = run("detach", dead, settings=several)
    assert (result.exit_code, result.stderr) == (0, "")
    same("detach-gone", result.stdout)
    assert all(dead not in sources for sources in tenant.cloud.sources(PROJECT_ID).values())
    nowhere = run("detach", dead, settings=several)
    assert (nowhere.exit_code, nowhere.stderr) == (0, "")
    same("detach-nowhere", nowhere.stdout)


def test_of_several_projects_the_one_that_fails_is_named_and_the_others_are_done(
    run: Run, settings: dict[str, str], dead: str, tenant: Tenant, emulator: Emulator
) -> None:
    """The one that sorts first is refused."""
    emulator.faults.append(Fault("list_sessions", status=403, body=b'{"error_code": "VPC.2201"}'))
    several = {**settings, "HUAWEICLOUD_SDK_PROJECT_ID": "", "UNMIRROR_PROJECTS": f"0,{PROJECT_ID}"}
    result = run("detach", dead, settings=several)
    assert result.exit_code == 1
    same("detach-gone", result.stdout)
    assert result.stderr.startswith("unmirror: project 0: list sessions is refused")
    assert all(dead not in sources for sources in tenant.cloud.sources(PROJECT_ID).values())


def test_of_several_projects_the_one_whose_sessions_lose_their_target_is_shown(
    run: Run, settings: dict[str, str], tenant: Tenant
) -> None:
    sensor = tenant.interfaces["ids-sensor-b"]
    tenant.cloud.delete_port(sensor)
    result = run("detach", sensor, settings={**settings, "UNMIRROR_PROJECTS": f"0,{PROJECT_ID}"})
    assert result.exit_code == 0
    assert "no target      edge-access mirrors to nowhere" in result.stdout


def test_a_deadline_is_that_of_all_projects(run: Run, settings: dict[str, str], dead: str, emulator: Emulator) -> None:
    emulator.faults.append(Fault("list_sessions", "hang", times=-1))
    several = {**settings, "UNMIRROR_PROJECTS": f"0,{PROJECT_ID}"}
    result = run("detach", dead, "--deadline", "0.2", "--json", settings=several)
    emulator.clear_faults()
    report = json.loads(result.stdout)
    check_report(report)
    assert (result.exit_code, report["outcome"], emulator.counts["list_sessions"]) == (1, "failed", 1)
    assert [part["api_calls"] for part in report["parts"]] == [1, 0]


@pytest.mark.usefixtures("hasty")
def test_what_lives_hides_no_other_trouble(
    run: Run, settings: dict[str, str], dead: str, tenant: Tenant, emulator: Emulator
) -> None:
    emulator.faults.append(Fault("remove_sources", status=403, body=b'{"error_code": "VPC.2201"}', times=-1))
    living = tenant.interfaces["db-1"]
    result = run("detach", living, dead, settings=settings)
    assert result.exit_code == 1
    assert f"{living} lives" in result.stderr
    assert "vpc:trafficMirrorSessions:removeSource" in result.stderr
    assert result.stderr.count("\nnext: ") == 2


@pytest.mark.usefixtures("hasty")
def test_what_lives_in_a_protected_session_is_said_to_live(
    run: Run, settings: dict[str, str], tenant: Tenant, dead: str
) -> None:
    living = tenant.interfaces["db-1"]
    result = run("detach", living, dead, settings={**settings, "UNMIRROR_PROTECT": "*"})
    assert result.exit_code == 1
    assert f"{living} lives: the VPC API still shows it" in result.stderr
    assert f"{dead}: in forensics-case-17, ids-api-tier, pci-payments, which UNMIRROR_PROTECT names" in result.stderr
    same("detach-living-and-protected", result.stdout)


@pytest.mark.parametrize("wrong", ["web-1", "6134900d-31a6-4b71-8453", "", "\x1b[2J"])
def test_what_is_no_id_is_wrong_usage_and_calls_nothing(
    run: Run, settings: dict[str, str], emulator: Emulator, wrong: str
) -> None:
    result = run("detach", "--", wrong, settings=settings)
    assert result.exit_code == 2
    assert "an interface id is a UUID, like" in result.stderr
    assert "\x1b" not in result.stderr
    assert emulator.counts == {}


def test_no_id_at_all_is_wrong_usage(run: Run) -> None:
    assert run("detach").exit_code == 2


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(
    run: Run, settings: dict[str, str], dead: str, emulator: Emulator
) -> None:
    result = run("detach", dead, "--dry-run", settings=settings)
    assert result.exit_code == 0
    same("detach-dry-run", result.stdout)
    assert emulator.changes() == []


def test_json_is_the_report_and_nothing_else(run: Run, settings: dict[str, str], dead: str) -> None:
    result = run("detach", dead, "--json", settings=settings)
    check_report(json.loads(result.stdout), 200)


def test_project_and_endpoint_come_before_the_environment(
    run: Run, settings: dict[str, str], dead: str, emulator: Emulator
) -> None:
    other = {**settings, "UNMIRROR_PROJECTS": "another", "UNMIRROR_VPC_ENDPOINT": "http://127.0.0.1:9"}
    result = run("detach", dead, "--project", PROJECT_ID, "--endpoint", emulator.url, "--json", settings=other)
    assert json.loads(result.stdout)["project_id"] == PROJECT_ID
    elsewhere = run("detach", dead, "--project", "another", "--json", settings=settings)
    assert json.loads(elsewhere.stdout)["outcome"] == "nothing_to_do"


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("--project", "a b"),
        ("--region", "!"),
        ("--endpoint", "http://example.com"),
        ("--deadline", "0"),
        ("--deadline", "soon"),
    ],
)
def test_an_option_that_cannot_be_is_wrong_usage_and_says_its_form(
    run: Run, settings: dict[str, str], dead: str, option: str, wrong: str
) -> None:
    result = run("detach", dead, option, wrong, settings=settings)
    assert result.exit_code == 2
    assert option in result.stderr


def test_nothing_configured_says_what_to_set(run: Run, dead: str) -> None:
    result = run("detach", dead)
    assert result.exit_code == 1
    assert "UNMIRROR_REGION" in result.stderr
    assert "unmirror check" in result.stderr


def test_wrong_settings_are_all_named_without_their_values(run: Run, dead: str) -> None:
    result = run("detach", dead, "--json", settings={"UNMIRROR_REGION": "marked!", "UNMIRROR_DRY_RUN": "marked"})
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == 502
    assert "UNMIRROR_REGION" in result.stderr
    assert "UNMIRROR_DRY_RUN" in result.stderr
    assert "marked" not in result.output


def test_a_refusal_says_the_permission_and_the_request(
    run: Run, settings: dict[str, str], dead: str, emulator: Emulator
) -> None:
    body = b'{"error_code": "VPC.2201", "error_msg": "no", "request_id": "req-7"}'
    emulator.faults.append(Fault("list_sessions", status=403, body=body, times=-1))
    result = run("detach", dead, settings=settings)
    assert result.exit_code == 1
    assert "vpc:trafficMirrorSessions:list" in result.stderr
    assert "req-7" in result.stderr


def test_a_deadline_ends_it(run: Run, settings: dict[str, str], dead: str, emulator: Emulator) -> None:
    emulator.faults.append(Fault("list_sessions", "hang", times=-1))
    result = run("detach", dead, "--deadline", "0.2", settings=settings)
    emulator.clear_faults()
    assert result.exit_code == 1
    assert "next: " in result.stderr
