"""The command as people and scripts call it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

from click.testing import CliRunner, Result

from handler.cli.app import unmirror
from tests.support import schemas
from tests.support.processes import Held, environment, started

UNMIRROR = (sys.executable, "-m", "handler.cli")

TERMINAL = {"FORCE_COLOR": "1", "NO_COLOR": "1"}
"""As on a terminal, without its colours."""

Start: TypeAlias = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


def invoked(arguments: Sequence[str], env: Mapping[str, str], given: bytes | str = b"") -> Result:
    """Call the command within this process, and undo what it leaves to the end of its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with mock.patch.dict(os.environ):
            return CliRunner().invoke(unmirror, arguments, input=given, env=env, prog_name="unmirror")
    finally:
        logging.disable(logging.NOTSET)
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Run:
    """Calls the command within this process: 80 columns, a pipe, and these settings."""

    home: Path
    settings: Mapping[str, str]

    def __call__(self, *arguments: str, given: bytes | str = b"", **settings: str) -> Result:
        """Return how it ended; `given` is its standard input, and settings are added by name."""
        env = {"COLUMNS": "80", "HOME": str(self.home), **self.settings, **settings}
        result = invoked(arguments, env, given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def shown(self, *arguments: str, **settings: str) -> str:
        """Return what it prints on a terminal without colours."""
        return self(*arguments, **TERMINAL, **settings).stdout

    def json(self, *arguments: str, exit_code: int = 0, given: bytes | str = b"", **settings: str) -> Any:
        """Return what it prints as JSON, of a shape that its schema describes."""
        result = self(*arguments, "--json", given=given, **settings)
        assert result.exit_code == exit_code, result.output
        return described(arguments[0], result.stdout)


def described(command: str, output: str) -> Any:
    """Return what a command printed as JSON; fail unless it is as its schema says."""
    value = json.loads(output)
    schema = "report" if command in ("detach", "sweep") else f"cli/{command}"
    assert schemas.violations(schema, value) == []
    return value


def starter(home: Path) -> Start:
    """Return what starts the command as a process of its own; nothing of it outlives its block."""

    def start(*arguments: str, **settings: Any) -> AbstractContextManager[subprocess.Popen[str]]:
        streams = {name: settings.pop(name, subprocess.PIPE) for name in ("stdin", "stdout", "stderr")}
        environ = environment(home, **{"COLUMNS": "80", "PYTHONUNBUFFERED": "1", **settings})
        return started([*UNMIRROR, *arguments], environ, text=True, **streams)

    return start


def on_terminal(start: Start, *arguments: str, interrupt_at: str = "", **settings: str) -> tuple[int, str]:
    """Run the command on a terminal, press Ctrl-C once it has shown some words; return exit code and output."""
    ours, theirs = os.openpty()
    terminal = {"TERM": "xterm-256color", "NO_COLOR": "", **settings}
    with start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, **terminal) as child:
        os.close(theirs)
        shown = ""
        with suppress(OSError):  # the other end is closed: it has ended
            while chunk := os.read(ours, 65_536).decode():
                shown += chunk
                if interrupt_at and interrupt_at in shown:
                    child.send_signal(signal.SIGINT)
                    interrupt_at = ""
        os.close(ours)
        return child.wait(20), shown


def interrupted(child: subprocess.Popen[str], held: Held) -> tuple[str, str]:
    """Press Ctrl-C while the child's call is under way, let it be answered; return what it printed, stderr after."""
    assert held.reached.wait(20)
    child.send_signal(signal.SIGINT)
    assert child.stderr is not None
    read = b""
    while b"stopping" not in read or not read.endswith(b"\n"):  # `communicate` does not see what a buffer has taken
        read += os.read(child.stderr.fileno(), 1) or b"stopping\n"
    held.go_on.set()
    output, errors = child.communicate(timeout=20)
    assert child.returncode == 130
    return output, errors
