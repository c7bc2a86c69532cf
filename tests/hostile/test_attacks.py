"""The attacks of `attacks/table.py`, over a real socket, on the function as functions-framework serves it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY, seed
from handler.emulator.server import Emulator
from tests.hostile.attacks import wire
from tests.hostile.attacks.table import ATTACKS, PATIENT_PROJECT, REGION, SECRET, TOPIC, Attack
from tests.support.function import Answer, check, settings_for
from tests.web.test_on_event import deleted

ROOT = Path(__file__).parents[2]
SOURCE = ("--source", "tests/hostile/attacks/watched.py", "--target", "on_event")
OURS = {"Content-Type", "Content-Length", "WWW-Authenticate", "Retry-After", "Allow", "ce-id", "ce-source", "ce-time"}
SERVERS = {"Server", "Date", "Connection", "Transfer-Encoding"}


@dataclass(frozen=True)
class World:
    """A region, two functions in it, and what became of them."""

    emulator: Emulator
    port: int
    hasty_port: int
    """Of a function that gives a delivery half a second."""
    reached: Path
    log: Path

    def places(self) -> set[str]:
        """Return what the functions connected to or looked up, but for the API."""
        api = urlsplit(self.emulator.url)
        return set(self.reached.read_text().splitlines()) - {
            f"socket.connect {(api.hostname, api.port)!r}",
            f"socket.getaddrinfo {api.hostname!r}",
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A region, and functions in processes of their own, behind every door that they have."""
    home = tmp_path_factory.mktemp("function")
    with Emulator(seed().cloud, keys={ACCESS_KEY: SECRET_KEY}) as emulator:
        settings = settings_for(
            emulator,
            UNMIRROR_TRUST="",
            UNMIRROR_BEARER_TOKENS=wire.TOKEN,
            UNMIRROR_WEBHOOK_SECRETS=SECRET,
            UNMIRROR_SMN_TOPICS=TOPIC,
            UNMIRROR_REGION=REGION,
            UNMIRROR_PROJECTS=f"{PROJECT_ID},{PATIENT_PROJECT}",
        )
        with served(settings, home) as port, served({**settings, "UNMIRROR_DEADLINE": "0.5"}, home) as hasty_port:
            yield World(emulator, port, hasty_port, home / "reached", home / "log")


@contextmanager
def served(settings: Mapping[str, str], home: Path) -> Iterator[int]:
    """Serve a function on a port that the system chooses; its log and what it reached go to two files."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("UNMIRROR_", "HC_"))}
    (home / "reached").touch()
    own = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PYTHONPATH": str(ROOT), "REACHED": str(home / "reached")}
    with (
        (home / "log").open("ab") as log,
        subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-m", "functions_framework", *SOURCE, "--host", "127.0.0.1", "--port", "0"],
            cwd=ROOT,
            env={**inherited, **settings, **own, "GUNICORN_LOG_LEVEL": "info"},
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr is not None
        try:
            heard = (re.search(r"Listening at: \S+:(\d+)", line) for line in process.stderr)
            port = next(int(found[1]) for found in heard if found)
            assert wire.send(port, wire.post(method="GET")).json["ready"]
            yield port
        finally:
            process.terminate()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.kind}: {attack.name}")
def test_no_attack_changes_anything_or_reaches_anywhere(attack: Attack, world: World) -> None:
    """And each is answered as it should be, with no header that is not ours and no defect in the log."""
    emulator, said = world.emulator, world.log.stat().st_size
    emulator.faults += [replace(fault) for fault in attack.api]
    sources = emulator.cloud.sources(PROJECT_ID)
    for request in attack.requests:
        answer = wire.send(world.hasty_port if attack.kind == "slow" else world.port, request)
    emulator.clear_faults()

    assert answer.status == attack.status, answer.body
    if answer.status == 503 and not attack.api:
        assert answer.report["outcome"] == "still_exists"
    assert emulator.changes() == []
    assert emulator.cloud.sources(PROJECT_ID) == sources
    assert world.places() == set()
    _check_answer(answer)
    log = world.log.read_bytes()[said:]
    assert b"marked" not in log
    told = {json.loads(line)["event"] for line in log.splitlines()}
    assert "defect" not in told
    if attack.kind == "hostile certificate":
        assert "admission.smn_refused" in told, "it was not for its certificate that it was refused"


def _check_answer(answer: Answer) -> None:
    if not answer.status:
        return
    assert b"marked" not in answer.body
    assert "marked" not in str(answer.headers)
    if "html" in answer.headers.get("Content-Type", ""):  # the server's own, to what is no HTTP
        assert answer.status in (400, 413, 431, 501)
        return
    assert set(answer.headers) <= OURS | SERVERS
    check(answer)


def test_the_table_is_as_long_as_it_should_be() -> None:
    """Two attacks of one name would be one."""
    assert len(ATTACKS) >= 60
    assert [name for name, often in Counter((a.kind, a.name) for a in ATTACKS).items() if often > 1] == []


def test_the_watch_would_tell(world: World) -> None:
    """The same sender gets what is really gone out of its sessions: it was not the door that kept all else away."""
    gone = seed().interfaces["mail-1"]
    world.emulator.cloud.delete_port(gone)
    answer = wire.send(world.port, wire.post(deleted(gone)))
    assert (answer.status, answer.report["outcome"]) == (200, "detached")
    assert "socket.connect" in world.reached.read_text()
    world.emulator.calls.clear()
