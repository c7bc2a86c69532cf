"""A storm of deletions, sent by 64 senders over HTTP; what it costs, in time and in API calls."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
import uuid
from dataclasses import dataclass

import aiohttp

from tests.bench import processes

SENDERS = 64


@dataclass(frozen=True)
class Storm:
    """One measured storm."""

    peer: str
    shape: str
    sessions: int
    events: int
    seconds: float
    p50: float
    p99: float
    failed: int
    """Answers other than 2xx."""
    still_mirrored: int
    """Places that the deleted interfaces which were announced still take."""
    counts: dict[str, int]
    resident: float
    """MiB."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def calls(self) -> int:
        """Calls of the API, of every kind."""
        return sum(self.counts.values())

    @property
    def undone(self) -> int:
        """Events that were answered with a failure, or whose interfaces still are where they were."""
        return self.failed + self.still_mirrored


def storm(
    peer: str, sessions: int, shape: str, *, deleted: int = 1000, events: int | None = None, shuffled: bool = False
) -> Storm:
    """Run one storm; fewer `events` than deletions where a peer would take hours.

    It has served one event before, of an operation that deletes nothing: cold starts have figures of their own.
    """
    with processes.cloud(sessions, deleted, shape) as cloud, processes.function(peer, cloud.url) as function:
        announced = cloud.gone[:events] if events else list(cloud.gone)
        if shuffled:
            random.Random(1).shuffle(announced)
        assert processes.post(function.url, str(uuid.uuid4()), "createPort").ok
        before = cloud.state()
        answers, seconds = asyncio.run(_send(function.url, announced))
        state = cloud.state()
        places = before["still_mirrored"] - state["still_mirrored"]
        took = sorted(each for _, each in answers)
        return Storm(
            peer,
            shape,
            sessions,
            len(announced),
            seconds,
            statistics.median(took),
            took[max(0, int(len(took) * 0.99) - 1)],
            sum(1 for status, _ in answers if not 200 <= status < 300),
            (0 if shape == "unmirrored" else len(announced)) - places,
            {name: many - before["counts"].get(name, 0) for name, many in state["counts"].items()},
            function.resident(),
        )


async def _send(url: str, interface_ids: list[str]) -> tuple[list[tuple[int, float]], float]:
    """Send each event once, with 64 senders; return status and seconds of each, and the seconds of all."""
    waiting = [json.dumps(processes.event(id_)).encode() for id_ in reversed(interface_ids)]
    headers = {"Content-Type": "application/json"}
    answers: list[tuple[int, float]] = []
    connector = aiohttp.TCPConnector(limit=SENDERS)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(600)) as session:

        async def sender() -> None:
            while waiting:
                body = waiting.pop()
                began = time.monotonic()
                async with session.post(url, data=body, headers=headers) as answer:
                    await answer.read()
                answers.append((answer.status, time.monotonic() - began))

        first = time.monotonic()
        await asyncio.gather(*(sender() for _ in range(SENDERS)))
        return answers, time.monotonic() - first
