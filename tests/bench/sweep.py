"""What a sweep costs: `python -m tests.bench.sweep [--sessions 20000] [--only full|throttled|peer]`.

The command line sweeps an emulated region, each in a process of its own. The arithmetic is what cannot be saved: every
page of sessions, one question for each gone interface and one removal for each session that lists one; looking the
other sources up in the list of interfaces comes on top. The peer shows every source in turn with the official SDK; it
is run on a tenth of the size, and extrapolated.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.bench import processes
from tests.bench.cloud import SOURCES, Region
from tests.bench.processes import DEPLOYED, PEERS, ROOT

PAGE = 2000
COMMAND = (Path(sys.executable).with_name("unmirror"), "sweep", "--json", "--deadline", "3600", "--limit", "100%")
PEER = (sys.executable, PEERS / "sweep_sdk.py")


def measure(title: str, command: tuple[str | Path, ...], region: Region) -> float:
    """Sweep a region, print what it took, and return the seconds."""
    with processes.cloud(region) as cloud:
        environ = {**os.environ, **DEPLOYED, "UNMIRROR_VPC_ENDPOINT": cloud.url}
        del environ["UNMIRROR_TRUST"]  # which is the function's alone
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        state = cloud.state()
    counts: Mapping[str, int] = state["counts"]
    arithmetic = -(-region.sessions // PAGE) + 2 * region.deleted
    told = json.loads(done.stdout)
    print(f"{title}: {region.sessions} sessions, {region.sessions * SOURCES} sources, {region.deleted} gone")
    print(
        f"  {told.get('outcome', 'swept')}, exit code {done.returncode}; gone sources left: {state['still_mirrored']}"
    )
    cpu, memory = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss / 1024
    print(f"  {seconds:.1f} s, {cpu:.1f} s of CPU, {memory:.0f} MiB resident at most")
    print(f"  {sum(counts.values())} calls, the arithmetic's {arithmetic} and look-ups: {dict(counts)}", flush=True)
    return seconds


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--gone", type=float, default=0.01, help="the part of all sources")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds")
    parser.add_argument("--rate", type=float, default=50, help="calls a second, for the throttled run")
    parser.add_argument("--only", choices=["full", "throttled", "peer"])
    asked = parser.parse_args()
    gone = int(asked.sessions * SOURCES * asked.gone)
    if asked.only in (None, "full"):
        measure("sweep", COMMAND, Region(asked.sessions, gone, "apart", asked.latency))
    if asked.only in (None, "throttled"):
        region = Region(asked.sessions, gone, "apart", asked.latency, rate=asked.rate)
        measure(f"sweep at {asked.rate:g} calls a second", COMMAND, region)
    if asked.only in (None, "peer"):
        seconds = measure("peer", PEER, Region(asked.sessions // 10, gone // 10, "apart", asked.latency))
        print(f"  extrapolated by 10: {seconds * 10:.0f} s")


if __name__ == "__main__":
    main()
