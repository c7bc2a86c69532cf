"""The function behind a Knative broker, through a storm in which everything fails now and then."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import functions_framework
import pytest
from werkzeug.serving import make_server

from handler.emulator.operations import Fault
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY
from handler.emulator.server import Emulator
from handler.emulator.state import Cloud
from tests.support.deploy_broker import Broker, CloudEvent, repeats
from tests.support.function import AT_ONCE, settings_for, untraced
from tests.support.tenant import cloud_event, trace

INTERFACES, SESSIONS, SOURCES = 240, 60, 6
RETRY = 6


@pytest.fixture
def cloud() -> Cloud:
    """A busy region: every interface is in up to three sessions."""
    cloud, draw = Cloud(3), random.Random(3)  # noqa: S311 - a test that can be repeated
    ids = [cloud.add_port(PROJECT_ID) for _ in range(INTERFACES)]
    target = cloud.add_port(PROJECT_ID)
    for number in range(SESSIONS):
        own = ids[number * 4 : number * 4 + 4]
        others = draw.sample([each for each in ids if each not in own and cloud.uses(each) < 2], SOURCES - 4)
        cloud.add_session(PROJECT_ID, name=f"session-{number}", target_id=target, sources=[*own, *others])
    return cloud


@pytest.fixture
def emulator(cloud: Cloud) -> Iterator[Emulator]:
    with Emulator(cloud, keys={ACCESS_KEY: SECRET_KEY}) as serving:
        yield serving


@pytest.fixture
def url(emulator: Emulator) -> Iterator[str]:
    """Serve the function over HTTP, with threads; what would wait goes on at once."""
    with patch.dict(os.environ, settings_for(emulator)):
        server = make_server("127.0.0.1", 0, functions_framework.create_app("on_event", AT_ONCE, "http"), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def _event(interface_id: str, number: int) -> CloudEvent:
    event = cloud_event(trace(interface_id))
    return {
        **event,
        "id": f"{event['id'][:-12]}{number:012d}",
        "dataschema": "https://example.com/trace",
        "subject": "s",
    }


def _mirrored(cloud: Cloud) -> set[str]:
    return {source for sources in cloud.sources(PROJECT_ID).values() for source in sources}


def _replay(path: Path, dead: list[CloudEvent], settings: dict[str, str]) -> dict[str, Any]:
    """Let `unmirror replay` send dead letters again, as they are, one a line; return what it tells."""
    path.write_text("".join(f"{json.dumps(event)}\n" for event in dead), "utf-8")
    command = [sys.executable, "-m", "handler.cli", "replay", str(path), "--json"]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    return dict(json.loads(done.stdout))


def test_only_what_can_help_is_repeated() -> None:
    assert {status for status in (None, *range(200, 600)) if repeats(status)} == {
        None,
        404,
        408,
        409,
        429,
        *range(500, 600),
    }


@untraced
def test_every_event_is_done_or_a_dead_letter_and_the_dead_letters_end_well(
    url: str, cloud: Cloud, emulator: Emulator, tmp_path: Path
) -> None:
    draw = random.Random(4)  # noqa: S311 - a test that can be repeated
    ids = [each for each in cloud.ports(PROJECT_ID) if cloud.uses(each)]
    draw.shuffle(ids)
    gone, late, alive, quiet = ids[:150], ids[150:165], ids[165:175], ids[175:]
    for id_ in gone:
        cloud.delete_port(id_)
    announced = [*gone, *draw.sample(gone, 40), *late, *alive]  # 40 of them twice
    events = [_event(id_, number) for number, id_ in enumerate(announced)]
    poison = [{**_event(gone[0], 900 + n), "data": {"trace_name": "deletePort"}} for n in range(5)]
    events += poison
    draw.shuffle(events)
    lost = {event["id"] for event in draw.sample(events, 30)}

    emulator.faults += [
        Fault("list_sessions", status=503, times=4),
        Fault("remove_sources", "lost", times=5, skip=3),
        Fault("remove_sources", "reset", times=5, skip=12),
        Fault("show_port", status=502, times=6, skip=5),  # no 429: the pace that it sets is kept in real time
        Fault("remove_sources", status=500, times=40, skip=25),
    ]

    def before_round(attempt: int) -> None:
        if attempt == 2:
            for id_ in late:  # the deletion that was announced too early
                cloud.delete_port(id_)

    broker = Broker(url, RETRY, loses=lambda event, attempt: attempt == 0 and event["id"] in lost)
    broker.deliver(events, before_round=before_round)

    dead = {event["id"] for event in broker.dead}
    assert sorted([*broker.done, *dead]) == sorted(event["id"] for event in events)
    assert dead >= {event["id"] for event in poison}
    assert {event["knativeerrorcode"] for event in broker.dead} == {400, 503}
    living = {event["data"].get("resource_id") for event in broker.dead if event["knativeerrorcode"] == 503}
    assert living == set(alive), "what was announced and still lives"
    assert _mirrored(cloud) == {*alive, *quiet}
    assert all(fault.done for fault in emulator.faults), "nothing was spared"
    assert {reply["type"] for reply in broker.replies} == {"io.unmirror.report.v1"}
    assert broker.waited == sum(2**attempt for attempt in range(RETRY))

    emulator.clear_faults()  # the outage is over, and what was announced has come true
    for id_ in alive:
        cloud.delete_port(id_)
    told = _replay(tmp_path / "dead-letters.jsonl", broker.dead, settings_for(emulator))
    assert told["outcomes"] == {"detached": len(alive), "unreadable": len(poison)}
    assert _mirrored(cloud) == set(quiet)
    assert not any(set(call.ids) & set(quiet) for call in emulator.changes())
