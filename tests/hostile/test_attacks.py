"""The attacks of `attacks/table.py`, over a real socket, on the function as functions-framework serves it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY, seed
from handler.emulator.server import Emulator
from tests.hostile.attacks import wire
from tests.hostile.attacks.made import PATIENT_PROJECT, SECRET, Attack
from tests.hostile.attacks.table import ATTACKS
from tests.support.function import Answer, check, settings_for
from tests.support.processes import function
from tests.support.smn_topic import REGION, URN
from tests.support.tenant import deleted

SOURCE = "tests/hostile/attacks/watched.py"
OURS = {"Content-Type", "Content-Length", "WWW-Authenticate", "Retry-After", "Allow", "ce-id", "ce-source", "ce-time"}
SERVERS = {"Server", "Date", "Connection", "Transfer-Encoding"}


@dataclass(frozen=True)
class World:
    """A region, two functions in it, and what became of them."""

    emulator: Emulator
    port: int
    hasty_port: int
    """Of a function that gives a delivery half a second."""
    home: Path

    def log(self) -> bytes:
        return (self.home / "log").read_bytes()

    def places(self) -> set[str]:
        """Return what the functions connected to or looked up, but for the API."""
        api = urlsplit(self.emulator.url)
        return set((self.home / "reached").read_text().splitlines()) - {
            f"socket.connect {(api.hostname, api.port)!r}",
            f"socket.getaddrinfo {api.hostname!r}",
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A region, and functions in processes of their own, for every kind of caller that they know."""
    home = tmp_path_factory.mktemp("function")
    (home / "reached").touch()
    with Emulator(seed().cloud, keys={ACCESS_KEY: SECRET_KEY}) as emulator:
        settings = settings_for(
            emulator,
            UNMIRROR_TRUST="",
            UNMIRROR_BEARER_TOKENS=wire.TOKEN,
            UNMIRROR_WEBHOOK_SECRETS=SECRET,
            UNMIRROR_SMN_TOPICS=URN,
            UNMIRROR_REGION=REGION,
            UNMIRROR_PROJECTS=f"{PROJECT_ID},{PATIENT_PROJECT}",
            REACHED=str(home / "reached"),
        )
        with (
            function(settings, home, SOURCE, seconds=600) as (_, url),
            function({**settings, "UNMIRROR_DEADLINE": "0.5"}, home, SOURCE, seconds=600) as (_, hasty_url),
        ):
            port, hasty_port = (urlsplit(each).port or 0 for each in (url, hasty_url))
            yield World(emulator, port, hasty_port, home)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.kind}: {attack.name}")
def test_no_attack_changes_anything_or_reaches_anywhere(attack: Attack, world: World) -> None:
    """And each is answered as it should be, with no header that is not ours and no defect in the log."""
    emulator, said = world.emulator, len(world.log())
    emulator.faults += [replace(fault) for fault in attack.api]
    sources = emulator.cloud.sources(PROJECT_ID)
    for request in attack.requests:
        answer = wire.send(world.hasty_port if attack.kind == "slow" else world.port, request)
    emulator.clear_faults()

    assert answer.status == attack.status, answer.body
    if answer.status == 503 and not attack.api:
        assert b"still_exists" in answer.body
    assert emulator.changes() == []
    assert emulator.cloud.sources(PROJECT_ID) == sources
    assert world.places() == set()
    _check_answer(answer)
    log = world.log()[said:]
    assert b"marked" not in log
    told = {json.loads(line)["event"] for line in log.splitlines()}
    assert "unhandled_error" not in told
    if attack.kind == "hostile certificate":
        assert "smn.message_refused" in told, "it was not for its certificate that it was refused"


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


def test_no_two_attacks_have_one_name() -> None:
    assert len({(attack.kind, attack.name) for attack in ATTACKS}) == len(ATTACKS) >= 200


def test_the_watch_would_tell(world: World) -> None:
    """The same sender gets what is really gone out of its sessions: nothing else kept all that away."""
    gone = seed().interfaces["mail-1"]
    world.emulator.cloud.delete_port(gone)
    answer = wire.send(world.port, wire.post(deleted(gone)))
    assert (answer.status, answer.report["outcome"]) == (200, "detached")
    assert "socket.connect" in (world.home / "reached").read_text()
    world.emulator.calls.clear()
