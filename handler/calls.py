"""Calls side by side in daemon threads, each with a deadline of its own.

A call that outlasts it is left behind in its thread, so that a resolver that hangs or an answer that drips holds up
nobody.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from math import inf
from typing import Any, NamedTuple, TypeVar

from handler.deadline import LOOK_SECONDS, Deadline
from handler.errors import DeadlineExceeded, Overloaded, UnmirrorError

# Calls that outlasted their time, in one CallThreads: each worker has one. Each holds a socket and about 100 KiB.
MAX_LEFT_BEHIND = 32
# After which a thread without calls ends.
IDLE_SECONDS = 10.0
# For the calls that are under way when SIGTERM or Ctrl-C ends every deadline.
GRACE_SECONDS = 5.0
T = TypeVar("T", bound=Hashable)
R = TypeVar("R")


class Ended(NamedTuple):
    """A call that has ended."""

    key: Hashable
    result: Any = None
    error: UnmirrorError | None = None
    bug: BaseException | None = None
    """What only a bug raises; it is raised again where the call is waited for."""


class Call:
    """A call that is made in a thread of its own."""

    def __init__(self, key: Hashable, work: Callable[[], Any], done: Callable[[Any], None], ends: float = inf) -> None:
        """Take what is given the result of the work, and the monotonic second at which its time is up."""
        self.key, self.work, self.done, self.ends = key, work, done, ends
        self.left_behind = False
        """Whether nobody waits for it any more."""


class CallThreads:
    """Daemon threads in which batches and their calls run; started when needed, kept for a while."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: deque[Call] = deque()
        self._idle = 0
        self._running: set[Call] = set()
        """Those that have not come back."""

    @property
    def idle(self) -> bool:
        """Whether every call has come back."""
        return not self._running

    def run(self, call: Call) -> None:
        """Make the call in a thread; raise Overloaded where the process can have no more of them."""
        with self._changed:
            if sum(each.left_behind for each in self._running) >= MAX_LEFT_BEHIND:
                raise Overloaded("too many calls of the VPC API hang: check the network, and what resolves names")
            self._line.append(call)
            self._running.add(call)
            if self._idle >= len(self._line):
                self._changed.notify()
                return
            try:
                threading.Thread(target=self._serve, name="unmirror-call", daemon=True).start()
            except RuntimeError as error:
                self._line.pop()
                self._running.remove(call)
                raise Overloaded("the process can start no more threads") from error

    def is_running(self, key: Hashable) -> bool:
        """Tell whether a call of that key has not come back, awaited or left behind."""
        with self._changed:
            return any(each.key == key for each in self._running)

    def _serve(self) -> None:
        while (call := self._take()) is not None:
            result = call.work()
            with self._changed:
                self._running.remove(call)
            call.done(result)

    def _take(self) -> Call | None:
        with self._changed:
            self._idle += 1
            if not self._line:
                self._changed.wait(IDLE_SECONDS)
            self._idle -= 1
            return self._line.popleft() if self._line else None


class Calls:
    """The calls of one batch, or of one step of a sweep, side by side and each within its own time.

    Used by one thread, which starts calls and takes what they end with.
    """

    def __init__(
        self,
        deadline: Deadline,
        limit: int = 1,
        threads: CallThreads | None = None,
        on_abandoned: Callable[[], None] = lambda: None,
    ) -> None:
        """Take how many run at a time, in which threads, and what is called when time is up with calls under way."""
        self.deadline = deadline
        self._limit, self._threads, self._on_abandoned = limit, threads or CallThreads(), on_abandoned
        self._line: deque[tuple[Hashable, Callable[[Deadline], Any], float]] = deque()
        self._running: dict[Hashable, Call] = {}
        self._ended: deque[Ended] = deque()
        self._wake = threading.Event()
        self._ends = deadline.at

    def call(self, what: str, work: Callable[[Deadline], R], seconds: float = inf) -> R:
        """Make one call and return its result; raise what it raised, or that time was up."""
        self.start(what, work, seconds)
        ended = self.next()
        if ended is None:
            self.deadline.require(what)
            raise AssertionError("either time is up, or the call has ended")
        if ended.error is not None:
            raise ended.error
        result: R = ended.result
        return result

    def map(
        self, work: Callable[[T, Deadline], R], items: Iterable[T], seconds: float = inf
    ) -> Iterator[tuple[T, R | UnmirrorError]]:
        """Yield each item with what its call ended with, in the order they end; less than all when time is up."""
        for item in items:
            self.start(item, partial(work, item), seconds)
        while (ended := self.next()) is not None:
            yield ended.key, ended.result if ended.error is None else ended.error  # type: ignore[misc] # it is an item

    def start(self, key: Hashable, work: Callable[[Deadline], Any], seconds: float) -> None:
        """Begin the work, or put it in line; it gets a deadline that is at most so many seconds away."""
        self._line.append((key, work, seconds))
        self._fill()

    def next(self) -> Ended | None:
        """Wait for the next call to end; None when none is left, or time is up. Raises a call's bug."""
        while self._running:
            self._wake.clear()
            if self._ended:
                ended = self._ended.popleft()
                if self._running.pop(ended.key, None) is None:
                    continue  # it came back after its time
                if ended.bug is not None:
                    raise ended.bug
                self._fill()
                return ended
            now = self.deadline.clock()
            if self.deadline.cancellation.cancelled:
                self._ends = min(self._ends, now + GRACE_SECONDS)
                self._line.clear()
            if now >= self._ends:
                for call in self._running.values():
                    call.left_behind = True
                self._running.clear()
                if not self.deadline.cancellation.cancelled:
                    self._on_abandoned()
                return None
            first = min(self._running.values(), key=lambda each: each.ends)
            if now >= first.ends:
                first.left_behind = True
                del self._running[first.key]
                self._fill()
                return Ended(first.key, error=DeadlineExceeded("the VPC API gave no answer in time"))
            self._wake.wait(min(self._ends - now, first.ends - now, LOOK_SECONDS))
        return None

    def is_running(self, key: Hashable) -> bool:
        """Tell whether a call of that key, of these or of earlier ones, has not come back yet."""
        return self._threads.is_running(key)

    def _fill(self) -> None:
        while self._line and len(self._running) < self._limit and self.deadline.remaining() > 0:
            key, work, seconds = self._line[0]
            deadline = self.deadline.sooner(seconds)
            call = Call(key, partial(_call, key, work, deadline), self._end, deadline.at)
            try:
                self._threads.run(call)
            except Overloaded as error:
                if self._running:  # a thread will be free
                    return
                self._end(Ended(key, error=error))
            self._line.popleft()
            self._running[key] = call

    def _end(self, ended: Ended) -> None:
        self._ended.append(ended)
        self._wake.set()


def _call(key: Hashable, work: Callable[[Deadline], Any], deadline: Deadline) -> Ended:
    try:
        return Ended(key, work(deadline))
    except UnmirrorError as error:
        return Ended(key, error=error)
    except BaseException as bug:  # noqa: BLE001 - it is raised again, where the call is waited for
        return Ended(key, bug=bug)
