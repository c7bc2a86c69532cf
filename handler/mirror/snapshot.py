"""All sessions of a project as of one moment, by source and by target, and whether they may answer for a job."""

from collections.abc import Iterable, Set
from datetime import datetime, timedelta

from handler.deadline import Clock
from handler.model import Listing, MirrorSession, SnapshotEvidence

# Between an event's time and the snapshots that answer for it: traces and answers are dated by different machines.
MARGIN = timedelta(seconds=2)


class Snapshot:
    """The sessions of one listing, less what has left them since. Has one writer, the worker that keeps it."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.sessions: dict[str, MirrorSession] = {}
        """Those that are left, by id."""
        self._by_source: dict[str, tuple[str, ...]] = {}
        self._removed: list[tuple[str, Set[str] | None]] = []
        self._by_target: dict[str, list[str]] = {}
        for session in listing.sessions:
            self.sessions[session.id] = session
            alone = (session.id,)  # one tuple for all sources: most interfaces are in one session only
            if session.type == "eni":  # other sessions mirror elastic IPs: their ids are no interfaces
                for source in session.sources:
                    others = self._by_source.get(source)
                    self._by_source[source] = alone if others is None else others + alone
            if session.target_id:
                self._by_target.setdefault(session.target_id, []).append(session.id)

    def may_answer(self, arrived: float, event_time: datetime | None, clock: Clock, max_age: float) -> bool:
        """Tell whether the snapshot may answer for a deletion whose delivery arrived at that monotonic second.

        An interface that is deleted can join no session any more, so that a snapshot taken after its deletion is valid
        for it for ever; `max_age`, in seconds, bounds only what others changed meanwhile.
        """
        if self.listing.began.monotonic >= arrived:
            return True
        if event_time is None or event_time > clock.now() or clock.age(self.listing.began) > max_age:
            return False
        return event_time <= self.listing.taken_at - MARGIN

    def evidence(self, arrived: float, clock: Clock) -> SnapshotEvidence:
        """Return the snapshot as the proof of what is decided now, for a delivery that arrived at that second."""
        listing = self.listing
        predates = listing.began.monotonic < arrived
        return SnapshotEvidence(listing.taken_at, listing.request_ids, clock.age(listing.began), predates)

    def holding(self, interface_id: str) -> list[MirrorSession]:
        """Return the sessions that list the interface as a source."""
        return [each for each in self._known(self._by_source.get(interface_id, ())) if interface_id in each.sources]

    def targeting(self, target_id: str) -> list[MirrorSession]:
        """Return the sessions that mirror to this target."""
        return self._known(self._by_target.get(target_id, ()))

    def naming(self, interface_id: str) -> list[MirrorSession]:
        """Return the sessions that list the interface as a source, else those that mirror to it."""
        return self.holding(interface_id) or self.targeting(interface_id)

    def remove(self, session_id: str, interface_ids: Set[str] | None) -> None:
        """Take out what an answer of the API showed absent from a session; None: the session itself is gone.

        Nothing else is taken from the answer. It may be older than the snapshot, but what is gone stays gone.
        """
        session = self.sessions.get(session_id)
        if session is None or (interface_ids is not None and not interface_ids & {*session.sources}):
            return
        self._removed.append((session_id, interface_ids))
        if interface_ids is None:
            del self.sessions[session_id]
        else:
            left = tuple(each for each in session.sources if each not in interface_ids)
            self.sessions[session_id] = session._replace(sources=left)

    def take_over(self, earlier: "Snapshot") -> None:
        """Take out what has left the sessions of an earlier snapshot, perhaps since this one was begun."""
        for session_id, interface_ids in earlier._removed:
            self.remove(session_id, interface_ids)

    def _known(self, session_ids: Iterable[str]) -> list[MirrorSession]:
        found = map(self.sessions.get, session_ids)  # one look-up each: deliveries read while the worker writes
        return [each for each in found if each is not None]
