"""Cold starts behind functions-framework, and what importing our own modules takes of them."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

from tests.bench import processes
from tests.bench.cloud import Region
from tests.bench.lone import Client
from tests.bench.processes import ROOT

BEFORE = "3ebd024"
"""The commit with whose import time ours is compared."""


def first_detachments(starts: int, peer: str = "unmirror") -> tuple[float, float]:
    """Return the median seconds from a process's start to its first detachment, of a peer and of the SDK's.

    The peers take turns, and one start of each before them fills the caches.
    """
    took: dict[str, list[float]] = {peer: [], "SDK": []}
    with processes.cloud(Region(sessions=100, deleted=len(took) * (starts + 1))) as cloud:
        gone = iter(cloud.gone)
        for _ in range(starts + 1):
            for name, times in took.items():
                with processes.function(name, cloud.url, wait=False) as function:
                    processes.listening(function)
                    Client(function.url).deliver(next(gone))
                    times.append(time.monotonic() - function.started)
        assert cloud.state()["still_mirrored"] == 0, "each was done"
    ours, theirs = (statistics.median(each[1:]) for each in took.values())
    return ours, theirs


def import_times(rounds: int) -> tuple[float, float]:
    """Return the median milliseconds of our own modules at `import handler.functiongraph`: now, and at `BEFORE`."""
    git = ["git", "archive", BEFORE, "handler", "schemas"]
    archive = subprocess.run(git, cwd=ROOT, capture_output=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder)
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as tree:
            tree.extractall(before, filter="data")
        for tree_root in (ROOT, before):
            processes.compile_once(tree_root / "handler")
        pairs = [(_own_modules(ROOT), _own_modules(before)) for _ in range(rounds + 1)]
    now, then = zip(*pairs[1:], strict=True)  # the first ones fill the caches
    return statistics.median(now), statistics.median(then)


def _own_modules(root: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import handler.functiongraph"],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    microseconds = re.findall(r"^import time: +(\d+) \| +\d+ \| +handler(?:\.|$)", done.stderr, re.MULTILINE)
    return sum(map(int, microseconds)) / 1000
