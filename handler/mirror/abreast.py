"""Several calls in flight, never more than agreed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


IN_FLIGHT = 8
"""Calls at a time, for one delivery."""


def each(work: Callable[[T], R], items: Collection[T], in_flight: int = IN_FLIGHT) -> list[R]:
    """Return the result of each item, in their order. One alone is worked on in the thread of the caller."""
    if min(len(items), in_flight) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(len(items), in_flight)) as pool:
        return list(pool.map(work, items))


@contextmanager
def abreast(work: Callable[[T], R], items: Iterable[T], in_flight: int) -> Iterator[Iterator[tuple[T, R]]]:
    """Work on the items, at most `in_flight` at a time; give each with its result, in the order they end.

    For so many that they are not to be queued all at once: no more wait than are under way. What `work` raises is
    raised here. Leaving the block begins nothing more and waits for what is under way.
    """
    todo = iter(items)
    with ThreadPoolExecutor(in_flight) as pool:
        under_way: dict[Future[R], T] = {}

        def begin(count: int) -> None:
            under_way.update({pool.submit(work, item): item for item in islice(todo, count)})

        def results() -> Iterator[tuple[T, R]]:
            begin(2 * in_flight)  # as many again wait their turn, so that no worker waits for us
            while under_way:
                ended, _ = wait(under_way, return_when=FIRST_COMPLETED)
                begin(len(ended))
                for future in ended:
                    yield under_way.pop(future), future.result()

        try:
            yield results()
        finally:
            pool.shutdown(cancel_futures=True)
