"""A cloud in memory: the port `MirrorApi` over dictionaries, with the API's open behaviours as switches."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from handler.errors import OutcomeUnknown, UnmirrorError
from handler.mirror.port import MirrorApi
from handler.model import Deadline, Listing, MirrorSession, Presence, SessionReply

PROJECT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@dataclass(slots=True)
class Clock:
    """Our monotonic clock and the cloud's wall clock, moved by the test and by each call's latency."""

    now: float = 1000.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds

    @property
    def cloud(self) -> datetime:
        return NOON + timedelta(seconds=self.now - 1000)


class Hold:
    """A step of a call that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.go_on.wait(10)


@dataclass(frozen=True, slots=True)
class Call:
    """One call that the cloud was asked for, answered or not."""

    operation: str
    about: tuple[str, ...] = ()
    """Ids: of the session first, then of the interfaces."""


class Cloud:
    """One project. Change its attributes to change the world; read `calls` to see what was asked."""

    def __init__(self, clock: Clock, project_id: str = PROJECT) -> None:
        self.clock = clock
        self.project_id = project_id
        self.latency = 0.0
        """Seconds that each call takes on the fake clock."""
        self.sessions: dict[str, MirrorSession] = {}
        self.interfaces: dict[str, None] = {}
        """Those that exist, in the order of the list."""
        self.unlisted: set[str] = set()
        """Exist, and no list shows them: another enterprise project's."""
        self.forgets_ids = False
        """The list by id shows the first page of all, whatever it is asked for."""
        self.page_size = 2000
        self.calls: list[Call] = []
        self.most_in_flight = 0
        self._in_flight = 0
        self._script: dict[str, deque[UnmirrorError | Callable[[], object]]] = defaultdict(deque)
        self._about: dict[tuple[str, str], UnmirrorError] = {}
        self._stale: dict[str, deque[MirrorSession]] = defaultdict(deque)
        self._lock = threading.RLock()

    # --- what a test says ---------------------------------------------------------------------------

    def add(
        self, session_id: str, sources: Iterable[str], *, alive: Iterable[str] | None = None, **more: object
    ) -> None:
        """Add a session; all its sources exist, or those of them that are `alive`."""
        ids = tuple(sources)
        session = MirrorSession(session_id, f"name of {session_id}", ids, target_id="the-target")
        self.sessions[session_id] = replace(session, **more)  # type: ignore[arg-type]
        self.interfaces.update(dict.fromkeys(ids if alive is None else alive))
        self.interfaces.setdefault("the-target")

    def delete(self, *interface_ids: str) -> None:
        """Delete interfaces, and leave them in their sessions."""
        for id_ in interface_ids:
            del self.interfaces[id_]

    def put_back(self, session_id: str, *interface_ids: str) -> None:
        """Add sources to a session, as somebody else would."""
        session = self.sessions[session_id]
        self.sessions[session_id] = replace(session, sources=(*session.sources, *interface_ids))

    def next(self, operation: str, *steps: UnmirrorError | Callable[[], object]) -> None:
        """Let the next calls of an operation fail with an error, or run something first; then go on as usual."""
        self._script[operation].extend(steps)

    def always(self, operation: str, about: str, error: UnmirrorError) -> None:
        """Let every call of an operation that is about this id fail."""
        self._about[operation, about] = error

    def answer_stale(self, session_id: str, times: int = 1) -> None:
        """Let the next answers that show the session show it as it is now."""
        self._stale[session_id].extend([self.sessions[session_id]] * times)

    def asked(self, operation: str) -> list[tuple[str, ...]]:
        """Return what each call of an operation was about."""
        return [call.about for call in self.calls if call.operation == operation]

    def api(self, seconds: float = 25.0, *, noticed: Callable[[], object] = lambda: None) -> MirrorApi:
        """Return the port for one delivery that may take so many seconds; `noticed` hears each look at its clock."""

        def clock() -> float:
            noticed()
            return self.clock()

        return _Api(self, Deadline(self.clock() + seconds, clock))

    # --- what the port does -------------------------------------------------------------------------

    @contextmanager
    def call(self, deadline: Deadline, operation: str, *about: str) -> Iterator[str]:
        """Take the time of a call, run its script, and give its request id."""
        deadline.require(operation)
        with self._lock:
            self.calls.append(Call(operation, about))
            number = len(self.calls)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            steps = self._script[operation]
            step = steps.popleft() if steps else None
        try:
            if callable(step):
                step()
            self.clock.pass_(self.latency)
            deadline.require(operation)
            for error in (step, *(self._about.get((operation, id_)) for id_ in about)):
                if isinstance(error, UnmirrorError) and not isinstance(error, OutcomeUnknown):
                    raise error
            with self._lock:
                yield f"request-{number}"
            if isinstance(step, OutcomeUnknown):  # it was done, and the answer was lost
                raise step
        finally:
            with self._lock:
                self._in_flight -= 1

    def shown(self, session_id: str) -> MirrorSession | None:
        stale = self._stale[session_id]
        return stale.popleft() if stale else self.sessions.get(session_id)

    @property
    def listed(self) -> list[str]:
        return [id_ for id_ in self.interfaces if id_ not in self.unlisted]


class _Api:
    """The port, for one delivery."""

    def __init__(self, cloud: Cloud, deadline: Deadline) -> None:
        self._cloud = cloud
        self._deadline = deadline

    @property
    def asked_by(self) -> str:
        return ""

    @property
    def project_id(self) -> str:
        return self._cloud.project_id

    @property
    def deadline(self) -> Deadline:
        return self._deadline

    def list_sessions(self) -> Listing:
        began, taken_at = self._cloud.clock(), self._cloud.clock.cloud
        with self._cloud.call(self._deadline, "list_sessions") as request_id:
            return Listing(tuple(self._cloud.sessions.values()), taken_at, began, (request_id,))

    def show_session(self, session_id: str) -> SessionReply:
        with self._cloud.call(self._deadline, "show_session", session_id) as request_id:
            return SessionReply(self._cloud.shown(session_id), request_id)

    def remove_sources(self, session_id: str, interface_ids: Sequence[str]) -> SessionReply:
        with self._cloud.call(self._deadline, "remove_sources", session_id, *interface_ids) as request_id:
            if session := self._cloud.sessions.get(session_id):
                left = tuple(id_ for id_ in session.sources if id_ not in interface_ids)
                self._cloud.sessions[session_id] = replace(session, sources=left)
            return SessionReply(self._cloud.shown(session_id), request_id)

    def find_interface(self, interface_id: str) -> Presence:
        with self._cloud.call(self._deadline, "find_interface", interface_id) as request_id:
            return Presence(interface_id in self._cloud.interfaces, request_id)

    def list_interfaces(self, interface_ids: Collection[str]) -> frozenset[str]:
        with self._cloud.call(self._deadline, "list_interfaces", *interface_ids):
            listed = self._cloud.listed
            return frozenset(listed[: self._cloud.page_size] if self._cloud.forgets_ids else listed) & {*interface_ids}

    def list_all_interfaces(self) -> Iterator[frozenset[str]]:
        start, more = 0, True
        while more:
            with self._cloud.call(self._deadline, "list_all_interfaces"):
                listed = self._cloud.listed
            end = start + self._cloud.page_size
            yield frozenset(listed[start:end])
            start, more = end, end < len(listed)
