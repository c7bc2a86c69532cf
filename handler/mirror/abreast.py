"""Several calls in flight, never more than agreed, and never more work queued than is under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def abreast(work: Callable[[T], R], items: Iterable[T], in_flight: int) -> Iterator[Iterator[tuple[T, R]]]:
    """Work on the items, at most `in_flight` at a time; give each with its result, in the order they end.

    What `work` raises is raised here. Leaving the block begins nothing more and waits for what is under way.
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
