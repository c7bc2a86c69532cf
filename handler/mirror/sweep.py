"""What no event told: every source of every session of a project, and the gone ones handed to the worker.

List the sessions, look their sources up in the list of interfaces, ask by id for each that it does not show, keep the
safety limits, and only then remove. A list never decides: one that ignores the ids it is asked for, or that is scoped
to an enterprise project, costs calls and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeVar

from handler.deadline import Clock, Deadline
from handler.errors import DeadlineExceeded, Interrupted, UnmirrorError
from handler.mirror.detach import Rules, Task, verify
from handler.mirror.port import MirrorApi
from handler.mirror.removal import Removal
from handler.mirror.results import Part, kept, name
from handler.mirror.snapshot import Snapshot
from handler.model import Presence, UnreadableSession
from handler.report import Kept, SnapshotEvidence, SweepFigures

BATCH = 100
"""Ids in one look-up: 4 KiB of the URI's 32 KiB; no limit on their number is documented."""
MAX_UNLISTED = 200
"""Interfaces that are asked for one by one because their list failed; for more, its error ends the sweep."""
BLIND_AFTER = 20
"""Interfaces that are asked for by id and are gone, where no list shows any, until the credentials count as blind."""
MAX_FAILURES = 20
"""Consecutive failures after which the rest is not asked for; the cause is probably common."""
MAX_NAMED = 100
"""Undecided interfaces that a report names."""
CALL_SECONDS = 60.0
"""For one call with all its attempts: throttled, it may have to wait for a slot behind many others."""
LISTING_SECONDS = 600.0
"""For all pages with all their attempts."""

OUT_OF_TIME = (
    "out of time; for all of it run `unmirror sweep --deadline 900`, or give the function a longer time-out and "
    "UNMIRROR_DEADLINE"
)

Stage = Literal["list", "look_up", "verify", "remove"]
Progress = Callable[[Stage, int, int], None]
"""Hears the stage, how much of it is done and how much there is: interfaces, in `remove` sources."""

T = TypeVar("T")
R = TypeVar("R")


class SweepLimits(NamedTuple):
    """How much one sweep may detach before it stops and asks."""

    allows: Callable[[int, int], bool] = lambda leaving, sources: True
    """Told how many of how many sources would leave."""


class Swept(NamedTuple):
    """What a sweep saw and did."""

    figures: SweepFigures
    evidence: SnapshotEvidence
    parts: Mapping[str, Part] = MappingProxyType({})
    """By id what was decided of the gone interfaces."""
    undecided: tuple[Kept, ...] = ()
    failure: UnmirrorError | None = None
    """Why it is not complete."""
    unreadable: tuple[UnreadableSession, ...] = ()


@dataclass(eq=False, kw_only=True)
class SweepTask(Task):
    """A sweep that a delivery asks for. One that has not begun serves all who wait for it."""

    by: Literal["timer", "server"]
    progress: Progress = lambda stage, done, total: None
    swept: Swept | None = None
    coalesced: bool = False
    """Whether the sweep was begun for another delivery as well, which counts it."""

    @property
    def complete(self) -> bool:
        """Whether the sweep has ended."""
        return self.swept is not None or self.failure is not None


class SweepCalls(Protocol):
    """Calls for one step of a sweep. `handler.mirror.worker` has them in threads."""

    def call(self, what: str, work: Callable[[Deadline], R], seconds: float) -> R:
        """Make one call and return its result; raise what it raised, or that time was up."""

    def map(
        self, work: Callable[[T, Deadline], R], items: Iterable[T], seconds: float
    ) -> Iterator[tuple[T, R | UnmirrorError]]:
        """Yield each item with what its call ended with; less than all when time is up."""


class Sweep:
    """One sweep of one project, and how far it has come. Used once."""

    def __init__(
        self,
        api: MirrorApi,
        calls: Callable[[], SweepCalls],
        remove: Callable[[Snapshot, Mapping[str, Presence]], Mapping[str, Part]],
        *,
        deadline: Deadline,
        clock: Clock,
        limits: SweepLimits,
        rules: Rules,
        arrived: float,
        progress: Progress,
    ) -> None:
        """Take what the sweep works with; `remove` hands gone interfaces to the worker and waits for its answer."""
        self._api, self._calls, self._hand_over = api, calls, remove
        self._deadline, self._clock, self._limits = deadline, clock, limits
        self._rules, self._arrived, self._progress = rules, arrived, progress
        self._suspects: list[str] = []
        self._listed: set[str] = set()
        self._known: dict[str, Presence | UnmirrorError] = {}

    def run(self) -> Swept:
        """Sweep as far as time allows; raise what the lists raise."""
        self._progress("list", 0, 0)
        listing = self._calls().call("the list of sessions", self._api.list_sessions, LISTING_SECONDS)
        snapshot = Snapshot(listing)
        mirrored = [each for each in snapshot.sessions() if each.type == "eni"]
        sources = dict.fromkeys(id_ for session in mirrored for id_ in session.sources)
        targets = [each.target_id for each in snapshot.sessions() if each.target_type == "eni" and each.target_id]
        interfaces = list(sources | dict.fromkeys(targets))
        self._look_up(interfaces)
        self._suspects = [id_ for id_ in interfaces if id_ not in self._listed]
        stop: Literal["limit", "blind"] | None = "blind" if self._is_blind(snapshot) else None
        parts: Mapping[str, Part] = {}
        if stop is None:
            leaving = {
                id_ for id_ in sources if any(not self._rules.protection.covers(s) for s in snapshot.holding(id_))
            }
            self._verify(snapshot, leaving, len(sources))
            stop = None if self._allows(self._gone() & leaving, len(sources)) else "limit"
            if self._rules.dry_run or self._allows((self._gone() | self._undecided()) & leaving, len(sources)):
                parts = self._remove(snapshot)
        return self._result(snapshot, sources, stop, parts)

    def _look_up(self, interfaces: Sequence[str]) -> None:
        """Look the interfaces up in the list, by id. Those of a list that failed stay suspects, up to a number."""
        batches = [tuple(interfaces[start : start + BATCH]) for start in range(0, len(interfaces), BATCH)]
        failed = 0
        for batch, listed in self._calls().map(self._api.list_interfaces, batches, CALL_SECONDS):
            if isinstance(listed, UnmirrorError):
                failed += len(batch)
                if failed > MAX_UNLISTED:
                    raise listed
            else:
                self._listed |= listed
                self._progress("look_up", len(self._listed), len(interfaces))
        self._deadline.require("looking up all interfaces")

    def _is_blind(self, snapshot: Snapshot) -> bool:
        """Tell whether the credentials see no interface at all; never where anything that was asked is undecided."""
        if self._listed or not self._suspects:
            return False
        if self._calls().call("the list of interfaces", self._api.has_interfaces, CALL_SECONDS):
            return False
        some = self._suspects[:BLIND_AFTER]
        self._ask(snapshot, some, enough=lambda: len(self._gone()) < len(self._known))
        return len(self._gone()) == len(some)

    def _verify(self, snapshot: Snapshot, leaving: Set[str], sources: int) -> None:
        """Ask for each suspect by id, until it is certain that too many are gone."""
        self._ask(
            snapshot,
            self._suspects,
            enough=lambda: not self._rules.dry_run and not self._allows(self._gone() & leaving, sources),
        )

    def _ask(self, snapshot: Snapshot, suspects: Sequence[str], enough: Callable[[], bool]) -> None:
        todo, failures = [id_ for id_ in suspects if id_ not in self._known], 0
        work = partial(verify, self._api, snapshot)
        for done, (id_, answer) in enumerate(self._calls().map(work, todo, CALL_SECONDS), 1):
            self._known[id_] = answer
            self._progress("verify", done, len(todo))
            failures = failures + 1 if isinstance(answer, UnmirrorError) else 0
            if failures >= MAX_FAILURES or enough():
                return

    def _remove(self, snapshot: Snapshot) -> Mapping[str, Part]:
        gone = {
            id_: answer for id_, answer in self._known.items() if isinstance(answer, Presence) and not answer.exists
        }
        if not gone:
            return {}
        self._progress("remove", 0, len(gone))
        return self._hand_over(snapshot, gone)

    def _allows(self, leaving: Set[str], sources: int) -> bool:
        return self._limits.allows(len(leaving), sources)

    def _gone(self) -> set[str]:
        return {id_ for id_, answer in self._known.items() if isinstance(answer, Presence) and not answer.exists}

    def _exists(self, id_: str) -> bool:
        answer = self._known.get(id_)
        return isinstance(answer, Presence) and answer.exists

    def _undecided(self) -> set[str]:
        return {id_ for id_ in self._suspects if not isinstance(self._known.get(id_), Presence)}

    # --- result --------------------------------------------------------------------------------------

    def _result(
        self,
        snapshot: Snapshot,
        sources: Mapping[str, None],
        stop: Literal["limit", "blind"] | None,
        parts: Mapping[str, Part],
    ) -> Swept:
        listing, undecided = snapshot.listing, [] if stop else sorted(self._undecided())
        failure = None if stop else self._failure(undecided)
        figures = self._figures(snapshot, sources, stop, parts)
        complete = not (stop or failure or undecided or listing.unreadable or _errors(parts))
        evidence = SnapshotEvidence(
            listing.taken_at,
            listing.request_ids,
            self._clock.age(listing.began),
            predates_delivery=listing.began.monotonic < self._arrived,
        )
        named = tuple(self._named(snapshot, id_) for id_ in undecided[:MAX_NAMED])
        return Swept(figures._replace(complete=complete), evidence, parts, named, failure, listing.unreadable)

    def _failure(self, undecided: Sequence[str]) -> UnmirrorError | None:
        """Return why some sources are undecided: the time, or the worst of what their calls ended with."""
        if not undecided:
            return None
        if self._deadline.cancellation.cancelled:
            return Interrupted(f"interrupted with {len(undecided)} interface(s) undecided")
        if self._deadline.remaining() <= 0:
            return DeadlineExceeded(OUT_OF_TIME)
        errors = [answer for answer in self._known.values() if isinstance(answer, UnmirrorError)]
        return max(errors, key=lambda each: each.status)

    def _named(self, snapshot: Snapshot, id_: str) -> Kept:
        error, holding = self._known.get(id_), tuple(name(each) for each in snapshot.holding(id_))
        if isinstance(error, UnmirrorError):
            return Kept(id_, "undecided", holding, error.request_id, error)
        return Kept(id_, "undecided", holding)

    def _figures(
        self,
        snapshot: Snapshot,
        sources: Mapping[str, None],
        stop: Literal["limit", "blind"] | None,
        parts: Mapping[str, Part],
    ) -> SweepFigures:
        gone = self._gone() & sources.keys()
        left = [(part, removal, id_) for id_, part in parts.items() for removal in part.removals]
        freed = [(id_, removal) for _, removal, id_ in left if removal.statuses[id_] in ("detached", "already_absent")]
        would = [(id_, removal) for _, removal, id_ in left if removal.statuses[id_] == "planned"]
        return SweepFigures(
            sessions=len(snapshot.sessions()),
            sources=len(sources),
            listed=len(self._listed & sources.keys()),
            unlisted=sum(
                isinstance(each, Presence) and each.exists for id_, each in self._known.items() if id_ in sources
            ),
            gone=len(gone),
            undecided=len(self._undecided() & sources.keys()),
            protected=sum(any(each.reason == "protected" for each in kept(id_, part)) for id_, part in parts.items()),
            detached=len({id_ for id_, _ in freed}),
            would_detach=len(gone) if stop and not parts else len({id_ for id_, _ in would}),
            places_freed=len(freed),
            would_free=len(would),
            emptied=_emptied([removal for _, removal in (*freed, *would)]),
            complete=False,
            stop=stop,
        )


def _errors(parts: Mapping[str, Part]) -> bool:
    return any(part.errors(id_) for id_, part in parts.items())


def _emptied(removals: Iterable[Removal]) -> tuple[str, ...]:
    return tuple(sorted({each.session.id for each in removals if each.session.enabled and each.after == ()}))
