"""The one fake cloud of the use cases: the port `MirrorApi` over dictionaries, with what is open as switches."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from handler.deadline import Deadline
from handler.errors import DeadlineExceeded, OutcomeUnknown, RemovalRejected, UnmirrorError
from handler.mirror.port import Connect
from handler.model import ApiCall, Listing, MirrorSession, Presence, SessionReply, UnreadableSession
from tests.support.clock import FakeClock

PROJECT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
TARGET = "the-target"

Step = UnmirrorError | Callable[[], object]


@dataclass(frozen=True)
class Call:
    """A call that the cloud was asked for, answered or not."""

    operation: str
    about: tuple[str, ...] = ()
    """Ids: of the session first, then of the interfaces."""


@dataclass
class FakeCloud:
    """One project. Change its attributes to change the world; read `calls` to see what was asked."""

    clock: FakeClock = field(default_factory=FakeClock)
    sessions: dict[str, MirrorSession] = field(default_factory=dict)
    interfaces: dict[str, str] = field(default_factory=lambda: {TARGET: ""})
    """The server of each interface that exists, or an empty text."""
    unreadable: list[UnreadableSession] = field(default_factory=list)
    unlisted: set[str] = field(default_factory=set)
    """They exist, and no list shows them: another enterprise project's."""
    rejects_absent: bool = True
    """Whether remove-sources with an id that the session does not list is rejected as a whole."""
    date_offset: float | None = 0.0
    """Seconds that the date of an answer is ahead; None for an answer without one."""
    latency: float = 0.0
    """Seconds that each call takes on the fake clock."""
    interleave: Callable[[], None] = lambda: None
    """Called at the beginning and the end of each call: where another thread may go on."""
    calls: list[Call] = field(default_factory=list)
    in_flight: set[Call] = field(default_factory=set)
    most_in_flight: int = 0
    _script: dict[str, deque[Step]] = field(default_factory=lambda: defaultdict(deque))
    _failing: dict[tuple[str, str], UnmirrorError] = field(default_factory=dict)
    _stale: dict[str, deque[MirrorSession]] = field(default_factory=lambda: defaultdict(deque))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # --- what a test says

    def add(
        self, session_id: str, sources: Iterable[str] = (), *, gone: Collection[str] = (), **more: Any
    ) -> MirrorSession:
        """Add a session; all its sources exist but those that are `gone`. They are listed as they are spelled here."""
        listed = tuple(sources)
        session = MirrorSession(
            session_id, f"name of {session_id}", tuple(dict.fromkeys(map(str.lower, listed))), TARGET
        )
        if any(each != each.lower() for each in listed):
            session = session._replace(spellings=listed)
        self.sessions[session_id] = session._replace(**more)
        for id_ in self.sessions[session_id].sources:
            if id_ not in gone:
                self.interfaces.setdefault(id_, "")
        return self.sessions[session_id]

    def delete(self, *interface_ids: str) -> None:
        """Delete interfaces, and leave them in their sessions."""
        for id_ in interface_ids:
            del self.interfaces[id_]

    def watch(self, session_id: str, *interface_ids: str) -> None:
        """Add sources to a session, as somebody else would."""
        session = self.sessions[session_id]
        self.sessions[session_id] = session._replace(sources=(*session.sources, *interface_ids))

    def unwatch(self, session_id: str, *interface_ids: str) -> None:
        """Take sources out of a session, as somebody else would."""
        session = self.sessions[session_id]
        left = tuple(each for each in session.sources if each not in interface_ids)
        self.sessions[session_id] = session._replace(sources=left)

    def rename(self, session_id: str, name: str) -> None:
        self.sessions[session_id] = self.sessions[session_id]._replace(name=name)

    def then(self, operation: str, *steps: Step) -> None:
        """Let the next calls of an operation fail with an error, or run something first; then go on as usual."""
        self._script[operation].extend(steps)

    def failing(self, operation: str, about: str, error: UnmirrorError) -> None:
        """Let every call of an operation that is about this id fail."""
        self._failing[operation, about] = error

    def stale(self, session_id: str, times: int = 1) -> None:
        """Let the next answers that show the session show it as it is now."""
        self._stale[session_id].extend([self.sessions[session_id]] * times)

    def asked(self, operation: str) -> list[tuple[str, ...]]:
        """Return what each call of an operation was about."""
        return [call.about for call in self.calls if call.operation == operation]

    def sources(self) -> dict[str, tuple[str, ...]]:
        return {id_: session.sources for id_, session in self.sessions.items()}

    def connect(self) -> Connect:
        """Return what a worker takes."""
        return lambda on_call, attempts: FakeApi(self, on_call)

    def api(self) -> FakeApi:
        return FakeApi(self)

    # --- what the port does

    @contextmanager
    def call(self, deadline: Deadline, operation: str, *about: str) -> Iterator[str]:
        """Take the time of a call, run its script, and give its request id."""
        deadline.require(operation)
        self.interleave()
        with self._lock:
            call = Call(operation, about)
            self.calls.append(call)
            number = len(self.calls)
            assert operation != "remove_sources" or not self._removes_from(about[0]), "removals on a session overlap"
            self.in_flight.add(call)
            self.most_in_flight = max(self.most_in_flight, len(self.in_flight))
            step = self._script[operation].popleft() if self._script[operation] else None
        try:
            if callable(step):
                step()
            self.interleave()
            self.clock.pass_(self.latency)
            if self.clock.monotonic() >= deadline.at:
                raise DeadlineExceeded("no answer in time")
            for error in (step, *(self._failing.get((operation, id_)) for id_ in about)):
                if isinstance(error, UnmirrorError) and not isinstance(error, OutcomeUnknown):
                    raise error
            with self._lock:
                yield f"request-{number}"
            if isinstance(step, OutcomeUnknown):  # it was done, and the answer was lost
                raise step
        finally:
            with self._lock:
                self.in_flight.discard(call)

    def _removes_from(self, session_id: str) -> bool:
        return any(each.operation == "remove_sources" and each.about[0] == session_id for each in self.in_flight)

    def shown(self, session_id: str) -> MirrorSession | None:
        stale = self._stale[session_id]
        return stale.popleft() if stale else self.sessions.get(session_id)

    def listed(self) -> dict[str, str]:
        return {id_: server for id_, server in self.interfaces.items() if id_ not in self.unlisted}

    def moment(self) -> datetime:
        """Return the time of a snapshot that begins now, as the client finds it."""
        own = self.clock.now()
        if self.date_offset is None:
            return own - timedelta(minutes=15)
        return min(own, self.clock.cloud + timedelta(seconds=self.date_offset))


@dataclass
class FakeApi:
    """The port, for one identity."""

    cloud: FakeCloud
    on_call: Callable[[ApiCall], None] = lambda call: None
    project_id: str = PROJECT
    servers_a_call: int = 50

    @contextmanager
    def _call(self, deadline: Deadline, operation: Any, *about: str) -> Iterator[str]:
        status, request_id = 0, ""
        try:
            with self.cloud.call(deadline, operation, *about) as request_id:
                yield request_id
            status = 200
        finally:
            self.on_call(ApiCall(operation, status, request_id, self.cloud.latency, self.cloud.clock.now()))

    def list_sessions(self, deadline: Deadline) -> Listing:
        began, taken_at = self.cloud.clock.clock.instant(), self.cloud.moment()
        with self._call(deadline, "list_sessions") as request_id:
            sessions = tuple(self.cloud.sessions.values())
            return Listing(sessions, taken_at, began, (request_id,), tuple(self.cloud.unreadable))

    def show_session(self, session: MirrorSession, deadline: Deadline) -> SessionReply:
        with self._call(deadline, "show_session", session.id) as request_id:
            return SessionReply(self.cloud.shown(session.id), request_id)

    def remove_sources(self, session: MirrorSession, interface_ids: Sequence[str], deadline: Deadline) -> SessionReply:
        spelled = [each for id_ in interface_ids for each in session.spelled(id_)]
        with self._call(deadline, "remove_sources", session.id, *spelled) as request_id:
            if now := self.cloud.sessions.get(session.id):
                listed = now.spellings or now.sources
                if self.cloud.rejects_absent and not {*spelled} <= {*listed}:
                    raise RemovalRejected("a source is not in the session", request_id=request_id)
                left = tuple(each for each in listed if each not in spelled)
                self.cloud.sessions[session.id] = now._replace(
                    sources=tuple(map(str.lower, left)), spellings=left if now.spellings else ()
                )
            return SessionReply(self.cloud.shown(session.id), request_id)

    def find_interface(self, interface_id: str, deadline: Deadline) -> Presence:
        with self._call(deadline, "find_interface", interface_id) as request_id:
            return Presence(interface_id in self.cloud.interfaces, request_id)

    def list_interfaces(self, interface_ids: Collection[str], deadline: Deadline) -> frozenset[str]:
        with self._call(deadline, "list_interfaces", *interface_ids):
            return frozenset(self.cloud.listed().keys() & {*interface_ids})

    def list_server_interfaces(self, server_ids: Collection[str], deadline: Deadline) -> Mapping[str, frozenset[str]]:
        with self._call(deadline, "list_interfaces", *server_ids):
            found: dict[str, set[str]] = {}
            for id_, server in self.cloud.listed().items():
                if server in server_ids:
                    found.setdefault(server, set()).add(id_)
            return {server: frozenset(ids) for server, ids in found.items()}

    def has_interfaces(self, deadline: Deadline) -> bool:
        with self._call(deadline, "list_interfaces"):
            return bool(self.cloud.listed())
