"""How long a sweep takes, what it costs and how much memory it needs; the same under a rate limit; and beside a peer.

PYTHONPATH=. python tests/bench/sweep.py [--sessions 20000] [--only full|throttled|peer]

The emulator and the sweep each have a process of their own; signatures are made and checked. The arithmetic is what
cannot be saved: every page of sessions, every page of interfaces (cheaper here than look-ups by id), one question for
each gone interface and one removal for each session that lists one. The peer shows every source in turn with the
official SDK; it is run on a tenth of the size, at most, and extrapolated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from handler.emulator.server import Cloud, Emulator
from handler.mirror.sweep import Sweep
from handler.model import Deadline, Origin, SweepDue
from handler.service import Service

PROJECT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
KEY = {"HUAWEICLOUD_SDK_AK": "EXAMPLEACCESSKEY", "HUAWEICLOUD_SDK_SK": "example-secret-key-of-the-benchmark"}
PAGE = 2000
SOURCES = 10
SESSIONS_A_TARGET = 10
PEER = Path(__file__).parent / "peers" / "sweep_sdk.py"


@dataclass(frozen=True)
class Size:
    """What is swept."""

    sessions: int
    gone: float
    latency: float
    rate: float | None = None


def seed(size: Size) -> tuple[Cloud, int]:
    """Return a region, and the calls that a sweep of it cannot do without."""
    cloud = Cloud()
    drawn = random.Random(1)
    numbers = range(size.sessions * SOURCES)
    gone = set(drawn.sample(numbers, int(len(numbers) * size.gone)))
    ports = affected = 0
    target = ""
    for session in range(size.sessions):
        if session % SESSIONS_A_TARGET == 0:
            target = cloud.add_port(PROJECT)
            ports += 1
        sources = [cloud.new_id() for _ in range(SOURCES)]
        living = [id_ for place, id_ in enumerate(sources) if session * SOURCES + place not in gone]
        for id_ in living:
            cloud.add_port(PROJECT, port_id=id_)
        ports += len(living)
        affected += len(living) < SOURCES
        cloud.add_session(PROJECT, sources=sources, target_id=target)
    return cloud, -(-size.sessions // PAGE) + -(-ports // PAGE) + len(gone) + affected


def serve(pipe: Connection, size: Size) -> None:
    """Serve a region until told to stop; tell what was asked."""
    cloud, arithmetic = seed(size)
    keys = {KEY["HUAWEICLOUD_SDK_AK"]: KEY["HUAWEICLOUD_SDK_SK"]}
    with Emulator(cloud, keys=keys, latency=size.latency, rate_limit=size.rate) as emulator:
        pipe.send((emulator.url, arithmetic))
        pipe.recv()
        ports = set(cloud.ports(PROJECT))
        left = sum(source not in ports for sources in cloud.sources(PROJECT).values() for source in sources)
        pipe.send((Counter(call.operation for call in emulator.calls), Counter(c.status for c in emulator.calls), left))


@contextmanager
def region(size: Size) -> Iterator[tuple[str, int, Callable[[], tuple[Counter[str], Counter[int], int]]]]:
    """Serve a region in its own process; give its URL, the arithmetic, and what asks for the count."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, size), daemon=True)
    process.start()
    url, arithmetic = ours.recv()

    def count() -> tuple[Counter[str], Counter[int], int]:
        ours.send("count")
        answer: tuple[Counter[str], Counter[int], int] = ours.recv()
        return answer

    try:
        yield url, arithmetic, count
    finally:
        process.terminate()
        process.join()


def sweep(pipe: Connection, url: str, in_flight: int) -> None:
    """Sweep once, in a process of its own."""
    service = Service.from_env(environ(url))
    assert service.client
    most, now, lock, send = 0, 0, threading.Lock(), service.client.transport.send

    def counted(*args: Any, **more: Any) -> Any:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        try:
            return send(*args, **more)
        finally:
            with lock:
                now -= 1

    service.client.transport.send = counted  # type: ignore[method-assign]
    use = Sweep(service.detach, service.settings.sweep_limit.allows, in_flight=in_flight)
    api = service.api(PROJECT, Deadline.within(86_400, time.monotonic))
    began, cpu = time.monotonic(), time.process_time()
    report = use.project(SweepDue(Origin("bench", "timer"), "a measurement"), api, time.monotonic())
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send((report.outcome, report.status, report.reason, took, cpu, memory, most, api.calls))


def environ(url: str) -> dict[str, str]:
    """Return the settings."""
    return {**KEY, "HUAWEICLOUD_SDK_PROJECT_ID": PROJECT, "UNMIRROR_VPC_ENDPOINT": url}


def measure(title: str, size: Size, in_flight: int) -> None:
    """Sweep a region and print what it took."""
    context = multiprocessing.get_context("spawn")
    with region(size) as (url, arithmetic, count):
        ours, theirs = context.Pipe()
        process = context.Process(target=sweep, args=(theirs, url, in_flight))
        process.start()
        theirs.close()
        outcome, status, reason, took, cpu, memory, most, api_calls = ours.recv()
        process.join()
        operations, statuses, left = count()
    calls = sum(operations.values())
    good = calls - statuses[429]
    print(f"{title}: {size.sessions} sessions, {size.sessions * SOURCES} sources, {size.gone:.0%} gone")
    print(f"  {outcome} ({status}): {reason}; gone sources left: {left}")
    goal = "" if size.rate else " (goal 30)"
    print(f"  {took:.1f} s{goal}, {cpu:.1f} s of CPU, {memory:.0f} MiB resident (goal 300)")
    print(
        f"  {calls} calls, {calls / arithmetic:.3f} x the arithmetic's {arithmetic} (goal 1.05); {api_calls} reported"
    )
    print(f"  {dict(operations)}, by status {dict(statuses)}; at most {most} in flight (allowed {in_flight})")
    if size.rate:
        print(f"  {good / took:.1f} good calls a second = {good / took / size.rate:.0%} of the limit (goal 80 %)")


def measure_peer(size: Size, whole: int) -> None:
    """Let the peer sweep a smaller region, print what it took and what the whole would take."""
    with region(size) as (url, _, count):
        reply = subprocess.run(
            [sys.executable, str(PEER)],
            env={**os.environ, **environ(url)},
            check=True,
            stdout=subprocess.PIPE,
        )
        _, _, left = count()
    result = json.loads(reply.stdout)
    times = whole / size.sessions
    print(f"peer (official SDK, one after another): {size.sessions} sessions, {size.sessions * SOURCES} sources")
    print(f"  {result['seconds']:.1f} s, {result['calls']} calls, {result['removed']} removed, left {left}")
    print(f"  extrapolated by {times:g}: {result['seconds'] * times:.0f} s, {result['calls'] * times:.0f} calls")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--gone", type=float, default=0.01)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds")
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--rate", type=float, default=50, help="calls a second, for the throttled run")
    parser.add_argument("--peer-sessions", type=int, default=2000)
    parser.add_argument("--only", choices=["full", "throttled", "peer"])
    asked = parser.parse_args()
    size = Size(asked.sessions, asked.gone, asked.latency)
    if asked.only in (None, "full"):
        measure("sweep", size, asked.in_flight)
    if asked.only in (None, "throttled"):
        throttled = Size(asked.sessions, asked.gone, asked.latency, asked.rate)
        measure(f"sweep at {asked.rate:g} calls a second", throttled, asked.in_flight)
    if asked.only in (None, "peer"):
        measure_peer(Size(asked.peer_sessions, asked.gone, asked.latency), asked.sessions)


if __name__ == "__main__":
    main()
