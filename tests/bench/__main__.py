"""Storms measured against peers, side by side in one run: `python -m tests.bench` prints the table.

Peers: P, a handler with the official SDK that lists all pages and removes from each match, without verification;
F, a function that only says ok; F+, the same importing requests and jsonschema. API latency 20 ms, 64 senders over
HTTP on loopback, THREADS=64 for every function, the emulated cloud in its own process. P is sent fewer events where
a thousand would take hours; its rate does not depend on their number.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench import processes
from tests.bench.cloud import LATENCY
from tests.bench.storm import Storm, storm

P_SAMPLE = {2_000: 40, 20_000: 10}
COLD_STARTS = 5
LONE_EVENTS = 30


@dataclass(frozen=True)
class Row:
    """One measure against its goal."""

    measure: str
    ours: str
    peer: str
    value: float
    goal: float
    at_least: bool

    def __str__(self) -> str:
        met = self.value >= self.goal if self.at_least else self.value <= self.goal
        sign = "≥" if self.at_least else "≤"
        cells = (
            self.measure,
            self.ours,
            self.peer,
            f"{self.value:.2f}",
            f"{sign} {self.goal:g}",
            "yes" if met else "no",
        )
        return f"| {' | '.join(cells)} |"


def storms() -> Iterator[Row]:
    """Yield the rows of the storms."""
    ours: dict[tuple[int, str], Storm] = {}
    for sessions, shape, goal in ((2_000, "together", 40), (20_000, "together", 200), (2_000, "apart", 15)):
        mine = ours[sessions, shape] = storm("unmirror", sessions, shape)
        peer = storm("P", sessions, shape, events=P_SAMPLE[sessions])
        yield _rate(f"{sessions:,} sessions, deletions {shape}: events/s against P", mine, peer, goal)
        if sessions == 20_000:
            yield Row(
                "memory after it against P",
                f"{mine.resident:.0f} MiB",
                f"{peer.resident:.0f} MiB",
                mine.resident / peer.resident,
                1.0,
                at_least=False,
            )
    none = ours[2_000, "unmirrored"] = storm("unmirror", 2_000, "unmirrored")
    yield _rate("none of them mirrored: events/s against F", none, storm("F", 2_000, "unmirrored"), 0.5)
    for (sessions, shape), each in ours.items():
        pages = -(-sessions // 2_000)
        rounds = each.counts["list_sessions"] / pages
        yield Row(f"{sessions:,} {shape}: rounds of list pages", f"{rounds:.1f}", "", rounds, 5, at_least=False)
        yield Row(f"{sessions:,} {shape}: p99, s", f"{each.p99:.2f}", "", each.p99, 2, at_least=False)
        undone = each.failed + each.still_mirrored
        yield Row(f"{sessions:,} {shape}: events not done", str(undone), "", undone, 0, at_least=False)
    apart = ours[2_000, "apart"].counts["remove_sources"]
    yield Row("removals, one a session: calls a session", str(apart), "", apart / 1_000, 1.05, at_least=False)
    grouped = ours[2_000, "together"].counts["remove_sources"]
    yield Row("removals, ten a session: calls an interface", str(grouped), "", grouped / 1_000, 0.4, at_least=False)
    half = storm("unmirror", 10_000, "together")
    whole = ours[20_000, "together"]
    ratio = whole.seconds / half.seconds
    yield Row(
        "seconds with twice the sessions", f"{whole.seconds:.1f}", f"{half.seconds:.1f}", ratio, 2.2, at_least=False
    )


def lone() -> Iterator[Row]:
    """Yield what one event costs when nothing else happens, beyond its API calls."""
    beyond = {}
    for peer, calls in (("unmirror", 3), ("P", 2)):
        with processes.cloud(100, LONE_EVENTS + 5, "apart") as cloud, processes.function(peer, cloud.url) as function:
            took = []
            for interface_id in cloud.gone:
                began = time.monotonic()
                # Recorded just now, so that each event needs a look of its own, as a lone one does.
                answer = processes.post(function.url, interface_id, seconds_ago=0)
                took.append(time.monotonic() - began)
                assert answer.ok
            beyond[peer] = (statistics.median(took[5:]) - calls * LATENCY) * 1000
    ours, theirs = beyond["unmirror"], beyond["P"]
    yield Row(
        "one lone event beyond its API calls, ms",
        f"{ours:.1f}",
        f"P {theirs:.1f}",
        ours,
        min(5, theirs),
        at_least=False,
    )


def cold() -> Iterator[Row]:
    """Yield how long a fresh process takes to its first detachment, and to its first answer."""
    first = {peer: _cold(peer, "apart") for peer in ("unmirror", "P")}
    yield _cold_row("cold start to the first detachment against P", first["unmirror"], first["P"], 0.85)
    answer = {peer: _cold(peer, "unmirrored") for peer in ("unmirror", "F+")}
    yield _cold_row("cold start to the first answer against F+", answer["unmirror"], answer["F+"], 1.10)


def _cold(peer: str, shape: str) -> float:
    took = []
    for _ in range(COLD_STARTS):
        with (
            processes.cloud(100, 1, shape) as cloud,
            processes.function(peer, cloud.url, wait=False) as function,
        ):
            processes.listening(function)
            if shape == "unmirrored":
                processes.get(function.url)
            else:
                processes.post(function.url, cloud.gone[0])
            took.append(time.monotonic() - function.started)
    return statistics.median(took)


def _cold_row(measure: str, ours: float, theirs: float, goal: float) -> Row:
    return Row(measure, f"{ours:.2f} s", f"{theirs:.2f} s", ours / theirs, goal, at_least=False)


def _rate(measure: str, ours: Storm, theirs: Storm, goal: float) -> Row:
    return Row(measure, f"{ours.rate:.0f}", f"{theirs.rate:.2f}", ours.rate / theirs.rate, goal, at_least=True)


def main() -> None:
    """Print the table, row by row."""
    os.environ["THREADS"] = "64"
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {sys.platform}\n")
    print("| measure | unmirror | peer | ratio or value | goal | met |\n|---|---|---|---|---|---|")
    for rows in (storms, lone, cold):
        for row in rows():
            print(row, flush=True)


if __name__ == "__main__":
    main()
