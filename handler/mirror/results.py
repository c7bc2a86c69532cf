"""What a batch decided of each id, and how that is told in a report."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from handler.errors import UnmirrorError
from handler.mirror.removal import Removal, Status
from handler.model import Detachment, Gone, Kept, LostTarget, MirrorSession, SessionName


class Part(NamedTuple):
    """What a batch decided of one id of a job; complete, or as far as time allowed."""

    kept: tuple[Kept, ...] = ()
    removals: tuple[Removal, ...] = ()
    """Of every session that lists the interface and may be touched."""
    gone: Gone | None = None
    lost_targets: tuple[LostTarget, ...] = ()
    failure: UnmirrorError | None = None
    """What kept a server's interfaces from being listed."""
    coalesced: bool = False
    """Whether another job named the id first."""

    def errors(self, id_: str) -> list[UnmirrorError]:
        """Return what went wrong with the id."""
        found = [self.failure, *(each.error for each in self.kept), *(each.errors.get(id_) for each in self.removals)]
        return [each for each in found if each is not None]


def name(session: MirrorSession) -> SessionName:
    """Return the session as a report names it."""
    return SessionName(session.id, session.name)


def lost_targets(sessions: Iterable[MirrorSession], *, confirmed: bool) -> tuple[LostTarget, ...]:
    """Return that the target of these sessions is gone; `confirmed`: the VPC API said so, and not an event alone."""
    return tuple(LostTarget(each.id, each.name, each.target_id, confirmed) for each in sessions)


def merged(id_: str, earlier: Part | None, later: Part) -> Part:
    """Return what two batches decided of one id: what the earlier one removed stays, the rest was tried again."""
    if earlier is None:
        return later
    done = tuple(each for each in earlier.removals if each.statuses[id_] in ("detached", "already_absent"))
    return later._replace(removals=done + later.removals, gone=later.gone or earlier.gone)


def of_parts(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Return the members of a report that follow from what was decided of its ids."""
    return {
        "detachments": tuple(_detachments(parts)),
        "kept": tuple(each for id_, part in parts.items() for each in kept(id_, part)),
        "lost_targets": tuple(dict.fromkeys(each for part in parts.values() for each in part.lost_targets)),
        "gone": tuple(part.gone for part in parts.values() if part.gone),
        "failure": next((part.failure for part in parts.values() if part.failure), None),
    }


_IS_DETACHMENT = frozenset({"detached", "already_absent", "planned", "failed", "not_tried"})


def _detachments(parts: Mapping[str, Part]) -> Iterator[Detachment]:
    """Yield one detachment for each removal and each way in which its interfaces fared."""
    groups: dict[tuple[int, Status, int, bool], tuple[Removal, list[str]]] = {}
    for id_, part in parts.items():
        for removal in part.removals:
            if (status := removal.statuses[id_]) in _IS_DETACHMENT:
                way = id(removal), status, id(removal.errors.get(id_)), part.coalesced
                groups.setdefault(way, (removal, []))[1].append(id_)
    for (_, status, _, coalesced), (removal, ids) in groups.items():
        yield Detachment(
            session_id=removal.session.id,
            session_name=removal.session.name,
            interface_ids=tuple(ids),
            status=status,  # type: ignore[arg-type] # one of _IS_DETACHMENT
            request_ids=tuple(removal.request_ids),
            sources_before=removal.before,
            sources_after=removal.after,
            error=removal.errors.get(ids[0]),
            coalesced=coalesced,
        )


def kept(id_: str, part: Part) -> Iterator[Kept]:
    """Yield why the interface stays; the protection of a session by name is known only from its removal."""
    yield from part.kept
    spared = [name(each.session) for each in part.removals if each.statuses[id_] == "protected"]
    if spared:
        yield Kept(id_, "protected", tuple(spared))
    for removal in part.removals:
        if removal.statuses[id_] == "undecided":
            error = removal.errors[id_]
            yield Kept(id_, "undecided", (name(removal.session),), error.request_id, error)
