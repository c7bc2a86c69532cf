"""What holds for every command: help, common options, pipes, and what happens without its libraries."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from subprocess import PIPE
from typing import Any

import click
import pytest
from jsonschema import Draft202012Validator

from handler import __version__, events
from handler.cli.app import COMMANDS
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY
from tests.support.cli import UNMIRROR, Run, Start
from tests.support.golden import same
from tests.support.processes import ROOT, environment
from tests.support.processes import run as run_process
from tests.support.schemas import schema, violations

MODULES = sorted({*COMMANDS} - {"help"})


@pytest.mark.parametrize("name", MODULES)
def test_each_command_has_help_with_an_example_at_80_columns(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Example: unmirror {name}" in result.stdout
    assert f"  {COMMANDS[name]}\n" in result.stdout
    same(f"help-{name}", result.stdout)
    assert run("help", name).stdout == result.stdout


def test_the_command_itself_shows_where_to_begin_and_its_exit_codes(run: Run) -> None:
    result = run("--help")
    assert "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a sweep stopped" in " ".join(result.stdout.split())
    assert "..." not in result.stdout.partition("Commands:")[2]  # no summary is cut off
    same("help", result.stdout)
    assert run("help").stdout == result.stdout
    assert run("--version").stdout == f"unmirror, version {__version__}\n"


def test_a_misspelt_name_is_answered_with_the_one_that_was_meant(run: Run) -> None:
    for arguments in (("sweap",), ("help", "sweap")):
        result = run(*arguments)
        assert (result.exit_code, "Did you mean 'sweep'?" in result.stderr) == (2, True)
    assert "--dry-run" in run("sweep", "--dry-rum").stderr.partition("Did you mean")[2]
    assert run("nothing-like-it").exit_code == 2


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_help_waits_for_nothing_that_only_a_command_needs(arguments: str) -> None:
    ended = run_process(sys.executable, "-X", "importtime", "-m", "handler.cli", arguments)
    assert ended.returncode == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.stderr.splitlines()}
    assert "click" in imported
    assert not imported & {"rich", "requests", "aiohttp", "jsonschema", "flask", "opentelemetry"}


# --- options ----------------------------------------------------------------------------------------------------

CONNECTION = {"HUAWEICLOUD_SDK_PROJECT_ID", "UNMIRROR_REGION", "UNMIRROR_VPC_ENDPOINT", "profile", "deadline", "output"}
TAKES = {
    "check": CONNECTION,
    "demo": {"output"},
    "detach": {"UNMIRROR_DRY_RUN", *CONNECTION},
    "emulate": {"output"},
    "explain": {"output"},
    "replay": {"UNMIRROR_DRY_RUN", *CONNECTION},
    "sessions": CONNECTION,
    "sweep": {"UNMIRROR_DRY_RUN", "UNMIRROR_SWEEP_LIMIT", *CONNECTION},
}
"""The common options that each takes: those that mean something to it."""


@pytest.mark.parametrize("name", MODULES)
def test_each_command_takes_the_common_options_that_mean_something_to_it(name: str) -> None:
    command: click.Command = getattr(import_module(f"handler.cli.commands.{name}"), name)
    assert {parameter.name for parameter in command.params} & {
        "UNMIRROR_DRY_RUN",
        "UNMIRROR_SWEEP_LIMIT",
        *CONNECTION,
    } == TAKES[name]


def test_an_option_that_no_setting_would_take_is_refused(run: Run) -> None:
    assert run("sessions", "--region", "!").exit_code == 2


def test_an_option_before_the_command_is_told_its_place(run: Run) -> None:
    result = run("--json", "sweep")
    assert (result.exit_code, "options stand after the command" in result.stderr) == (2, True)


def test_a_profile_brings_its_key_and_its_project_and_no_part_of_another(run: Run) -> None:
    file = run.home / ".huaweicloud" / "credentials"
    nothing = run("sessions", "--profile", "prod")
    assert (nothing.exit_code, f"the profile file {file}: there is none" in nothing.stderr) == (2, True)
    file.parent.mkdir()
    file.write_text(
        f"[basic]\nak = {ACCESS_KEY}\nsk = marked\n"
        f"[prod]\nak = {ACCESS_KEY}\nsk = {SECRET_KEY}\nproject_id = {PROJECT_ID}\n"
        f"[half]\nak = {ACCESS_KEY}\n[empty]\n"
        f"[odd]\nak = {ACCESS_KEY}\nsk = marked\nproject_id = a b\n"
    )
    other = {
        **dict.fromkeys(("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"), "another"),
        **dict.fromkeys(("HUAWEICLOUD_SDK_PROJECT_ID", "UNMIRROR_PROJECTS"), "another"),
    }
    listed = run("sessions", "--profile", "prod", **other)
    assert (listed.exit_code, PROJECT_ID in listed.stderr) == (0, True)
    assert f"key from section prod of {file}; " in listed.stderr
    refused = run("check", "--profile", "basic")
    assert (refused.exit_code, "marked" in refused.output) == (1, False)
    assert f"credentials: from section basic of {file}" in " ".join(refused.stdout.split())
    assert "'empty' of" in run("sessions", "--profile", "empty").stderr
    assert run("sessions", "--profile", "half").exit_code == 2
    odd = run("sessions", "--profile", "odd")
    assert (odd.exit_code, f"{file}: wrong settings: HUAWEICLOUD_SDK_PROJECT_ID" in odd.stderr) == (2, True)
    assert "it has basic, prod, half, empty, odd" in run("sessions", "--profile", "dev").stderr


@pytest.mark.parametrize("name", sorted({*MODULES} - {"detach", "sweep"}))  # they print a report
def test_what_a_command_prints_as_json_is_described_by_a_schema_that_shows_it(name: str) -> None:
    described: dict[str, Any] = schema(f"cli/{name}")
    Draft202012Validator.check_schema(described)
    assert described["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert described["$id"] == events.identifier(f"cli/{name}")
    assert described["title"] == f"unmirror {name}"
    assert described["description"]
    for example in described["examples"]:
        assert violations(f"cli/{name}", example) == []
        assert violations(f"cli/{name}", {**example, "more": 1}) != []


# --- the shell --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["click", "aiohttp"])
def test_without_its_extra_it_says_what_to_install(tmp_path: Path, missing: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    environ = environment(tmp_path, PYTHONPATH=os.pathsep.join((str(tmp_path), str(ROOT))))
    ended = run_process(*UNMIRROR, "demo", env=environ)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"unmirror: the command needs {missing}: pip install 'unmirror[cli]'\n"


@pytest.mark.parametrize(
    ("words", "completions"),
    [("unmirror s", ["plain,sessions", "plain,sweep"]), ("unmirror sweep --dr", ["plain,--dry-run"])],
)
def test_the_shell_completes_commands_and_options(tmp_path: Path, words: str, completions: list[str]) -> None:
    completing = {"_UNMIRROR_COMPLETE": "bash_complete", "COMP_CWORD": str(words.count(" ")), "COMP_WORDS": words}
    assert run_process(*UNMIRROR, env=environment(tmp_path, **completing)).stdout.split() == completions


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
@pytest.mark.parametrize("words", ["check", "--version"])
def test_where_its_output_cannot_be_written_it_says_so_and_fails(
    start: Start, settings: dict[str, str], words: str
) -> None:
    """And once: what is still in a buffer is not tried again at the end."""
    with Path("/dev/full").open("w") as full, start(words, **settings, PYTHONUNBUFFERED="", stdout=full) as child:
        _, errors = child.communicate(timeout=20)
    assert child.returncode == 1
    assert "No space left on device\nnext: " in errors
    assert errors.count("unmirror: ") == (2 if words == "check" else 1)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-"])
def test_a_stream_that_is_closed_is_one_that_nobody_reads(
    tmp_path: Path, settings: dict[str, str], closed: str
) -> None:
    command = ("sh", "-c", f'exec "$@" {closed}', "sh", *UNMIRROR, "sessions")
    ended = run_process(*command, env=environment(tmp_path, **settings))
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
    assert bool(ended.stdout) == (closed != ">&-")


def test_who_has_read_enough_changes_nothing(start: Start, settings: dict[str, str], dead: str) -> None:
    """As `| head -1` does: what was done is done, and the exit code says so."""
    with start("sweep", **settings, stdout=PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert len(child.stderr.read().splitlines()) == 1
        assert child.wait(20) == 0


@pytest.mark.parametrize("command", ["explain", "replay"])
def test_ctrl_c_ends_the_wait_for_input_at_once(start: Start, command: str) -> None:
    import fcntl
    import signal
    import termios

    with start(command, "-") as child:
        assert child.stdin is not None
        child.stdin.write("{")
        child.stdin.flush()
        while int.from_bytes(fcntl.ioctl(child.stdin.fileno(), termios.FIONREAD, b"\0" * 4), sys.byteorder):
            assert child.poll() is None  # until it has read that
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
    assert (child.returncode, errors) == (130, "unmirror: stopped\n")
