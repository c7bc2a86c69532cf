"""The use case sweep: what no event told. Every source of every session of a project, and the gone ones detached.

Look at the sessions, look up which sources no list shows (`lookup.py`), ask for each of these suspects by its id,
and take out what the API answers with its own 404 (`clearing.py`). A list never decides: one that ignores the ids
it is asked for, or that is scoped to an enterprise project, costs calls and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from handler.errors import DeadlineExceeded, Interrupted, UnmirrorError
from handler.mirror.abreast import IN_FLIGHT
from handler.mirror.clearing import MOST_AGAIN, Clearing, Progress, Terms
from handler.mirror.detach import Detach, lost_targets
from handler.mirror.freshness import MOST_PROJECTS, Need, Shared, serves
from handler.mirror.port import MirrorApi
from handler.model import Presence, SweepDue
from handler.report import Kept, Look, LostTarget, Outcome, PutBack, Report, SessionCount, SweepFigures

MOST_UNKNOWN = 100
"""Undecided interfaces that the report names."""

NEAR_QUOTA = 9
"""Sources of a session, where ten is the default quota."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found and did; nothing in it is older than its moment."""

    taken_at: datetime
    began: float
    report: Report
    """In the words of whoever made it: each delivery that it serves gets its own id and envelope."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Interfaces that a sweep saw to exist before it was interrupted."""

    taken_at: datetime
    began: float
    interface_ids: frozenset[str]


class Sweep:
    """What the use case works with: shared by all deliveries of a process."""

    def __init__(
        self,
        detach: Detach,
        allows: Callable[[int, int], bool],
        *,
        in_flight: int = IN_FLIGHT,
        tell: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """Take the safety limit as `allows(leaving, sources seen)`; `tell` hears how far a sweep has come."""
        self._terms = Terms(detach, allows, in_flight, tell)
        self._shared = Shared[Swept](
            "a sweep", detach.looks.max_age, detach.clock, lasts=lambda swept: swept.report.error is None
        )
        self._unfinished: dict[str, _Seen] = {}
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def project(self, event: SweepDue, api: MirrorApi, arrived: float) -> Report:
        """Sweep the project, or take what another sweep did that is fresh enough by the rule for looks.

        A sweep that ran out of time or into errors says so in its report and serves nobody who comes later. Raises
        what kept it from looking: the sessions could not be listed, or both lists of interfaces failed.
        """
        need = Need(arrived, event.origin.time)
        own: list[Swept] = []

        def take() -> Swept:
            own.append(swept := self._sweep(event, api, need))
            return swept

        swept = self._shared.get(api.project_id, need, api.deadline, take)
        return replace(swept.report, delivery_id=event.origin.id, envelope=event.origin.envelope, shared=not own)

    def in_turn(self, project_ids: Iterable[str]) -> list[str]:
        """Return the projects in the order to sweep them in: one delivery's time may not be enough for all.

        First those that this process never swept, then those it began to sweep longest ago.
        """
        return sorted(project_ids, key=lambda project_id: (self._last.get(project_id, float("-inf")), project_id))

    def _sweep(self, event: SweepDue, api: MirrorApi, need: Need) -> Swept:
        terms = self._terms
        terms.tell(Progress("look"))
        snapshot = terms.detach.looks.look(api, need)
        self._last[api.project_id] = terms.detach.clock()
        seen = self._resume(api.project_id, need)
        taken_at = min(snapshot.taken_at, seen.taken_at) if seen else snapshot.taken_at
        began = min(snapshot.began, seen.began) if seen else snapshot.began
        look = snapshot.look(need.arrived, terms.detach.clock())
        clearing = Clearing(terms, api, snapshot, seen.interface_ids if seen else ())
        report: Report | None = None
        try:
            clearing.run()
            report = _report(event, api.project_id, clearing, terms.detach, look)
        finally:
            if report is None or report.error:
                self._remember(api.project_id, _Seen(taken_at, began, clearing.seen()))
        return Swept(taken_at, began, report)

    def _resume(self, project_id: str, need: Need) -> _Seen | None:
        """Return what an interrupted sweep saw, if that is fresh enough for this one; it is used once."""
        with self._lock:
            seen = self._unfinished.pop(project_id, None)
        fresh = seen is not None and serves(seen, need, self._terms.detach.clock(), self._terms.detach.looks.max_age)
        return seen if fresh else None

    def _remember(self, project_id: str, seen: _Seen) -> None:
        with self._lock:
            self._unfinished[project_id] = seen
            if len(self._unfinished) > MOST_PROJECTS:
                del self._unfinished[next(iter(self._unfinished))]


def _report(event: SweepDue, project_id: str, clearing: Clearing, detach: Detach, look: Look) -> Report:
    errors = [answer for answer in clearing.known.values() if isinstance(answer, UnmirrorError)]
    errors += [each.error for each in clearing.detachments if each.error]
    worst = clearing.interrupted or max(errors, key=lambda each: each.status, default=None)
    figures = _figures(project_id, clearing, detach, complete=worst is None)
    outcome = _outcome(clearing, figures, detach.dry_run, failed=worst is not None)
    return Report(
        delivery_id=event.origin.id,
        envelope=event.origin.envelope,
        outcome=outcome,
        reason=_reason(outcome, clearing, figures, detach.dry_run),
        project_id=project_id,
        dry_run=detach.dry_run,
        detachments=tuple(clearing.detachments),
        kept=tuple(map(clearing.snapshot.named, _kept(clearing))),
        lost_targets=tuple(_lost(clearing)),
        snapshot_time=clearing.snapshot.taken_at,
        gone_request_ids={
            id_: answer.request_id
            for id_, answer in clearing.known.items()
            if isinstance(answer, Presence) and not answer.exists
        },
        error=None if outcome == "stopped" else worst,  # sending again would meet the same limit
        sweep=figures,
        look=look,
    )


def _figures(project_id: str, clearing: Clearing, detach: Detach, *, complete: bool) -> SweepFigures:
    gone, lookup = clearing.gone, clearing.lookup
    mirrors = [session for session in clearing.sessions if session.type == "eni"]
    left = [each for each in clearing.detachments if each.status in ("detached", "planned")]
    detached = {id_ for each in left for id_ in each.interface_ids}
    put_back = [PutBack(*key, times) for key, times in clearing.put_back.items() if key[1] in gone]
    heard_of = {each.interface_id for each in put_back}
    heard_of |= {id_ for id_ in detached if detach.told.times((project_id, id_))}
    enabled = {session.id for session in mirrors if session.enabled}
    emptied = {each.session_id for each in left if each.sources_after == ()} & enabled
    sources_now = {session.id: session.sources for session in mirrors}
    sources_now |= {each.session_id: each.sources_after or () for each in left}
    undecided = [id_ for id_ in lookup.unseen if not isinstance(clearing.known.get(id_), Presence)]
    return SweepFigures(
        sessions=len(clearing.sessions),
        sources=len(clearing.sources),
        listed=len(clearing.sources.keys() - lookup.unseen),
        hidden=sum(clearing.exists(id_) for id_ in clearing.sources),
        gone=sum(id_ in clearing.sources for id_ in gone),
        detached=len(detached),
        protected=sum(id_ in gone for id_ in clearing.plan.protected),
        unknown=sum(id_ in clearing.sources for id_ in undecided),
        found_by_sweep=len(detached - heard_of),
        places_freed=sum(len(each.interface_ids) for each in left),
        emptied=SessionCount.of(emptied),
        near_quota=SessionCount.of(id_ for id_, sources in sources_now.items() if len(sources) >= NEAR_QUOTA),
        orphaned=len(_lost(clearing)),
        put_back=tuple(put_back),
        pages=lookup.pages,
        batches=lookup.batches,
        asked=len(clearing.known),
        complete=complete and not undecided,
        stop=clearing.stop,
    )


def _lost(clearing: Clearing) -> list[LostTarget]:
    return lost_targets(clearing.snapshot, [id_ for id_ in clearing.plan.targets if id_ in clearing.gone])


def _kept(clearing: Clearing) -> Iterable[Kept]:
    unknown = ((id_, answer) for id_, answer in clearing.known.items() if isinstance(answer, UnmirrorError))
    for id_, error in islice(unknown, MOST_UNKNOWN):
        sessions = tuple(session.id for session in clearing.snapshot.holding(id_))
        yield Kept(id_, "unconfirmed", sessions, getattr(error, "request_id", ""), error)
    for id_, sessions in clearing.plan.protected.items():
        if id_ in clearing.gone:
            yield Kept(id_, "protected", sessions)
    for (session_id, id_), times in clearing.put_back.items():
        if id_ in clearing.gone and times > MOST_AGAIN:
            yield Kept(id_, "put_back", (session_id,))


def _outcome(clearing: Clearing, figures: SweepFigures, dry_run: bool, *, failed: bool) -> Outcome:
    if figures.stop == "blind" or (figures.stop and not dry_run):
        return "stopped"
    if clearing.interrupted or (failed and figures.detached):
        return "partial"
    if failed:
        return "failed"
    if figures.detached:
        return "planned" if dry_run else "detached"
    return "nothing_to_do"


def _reason(outcome: Outcome, clearing: Clearing, figures: SweepFigures, dry_run: bool) -> str:
    if outcome == "stopped":
        return _STOPPED[figures.stop or "limit"].format(gone=figures.gone, sources=figures.sources)
    did = f"dry run: would detach {figures.detached}" if dry_run else f"detached {figures.detached}"
    refused = sum(each.status == "failed" for each in clearing.detachments)
    words = {
        f"{did} deleted interface(s); {figures.sources} sources of {figures.sessions} sessions": True,
        f"{_ended(clearing.interrupted)} with {figures.unknown} undecided": clearing.interrupted,
        f"{figures.unknown} could not be decided": figures.unknown and not clearing.interrupted,
        f"{refused} removal(s) failed": refused,
        "more than UNMIRROR_SWEEP_LIMIT: without the dry run nothing would be changed": figures.stop,
        f"{len(figures.put_back)} had been put back after we removed them": figures.put_back,
    }
    return "; ".join(text for text, applies in words.items() if applies)


def _ended(by: DeadlineExceeded | None) -> str:
    return "interrupted" if isinstance(by, Interrupted) else "out of time"


_STOPPED = {
    "limit": "stopped and changed nothing: {gone} or more of {sources} sources are gone, which is over "
    "UNMIRROR_SWEEP_LIMIT; see them with `unmirror sweep --dry-run`, allow them with `unmirror sweep --limit`",
    "blind": "stopped and changed nothing: no interface at all can be seen in a project with {sources} sources; "
    "check that the credentials may read its ports (vpc:ports:list, vpc:ports:get); if they are deleted, name them: "
    "`unmirror detach ID...`",
}
