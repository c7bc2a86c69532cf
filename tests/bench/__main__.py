"""Storms measured against peers, side by side in one run: `python -m tests.bench [--quick] [PICTURE]`.

Prints a table in Markdown and draws docs/storms.svg, or the picture named (`pip install -e .[bench]`). `--quick` takes
a minute, with smaller storms than the goals are for, and draws nothing unless it is told where.

Peers: P, a handler with the official SDK that lists all pages and removes from each match, without verification;
F, a function that only says ok; F+, the same importing requests and jsonschema. API latency 20 ms, 64 senders over
HTTP on loopback, THREADS=64 for every function, the emulated cloud in its own process. P is sent fewer events where
a thousand would take hours: neither its rate nor its calls for each depend on their number.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import lone
from tests.bench.processes import ROOT
from tests.bench.storm import Storm, storm

PICTURE = ROOT / "docs" / "storms.svg"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    events: int
    sessions: dict[int, int]
    """Numbers of sessions, each with how many events P is sent."""
    medium: int
    large: int
    repeats: int
    """Of each of our storms and F's, of which the median counts; P's take long enough to be measured once."""
    rounds: int
    """Lone events of each peer."""
    starts: int
    """Of each peer's process."""


FULL = Size(
    1000, {100: 300, 500: 120, 2_000: 40, 5_000: 20, 20_000: 10}, 2_000, 20_000, repeats=3, rounds=80, starts=15
)
QUICK = Size(200, {100: 40, 500: 20, 2_000: 8}, 500, 2_000, repeats=1, rounds=10, starts=2)


@dataclass(frozen=True)
class Row:
    """One measure against its goal."""

    measure: str
    ours: str
    peer: str
    value: float
    goal: float
    at_least: bool = False

    def __str__(self) -> str:
        met = self.value >= self.goal if self.at_least else self.value <= self.goal
        goal = f"{'≥' if self.at_least else '≤'} {self.goal:.3g}"
        return f"| {self.measure} | {self.ours} | {self.peer} | {self.value:.2f} | {goal} | {'yes' if met else 'no'} |"


class Storms:
    """The storms of one run, each measured when it is first asked for."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self._measured: dict[tuple[str, int, str], Storm] = {}

    def of(self, peer: str, sessions: int, shape: str = "together") -> Storm:
        """Return the storm, the median one where it is repeated."""
        key = (peer, sessions, shape)
        if key not in self._measured:
            sample = self.size.sessions[sessions] if peer == "P" else None
            repeats = 1 if peer == "P" else self.size.repeats
            runs = [storm(peer, sessions, shape, deleted=self.size.events, events=sample) for _ in range(repeats)]
            self._measured[key] = sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]
        return self._measured[key]

    def rows(self) -> Iterator[Row]:
        """Yield what is measured of them, with goals."""
        medium, large = self.size.medium, self.size.large
        for sessions, shape, goal in ((medium, "together", 40), (large, "together", 200), (medium, "apart", 15)):
            ours, theirs = self.of("unmirror", sessions, shape), self.of("P", sessions, shape)
            yield _rate(f"{_named(ours)}: events/s against P", ours, theirs, goal)
        none = self.of("unmirror", medium, "unmirrored")
        yield _rate("none of them mirrored: events/s against F", none, self.of("F", medium, "unmirrored"), 0.5)
        for ours in [each for each in self._measured.values() if each.peer == "unmirror"]:
            rounds = ours.counts["list_sessions"] / -(-ours.sessions // 2_000)
            yield Row(f"{_named(ours)}: rounds of list pages", f"{rounds:.0f}", "", rounds, 5)
            yield Row(f"{_named(ours)}: p99", f"{ours.p99:.2f} s", "", ours.p99, 2)
            yield Row(f"{_named(ours)}: events not done", f"{ours.undone}", "", ours.undone, 0)
        for shape, measure, goal in (
            ("apart", "remove-sources calls a session, one in each", 1.05),
            ("together", "remove-sources calls an interface, ten a session", 0.4),
        ):
            ours = self.of("unmirror", medium, shape)
            calls = ours.counts["remove_sources"]
            yield Row(measure, f"{calls} for {ours.events:,}", "", calls / ours.events, goal)
        ours, theirs = self.of("unmirror", large), self.of("P", large)
        memory = f"memory after {large:,} sessions, against P"
        yield Row(
            memory, f"{ours.resident:.0f} MiB", f"P {theirs.resident:.0f} MiB", ours.resident / theirs.resident, 1.0
        )
        half = self.of("unmirror", large // 2)
        twice = f"seconds with {large:,} sessions, against {large // 2:,}"
        yield Row(twice, f"{ours.seconds:.2f} s", f"{half.seconds:.2f} s", ours.seconds / half.seconds, 2.2)

    def against_sessions(self) -> list[Storm]:
        """Return what the picture shows."""
        return [self.of(peer, sessions) for peer in ("unmirror", "P") for sessions in self.size.sessions]


def single(size: Size) -> Iterator[Row]:
    """Yield what one event costs when nothing else happens, and what a cold start does."""
    beyond = {peer: seconds * 1000 for peer, seconds in lone.beyond_its_calls(size.rounds).items()}
    ours, theirs = beyond["unmirror"], beyond["P"]
    yield Row(
        f"a lone event beyond its API calls, ms, {lone.SESSIONS} sessions",
        *(f"{ours:.1f} ms", f"P {theirs:.1f} ms", ours, min(5, theirs)),
    )
    for measure, peer, detachment, goal in (
        ("cold start to the first detachment, against P", "P", True, 0.85),
        ("cold start to the first answer, against F+", "F+", False, 1.10),
    ):
        took = lone.first_answers(("unmirror", peer), size.starts, detachment=detachment)
        ours, theirs = took["unmirror"], took[peer]
        yield Row(measure, f"{ours:.3f} s", f"{peer} {theirs:.3f} s", ours / theirs, goal)


def _named(storm: Storm) -> str:
    return f"{storm.events:,} deletions {storm.shape}, {storm.sessions:,} sessions"


def _rate(measure: str, ours: Storm, theirs: Storm, goal: float) -> Row:
    peer = f"{theirs.peer} {theirs.rate:,.{0 if theirs.rate > 100 else 1}f}"
    return Row(measure, f"{ours.rate:,.0f}", peer, ours.rate / theirs.rate, goal, at_least=True)


def machine() -> str:
    """Return what it was measured on."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}"


def main(arguments: list[str]) -> None:
    """Print the table, row by row, and draw the picture."""
    os.environ["THREADS"] = "64"
    quick = "--quick" in arguments
    size = QUICK if quick else FULL
    named = [Path(argument) for argument in arguments if argument != "--quick"]
    print(f"{machine()}, {sys.platform}\n")
    print("| measure | unmirror | peer | ratio or value | goal | met |\n|---|--:|--:|--:|--:|---|", flush=True)
    storms = Storms(size)
    for rows in (storms.rows(), single(size)):
        for row in rows:
            print(row, flush=True)
    for picture in named or ([] if quick else [PICTURE]):
        from tests.bench import plot

        plot.draw(picture, storms.against_sessions(), machine())
        print(f"\n{picture}")


if __name__ == "__main__":
    main(sys.argv[1:])
