"""Calls that run side by side: what batches and sweeps ask of them. `worker.py` has them in threads."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from handler.deadline import Deadline
from handler.errors import DeadlineExceeded, UnmirrorError

T = TypeVar("T", bound=Hashable)
R = TypeVar("R")


class Ended(NamedTuple):
    """A call that has ended."""

    key: Hashable
    result: Any = None
    error: UnmirrorError | None = None


class Calls(Protocol):
    """The calls of one batch, or of one step of a sweep, each within its own time."""

    deadline: Deadline

    def start(self, key: Hashable, work: Callable[[Deadline], Any], seconds: float) -> None:
        """Begin the work, or put it in line; it gets a deadline that is at most so many seconds away."""

    def next(self) -> Ended | None:
        """Wait for the next call to end; None when none is left, or the deadline has come."""

    def is_running(self, key: Hashable) -> bool:
        """Tell whether a call of that key, of these or of earlier ones, has not come back yet."""


def call(calls: Calls, what: str, work: Callable[[Deadline], R], seconds: float) -> R:
    """Make one call and return its result; raise what it raised, or that time was up."""
    calls.start(what, work, seconds)
    ended = calls.next()
    if ended is None:
        calls.deadline.require(what)
        raise DeadlineExceeded(f"no time left for: {what}")
    if ended.error is not None:
        raise ended.error
    result: R = ended.result
    return result


def concurrent_map(
    calls: Calls, work: Callable[[T, Deadline], R], items: Iterable[T], seconds: float
) -> Iterator[tuple[T, R | UnmirrorError]]:
    """Yield each item with what its call ended with, in the order they end; less than all when time is up."""
    for item in items:
        calls.start(item, partial(work, item), seconds)
    while (ended := calls.next()) is not None:
        yield ended.key, ended.result if ended.error is None else ended.error  # type: ignore[misc] # it is an item
