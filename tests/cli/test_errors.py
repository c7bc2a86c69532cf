"""At three in the morning: whatever is wrong, a line says what happened, and the next one what to do."""

from __future__ import annotations

import json

import pytest

from handler.emulator.sample import Tenant
from handler.vpc import credentials
from tests.support.cli import Run
from tests.support.golden import same


@pytest.fixture(autouse=True)
def _no_machine_of_the_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "METADATA", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("name", "changed", "options", "code"),
    [
        ("no-credentials", {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": ""}, [], 1),
        ("half-a-key", {"HUAWEICLOUD_SDK_AK": ""}, [], 1),
        ("wrong-credentials", {"HUAWEICLOUD_SDK_SK": "marked"}, [], 1),
        ("no-network", {}, ["--endpoint", "http://127.0.0.1:9"], 1),
        ("no-region", {"UNMIRROR_VPC_ENDPOINT": ""}, [], 1),
        ("wrong-region", {}, ["--region", "typed!"], 2),
        ("wrong-profile", {}, ["--profile", "typed"], 2),
        ("wrong-settings", {"UNMIRROR_DEADLINE": "marked", "UNMIRROR_SWEEP_LIMIT": "101%"}, [], 1),
        ("protected", {"UNMIRROR_PROTECT": "ids-*"}, [], 3),
        ("other-project", {}, ["--project", "another"], 1),
    ],
)
def test_a_detachment_that_does_not_come_about_says_why_and_what_next(
    run: Run, dead: str, name: str, changed: dict[str, str], options: list[str], code: int
) -> None:
    """No secret is repeated; what was typed as an option is."""
    result = run("detach", dead, *options, **changed)
    assert result.exit_code == code
    same(f"error-{name}", f"{result.stdout}--- stderr\n{result.stderr}", width=None)
    assert "marked" not in result.output


@pytest.mark.parametrize("command", ["sessions", "sweep", "detach"])
def test_a_failure_is_a_problem_where_json_is_asked_for(run: Run, dead: str, command: str) -> None:
    ids = [dead] if command == "detach" else []
    result = run(command, *ids, "--json", UNMIRROR_REGION="marked!", UNMIRROR_DRY_RUN="marked")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["type"] == "urn:unmirror:problem:not-configured"
    assert "UNMIRROR_REGION" in result.stderr
    assert "UNMIRROR_DRY_RUN" in result.stderr
    assert "marked" not in result.output


@pytest.mark.parametrize("command", ["check", "sessions", "sweep"])
def test_every_command_says_which_endpoint_did_not_answer_and_why(run: Run, command: str) -> None:
    result = run(command, "--endpoint", "http://127.0.0.1:9", "--deadline", "5")
    assert result.exit_code == 1
    assert "the connection is refused" in result.stderr
    assert "endpoint http://127.0.0.1:9 (set by" in result.stderr.splitlines()[0]
    assert "gone" not in result.output


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
def test_a_wrong_option_shows_what_was_typed_and_what_is_right(run: Run, option: str, wrong: str) -> None:
    result = run("sessions", option, wrong)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}': {wrong!r}" in result.stderr


def test_where_it_acts_is_the_first_line_of_every_command(run: Run, dead: str, tenant: Tenant) -> None:
    for arguments in (("check",), ("sessions",), ("sweep",), ("detach", dead), ("replay", "-")):
        result = run(
            *arguments, "--json", "--region", "cn-north-4", "--endpoint", run.settings["UNMIRROR_VPC_ENDPOINT"]
        )
        first = result.stderr.splitlines()[0]
        assert first.startswith(f"unmirror: region cn-north-4; project {run.settings['HUAWEICLOUD_SDK_PROJECT_ID']}; ")
        assert "; key from the variables HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK; endpoint http://127" in first
        json.loads(result.stdout)
