"""The threads that serve deliveries: where projects share them, one that is slow leaves some to the others."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import inf

from handler.errors import Busy
from handler.model import Deadline

PATIENCE = 0.5
"""Seconds that a delivery may hold its place while others of its project wait for one."""


def serving_threads(environ: Mapping[str, str]) -> float:
    """Return how many deliveries functions-framework serves at a time in a process; without end if it does not say.

    Source: functions_framework/_http/gunicorn.py, which reads `THREADS` and else takes four to a core.
    """
    threads = environ.get("THREADS", "")
    if not threads:
        return 4 * (os.cpu_count() or 1)
    return int(threads) if threads.isdecimal() else inf


class Places:
    """Who has how many of the threads. A project may have all but one for each other, and half of them in any case.

    Deliveries beyond that wait, on the threads that are left, as long as those before them go on quickly: a storm
    that the API bears is no reason to send anybody away.
    """

    def __init__(self, threads: float, projects: frozenset[str]) -> None:
        self._threads = threads
        self._since: dict[str, dict[object, float]] = {project_id: {} for project_id in projects}
        """When each delivery that has a place was given it, by project, the oldest first."""
        self._ended = threading.Condition()

    @contextmanager
    def taken(self, project_id: str, deadline: Deadline) -> Iterator[None]:
        """Hold a place while a delivery of the project is worked on; raise Busy where the project is too slow."""
        if len(self._since) < 2 or project_id not in self._since:  # another's is refused at once
            yield
            return
        delivery, held = object(), self._since[project_id]
        with self._ended:
            while not self._has_room_for(project_id):
                patience = next(iter(held.values())) + PATIENCE - deadline.clock()
                if min(patience, deadline.remaining()) <= 0:
                    raise Busy("deliveries of this project are slow, and have all its threads: the rest is for others")
                self._ended.wait(min(patience, deadline.remaining()))
            held[delivery] = deadline.clock()
        try:
            yield
        finally:
            with self._ended:
                del held[delivery]
                self._ended.notify_all()

    def _has_room_for(self, project_id: str) -> bool:
        taken = sum(map(len, self._since.values()))
        idle = sum(1 for other, held in self._since.items() if other != project_id and not held)
        return not self._since[project_id] or taken + 1 + min(idle, self._threads / 2) <= self._threads
