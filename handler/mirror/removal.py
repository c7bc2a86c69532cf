"""Act: take confirmed interfaces out of a session, and prove by the API's own answer that they left.

Group commit: removals on one session never overlap, since nothing documents what overlapping ones would do.
Those that arrive while one is under way go together in the next, and one that could go waits a moment for those that
are just being verified.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from handler.errors import (
    ApiUnavailable,
    BadReply,
    DeadlineExceeded,
    OutcomeUnknown,
    RemovalRejected,
    UnmirrorError,
)
from handler.mirror.ledger import Ledger
from handler.mirror.port import MirrorApi
from handler.model import Deadline, MirrorSession, SessionReply

GATHER_SECONDS = 0.05
"""How long a removal waits at most for others from its session: about what one call takes, which is what it saves."""

Fate: TypeAlias = Literal["detached", "already_absent"] | UnmirrorError
"""What became of one interface: it left by our removal, it had left before, or why it did not."""

Learn: TypeAlias = Callable[[str, str, Collection[str] | None], None]
"""Told (project id, session id, interfaces that are gone and absent from it, or None for all of a session that is gone)
after each answer that shows a session."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One group that left a session together: an answer to every delivery that has an interface in it."""

    fates: Mapping[str, Fate]
    before: tuple[str, ...]
    after: tuple[str, ...] | None
    """The sources that the last answer showed; None when the session is gone or no answer showed it."""
    request_ids: tuple[str, ...]


@dataclass(slots=True)
class _Group:
    """Interfaces that wait for one session's turn; whoever opened the group commits it for all."""

    ids: dict[str, None] = field(default_factory=dict)
    committed: threading.Event = field(default_factory=threading.Event)
    removal: Removal | None = None
    error: UnmirrorError | None = None


@dataclass(slots=True)
class _Queue:
    """The turn of one session."""

    changed: threading.Condition
    """That all who are expected have joined."""
    turn: threading.Lock = field(default_factory=threading.Lock)
    open: _Group | None = None
    expected: int = 0
    """Deliveries that may have something to remove, from before they verify until they have."""
    joined: int = 0
    """Deliveries whose interfaces are in a group."""

    @property
    def all_joined(self) -> bool:
        return self.expected <= self.joined


class Removals:
    """Removes sources, one call to a session at a time, each for all that wait."""

    def __init__(self, learn: Learn, gather_seconds: float = GATHER_SECONDS) -> None:
        self.ledger = Ledger()
        """Entered (project id, session id, interface id) for each source that left by our removal."""
        self._learn = learn
        self._gather_seconds = gather_seconds
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._lock = threading.Lock()

    def remove(self, api: MirrorApi, session: MirrorSession, interface_ids: Iterable[str]) -> Removal:
        """Return what became of the interfaces; the caller has confirmed that each is gone.

        Never raises for what the API answers: that is in `fates`. Raises DeadlineExceeded to who waits too long.
        """
        key, interface_ids = (api.project_id, session.id), tuple(interface_ids)
        with self._lock:
            queue = self._queue(key)
            queue.joined += 1
            opened = queue.open is None
            group = queue.open = queue.open or _Group()
            group.ids.update(dict.fromkeys(interface_ids))
            if queue.all_joined:
                queue.changed.notify_all()
        try:
            removal = self._commit(queue, group, api, session) if opened else _joined(group, api)
        finally:
            with self._lock:
                queue.joined -= 1
                self._drop(key)
        if removal is None or (not opened and api.deadline.remaining() and _ran_out(removal, interface_ids)):
            return self.remove(api, session, interface_ids)  # it was the time of who committed that was up, not ours
        return removal

    @contextmanager
    def expecting(self, project_id: str, session_ids: Collection[str]) -> Iterator[None]:
        """Let removals from these sessions wait a moment, so that those of whoever holds this can join them."""
        keys = [(project_id, session_id) for session_id in session_ids]
        if not keys:  # as of most deliveries, which need not wait for the lock
            yield
            return
        with self._lock:
            for key in keys:
                self._queue(key).expected += 1
        try:
            yield
        finally:
            with self._lock:
                for key in keys:
                    queue = self._queue(key)
                    queue.expected -= 1
                    if queue.all_joined:
                        queue.changed.notify_all()
                    self._drop(key)

    def _queue(self, key: tuple[str, str]) -> _Queue:
        if (queue := self._queues.get(key)) is None:
            queue = self._queues[key] = _Queue(threading.Condition(self._lock))
        return queue

    def _drop(self, key: tuple[str, str]) -> None:
        """Forget a session that nobody removes anything from."""
        if not (self._queues[key].expected or self._queues[key].joined):
            del self._queues[key]

    def _commit(self, queue: _Queue, group: _Group, api: MirrorApi, session: MirrorSession) -> Removal:
        group.error = UnmirrorError("a removal ended by a defect")
        turn = False
        try:
            turn = queue.turn.acquire(timeout=api.deadline.remaining())
            with self._lock:
                if turn:
                    self._gather(queue, api.deadline)
                queue.open = None  # from here on, who comes waits for the next group
            if not turn:
                raise DeadlineExceeded("no time left while waiting for another removal on the session")
            removal = group.removal = _Attempt(api, session, self._learn).remove(tuple(group.ids))
            group.error = None
            for id_, fate in removal.fates.items():
                if fate == "detached":
                    self.ledger.enter((api.project_id, session.id, id_), api.deadline.clock())
        except UnmirrorError as error:
            group.error = error
            raise
        finally:
            if turn:
                queue.turn.release()
            group.committed.set()
        return removal

    def _gather(self, queue: _Queue, deadline: Deadline) -> None:
        ends = deadline.clock() + min(self._gather_seconds, deadline.remaining())
        while not queue.all_joined and (left := ends - deadline.clock()) > 0:
            queue.changed.wait(left)


def _joined(group: _Group, api: MirrorApi) -> Removal | None:
    """Return what became of the group, None if its turn never came; raise what ended it, or when our time is up."""
    if not group.committed.wait(api.deadline.require("a removal from a session")):
        raise DeadlineExceeded("no time left while waiting for a removal on the session")
    if isinstance(group.error, DeadlineExceeded):
        return None
    if group.error is not None:
        raise copy(group.error) from group.error
    assert group.removal is not None  # noqa: S101 - a committed group has one or the other
    return group.removal


def _ran_out(removal: Removal, interface_ids: Iterable[str]) -> bool:
    return any(isinstance(removal.fates[id_], DeadlineExceeded) for id_ in interface_ids)


class _Attempt:
    """One group's way out of one session: together if the API lets them, one by one if it does not."""

    def __init__(self, api: MirrorApi, session: MirrorSession, learn: Learn) -> None:
        self._api = api
        self._session = session
        self._learn = learn
        self._request_ids: list[str] = []
        self._fates: dict[str, Fate] = {}
        self._after: tuple[str, ...] | None = None

    def remove(self, ids: tuple[str, ...]) -> Removal:
        self._try(ids)
        return Removal(self._fates, self._session.sources, self._after, tuple(self._request_ids))

    def _try(self, ids: tuple[str, ...], *, once_more: bool = True) -> None:
        try:
            reply = self._api.remove_sources(self._session.id, ids)
        except (OutcomeUnknown, BadReply, RemovalRejected) as error:
            self._note(error.request_id)
            self._look_again(ids, error, once_more=once_more)
        except UnmirrorError as error:
            self._note(getattr(error, "request_id", ""))
            self._fates.update(dict.fromkeys(ids, error))
        else:
            left = self._settle(reply, ids, "detached")
            if left:  # the answer still lists some of them: an old one perhaps, so the session is asked itself
                self._look_again(left, None)

    def _look_again(
        self,
        ids: tuple[str, ...],
        doubt: OutcomeUnknown | BadReply | RemovalRejected | None,
        *,
        once_more: bool = False,
    ) -> None:
        """Read the session to learn what the removal's answer did not tell."""
        try:
            reply = self._api.show_session(self._session.id)
        except UnmirrorError as error:
            self._fates.update(dict.fromkeys(ids, error))
            return
        absent: Fate = "already_absent" if isinstance(doubt, RemovalRejected) else "detached"
        left = self._settle(reply, ids, absent)
        if isinstance(doubt, RemovalRejected) and len(ids) > 1:
            for id_ in left:  # one bad id may have held up all the others
                self._try((id_,))
        elif left and isinstance(doubt, OutcomeUnknown) and once_more:
            # it was lost on its way there: the server had closed an idle connection, most likely
            self._try(left, once_more=False)
        else:
            why = doubt or ApiUnavailable("the API accepted the removal and still lists the interface")
            self._fates.update(dict.fromkeys(left, why))

    def _settle(self, reply: SessionReply, ids: tuple[str, ...], absent: Fate) -> tuple[str, ...]:
        """Note the fate of each id that the reply shows absent; return those that it still lists."""
        self._note(reply.request_id)
        session = reply.session
        self._after = None if session is None else session.sources
        listed = () if session is None else tuple(id_ for id_ in ids if id_ in session.sources)
        fate: Fate = "already_absent" if session is None else absent
        left = tuple(id_ for id_ in ids if id_ not in listed)
        self._fates.update(dict.fromkeys(left, fate))
        self._learn(self._api.project_id, self._session.id, None if session is None else left)
        return listed

    def _note(self, request_id: str) -> None:
        if request_id:
            self._request_ids.append(request_id)
