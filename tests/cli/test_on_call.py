"""At three in the morning: whatever is wrong, a line says what happened, and the next one what to do."""

from __future__ import annotations

import pytest

from handler.emulator.sample import PROJECT_ID, Tenant
from handler.vpc import credentials
from tests.cli.conftest import Run
from tests.cli.golden import same

UNKNOWN = "6134900d-31a6-4b71-8453-dbca7f26982a"


@pytest.mark.parametrize(
    ("name", "changed", "options", "code"),
    [
        ("no-credentials", {"HUAWEICLOUD_SDK_AK": ""}, [], 1),
        ("wrong-credentials", {"HUAWEICLOUD_SDK_SK": "marked"}, [], 1),
        ("no-network", {}, ["--endpoint", "http://127.0.0.1:9"], 1),
        ("no-region", {"UNMIRROR_VPC_ENDPOINT": ""}, [], 1),
        ("wrong-region", {}, ["--region", "marked!"], 2),
        ("wrong-profile", {}, ["--profile", "marked"], 2),
        ("wrong-settings", {"UNMIRROR_DEADLINE": "marked", "UNMIRROR_SWEEP_LIMIT": "marked"}, [], 1),
        ("protected", {"UNMIRROR_PROTECT": "ids-*"}, [], 3),
        ("other-project", {}, ["--project", "another"], 0),
    ],
)
def test_a_detachment_that_does_not_come_about_says_why_and_what_next(
    run: Run,
    settings: dict[str, str],
    dead: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    changed: dict[str, str],
    options: list[str],
    code: int,
) -> None:
    monkeypatch.setattr(credentials, "METADATA", "http://127.0.0.1:9")  # no machine of the cloud's
    result = run("detach", dead, *options, settings={**settings, **changed})
    assert result.exit_code == code
    same(f"on-call-{name}", f"{result.stdout}--- stderr\n{result.stderr}", width=None)
    assert "marked" not in result.output.replace("'marked'", "")


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("name", "server", "protect", "code"),
    [
        ("living", "db-1", "", 1),
        ("living-and-protected", "db-1", "ids-databases", 1),
        ("living-target", "ids-sensor-a", "", 1),
        ("only-protected", "mail-1", "mail-*", 3),
    ],
)
def test_what_stays_is_said_to_live_or_to_be_protected_and_where(
    run: Run, settings: dict[str, str], tenant: Tenant, name: str, server: str, protect: str, code: int
) -> None:
    """All but the server whose session alone is protected live."""
    tenant.cloud.delete_port(tenant.interfaces["mail-1"])
    result = run("detach", tenant.interfaces[server], settings={**settings, "UNMIRROR_PROTECT": protect})
    assert result.exit_code == code
    same(f"on-call-{name}", f"{result.stdout}--- stderr\n{result.stderr}", width=None)


def test_an_interface_that_no_session_lists_is_said_to_be_in_none_and_where_it_was_looked_for(
    run: Run, settings: dict[str, str]
) -> None:
    result = run("detach", UNKNOWN, settings=settings)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"no session     {UNKNOWN}" in result.stdout
    assert PROJECT_ID in result.stdout


@pytest.mark.parametrize("command", ["check", "sessions", "sweep"])
def test_every_command_says_which_endpoint_did_not_answer(run: Run, settings: dict[str, str], command: str) -> None:
    result = run(command, "--endpoint", "http://127.0.0.1:9", "--deadline", "0.2", settings=settings)
    assert result.exit_code == 1
    assert "127.0.0.1:9" in result.output
    assert "no source gone" not in result.output
