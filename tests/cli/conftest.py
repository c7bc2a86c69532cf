"""The command as people and scripts call it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from handler import events
from handler.cli.app import unmirror
from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from handler.mirror import detach
from tests.support.function import settings_for
from tests.support.processes import Held, environment, started

UNMIRROR = (sys.executable, "-m", "handler.cli")

Run: TypeAlias = Callable[..., Result]
Start: TypeAlias = Callable[..., AbstractContextManager[subprocess.Popen[str]]]
Terminal: TypeAlias = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Call the command within this process: 80 columns, no terminal, and the settings that are given."""

    def call(*arguments: str, settings: Mapping[str, str] | None = None, given: bytes | str = b"") -> Result:
        env = {"COLUMNS": "80", "HOME": str(tmp_path), **(settings or {})}
        result = CliRunner().invoke(unmirror, arguments, input=given, env=env, prog_name="unmirror")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def settings(emulator: Emulator) -> dict[str, str]:
    """Settings for the emulated tenant."""
    return settings_for(emulator, UNMIRROR_TRUST="")


@pytest.fixture
def dead(tenant: Tenant) -> str:
    """An interface that is deleted, and still in three sessions."""
    tenant.cloud.delete_port(tenant.interfaces["api-3"])
    return tenant.interfaces["api-3"]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interface that lives is asked for again and again, and at once."""
    monkeypatch.setattr(detach, "STILL_THERE_PAUSES", (0.0,) * len(detach.STILL_THERE_PAUSES))


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start the command as a process of its own; nothing of it outlives the test."""

    def process(
        *arguments: str, settings: Mapping[str, str] | None = None, **streams: Any
    ) -> AbstractContextManager[subprocess.Popen[str]]:
        environ = environment(tmp_path, **{"COLUMNS": "80", "PYTHONUNBUFFERED": "1", **(settings or {})})
        streams = streams or {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return started([*UNMIRROR, *arguments], environ, text=True, **streams)

    return process


@pytest.fixture
def terminal(start: Start) -> Terminal:
    """Run the command on a terminal, and press Ctrl-C once it has shown some words; give exit code and output."""

    def call(*arguments: str, settings: Mapping[str, str] | None = None, interrupt_at: str = "") -> tuple[int, str]:
        ours, theirs = os.openpty()
        colours = {} if settings and "NO_COLOR" in settings else {"NO_COLOR": ""}
        environ = {"TERM": "xterm-256color", **colours, **(settings or {})}
        with start(*arguments, settings=environ, stdin=theirs, stdout=theirs, stderr=theirs) as child:
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

    return call


def interrupted(child: subprocess.Popen[str], held: Held) -> tuple[str, str]:
    """Press Ctrl-C while the child's call is under way, let it be answered; return what the child printed, and said."""
    assert held.reached.wait(20)
    child.send_signal(signal.SIGINT)
    assert child.stderr is not None
    said = b""
    while not said.endswith(b"\n"):  # no further: `communicate` does not see what a buffer of ours has taken
        said += os.read(child.stderr.fileno(), 1) or b"\n"
    assert b"stopping" in said
    held.go_on.set()
    output, errors = child.communicate(timeout=20)
    assert child.returncode == 130
    return output, errors


@contextmanager
def listening(app: Callable[..., Any]) -> Iterator[str]:
    """Serve a WSGI application over a real socket; yield its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def described(command: str, output: str) -> Any:
    """Return what a command printed as JSON; fail unless it is as its schema says."""
    told = json.loads(output)
    assert events.validate(f"cli/{command}", told) == ()
    return told
