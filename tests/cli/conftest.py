"""The command as people and scripts call it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from handler.cli.commands import unmirror
from handler.vpc.emulator import Emulator
from tests.function import settings_for

ROOT = Path(__file__).parents[2]

Run: TypeAlias = Callable[..., Result]
Start: TypeAlias = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


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
def start(tmp_path: Path) -> Start:
    """Start the command as a process of its own, in a group of its own; nothing of it outlives the test."""

    @contextmanager
    def process(*arguments: str, settings: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
        environ = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "handler.cli", *arguments]
        with subprocess.Popen(  # noqa: S603 - ours
            command,
            cwd=ROOT,
            env={**os.environ, **environ, **(settings or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as child:
            watchdog = threading.Timer(40, child.kill)
            watchdog.start()
            try:
                yield child
            finally:
                watchdog.cancel()
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)

    return process


def ended(child: subprocess.Popen[str]) -> bool:
    """Tell whether the child's whole group has ended."""
    try:
        os.killpg(child.pid, 0)
    except ProcessLookupError:
        return True
    return False


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
