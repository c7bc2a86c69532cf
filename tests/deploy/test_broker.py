"""The function behind a Knative broker, through a storm in which everything fails now and then."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from handler.emulator.operations import Fault
from handler.emulator.sample import PROJECT_ID
from handler.emulator.server import Emulator
from handler.emulator.state import Cloud
from tests.support.function import Function, settings_for, untraced
from tests.support.processes import environment, run
from tests.support.tenant import binary, cloud_event, trace

CloudEvent = dict[str, Any]

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


def _repeats(status: int) -> bool:
    """Tell whether the event is sent again after this answer; 0: there was none."""
    return status in (0, 404, 408, 409, 429) or status >= 500


@dataclass
class Broker:
    """Sends events to one subscriber, many at a time, until each is done or dead; it waits for nothing.

    Sources: CloudEvents delivery in the specification of Knative Eventing (data plane, "HTTP response codes") and its
    `RetryConfig`.
    """

    function: Function
    lost: set[str]
    """Events of which the first answer is lost on its way back."""
    done: list[str] = field(default_factory=list)
    dead: list[CloudEvent] = field(default_factory=list)
    """With `knativeerrorcode` and `knativeerrordata`, as Knative hands them to the sink, the latter as plain text."""

    def deliver(self, events: Iterable[CloudEvent]) -> list[CloudEvent]:
        """Send the events once; return those that are to be sent again."""
        with ThreadPoolExecutor(16) as senders:
            answers = list(senders.map(self._send, events))
        again = []
        for event, (status, said) in zip(events, answers, strict=True):
            if 0 < status < 300:
                self.done.append(event["id"])
            else:
                failed = {**event, "knativeerrorcode": status, "knativeerrordata": said}
                (again if _repeats(status) else self.dead).append(failed)
        return again

    def _send(self, event: CloudEvent) -> tuple[int, str]:
        sent = {name: value for name, value in event.items() if not name.startswith("knative")}
        answer = binary(self.function, sent)
        if event["id"] in self.lost:
            self.lost.remove(event["id"])
            return 0, "lost"
        if answer.status < 300 and answer.body and answer.headers.get("ce-type") != "io.unmirror.report.v1":
            return 0, "an answer that is no event"  # a broker takes an empty one, or an event that goes on from here
        return answer.status, answer.body.decode()


def _event(interface_id: str, number: int) -> CloudEvent:
    event = cloud_event(trace(interface_id))
    own = {"id": f"{event['id'][:-12]}{number:012d}", "dataschema": "https://example.com/trace", "subject": "s"}
    return {**event, **own}


def _mirrored(cloud: Cloud) -> set[str]:
    return {source for sources in cloud.sources(PROJECT_ID).values() for source in sources}


def _replay(home: Path, dead: list[CloudEvent], settings: dict[str, str]) -> dict[str, Any]:
    """Let `unmirror replay` send dead letters again, as they are, one a line; return what it tells."""
    letters = home / "dead-letters.jsonl"
    letters.write_text("".join(f"{json.dumps(event)}\n" for event in dead), "utf-8")
    command = (sys.executable, "-m", "handler.cli", "replay", str(letters), "--json")
    return dict(json.loads(run(*command, env=environment(home, **settings)).stdout))


@untraced
def test_every_event_is_done_or_a_dead_letter_and_the_dead_letters_end_well(
    hasty: Function, cloud: Cloud, emulator: Emulator, tmp_path: Path
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

    broker, pending = Broker(hasty, lost), events
    for attempt in range(1 + RETRY):
        if attempt == 2:
            for id_ in late:  # the deletion that was announced too early
                cloud.delete_port(id_)
        pending = broker.deliver(pending)
    broker.dead += pending

    dead = {event["id"] for event in broker.dead}
    assert sorted([*broker.done, *dead]) == sorted(event["id"] for event in events)
    assert dead >= {event["id"] for event in poison}
    assert {event["knativeerrorcode"] for event in broker.dead} == {400, 503}
    living = {event["data"].get("resource_id") for event in broker.dead if event["knativeerrorcode"] == 503}
    assert living == set(alive), "what was announced and still lives"
    assert _mirrored(cloud) == {*alive, *quiet}
    assert all(fault.done for fault in emulator.faults), "nothing was spared"

    emulator.clear_faults()  # the outage is over, and what was announced has come true
    for id_ in alive:
        cloud.delete_port(id_)
    told = _replay(tmp_path, broker.dead, settings_for(emulator))
    assert told["outcomes"] == {"detached": len(alive), "unreadable": len(poison)}
    assert _mirrored(cloud) == set(quiet)
    assert not any(set(call.ids) & set(quiet) for call in emulator.changes())
