"""The threads that serve deliveries: where projects share them, one that is slow leaves one to each of the others."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import inf

from handler.errors import Busy


def serving_threads(environ: Mapping[str, str]) -> float:
    """Return how many deliveries functions-framework serves at a time in a process; without end if it does not say.

    Source: functions_framework/_http/gunicorn.py, which reads `THREADS` and else takes four to a core.
    """
    threads = environ.get("THREADS", "")
    if not threads:
        return 4 * (os.cpu_count() or 1)
    return int(threads) if threads.isdecimal() else inf


class Places:
    """Who has how many of the threads. A project may have all but one for each other, and half of them in any case."""

    def __init__(self, threads: float, projects: frozenset[str]) -> None:
        self._threads = threads
        self._projects = projects
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, project_id: str) -> Iterator[None]:
        """Hold a place while a delivery of the project is worked on; raise Busy where the others would have none."""
        if len(self._projects) < 2:
            yield
            return
        with self._lock:
            idle = sum(1 for other in self._projects if other != project_id and not self._taken[other])
            kept_free = min(idle, self._threads / 2)
            if self._taken[project_id] and self._taken.total() + 1 + kept_free > self._threads:
                raise Busy("too many deliveries of this project are under way: the rest is left to other projects")
            self._taken[project_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[project_id] -= 1
