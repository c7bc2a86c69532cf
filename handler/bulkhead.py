"""Bulkhead: limits how many serving threads one project may hold, so that a slow project cannot starve the others."""

import os
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from math import inf

from handler.deadline import Deadline
from handler.errors import Overloaded

# For a slot: a batch takes less, so that who waits longer waits for a project that hangs.
WAIT_SECONDS = 2.0


def serving_threads(environ: Mapping[str, str]) -> float:
    """Return how many deliveries functions-framework serves at a time in a process; without end if it does not say.

    Source: functions_framework/_http/gunicorn.py, which reads `THREADS` and else takes four to a core.
    """
    threads = environ.get("THREADS", "")
    if not threads:
        return 4 * (os.cpu_count() or 1)
    return int(threads) if threads.isdecimal() else inf


class Bulkhead:
    """The serving threads of a process, shared by its projects."""

    def __init__(self, threads: float, projects: int) -> None:
        self._slots = max(1.0, threads / 2, threads - (projects - 1))
        """Of each project: all but one for each other, and half of them in any case."""
        self._held: Counter[str] = Counter()
        self._released = threading.Condition()

    @contextmanager
    def slot(self, project_ids: Collection[str], deadline: Deadline) -> Iterator[None]:
        """Hold a slot of the project; raise Overloaded where none is released in time.

        A delivery to several projects lasts as long as the slowest. So it holds a slot that only such deliveries share,
        and takes none while one of its projects has no slot left.
        """
        held = next(iter(project_ids)) if len(project_ids) == 1 else "several"
        needed = {held, *project_ids}
        with self._released:
            wait = min(WAIT_SECONDS, deadline.remaining())
            if not self._released.wait_for(lambda: all(self._held[each] < self._slots for each in needed), wait):
                raise Overloaded("deliveries of this project hold all threads that it may have; the rest is for others")
            self._held[held] += 1
        try:
            yield
        finally:
            with self._released:
                self._held[held] -= 1
                self._released.notify_all()
