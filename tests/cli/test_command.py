"""What holds for every command: help, exit codes, and what happens without its libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from handler import __version__
from handler.cli.commands import COMMANDS
from tests.cli.conftest import ROOT, Run


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_has_help_with_an_example_at_80_columns(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Example: unmirror {name}" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_command_itself_shows_where_to_begin_and_its_exit_codes(run: Run) -> None:
    result = run("--help")
    assert "Example: unmirror demo" in result.stdout
    assert "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 stopped" in " ".join(result.stdout.split())
    assert "..." not in result.stdout.partition("Commands:")[2]  # no summary is cut off
    assert "_UNMIRROR_COMPLETE=bash_source" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert run("--version").stdout == f"unmirror, version {__version__}\n"
    assert run("sweap").exit_code == 2


@pytest.mark.parametrize("missing", ["click", "rich", "aiohttp"])
def test_without_its_extra_it_says_what_to_install(tmp_path: Path, missing: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    command = [sys.executable, "-m", "handler.cli", "demo"]
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30)  # noqa: S603 - ours
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "pip install 'unmirror[cli]'" in ended.stderr
    assert missing in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_shell_completes_commands_and_options() -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "_UNMIRROR_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    command = [sys.executable, "-m", "handler.cli"]
    ended = subprocess.run(  # noqa: S603 - ours
        command,
        cwd=ROOT,
        env={**environ, "COMP_WORDS": "unmirror sweep --dr"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.stdout.split() == ["plain,--dry-run"]
