"""One sweep at work: from the lists to the cleared sessions, within the safety limits and the time.

The limits are kept before anything is removed. If all suspects together are within the limit, each session is
cleared as soon as its own suspects are known, so that an interrupted sweep has done something; otherwise all are
asked for first. Where no list shows any interface, the credentials may be blind: one has to be found by its id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

from handler.errors import DeadlineExceeded, UnmirrorError
from handler.mirror.abreast import abreast
from handler.mirror.detach import Detach, Plan, failed
from handler.mirror.lookup import Lookup
from handler.mirror.port import MirrorApi
from handler.mirror.snapshot import Snapshot
from handler.model import MirrorSession, Presence
from handler.report import Detachment

BLIND_AFTER = 20
"""Interfaces that are asked for by id and not found, where no list shows any, until we believe to be blind."""

GIVE_UP_AFTER = 20
"""Calls that fail one after another until the rest are not tried: what ails them ails all."""

MOST_AGAIN = 3
"""How often a gone interface that somebody put back is removed again; then it is only reported."""

Stage: TypeAlias = Literal["look", "list", "confirm", "detach"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sweep has come."""

    stage: Stage
    done: int = 0
    total: int = 0
    """Of the same kind: interfaces, in `detach` sessions; 0 in `look`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a sweep may do, the same for every project."""

    detach: Detach
    allows: Callable[[int, int], bool]
    """The safety limit: whether so many of so many sources seen may leave."""
    in_flight: int
    """Calls at a time."""
    tell: Callable[[Progress], None]
    """Hears how far the sweep has come, in the thread that sweeps."""


class _Patience:
    """What a row of failures ends with, once it is long enough."""

    def __init__(self) -> None:
        self.spent: UnmirrorError | None = None
        self._failures = 0

    def note(self, error: UnmirrorError | None) -> None:
        self._failures = self._failures + 1 if error else 0
        self.spent = error if self._failures >= GIVE_UP_AFTER else self.spent


class Clearing:
    """One project being swept, and how far it has come. Used once."""

    def __init__(self, terms: Terms, api: MirrorApi, snapshot: Snapshot, seen: Collection[str]) -> None:
        """Take the interfaces already seen to exist, which are not asked for again."""
        self.snapshot = snapshot
        self.sessions = snapshot.current()
        mirrored = (session.sources for session in self.sessions if session.type == "eni")
        self.sources = dict.fromkeys(id_ for sources in mirrored for id_ in sources)
        targets = (each.target_id for each in self.sessions if each.target_type == "eni" and each.target_id)
        self.interfaces = self.sources | dict.fromkeys(targets)
        """Sources and targets, each once."""
        self.lookup = Lookup(self.interfaces, seen)
        self.plan = Plan({}, {}, (), ())
        self.put_back: dict[tuple[str, str], int] = {}
        """(session id, interface id) of suspects that we removed before, and how often."""

        self.known: dict[str, Presence | UnmirrorError] = {}
        """What the API answered for each suspect that was asked for."""
        self.gone: set[str] = set()
        self.alive = 0
        self.detachments: list[Detachment] = []
        self.stop: Literal["limit", "blind"] | None = None
        self.interrupted: DeadlineExceeded | None = None

        self._terms = terms
        self._api = api
        self._leaving: dict[str, tuple[str, ...]] = {}
        self._verifying = _Patience()
        self._removing = _Patience()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Sweep as far as time allows. Raises what the lists raise."""
        try:
            self._run()
        except DeadlineExceeded as error:
            self.interrupted = error

    def seen(self) -> frozenset[str]:
        """Return the interfaces that were seen to exist so far."""
        return frozenset(id_ for id_ in self.interfaces if id_ not in self.lookup.unseen or self.exists(id_))

    def exists(self, id_: str) -> bool:
        """Tell whether the API, asked for this id, showed it."""
        answer = self.known.get(id_)
        return isinstance(answer, Presence) and answer.exists

    def _run(self) -> None:
        self.lookup.run(self._api, self._terms.in_flight, self._tell_list)
        self.plan = Plan.of(self.snapshot, self.lookup.unseen, self._terms.detach.protect)
        self._leaving = {session_id: self._to_leave(session_id, ids) for session_id, ids in self.plan.leaving.items()}
        self._keep_the_limits()
        if self.stop is None or (self.stop == "limit" and self._terms.detach.dry_run):
            self._clear()
            self._confirm([*self.plan.targets, *self.plan.protected, *(id_ for _, id_ in self.put_back)])

    def _to_leave(self, session_id: str, ids: tuple[str, ...]) -> tuple[str, ...]:
        """Return the suspects less those that somebody has put back too often; note all that were put back."""
        ledger, project_id = self._terms.detach.removals.ledger, self._api.project_id
        removals = {id_: ledger.times((project_id, session_id, id_), self.snapshot.began) for id_ in ids}
        self.put_back.update({(session_id, id_): times for id_, times in removals.items() if times})
        return tuple(id_ for id_ in ids if removals[id_] <= MOST_AGAIN)

    def _keep_the_limits(self) -> None:
        """Ask for as many suspects as it takes to know that removing can begin, or that it must not."""
        if not self.lookup.visible:
            suspects = [*self.plan.targets, *self.lookup.unseen]
            self._confirm(suspects, lambda: self.alive > 0 or len(self.gone) >= BLIND_AFTER)
            if self.gone and not self.alive:
                self.stop = "blind"
                return
        leaving = dict.fromkeys(id_ for ids in self._leaving.values() for id_ in ids)
        if self._within(len(leaving)):
            return

        def over() -> bool:
            return not self._within(len(self.gone)) and not self._within(len(self.gone & leaving.keys()))

        self._confirm(leaving, lambda: not self._terms.detach.dry_run and over())
        self.stop = "limit" if over() else None

    def _within(self, leaving: int) -> bool:
        return self._terms.allows(leaving, len(self.sources))

    def _confirm(self, interface_ids: Collection[str], enough: Callable[[], bool] = lambda: False) -> None:
        """Ask for each of them once, until it is enough."""
        todo = [id_ for id_ in dict.fromkeys(interface_ids) if id_ not in self.known]
        with abreast(self._ask, todo, self._terms.in_flight) as answers:
            for count, (_, answer) in enumerate(answers, 1):
                if isinstance(answer, DeadlineExceeded):
                    raise answer
                self._terms.tell(Progress("confirm", count, len(todo)))
                if enough():
                    return

    def _clear(self) -> None:
        """Take the gone ones out of each session, as soon as all of that session's suspects are known."""
        sessions = [session for id_ in self._leaving if (session := self.snapshot.session(id_))]
        with abreast(self._clear_one, sessions, self._terms.in_flight) as cleared:
            for count, (_, late) in enumerate(cleared, 1):
                if late:
                    raise late
                self._terms.tell(Progress("detach", count, len(sessions)))

    def _clear_one(self, session: MirrorSession) -> DeadlineExceeded | None:
        """Clear one session, in a thread of its own; return what says that time is up."""
        for id_ in self._leaving[session.id]:
            if isinstance(answer := self._ask(id_), DeadlineExceeded):
                return answer
        gone = tuple(id_ for id_ in self._leaving[session.id] if id_ in self.gone)
        if not gone:
            return None
        if self._removing.spent:
            detachments = [failed(session, gone, self._removing.spent)]
        else:
            detachments = self._terms.detach.leave(session, gone, self._api)
        error = next((each.error for each in detachments if each.error), None)
        with self._lock:
            self._removing.note(error)
            self.detachments += detachments
        return error if isinstance(error, DeadlineExceeded) else None

    def _ask(self, id_: str) -> Presence | UnmirrorError:
        """Return what is known of the id, asking for it if nothing is; note it unless time was up."""
        with self._lock:
            known = self.known.get(id_)
        if known is not None:
            return known
        if self._verifying.spent:
            return self._note(id_, self._verifying.spent)
        try:
            return self._note(id_, self._terms.detach.verifications.ask(self._api, id_, since=self.snapshot.began))
        except DeadlineExceeded as error:
            return error
        except UnmirrorError as error:
            return self._note(id_, error)

    def _note(self, id_: str, answer: Presence | UnmirrorError) -> Presence | UnmirrorError:
        with self._lock:
            if id_ in self.known:  # two sessions had asked for it at once
                return self.known[id_]
            self.known[id_] = answer
            if isinstance(answer, UnmirrorError):
                self._verifying.note(answer)
            else:
                self._verifying.note(None)
                self.alive += answer.exists
                if not answer.exists:
                    self.gone.add(id_)
        return answer

    def _tell_list(self) -> None:
        self._terms.tell(Progress("list", len(self.interfaces) - len(self.lookup.unseen), len(self.interfaces)))
