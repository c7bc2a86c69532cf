"""Processes of ours, each in a group of its own, so that nothing of them outlives a test."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from handler.emulator.sample import PROJECT_ID
from handler.emulator.server import Emulator
from handler.emulator.state import Cloud

ROOT = Path(__file__).parents[2]
FRAMEWORK = (sys.executable, "-m", "functions_framework", "--host", "127.0.0.1", "--source")
AS_THE_IMAGE = (
    *(sys.executable, "-m", "gunicorn", "--config", "deploy/container/gunicorn.conf.py", "--bind", "127.0.0.1:0"),
    'functions_framework:create_app("on_event", "handler/main.py", "http")',
)
"""What the image starts; it has `main.py` beside its configuration, and needs not be told."""


def environment(home: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a process: ours, which has no settings of the function's, with these."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "XDG_RUNTIME_DIR": str(home), **settings}


def run(*command: str, **more: object) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(command, capture_output=True, text=True, **{"cwd": ROOT, "timeout": 50, **more})  # type: ignore[call-overload,no-any-return]  # noqa: S603


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


def function(
    settings: Mapping[str, str], home: Path, source: str = "handler/main.py", seconds: float = 40
) -> AbstractContextManager[tuple[subprocess.Popen[Any], str]]:
    """Serve the function as its users do, on a port that the system chooses; see `serving`."""
    return serving([*FRAMEWORK, source, "--target", "on_event", "--port", "0"], home, settings, seconds)


@contextmanager
def serving(
    command: Sequence[str], home: Path, settings: Mapping[str, str], seconds: float = 40
) -> Iterator[tuple[subprocess.Popen[Any], str]]:
    """Start a gunicorn, whose function logs to `home / "log"`; yield it and its URL once it listens."""
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


class Disaster:
    """A region of 60 interfaces, each in one or two sessions, many of which are deleted at once."""

    def __init__(self, seed: int, deaths: int) -> None:
        self.cloud = Cloud(seed)
        ports = [self.cloud.add_port(PROJECT_ID) for _ in range(60)]
        for at in range(0, 55, 5):
            self.cloud.add_session(PROJECT_ID, sources=ports[at : at + 10])
        self.dead = random.Random(seed).sample(ports, deaths)  # noqa: S311 - a disaster that can be repeated
        before = self.cloud.sources(PROJECT_ID)
        self.expected = {id_: tuple(s for s in each if s not in self.dead) for id_, each in before.items()}
        """The sources of the sessions in the end."""
        for id_ in self.dead:
            self.cloud.delete_port(id_)


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
