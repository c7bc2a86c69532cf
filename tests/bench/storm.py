"""A storm of deletions, sent by 64 senders over HTTP; what it costs, in time and in API calls."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from tests.bench import processes
from tests.bench.cloud import Region

SENDERS = 64


@dataclass(frozen=True)
class Storm:
    """One measured storm."""

    events: int
    seconds: float
    undone: int
    """Events that were not answered 2xx, and places that the deleted interfaces which were announced still take."""
    counts: Mapping[str, int]
    """Calls of the API by operation."""
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


def storm(peer: str, region: Region, *, events: int | None = None, environ: Mapping[str, str] | None = None) -> Storm:
    """Run one storm, in the order of the sessions; fewer `events` than deletions where a peer would take hours.

    The function has served one event before, of an operation that deletes nothing: cold starts have figures of their
    own.
    """
    with processes.cloud(region) as cloud, processes.function(peer, cloud.url, environ) as function:
        named, operation = (cloud.servers, "deleteServer") if region.shape == "servers" else (cloud.gone, "deletePort")
        announced = named[:events]
        assert processes.post(function.url, str(uuid.uuid4()), "createPort").ok
        before = cloud.state()
        statuses, seconds = asyncio.run(_send(function.url, announced, operation))
        state = cloud.state()
        left = before["still_mirrored"] - state["still_mirrored"]
        due = 0 if region.shape == "unmirrored" else len(announced)
        return Storm(
            len(announced),
            seconds,
            sum(1 for status in statuses if not 200 <= status < 300) + due - left,
            {name: many - before["counts"].get(name, 0) for name, many in state["counts"].items()},
            function.resident(),
        )


async def _send(url: str, resource_ids: list[str], operation: str) -> tuple[list[int], float]:
    """Send each event once; return the statuses, and the seconds of all."""
    waiting = [json.dumps(processes.event(id_, operation=operation)).encode() for id_ in reversed(resource_ids)]
    headers = {"Content-Type": "application/json"}
    statuses: list[int] = []
    connector = aiohttp.TCPConnector(limit=SENDERS)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(600)) as session:

        async def sender() -> None:
            while waiting:
                async with session.post(url, data=waiting.pop(), headers=headers) as answer:
                    await answer.read()
                statuses.append(answer.status)

        first = time.monotonic()
        await asyncio.gather(*(sender() for _ in range(SENDERS)))
        return statuses, time.monotonic() - first
