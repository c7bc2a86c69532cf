"""One look serves many: what is fresh enough for whom, and at most one look under way.

The freshness rule. A look costs every page, because the API has no filter by source. But an interface that is
deleted can join no session any more, so what was seen after its deletion answers for that deletion for ever; the
age bound only limits what others did meanwhile. An event without a usable time, or with one in the future, needs
a look that begins after the event arrived.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from handler.errors import DeadlineExceeded, UnmirrorError
from handler.model import Deadline

MARGIN = timedelta(seconds=2)
"""Between an event's record time and the looks that serve it: the cloud's clocks are not one clock."""

MOST_PROJECTS = 64
"""Projects whose last look is kept; the least recently used idle one goes first."""


class Dated(Protocol):
    """What was seen at a moment."""

    @property
    def taken_at(self) -> datetime:
        """The cloud's clock: nothing in it is older than this."""

    @property
    def began(self) -> float:
        """Our monotonic clock before its first call, seconds."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a look must be to answer one event."""

    arrived: float
    """Our monotonic clock when the delivery arrived, seconds."""
    event_time: datetime | None = None
    """When the cloud recorded the event."""


def serves(seen: Dated, need: Need, now: float, max_age: float) -> bool:
    """Tell whether what was seen is fresh enough for the need; `now` and `max_age` in monotonic seconds."""
    if seen.began >= need.arrived:
        return True
    if need.event_time is None or now - seen.began > max_age:
        return False
    return seen.taken_at - MARGIN >= need.event_time


T = TypeVar("T", bound=Dated)


def _outcome(passing: T | UnmirrorError) -> T:
    if isinstance(passing, UnmirrorError):
        raise copy(passing) from passing
    return passing


@dataclass(slots=True)
class _Project(Generic[T]):
    """The looks at one project. They are numbered; at most one runs and one more is waited for."""

    turn: threading.Condition = field(default_factory=threading.Condition)
    latest: T | None = None
    begun: int = 0
    ended: int = 0
    passing: T | UnmirrorError | None = None
    """What the last one that ended ended with, where that is only for those who waited for it."""
    changes: list[Callable[[T], T]] = field(default_factory=list)
    """What became known while the one that runs was under way: it may have seen the time before."""
    users: int = 0


class Shared(Generic[T]):
    """The last look at each project, taken when needed and shared by all who can use it.

    What does not last (`lasts` says so) answers those who waited for it, like an error, and nobody later.
    """

    def __init__(
        self,
        what: str,
        max_age: float,
        clock: Callable[[], float],
        most: int = MOST_PROJECTS,
        lasts: Callable[[T], bool] = lambda _: True,
    ) -> None:
        self._what = what
        self._max_age = max_age
        self._clock = clock
        self._most = most
        self._lasts = lasts
        self._projects: OrderedDict[str, _Project[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, project_id: str, need: Need, deadline: Deadline, take: Callable[[], T]) -> T:
        """Return what serves the need: from memory, from another's look, or from `take`.

        A look that fails raises to those who waited for it, to nobody else; one that ran out of its taker's time
        tells them nothing, and the next takes another. Who waits too long gets DeadlineExceeded.
        """
        seen = self._kept(project_id)
        if seen is not None and serves(seen, need, self._clock(), self._max_age):
            return seen
        with self._project(project_id) as project:
            with project.turn:
                mine = project.begun + 1  # the first look that begins after this arrival
                while True:
                    if project.latest is not None and serves(project.latest, need, self._clock(), self._max_age):
                        return project.latest
                    if project.ended >= mine and project.passing is not None:
                        return _outcome(project.passing)
                    if project.begun == project.ended:
                        project.begun += 1
                        project.changes.clear()
                        break
                    if not project.turn.wait(deadline.require(self._what)):
                        raise DeadlineExceeded(f"no time left while waiting for {self._what}")
            return self._take(project, take)

    def _kept(self, project_id: str) -> T | None:
        """Return the last look at a project. Most deliveries of a storm need no more, and wait here for no lock."""
        try:
            self._projects.move_to_end(project_id)
            return self._projects[project_id].latest
        except KeyError:
            return None

    def amend(self, project_id: str, change: Callable[[T], T]) -> None:
        """Change the last look at a project by what is known since, and the one that is under way once it ends."""
        with self._project(project_id) as project, project.turn:
            if project.latest is not None:
                project.latest = change(project.latest)
            if project.begun != project.ended:
                project.changes.append(change)

    def _take(self, project: _Project[T], take: Callable[[], T]) -> T:
        seen: T | None = None
        error: UnmirrorError | None = UnmirrorError(f"{self._what} ended by a defect")
        try:
            seen = take()
        except DeadlineExceeded:
            error = None
            raise
        except UnmirrorError as known:
            error = known
            raise
        finally:
            with project.turn:
                project.ended += 1
                project.passing = error
                if seen is not None:
                    for change in project.changes:
                        seen = change(seen)
                    lasts = self._lasts(seen)
                    project.passing = None if lasts else seen
                    project.latest = seen if lasts else project.latest
                project.turn.notify_all()
        return seen

    def _forget(self) -> None:
        """Drop what nobody uses and is too old to serve anybody; beyond the most, the least recently used as well."""
        oldest = self._clock() - self._max_age
        idle = [name for name, each in list(self._projects.items()) if not each.users]
        too_many = len(self._projects) - self._most
        for position, name in enumerate(idle):
            latest = self._projects[name].latest
            if position < too_many or (latest is not None and latest.began < oldest):
                del self._projects[name]

    @contextmanager
    def _project(self, project_id: str) -> Iterator[_Project[T]]:
        """Hold a project's place while it is used."""
        with self._lock:
            project = self._projects.setdefault(project_id, _Project())
            self._projects.move_to_end(project_id)
            project.users += 1
            self._forget()
        try:
            yield project
        finally:
            with self._lock:
                project.users -= 1
