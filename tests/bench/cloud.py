"""An emulated cloud in a process of its own: `python -m tests.bench.cloud SESSIONS DELETED SHAPE LATENCY`.

Prints its URL and the deleted ids as one line of JSON; answers each line on standard input with its call counts.
"""

from __future__ import annotations

import json
import sys

from handler.emulator.server import Cloud, Emulator

PROJECT_ID = "0123456789abcdef0123456789abcdef"
ACCESS_KEY, SECRET_KEY = "BENCHACCESSKEY000001", "bench-secret-key"
LATENCY = 0.02
SOURCES = 10


def seeded(sessions: int, deleted: int, shape: str) -> tuple[Cloud, list[str]]:
    """Return a cloud, and the ids of deleted interfaces.

    `together`: ten deleted ones a session; `apart`: each in a session of its own; `unmirrored`: in none.
    """
    cloud = Cloud(1)
    gone = [cloud.new_id() for _ in range(deleted)]
    share = {"together": SOURCES, "apart": 1, "unmirrored": 0}[shape]
    left = list(gone)
    for number in range(sessions):
        dead, left = left[:share], left[share:]
        alive = [cloud.new_id() for _ in range(SOURCES - len(dead))]
        cloud.add_session(PROJECT_ID, name=f"session-{number}", sources=dead + alive, target_id=cloud.new_id())
    return cloud, gone


def main() -> None:
    """Serve until standard input ends."""
    sessions, deleted, shape, latency = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    cloud, gone = seeded(sessions, deleted, shape)
    with Emulator(cloud, keys={ACCESS_KEY: SECRET_KEY}, latency=latency, keep_calls=False) as emulator:
        print(json.dumps({"url": emulator.url, "gone": gone}), flush=True)
        for _ in sys.stdin:
            sources = cloud.sources(PROJECT_ID)
            dead = set(gone)
            still = sum(1 for listed in sources.values() for id_ in listed if id_ in dead)
            print(json.dumps({"counts": emulator.counts, "still_mirrored": still}), flush=True)


if __name__ == "__main__":
    main()
