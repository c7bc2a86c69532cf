"""Look: all sessions of a project as of one moment, shared by every delivery that they are fresh enough for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from handler.mirror.freshness import Need, Shared
from handler.mirror.port import MirrorApi
from handler.model import Listing, MirrorSession
from handler.report import Kept, Look


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All sessions of a project, as of one moment of the cloud's clock, indexed by source and by target."""

    taken_at: datetime
    began: float
    """Our monotonic clock, seconds, before the look's first call."""
    request_ids: tuple[str, ...]
    sessions: Mapping[str, MirrorSession]
    by_source: Mapping[str, tuple[MirrorSession, ...]]
    """Sessions whose sources are interfaces, by interface id, as listed."""
    by_target: Mapping[str, tuple[MirrorSession, ...]]
    changed: Mapping[str, MirrorSession | None] = field(default_factory=lambda: MappingProxyType({}))
    """Sessions as later answers showed them; None for one that is gone."""

    @classmethod
    def of(cls, listing: Listing) -> Snapshot:
        """Index a listing."""
        by_source: dict[str, tuple[MirrorSession, ...]] = {}
        by_target: dict[str, tuple[MirrorSession, ...]] = {}
        for session in listing.sessions:
            alone = (session,)  # one tuple for all its sources: most interfaces are in one session only
            if session.type == "eni":  # other sessions mirror elastic IPs: their ids are no interfaces
                for source in session.sources:
                    others = by_source.get(source)
                    by_source[source] = alone if others is None else (*others, session)
            if session.target_id:
                others = by_target.get(session.target_id)
                by_target[session.target_id] = alone if others is None else (*others, session)
        sessions = {session.id: session for session in listing.sessions}
        return cls(listing.taken_at, listing.began, listing.request_ids, sessions, by_source, by_target)

    def look(self, arrived: float, now: float) -> Look:
        """Return how it was come by, for a delivery that arrived and is decided at those monotonic seconds."""
        return Look(self.request_ids, now - self.began, self.began < arrived)

    def session(self, session_id: str) -> MirrorSession | None:
        """Return the session as last seen, None when it is gone or unknown."""
        return self.changed[session_id] if session_id in self.changed else self.sessions.get(session_id)

    def named(self, kept: Kept) -> Kept:
        """Return it with the names of its sessions."""
        if not kept.session_ids:
            return kept
        sessions = [self.sessions.get(session_id) for session_id in kept.session_ids]
        return replace(kept, session_names=tuple(session.name if session else "" for session in sessions))

    def current(self) -> list[MirrorSession]:
        """Return the sessions as last seen."""
        return self._now(self.sessions.values())

    def holding(self, interface_id: str) -> tuple[MirrorSession, ...]:
        """Return the sessions that list the interface as a source."""
        return tuple(s for s in self._now(self.by_source.get(interface_id, ())) if interface_id in s.sources)

    def targeting(self, target_id: str) -> tuple[MirrorSession, ...]:
        """Return the sessions that mirror to this target."""
        return tuple(self._now(self.by_target.get(target_id, ())))

    def without(self, session_id: str, interface_ids: Collection[str] | None) -> Snapshot:
        """Return the snapshot after an answer showed these interfaces absent from the session; None: the session gone.

        Nothing else is taken from the answer: it may be older than the snapshot, but what is gone stays gone.
        """
        session = None if interface_ids is None else self.session(session_id)
        if session is not None and interface_ids is not None:
            session = replace(session, sources=tuple(id_ for id_ in session.sources if id_ not in interface_ids))
        return replace(self, changed={**self.changed, session_id: session})

    def _now(self, listed: Iterable[MirrorSession]) -> list[MirrorSession]:
        return [now for each in listed if (now := self.session(each.id)) is not None]


class Looks:
    """The snapshots of this process: taken when needed, shared by all who can use them."""

    def __init__(self, max_age: float, clock: Callable[[], float]) -> None:
        self.max_age = max_age
        self._shared = Shared[Snapshot]("a look at the sessions", max_age, clock)

    def look(self, api: MirrorApi, need: Need) -> Snapshot:
        """Return a snapshot that serves the need, from memory or from a look that is shared.

        Raises what the look raised to those who waited for it, and DeadlineExceeded to who waits too long.
        """
        return self._shared.get(api.project_id, need, api.deadline, lambda: Snapshot.of(api.list_sessions()))

    def learn(self, project_id: str, session_id: str, interface_ids: Collection[str] | None) -> None:
        """Take out of the latest snapshot what an answer showed absent from a session; None: all of the session."""
        self._shared.amend(project_id, lambda snapshot: snapshot.without(session_id, interface_ids))
