"""Processes of ours, each in a group of its own, so that nothing of them outlives a test."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
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
import requests

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
def started(command: Sequence[str], environ: Mapping[str, str], **streams: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a process; kill it and all that it started when the block is left, or after 40 seconds."""
    with subprocess.Popen(command, cwd=ROOT, env=environ, start_new_session=True, **streams) as child:  # noqa: S603 - ours
        watchdog = threading.Timer(40, kill, (child,))
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
    settings: Mapping[str, str], home: Path, source: str = "handler/main.py"
) -> Iterator[tuple[subprocess.Popen[Any], str]]:
    """Start the function as its users do; yield the process and the URL once it answers. It logs to `home / "log"`.

    The framework cannot be given a listening socket, so a port that another takes meanwhile is tried again.
    """
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        command = [*FRAMEWORK, source, "--target", "on_event", "--port", port]
        with (
            (home / "log").open("wb") as log,
            started(command, environment(home, **settings), stdout=log, stderr=subprocess.STDOUT) as child,
        ):
            if _answers(child, url := f"http://127.0.0.1:{port}/"):
                yield child, url
                return
    pytest.fail((home / "log").read_text())


def _answers(child: subprocess.Popen[Any], url: str) -> bool:
    """Wait until the function answers; False when it ended instead."""
    end = time.monotonic() + 20
    while child.poll() is None and time.monotonic() < end:
        try:
            return bool(requests.get(url, timeout=5).json()["name"] == "unmirror")
        except requests.ConnectionError:
            time.sleep(0.05)
    return False


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
