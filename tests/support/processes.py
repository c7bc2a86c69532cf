"""Processes of ours, each in a group of its own, so that nothing of them outlives a test."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from handler.emulator.server import Emulator

ROOT = Path(__file__).parents[2]
FRAMEWORK = (sys.executable, "-m", "functions_framework", "--host", "127.0.0.1", "--source")


def environment(home: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a process: ours, which has no settings of the function's, with these."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "XDG_RUNTIME_DIR": str(home), **settings}


def run(*command: str, **more: object) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(command, capture_output=True, text=True, timeout=50, **{"cwd": ROOT, **more})  # type: ignore[call-overload,no-any-return]  # noqa: S603


@contextmanager
def started(
    command: Sequence[str], environ: Mapping[str, str], seconds: float = 40, **streams: Any
) -> Iterator[subprocess.Popen[Any]]:
    """Start a process; kill it and all that it started when the block is left, or after so many seconds."""
    with subprocess.Popen(command, cwd=ROOT, env=environ, start_new_session=True, **streams) as child:  # noqa: S603 - ours
        watchdog = threading.Timer(seconds, kill, (child,))
        watchdog.start()
        try:
            yield child
        finally:
            watchdog.cancel()
            kill(child)


def kill(child: subprocess.Popen[Any]) -> None:
    """End the child and all that it started, at once."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def ended(child: subprocess.Popen[Any]) -> bool:
    """Tell whether the child and all that it started have ended."""
    try:
        os.killpg(child.pid, 0)
    except ProcessLookupError:
        return True
    return False


@contextmanager
def function(
    settings: Mapping[str, str], home: Path, source: str = "handler/main.py", seconds: float = 40
) -> Iterator[tuple[subprocess.Popen[Any], str]]:
    """Serve the function as its users do, on a port that the system chooses; yield the process and the URL.

    It logs to `home / "log"`, and the server to `home / "server"`.
    """
    command = [*FRAMEWORK, source, "--target", "on_event", "--port", "0"]
    with serving(command, home, settings, seconds) as served:
        yield served


@contextmanager
def serving(
    command: Sequence[str], home: Path, settings: Mapping[str, str], seconds: float = 40
) -> Iterator[tuple[subprocess.Popen[Any], str]]:
    """Start a gunicorn; yield it and its URL once it listens."""
    environ = environment(home, GUNICORN_LOG_LEVEL="info", **settings)
    with (
        (home / "log").open("ab") as log,
        (home / "server").open("wb") as server,
        started(command, environ, seconds, stdout=log, stderr=server) as child,
    ):
        end = time.monotonic() + 30
        while not (found := re.search(r"Listening at: (\S+)", (home / "server").read_text())):
            if child.poll() is not None or time.monotonic() > end:
                pytest.fail((home / "server").read_text() + (home / "log").read_text())
            time.sleep(0.02)
        yield child, f"{found[1]}/"


@dataclass(frozen=True)
class Held:
    """An operation of the emulator that is held up."""

    reached: threading.Event = field(default_factory=threading.Event)
    """Set when a call of it has come."""
    go_on: threading.Event = field(default_factory=threading.Event)
    """Set it to let them be answered."""


def hold(emulator: Emulator, operation: str) -> Held:
    """Hold up each call of an operation, so that something can happen while it is under way."""
    held = Held()

    async def wait(called: str) -> None:
        if called == operation:
            held.reached.set()
            while not held.go_on.is_set():
                await asyncio.sleep(0.01)

    emulator.hold = wait
    return held
