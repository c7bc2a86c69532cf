"""An emulated region in a process of its own: `python -m tests.bench.cloud '{"sessions": 2000, "deleted": 400}'`.

Prints its URL and the deleted ids as one line of JSON; answers each line on standard input with its call counts.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Literal, TypeAlias

from handler.emulator.server import Emulator
from handler.emulator.state import Cloud

PROJECT_ID = "0123456789abcdef0123456789abcdef"
ACCESS_KEY, SECRET_KEY = "BENCHACCESSKEY000001", "bench-secret-key"
SOURCES = 10

Shape: TypeAlias = Literal["together", "apart", "threefold", "unmirrored", "servers"]
"""Where the deleted interfaces are listed: ten a session; each in a session of its own; each in three sessions; in
none; ten a session, and each was deleted with its server."""


@dataclass(frozen=True)
class Region:
    """What is emulated. Interfaces that are not deleted exist, ten sources a session."""

    sessions: int
    deleted: int
    shape: Shape = "together"
    latency: float = 0.02
    """Seconds before each answer."""
    jitter: float = 0.0
    """The part of the latency by which it varies to either side."""
    rate: float | None = None
    """Calls a second that it lets through."""


def seeded(region: Region) -> tuple[Cloud, list[str], list[str]]:
    """Return the cloud, the ids of the deleted interfaces, and those of their servers."""
    cloud = Cloud(1)
    servers = [cloud.add_server(PROJECT_ID) for _ in range(region.deleted)]
    gone = [cloud.ports_of(server)[0] for server in servers]
    for number in range(region.sessions):
        dead = _listed(region.shape, gone, number)
        *alive, target = (cloud.add_port(PROJECT_ID) for _ in range(SOURCES - len(dead) + 1))
        cloud.add_session(PROJECT_ID, name=f"session-{number}", sources=dead + alive, target_id=target)
    for server in servers:
        cloud.delete_server(server)
    return cloud, gone, servers


def _listed(shape: Shape, gone: list[str], number: int) -> list[str]:
    match shape:
        case "together" | "servers":
            return gone[number * SOURCES : (number + 1) * SOURCES]
        case "apart":
            return gone[number : number + 1]
        case "threefold":
            return gone[number // 3 : number // 3 + 1]
        case "unmirrored":
            return []


def main() -> None:
    """Serve until standard input ends."""
    region = Region(**json.loads(sys.argv[1]))
    cloud, gone, servers = seeded(region)
    dead = set(gone)
    with Emulator(
        cloud,
        keys={ACCESS_KEY: SECRET_KEY},
        latency=region.latency,
        jitter=region.jitter,
        rate_limit=region.rate,
    ) as emulator:
        emulator.on_call = None
        print(json.dumps({"url": emulator.url, "gone": gone, "servers": servers}), flush=True)
        for _ in sys.stdin:
            still = sum(1 for listed in cloud.sources(PROJECT_ID).values() for id_ in listed if id_ in dead)
            print(json.dumps({"counts": emulator.counts, "still_mirrored": still}), flush=True)


if __name__ == "__main__":
    main()
