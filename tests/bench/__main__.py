"""Measurements beside peers, in one run: `python -m tests.bench [NAME ...] [--quick] [--picture FILE]`.

Prints a table in Markdown; the names choose some of its measures. `--quick` takes two minutes, with sizes for which the
goals are not meant. `--picture` also draws storms against the number of sessions (`pip install -e '.[bench]'`).

Peers: a handler with the official SDK that lists all pages and removes from each match, without verification; a
function that only says ok. The floor is a function that makes our calls by the same libraries and does nothing else: a
goal beyond it is one that these libraries exclude.

Functions are served by functions-framework from bytecode with 64 threads, 64 senders send over loopback, the emulated
region is a process of its own that answers in 20 ms where nothing else is said. The SDK's handler is sent fewer events
where a thousand would take hours: neither its rate nor its calls an event depend on it.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from tests.bench import functiongraph, lone, starts, vanished
from tests.bench.cloud import Region
from tests.bench.storm import Storm, storm


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    throttled: int = 300
    latencies: int = 400
    deletions: int = 1_000
    medium: int = 2_000
    large: int = 20_000
    repeats: int = 3
    """Of each of our storms, of which the median counts; the SDK's take long enough to be measured once."""
    sdk_events: int = 60_000
    """Sessions times events that the SDK's handler is sent; it takes about 0.03 ms for each."""
    rounds: int = 60
    """Lone events of each peer, imports of each version."""
    starts: int = 15
    """Of each peer's process."""
    idle: tuple[float, ...] = (40, 5)
    """Seconds until connections vanish."""

    def quick(self) -> Self:
        """Return a size that takes two minutes."""
        return replace(
            self,
            throttled=50,
            latencies=80,
            deletions=200,
            medium=500,
            large=2_000,
            repeats=1,
            rounds=8,
            starts=2,
            idle=(2,),
        )


@dataclass(frozen=True)
class Row:
    """One measure against its goal."""

    measure: str
    ours: str
    peer: str
    value: float
    goal: float | None
    """None: no goal was set."""
    at_least: bool = False
    undone: int = 0
    """Events that were not done, with which no goal is met."""

    def __str__(self) -> str:
        told, goal = f", {self.undone} NOT DONE" if self.undone else "", " | "
        if self.goal is not None:
            met = not self.undone and (self.value >= self.goal if self.at_least else self.value <= self.goal)
            goal = f"{'≥' if self.at_least else '≤'} {self.goal:g} | {'yes' if met else 'no'}"
        return f"| {self.measure} | {self.ours}{told} | {self.peer} | {self.value:.3g} | {goal} |"


def latencies(size: Size) -> Iterator[Row]:
    """Deletions ten a session, in the order of their sessions, at latencies that vary by half."""
    for milliseconds, calls_goal, rate_goal in ((20, 0.2, 170), (100, 0.15, 110), (300, 0.15, 45)):
        region = Region(size.medium, size.latencies, latency=milliseconds / 1000, jitter=0.5)
        run = _median(region, size.repeats)
        named = f"{run.events} deletions, {milliseconds} ms ± 50 %"
        removals = run.counts.get("remove_sources", 0)
        yield Row(
            f"{named}: `remove-sources` calls an interface",
            f"{removals}",
            "",
            removals / run.events,
            calls_goal,
            undone=run.undone,
        )
        yield Row(f"{named}: events/s", f"{run.rate:.0f}", "", run.rate, rate_goal, at_least=True, undone=run.undone)


def rates(size: Size) -> Iterator[Row]:
    """Events a second beside the peers, and memory."""
    for sessions, goal in ((size.medium, 40), (size.large, 250)):
        region = Region(sessions, size.deletions)
        ours, theirs = _median(region, size.repeats), _sdk(region, size)
        yield _rate(f"{ours.events:,} deletions, ten a session, {sessions:,} sessions: events/s", ours, theirs, goal)
    resident = f"memory after {sessions:,} sessions, MiB"
    yield Row(resident, f"{ours.resident:.0f}", f"SDK {theirs.resident:.0f}", ours.resident / theirs.resident, 0.6)
    region = Region(size.medium, size.deletions, "apart")
    ours, theirs = _median(region, size.repeats), _sdk(region, size)
    yield _rate(f"the same, each in its own session, {size.medium:,} sessions: events/s", ours, theirs, 30)
    region = Region(size.medium, size.deletions, "unmirrored")
    ours, ok = _median(region, size.repeats), _median(region, size.repeats, "ok")
    yield _rate("the same, none mirrored, against a function that only says ok: events/s", ours, ok, 0.55, "ok")


def lone_event(size: Size) -> Iterator[Row]:
    """One event at a time."""
    yield _lone(*lone.beyond_its_calls(size.rounds), goal=0.6)
    took = lone.in_three_sessions(size.rounds // 4, latency=0.1)
    ours, theirs = took["unmirror"], took["SDK"]
    # A listing, a verification and removals side by side are three calls; half a call more is the function's own time.
    yield Row("an interface in three sessions, in latencies of 100 ms", f"{ours:.2f}", f"SDK {theirs:.2f}", ours, 3.5)


def throttled(size: Size) -> Iterator[Row]:
    """A storm against an API that lets 50 calls a second through."""
    rate = 50
    run = storm("unmirror", Region(size.medium, size.throttled, rate=rate))
    arithmetic = (1 + size.throttled + size.throttled / 10) / rate
    measure = f"{size.throttled} deletions, API throttled to {rate} a second: time against the arithmetic"
    ours = f"{run.seconds:.1f} s, {run.calls} calls"
    yield Row(measure, ours, f"arithmetic {arithmetic:.1f} s", run.seconds / arithmetic, 1.15, undone=run.undone)


def vanished_connections(size: Size) -> Iterator[Row]:
    """Eight events at once, after eight connections vanished without a word."""
    for seconds in size.idle:
        slowest, refused = vanished.after_idling(seconds)
        # Connections are renewed after 30 s of idleness; before that one call's 5 s are lost, and a new one is made.
        goal = 1 if seconds > 30 else 6
        measure = f"eight events after eight connections vanished, idle for {seconds:g} s: slowest, s"
        yield Row(measure, f"{slowest:.2f} s", "", slowest, goal, undone=refused)


def servers(size: Size) -> Iterator[Row]:
    """Deletions of servers whose interfaces the events do not name."""
    region = Region(size.medium, size.deletions, "servers")
    run = storm("unmirror", region, environ={"UNMIRROR_SWEEP_LIMIT": "100%"})
    measure = f"{run.events:,} server deletions, {size.medium:,} sessions: calls a deletion"
    ours = f"{run.calls:,} calls, {run.seconds:.1f} s"
    yield Row(measure, ours, "", run.calls / run.events, None, undone=run.undone)


def cold_starts(size: Size) -> Iterator[Row]:
    """A fresh process to its first detachment, behind functions-framework and as a FunctionGraph package."""
    yield _start("functions-framework", *starts.first_detachments(size.starts), goal=0.85)
    runtime, ours, theirs = functiongraph.first_detachments(size.starts)
    yield _start(f"FunctionGraph package, Python {runtime}", ours, theirs, goal=0.85)


def imports(size: Size) -> Iterator[Row]:
    """What our own modules take of the import of FunctionGraph's entry."""
    now, before = starts.import_times(size.rounds // 4)
    peer = f"commit {starts.BEFORE} {before:.1f}"
    yield Row("own modules' import time, ms", f"{now:.1f}", peer, now / before, 0.4)


def floor(size: Size) -> Iterator[Row]:
    """What no function that makes our calls by these libraries can do better; its storms' last removals may be due."""
    for sessions in (size.medium, size.large):
        region = Region(sessions, size.deletions)
        least, theirs = _median(region, size.repeats, "floor", {"REMOVE_AT": "10"}), _sdk(region, size)
        measure = f"floor, {size.deletions:,} deletions, ten a session, {sessions:,} sessions: events/s"
        yield _rate(measure, least, theirs, None)
    resident = f"floor, memory after {sessions:,} sessions, MiB"
    yield Row(resident, f"{least.resident:.0f}", f"SDK {theirs.resident:.0f}", least.resident / theirs.resident, None)
    region = Region(size.medium, size.deletions, "apart")
    least, theirs = _median(region, size.repeats, "floor"), _sdk(region, size)
    yield _rate(f"floor, each in its own session, {size.medium:,} sessions: events/s", least, theirs, None)
    region = Region(size.medium, size.deletions, "unmirrored")
    least, ok = _median(region, size.repeats, "floor"), _median(region, size.repeats, "ok")
    yield _rate("floor, none mirrored, against a function that only says ok: events/s", least, ok, None, "ok")
    beyond = _lone(*lone.beyond_its_calls(size.rounds, "floor"))
    yield replace(beyond, measure=f"floor, {beyond.measure}")
    yield _start("floor, functions-framework", *starts.first_detachments(size.starts, "floor"))


MEASURES: Mapping[str, Callable[[Size], Iterator[Row]]] = {
    "latencies": latencies,
    "rates": rates,
    "lone": lone_event,
    "throttled": throttled,
    "vanished": vanished_connections,
    "servers": servers,
    "starts": cold_starts,
    "imports": imports,
    "floor": floor,
}


def _median(region: Region, repeats: int, peer: str = "unmirror", environ: Mapping[str, str] | None = None) -> Storm:
    runs = sorted((storm(peer, region, environ=environ) for _ in range(repeats)), key=lambda run: run.seconds)
    return replace(runs[len(runs) // 2], undone=sum(run.undone for run in runs))


def _sdk(region: Region, size: Size) -> Storm:
    return storm("SDK", region, events=min(region.deleted, max(8, size.sdk_events // region.sessions)))


def _rate(measure: str, ours: Storm, theirs: Storm, goal: float | None, peer: str = "SDK") -> Row:
    told = f"{peer} {theirs.rate:.0f}" if theirs.rate > 100 else f"{peer} {theirs.rate:.1f}"
    return Row(measure, f"{ours.rate:.0f}", told, ours.rate / theirs.rate, goal, at_least=True, undone=ours.undone)


def _lone(ours: float, theirs: float, goal: float | None = None) -> Row:
    told = [f"{seconds * 1000:.1f}" for seconds in (ours, theirs)]
    return Row("a lone event beyond its calls, ms", told[0], f"SDK {told[1]}", ours / theirs, goal)


def _start(how: str, ours: float, theirs: float, goal: float | None = None) -> Row:
    measure = f"{how}, process start to first detachment, s"
    return Row(measure, f"{ours:.3f}", f"SDK {theirs:.3f}", ours / theirs, goal)


def draw(path: Path, size: Size, machine: str) -> None:
    """Draw rates and calls against the number of sessions."""
    from tests.bench import plot

    regions = [Region(sessions, size.deletions) for sessions in (100, 500, size.medium, 5_000, size.large)]
    plot.draw(
        path,
        {
            "unmirror": {region.sessions: _median(region, size.repeats) for region in regions},
            "SDK": {region.sessions: _sdk(region, size) for region in regions},
        },
        machine,
    )


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)} (default: all)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in MEASURES]:
        parser.error(f"no such measure: {', '.join(unknown)}")
    size = Size().quick() if chosen.quick else Size()
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    if chosen.names or not chosen.picture:
        print(f"{machine}, {platform.system()}\n")
        print("| measure | unmirror | peer | ratio or value | goal | met |\n|---|--:|--:|--:|--:|---|", flush=True)
    for name in chosen.names or ([] if chosen.picture else MEASURES):
        try:
            for row in MEASURES[name](size):
                print(row, flush=True)
        except Exception as error:  # noqa: BLE001 - the other measures are worth having all the same
            print(f"| {name} | not measured: {type(error).__name__}: {error!s:.200} | | | | no |", flush=True)
    if chosen.picture:
        draw(chosen.picture, size, machine)


if __name__ == "__main__":
    main()
