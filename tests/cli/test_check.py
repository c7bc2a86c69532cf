"""`unmirror check`: what works, and what to fix."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from werkzeug.wrappers import Response

from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY, Tenant
from handler.emulator.server import Cloud, Emulator, Fault
from tests.cli.conftest import Run, described, listening
from tests.cli.golden import same
from tests.support.function import settings_for

REFUSAL = b'{"error_code": "VPC.2201", "error_msg": "no", "request_id": "req-7"}'


def failed(told: Mapping[str, Any]) -> dict[str, str]:
    """Return what has to be fixed, by step."""
    return {step["step"]: step["detail"] for step in told["steps"] if step["status"] == "failed"}


def test_where_all_is_well_it_says_so_and_changes_nothing(
    run: Run, settings: dict[str, str], emulator: Emulator
) -> None:
    result = run("check", settings=settings)
    assert (result.exit_code, result.stderr) == (0, "")
    same("check", result.stdout)
    assert emulator.changes() == []


def test_json_says_the_same_and_nothing_secret(run: Run, settings: dict[str, str]) -> None:
    result = run("check", "--json", settings=settings)
    told = described("check", result.stdout)
    assert (told["ok"], failed(told)) == (True, {})
    assert set(told["steps"][0]) == {"step", "status", "detail", "project_id", "request_id"}
    assert SECRET_KEY not in result.output
    assert ACCESS_KEY not in result.output


def test_it_names_every_wrong_setting_and_what_is_missing(run: Run) -> None:
    wrong = run("check", settings={"UNMIRROR_REGION": "marked!", "UNMIRROR_DEADLINE": "marked"})
    assert wrong.exit_code == 1
    assert "UNMIRROR_REGION" in wrong.stdout
    assert "UNMIRROR_DEADLINE" in wrong.stdout
    assert "marked" not in wrong.output
    missing = run("check", "--json")
    assert "UNMIRROR_REGION or UNMIRROR_VPC_ENDPOINT" in failed(json.loads(missing.stdout))["settings"]


def test_the_profile_file_is_a_source(run: Run, settings: dict[str, str], tmp_path: Path) -> None:
    profile = tmp_path / "credentials"
    profile.write_text(f"[basic]\nak = {ACCESS_KEY}\nsk = {SECRET_KEY}\n")
    named = {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(profile)}
    result = run("check", settings={**settings, **named})
    assert result.exit_code == 0
    assert "from the profile file" in result.stdout


def test_the_platform_is_a_source_and_its_keys_end(run: Run, settings: dict[str, str], tmp_path: Path) -> None:
    """As CCE gives a pod its identity."""
    (tmp_path / "token").write_text("an example")
    until = f"{datetime.now(timezone.utc) + timedelta(hours=1):%Y-%m-%dT%H:%M:%S.%fZ}"
    key = {"access": ACCESS_KEY, "secret": SECRET_KEY, "securitytoken": "t", "expires_at": until}
    with listening(Response(json.dumps({"credential": key}))) as url:
        named = {
            "HUAWEICLOUD_SDK_AK": "",
            "HC_CONTAINER_CREDENTIALS_FULL_URI": url,
            "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        }
        result = run("check", "--json", settings={**settings, **named})
    credentials = json.loads(result.stdout)["steps"][1]
    assert credentials["status"] == "ok"
    assert "from the platform" in credentials["detail"]


def test_a_key_that_is_not_accepted_is_said_and_not_tried_again_and_again(
    run: Run, settings: dict[str, str], emulator: Emulator
) -> None:
    result = run("check", "--json", settings={**settings, "HUAWEICLOUD_SDK_SK": "marked-wrong"})
    assert result.exit_code == 1
    told = described("check", result.stdout)
    assert set(failed(told)) == {"list sessions"}  # once is enough
    assert "access key" in failed(told)["list sessions"]
    assert {step["step"]: step["detail"] for step in told["steps"]}["show a session"] == "the list comes first"
    assert sum(call.status == 401 and bool(call.access_key) for call in emulator.calls) <= 2
    assert "marked-wrong" not in result.output


@pytest.mark.parametrize(
    ("operation", "step", "permission"),
    [
        ("list_sessions", "list sessions", "vpc:trafficMirrorSessions:list"),
        ("show_session", "show a session", "vpc:trafficMirrorSessions:get"),
        ("show_port", "find an interface", "vpc:ports:get"),
        ("list_ports", "list interfaces", "vpc:ports:list"),
    ],
)
def test_each_call_that_is_refused_is_named_with_its_permission(
    run: Run, settings: dict[str, str], emulator: Emulator, operation: str, step: str, permission: str
) -> None:
    emulator.faults.append(Fault(operation, status=403, body=REFUSAL, times=-1))
    result = run("check", "--json", settings=settings)
    fixes = failed(json.loads(result.stdout))
    assert result.exit_code == 1
    assert set(fixes) == {step}
    assert permission in fixes[step]
    assert "req-7" in run("check", settings=settings).stdout
    quiet = run("check", "--quiet", settings=settings)
    assert quiet.stdout == f"failed: {step}\n"
    assert permission in quiet.stderr
    assert "req-7" in quiet.stderr
    assert "\nnext: " in quiet.stderr


def test_an_endpoint_that_does_not_answer_is_one_thing_to_fix(run: Run, settings: dict[str, str]) -> None:
    result = run("check", "--endpoint", "http://127.0.0.1:9", "--json", settings=settings)
    told = described("check", result.stdout)
    assert result.exit_code == 1
    assert set(failed(told)) == {"endpoint"}
    assert [step["step"] for step in told["steps"] if step["status"] == "not_tried"] == ["calls", "remove"]


def test_a_clock_that_is_off_is_said(run: Run, cloud: Cloud) -> None:
    hour = timedelta(hours=1)
    with Emulator(cloud, now=lambda: datetime.now(timezone.utc) + hour) as late:
        result = run("check", settings=settings_for(late))
    assert result.exit_code == 1
    assert "s behind: set this machine's clock" in " ".join(result.stdout.split())


def test_every_project_is_tried(run: Run, settings: dict[str, str], tenant: Tenant, emulator: Emulator) -> None:
    """The one that sorts first is refused; there is nothing to show in it."""
    emulator.faults.append(Fault("list_sessions", status=403, body=REFUSAL))
    result = run("check", "--json", settings={**settings, "UNMIRROR_PROJECTS": f"0,{PROJECT_ID}"})
    told = described("check", result.stdout)
    assert set(failed(told)) == {"list sessions in 0"}
    assert {step["project_id"] for step in told["steps"]} == {None, "0", PROJECT_ID}
