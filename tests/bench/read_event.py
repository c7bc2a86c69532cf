"""How long it takes to read one event, schema validation included. The goal is a median of 0.5 ms.

PYTHONPATH=. python tests/bench/read_event.py
"""

from __future__ import annotations

import json
import statistics
import time

from handler import events
from handler.events import schemas
from handler.events.envelopes import BATCH, ENVELOPES

ROUNDS = 1_000
GOAL = 0.5
_BATCH = "application/cloudevents-batch+json"  # without it an array is refused


def main() -> None:
    """Print median and 99th percentile for each envelope, from the body's bytes to its events, and the worst median."""
    worst = 0.0
    for envelope in (*ENVELOPES, BATCH):
        body = json.dumps(schemas.schema(envelope.name)["examples"][0]).encode()
        headers = {"content-type": _BATCH if envelope is BATCH else "application/json"}
        count = len(events.read(events.decode(body)).events)
        took = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            events.read(events.from_http(headers, body))
            took.append((time.perf_counter() - began) * 1000)
        median, tail = statistics.median(took), statistics.quantiles(took, n=100)[98]
        worst = max(worst, median / count)
        print(f"{envelope.name:24} {len(body):6} bytes {count} events  median {median:.3f} ms  p99 {tail:.3f} ms")
    print(f"worst median of one event: {worst:.3f} ms (goal: {GOAL} ms)")


if __name__ == "__main__":
    main()
