"""The use case detach: take named interfaces, once gone, out of their sessions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import groupby

from handler.errors import StillExists, UnmirrorError
from handler.mirror.abreast import IN_FLIGHT, each
from handler.mirror.freshness import Need
from handler.mirror.ledger import Ledger
from handler.mirror.port import MirrorApi
from handler.mirror.removal import Fate, Removal, Removals
from handler.mirror.snapshot import Looks, Snapshot
from handler.mirror.verification import Verifications
from handler.model import InterfacesDeleted, MirrorSession, Presence, TargetDeleted
from handler.report import Detachment, Kept, Look, LostTarget, Outcome, Report

STILL_THERE_PAUSES = (0.25, 0.75, 1.5)
"""Seconds before each further look at an interface that is said to be deleted and is still shown.

Deletion and the view of it are not one moment. Bounded, because a forged event must not hold a thread.
"""


@dataclass(frozen=True, slots=True)
class Protected:
    """Sessions that are never touched, by id or by a glob of the name."""

    patterns: tuple[str, ...] = ()

    def __contains__(self, session: MirrorSession) -> bool:
        return any(pattern == session.id or fnmatchcase(session.name, pattern) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Plan:
    """Decide: which interfaces would leave which sessions. What a snapshot says, and nothing more."""

    leaving: Mapping[str, tuple[str, ...]]
    """Interface ids by session id."""
    protected: Mapping[str, tuple[str, ...]]
    """Ids of protected sessions by interface id."""
    unmirrored: tuple[str, ...]
    targets: tuple[str, ...]
    """Interfaces to which a session mirrors."""

    @classmethod
    def of(cls, snapshot: Snapshot, interface_ids: Iterable[str], protect: Protected) -> Plan:
        """Return the plan for interfaces, assuming that each is gone."""
        leaving: dict[str, list[str]] = {}
        protected: dict[str, tuple[str, ...]] = {}
        unmirrored, targets = [], []
        for id_ in interface_ids:
            holding = snapshot.holding(id_)
            if snapshot.targeting(id_):
                targets.append(id_)
            if not holding:
                unmirrored.append(id_)
            if spared := tuple(session.id for session in holding if session in protect):
                protected[id_] = spared
            for session in holding:
                if session not in protect:
                    leaving.setdefault(session.id, []).append(id_)
        return cls({sid: tuple(ids) for sid, ids in leaving.items()}, protected, tuple(unmirrored), tuple(targets))

    @property
    def suspects(self) -> tuple[str, ...]:
        """The interfaces whose absence has to be verified, each once."""
        leaving = [id_ for ids in self.leaving.values() for id_ in ids]
        return tuple(dict.fromkeys([*leaving, *self.targets, *self.protected]))


@dataclass(frozen=True, slots=True)
class Detach:
    """What the use case works with: shared by all deliveries of a process."""

    looks: Looks
    verifications: Verifications
    removals: Removals
    clock: Callable[[], float]
    """Monotonic, seconds."""
    pause: Callable[[float], None]
    """Waits that many seconds."""
    protect: Protected = Protected()
    dry_run: bool = False
    in_flight: int = IN_FLIGHT
    """Verifications at a time, for one event."""
    told: Ledger = field(default_factory=Ledger)
    """Entered (project id, interface id) for each interface that an event named."""

    def interfaces(self, event: InterfacesDeleted, api: MirrorApi, arrived: float) -> Report:
        """Detach the event's interfaces; raise what kept the look from being taken."""
        for id_ in event.interface_ids:
            self.told.enter((api.project_id, id_), self.clock())
        snapshot = self.looks.look(api, Need(arrived, event.origin.time))
        look = snapshot.look(arrived, self.clock())
        plan = Plan.of(snapshot, event.interface_ids, self.protect)
        detachments: list[Detachment] = []
        with self.removals.expecting(api.project_id, plan.leaving):
            known = self._verify(plan.suspects, api)
            gone = {id_ for id_, presence in known.items() if isinstance(presence, Presence) and not presence.exists}
            for session_id, ids in plan.leaving.items():
                session = snapshot.session(session_id)
                if session is not None and (leaving := tuple(id_ for id_ in ids if id_ in gone)):
                    detachments += self.leave(session, leaving, api)
        return conclude(
            event,
            snapshot,
            api.project_id,
            detachments=detachments,
            kept=[*_kept_back(plan, known), *_not_mirrored(plan, known), *_spared(plan, known)],
            lost_targets=lost_targets(snapshot, [id_ for id_ in plan.targets if id_ in gone]),
            gone={
                id_: presence.request_id
                for id_, presence in known.items()
                if isinstance(presence, Presence) and id_ in gone
            },
            dry_run=self.dry_run,
            look=look,
        )

    def target(self, event: TargetDeleted, api: MirrorApi, arrived: float) -> Report:
        """Name the sessions that lost their target."""
        snapshot = self.looks.look(api, Need(arrived, event.origin.time))
        look = snapshot.look(arrived, self.clock())
        lost = lost_targets(snapshot, [event.target_id])
        return conclude(event, snapshot, api.project_id, lost_targets=lost, dry_run=self.dry_run, look=look)

    def leave(self, session: MirrorSession, gone: Sequence[str], api: MirrorApi) -> list[Detachment]:
        """Take interfaces that are confirmed gone out of a session, or say that it would be done."""
        if self.dry_run:
            after = tuple(id_ for id_ in session.sources if id_ not in gone)
            return [Detachment(session.id, session.name, tuple(gone), "planned", (), session.sources, after)]
        try:
            removal = self.removals.remove(api, session, gone)
        except UnmirrorError as error:
            return [failed(session, gone, error)]
        return _detachments(session, gone, removal)

    def _verify(self, suspects: Collection[str], api: MirrorApi) -> dict[str, Presence | UnmirrorError]:
        """Ask for each suspect; for those that still exist again, a few times."""
        known = self._ask_each(suspects, api)
        for seconds in STILL_THERE_PAUSES:
            alive = [id_ for id_, presence in known.items() if isinstance(presence, Presence) and presence.exists]
            if not alive or api.deadline.remaining() <= seconds:
                break
            self.pause(seconds)
            known.update(self._ask_each(alive, api))
        return known

    def _ask_each(self, interface_ids: Collection[str], api: MirrorApi) -> dict[str, Presence | UnmirrorError]:
        answers = each(lambda id_: self._ask(id_, api), interface_ids, self.in_flight)
        return dict(zip(interface_ids, answers, strict=True))

    def _ask(self, interface_id: str, api: MirrorApi) -> Presence | UnmirrorError:
        try:
            return self.verifications.ask(api, interface_id)
        except UnmirrorError as error:
            return error


def failed(session: MirrorSession, gone: Sequence[str], error: UnmirrorError) -> Detachment:
    """Return that nothing was asked, and why."""
    return Detachment(session.id, session.name, tuple(gone), "failed", (), session.sources, None, error)


def lost_targets(snapshot: Snapshot, target_ids: Iterable[str]) -> list[LostTarget]:
    """Return the sessions whose target is one of these."""
    return [
        LostTarget(session.id, session.name, session.target_id)
        for target_id in target_ids
        for session in snapshot.targeting(target_id)
    ]


def conclude(
    event: InterfacesDeleted | TargetDeleted,
    snapshot: Snapshot,
    project_id: str,
    *,
    detachments: Sequence[Detachment] = (),
    kept: Sequence[Kept] = (),
    lost_targets: Sequence[LostTarget] = (),
    gone: Mapping[str, str] | None = None,
    dry_run: bool = False,
    look: Look,
) -> Report:
    """Return the report: its outcome follows from what happened to each interface."""
    errors = [each.error for each in detachments if each.error] + [each.error for each in kept if each.error]
    done = [each for each in detachments if each.status == "detached"]
    planned = [each for each in detachments if each.status == "planned"]
    alive = [each for each in kept if each.why == "still_exists"]
    spared = [each for each in kept if each.why == "protected"]
    outcome: Outcome
    if errors and (done or planned):
        outcome = "partial"
    elif errors:
        outcome = "still_exists" if len(alive) == len(errors) else "failed"
    elif done:
        outcome = "detached"
    else:
        outcome = "planned" if planned else "nothing_to_do"
    return Report(
        delivery_id=event.origin.id,
        envelope=event.origin.envelope,
        outcome=outcome,
        reason=_reason(outcome, done or planned, alive, spared, errors),
        project_id=project_id,
        dry_run=dry_run,
        detachments=tuple(detachments),
        kept=tuple(map(snapshot.named, kept)),
        lost_targets=tuple(lost_targets),
        snapshot_time=snapshot.taken_at,
        gone_request_ids=gone or {},
        error=max(errors, key=lambda error: error.status, default=None),
        look=look,
    )


def _reason(
    outcome: Outcome,
    done: Sequence[Detachment],
    alive: Sequence[Kept],
    spared: Sequence[Kept],
    errors: Sequence[UnmirrorError],
) -> str:
    interfaces = {id_ for each in done for id_ in each.interface_ids}
    left = f"{len(interfaces)} deleted interface(s) in {len({each.session_id for each in done})} session(s)"
    detached = f"dry run: would detach {left}" if any(each.status == "planned" for each in done) else f"detached {left}"
    match outcome:
        case "detached" | "planned":
            return detached
        case "still_exists":
            return f"{len(alive)} interface(s) said to be deleted still exist; nothing was detached"
        case "nothing_to_do":
            kept = f"; {len(spared)} interface(s) stay in protected sessions" if spared else ""
            return f"no session has anything to lose{kept}"
        case _:
            undone = f"{len(errors) - len(alive)} failed, {len(alive)} still exist"
            return f"{detached}; {undone}" if done else undone


def _kept_back(plan: Plan, known: Mapping[str, Presence | UnmirrorError]) -> Iterable[Kept]:
    for id_, presence in known.items():
        sessions = tuple(session_id for session_id, ids in plan.leaving.items() if id_ in ids)
        if isinstance(presence, UnmirrorError):
            if sessions or id_ in plan.targets:  # else it is protected, whatever the answer
                yield Kept(id_, "unconfirmed", sessions, getattr(presence, "request_id", ""), presence)
        elif presence.exists:
            error = StillExists("said to be deleted, but the VPC API still shows it")
            yield Kept(id_, "still_exists", sessions + plan.protected.get(id_, ()), presence.request_id, error)


def _not_mirrored(plan: Plan, known: Mapping[str, Presence | UnmirrorError]) -> Iterable[Kept]:
    return (Kept(id_, "not_mirrored") for id_ in plan.unmirrored if id_ not in known)


def _spared(plan: Plan, known: Mapping[str, Presence | UnmirrorError]) -> Iterable[Kept]:
    for id_, sessions in plan.protected.items():
        presence = known[id_]
        if isinstance(presence, UnmirrorError) or not presence.exists:
            yield Kept(id_, "protected", sessions)


def _detachments(session: MirrorSession, ids: Sequence[str], removal: Removal) -> list[Detachment]:
    """Return one detachment for each way in which the ids fared."""

    def way(id_: str) -> str:
        fate = removal.fates[id_]
        return fate if isinstance(fate, str) else f"failed {type(fate).__name__}"

    return [
        _detachment(session, tuple(alike), removal, removal.fates[alike[0]])
        for alike in (list(group) for _, group in groupby(sorted(ids, key=way), key=way))
    ]


def _detachment(session: MirrorSession, ids: tuple[str, ...], removal: Removal, fate: Fate) -> Detachment:
    return Detachment(
        session_id=session.id,
        session_name=session.name,
        interface_ids=ids,
        status=fate if isinstance(fate, str) else "failed",
        request_ids=removal.request_ids,
        sources_before=removal.before,
        sources_after=removal.after,
        error=None if isinstance(fate, str) else fate,
    )
