"""What holds for every command: help, exit codes, common options, and what happens without its libraries."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from subprocess import PIPE

import click
import pytest
from jsonschema import Draft202012Validator

from handler import __version__, events
from handler.cli.app import COMMANDS, unmirror
from handler.cli.options import NAMES
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY, Tenant
from handler.events import schemas
from tests.cli.conftest import UNMIRROR, Run, Start
from tests.cli.golden import same
from tests.support.processes import ROOT, environment
from tests.support.processes import run as run_process


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_has_help_with_an_example_at_80_columns(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Example: unmirror {name}" in result.stdout
    assert f"  {COMMANDS[name]}\n" in result.stdout
    same(f"help-{name}", result.stdout)


def test_the_command_itself_shows_where_to_begin_and_its_exit_codes(run: Run) -> None:
    result = run("--help")
    assert "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 stopped" in " ".join(result.stdout.split())
    assert "..." not in result.stdout.partition("Commands:")[2]  # no summary is cut off
    same("help", result.stdout)
    assert run("--version").stdout == f"unmirror, version {__version__}\n"
    assert run("sweap").exit_code == 2


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_help_waits_for_nothing_that_only_a_command_needs(arguments: str) -> None:
    ended = run_process(sys.executable, "-X", "importtime", "-m", "handler.cli", arguments)
    assert ended.returncode == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.stderr.splitlines()}
    assert "click" in imported
    assert not imported & {"rich", "requests", "aiohttp", "jsonschema", "flask", "opentelemetry"}


# --- options ----------------------------------------------------------------------------------------------------

EVERYWHERE = {
    "check": {"project", "region", "endpoint", "profile", "deadline", "as_json", "quiet"},
    "demo": {"as_json", "quiet"},
    "detach": {*NAMES},
    "emulate": {"as_json", "quiet"},
    "explain": {"as_json", "quiet"},
    "replay": {*NAMES},
    "sessions": {"project", "region", "endpoint", "profile", "deadline", "as_json", "quiet"},
    "sweep": {*NAMES},
}
"""The common options that each takes: those that mean something to it."""


VALUES = {
    "project": "p",
    "region": "eu-west-101",
    "endpoint": "https://vpc.example",
    "profile": "prod",
    "deadline": "5",
}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_takes_the_common_options_that_mean_something_to_it_and_refuses_the_others(
    run: Run, tmp_path: Path, name: str
) -> None:
    command = unmirror.get_command(click.Context(unmirror), name)
    assert command is not None
    assert {parameter.name for parameter in command.params} & {*NAMES} == EVERYWHERE[name]
    profile = tmp_path / "credentials"
    profile.write_text("[prod]\nak = a\nsk = s\n")
    for option in {*NAMES} - EVERYWHERE[name]:
        given = [f"--{option.replace('_', '-')}", *([VALUES[option]] if option in VALUES else [])]
        refused = run(*given, name, "x", settings={"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(profile)})
        assert refused.exit_code == 2
        assert f"`{name}` takes no {given[0]}" in refused.stderr


def test_common_options_stand_before_the_command_or_after_it_where_they_come_first(
    run: Run, settings: dict[str, str]
) -> None:
    ahead = run("--project", "another", "--json", "sessions", settings=settings)
    assert json.loads(ahead.stdout) == {"interface": None, "sessions": [], "failed": []}
    both = run("--project", "another", "--json", "sessions", "--project", PROJECT_ID, settings=settings)
    assert len(json.loads(both.stdout)["sessions"]) == 8
    wrong = run("--region", "!", "sessions", settings=settings)
    assert wrong.exit_code == 2


def test_a_profile_brings_its_key_and_its_project_and_no_part_of_another(
    run: Run, settings: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / ".huaweicloud" / "credentials"
    nothing = run("sessions", "--profile", "prod", settings=settings)
    assert (nothing.exit_code, "there is none" in nothing.stderr) == (2, True)
    file.parent.mkdir()
    file.write_text(
        f"[basic]\nak = {ACCESS_KEY}\nsk = marked\n"
        f"[prod]\nak = {ACCESS_KEY}\nsk = {SECRET_KEY}\nproject_id = {PROJECT_ID}\n"
        f"[half]\nak = {ACCESS_KEY}\n"
    )
    other = {
        "UNMIRROR_VPC_ENDPOINT": settings["UNMIRROR_VPC_ENDPOINT"],
        "HUAWEICLOUD_SDK_AK": "another",
        "HUAWEICLOUD_SDK_SK": "another",
        "HUAWEICLOUD_SDK_SECURITY_TOKEN": "another",
        "HUAWEICLOUD_SDK_PROJECT_ID": "another",
        "UNMIRROR_PROJECTS": "another",
    }
    listed = run("sessions", "--profile", "prod", "--json", settings=other)
    assert (listed.exit_code, len(json.loads(listed.stdout)["sessions"])) == (0, 8)
    assert "from the profile prod" in run("check", "--profile", "prod", settings=other).stdout
    refused = run("check", "--profile", "basic", settings=settings)
    assert (refused.exit_code, "marked" in refused.output) == (1, False)
    assert "no ak and sk" in run("sessions", "--profile", "half", settings=other).stderr
    assert "it has basic, prod, half" in run("sessions", "--profile", "dev", settings=other).stderr


def test_quiet_prints_the_result_alone(run: Run, settings: dict[str, str], dead: str, tenant: Tenant) -> None:
    letter = json.dumps({"type": "io.unmirror.sweep.due.v1", "id": "1", "data": {}})
    results = {
        ("check",): "ok\n",
        ("sessions", "--name", "mail-*"): f"{tenant.sessions['mail-dlp']}\n",
        ("explain", "-"): "sweep_due\n",
        ("replay", "-", "--dry-run"): "1 planned\n",
        ("detach", dead, "--dry-run"): f"{PROJECT_ID} planned\n",
        ("sweep",): f"{PROJECT_ID} detached\n",
    }
    for arguments, result in results.items():
        said = run(*arguments, "--quiet", settings=settings, given=letter)
        assert (said.exit_code, said.stdout, said.stderr) == (0, result, "")
    with_json = run("check", "--quiet", "--json", settings=settings)
    assert json.loads(with_json.stdout)["ok"]


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {"detach", "sweep"}))  # they print a report
def test_what_a_command_prints_as_json_is_described_by_a_schema_that_shows_it(name: str) -> None:
    schema = schemas.schema(f"cli/{name}")
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == events.identifier(f"cli/{name}")
    assert schema["title"] == f"unmirror {name}"
    assert schema["description"]
    assert schema["examples"]
    for example in schema["examples"]:
        assert events.validate(f"cli/{name}", example) == ()
        assert events.validate(f"cli/{name}", {**example, "more": 1}) != ()


# --- the shell --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["click", "rich", "aiohttp"])
def test_without_its_extra_it_says_what_to_install(tmp_path: Path, missing: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    environ = environment(tmp_path, PYTHONPATH=os.pathsep.join((str(tmp_path), str(ROOT))))
    ended = run_process(*UNMIRROR, "demo", env=environ)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"unmirror: the command needs {missing}: pip install 'unmirror[cli]'\n"


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("unmirror s", ["plain,sessions", "plain,sweep"]),
        ("unmirror sweep --dr", ["plain,--dry-run"]),
        ("unmirror check --profile p", ["plain,prod"]),
        ("unmirror check --profile b", []),
    ],
)
def test_the_shell_completes_commands_options_and_profiles(tmp_path: Path, words: str, completions: list[str]) -> None:
    file = tmp_path / "credentials"
    file.write_text("[prod]\nak = a\n" if completions else "no profile file")
    completing = {"_UNMIRROR_COMPLETE": "bash_complete", "COMP_CWORD": str(words.count(" ")), "COMP_WORDS": words}
    environ = environment(tmp_path, HUAWEICLOUD_SDK_CREDENTIALS_FILE=str(file), **completing)
    assert run_process(*UNMIRROR, env=environ).stdout.split() == completions


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
@pytest.mark.parametrize("words", ["check", "--version", "--help"])
def test_where_its_output_cannot_be_written_it_says_so_and_fails(
    start: Start, settings: dict[str, str], words: str
) -> None:
    """And once: what is still in a buffer is not tried again at the end."""
    buffered = {**settings, "PYTHONUNBUFFERED": ""}
    with Path("/dev/full").open("w") as full, start(words, settings=buffered, stdout=full, stderr=PIPE) as child:
        _, errors = child.communicate(timeout=20)
    assert child.returncode == 1
    assert "No space left on device\nnext: " in errors
    assert len(errors.splitlines()) == 2


def test_who_has_read_enough_is_not_told_of_errors(start: Start, settings: dict[str, str]) -> None:
    with start("sessions", settings=settings) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait(20) == 1
