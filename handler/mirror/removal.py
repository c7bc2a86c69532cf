"""Take interfaces that are confirmed gone out of one session, and prove by the API's own answers that they left."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from handler.deadline import Deadline
from handler.errors import ApiUnavailable, BadReply, DeadlineExceeded, OutcomeUnknown, RemovalRejected, UnmirrorError
from handler.mirror.plan import Protection
from handler.mirror.port import MirrorApi
from handler.model import Detachment, Gone, Kept, LostTarget, MirrorSession, SessionName, SessionReply

Status: TypeAlias = Literal["detached", "already_absent", "planned", "protected", "undecided", "failed", "not_tried"]

# For one call of a removal or a verification. A batch is as slow as its slowest call; the API's p99 is not published,
# the official SDK's own samples wait 3 s to 10 s.
CALL_SECONDS = 5.0


class Removal:
    """What became of the interfaces that were to leave one session."""

    def __init__(self, session: MirrorSession, protection: Protection) -> None:
        """Take the session as the last listing showed it."""
        self.session, self.protection = session, protection
        self.before = session.sources
        """The sources that the last listing or answer before the removal showed."""
        self.after: tuple[str, ...] | None = None
        """The sources that the last answer showed; None when the session is gone or no answer showed it."""
        self.statuses: dict[str, Status] = {}
        """By interface id. `undecided`: its protection by name could not be read."""
        self.errors: dict[str, UnmirrorError] = {}
        """By interface id, for `failed`, `undecided` and `not_tried`."""
        self.absent: set[str] = set()
        """Interfaces that an answer showed absent from the session."""
        self.session_gone = False
        self.request_ids: list[str] = []
        self.counted_by: dict[str, object] = {}
        """By interface id who counts its removal: the first whose report tells it, for others may have given up."""

    def settle(self, interface_ids: Sequence[str], status: Status, error: UnmirrorError | None = None) -> None:
        """Note what became of these interfaces."""
        if error is not None:
            self.note(error.request_id)
        for id_ in interface_ids:
            self.statuses[id_] = status
            if error is not None:
                self.errors[id_] = error

    def read(self, reply: SessionReply, interface_ids: Sequence[str], absent: Status) -> list[str]:
        """Note as `absent` each interface that the reply does not show in the session; return the others."""
        self.note(reply.request_id)
        if reply.session is None:
            self.session_gone, self.after = True, None
            self.settle(interface_ids, "already_absent")
            return []
        self.after = reply.session.sources
        left = [id_ for id_ in interface_ids if id_ not in self.after]
        self.absent.update(left)
        self.settle(left, absent)
        return [id_ for id_ in interface_ids if id_ in self.after]

    def note(self, request_id: str) -> None:
        """Keep the request id of a call, where its answer had one."""
        if request_id and request_id not in self.request_ids:
            self.request_ids.append(request_id)


def remove(
    api: MirrorApi,
    session: MirrorSession,
    interface_ids: Sequence[str],
    deadline: Deadline,
    *,
    protection: Protection,
    dry_run: bool,
) -> Removal:
    """Take the interfaces out of the session and return what became of each; raises nothing that the API answers.

    The caller has confirmed that each is gone, and starts no second removal on the session before this one ended.
    """
    removal = Removal(session, protection)
    todo = list(interface_ids)
    if protection.names:  # the session's name may have changed since the listing
        todo = _read(api, removal, todo, deadline, "already_absent", unread="undecided")
    removal.before = removal.session.sources
    if dry_run:
        removal.after = tuple(id_ for id_ in removal.before if id_ not in todo)
        removal.settle(todo, "planned")
    elif todo:
        _remove(api, removal, todo, deadline)
    return removal


def _read(
    api: MirrorApi, removal: Removal, interface_ids: list[str], deadline: Deadline, absent: Status, unread: Status
) -> list[str]:
    """Read the session as it is now; return the interfaces that it lists and that may leave it."""
    try:
        reply = api.show_session(removal.session, deadline.sooner(CALL_SECONDS))
    except UnmirrorError as error:
        removal.settle(interface_ids, unread, error)
        return []
    listed = removal.read(reply, interface_ids, absent)
    removal.session = reply.session or removal.session
    if removal.protection.covers_name(removal.session):
        removal.settle(listed, "protected")
        return []
    return listed


def _remove(
    api: MirrorApi, removal: Removal, interface_ids: list[str], deadline: Deadline, *, repeat: bool = True
) -> None:
    """Ask once; where the answer is no proof, read the session. `repeat`: whether a lost request may be sent again."""
    try:
        deadline.require("a removal")
        reply = api.remove_sources(removal.session, interface_ids, deadline.sooner(CALL_SECONDS))
    except DeadlineExceeded as error:  # there was no time to send it
        removal.settle(interface_ids, "not_tried", error)
    except (OutcomeUnknown, BadReply, RemovalRejected) as doubt:
        removal.note(doubt.request_id)
        _prove(api, removal, interface_ids, doubt, deadline, repeat=repeat)
    except UnmirrorError as error:
        removal.settle(interface_ids, "failed", error)
    else:
        if listed := removal.read(reply, interface_ids, "detached"):
            # The answer still lists some of them: it may be an old one, so the session itself is read.
            _prove(api, removal, listed, None, deadline, repeat=False)


def _prove(
    api: MirrorApi,
    removal: Removal,
    interface_ids: list[str],
    doubt: OutcomeUnknown | BadReply | RemovalRejected | None,
    deadline: Deadline,
    *,
    repeat: bool,
) -> None:
    """Read the session to learn what the removal's answer did not tell."""
    absent: Status = "already_absent" if isinstance(doubt, RemovalRejected) else "detached"
    listed = _read(api, removal, interface_ids, deadline, absent, unread="failed")
    if isinstance(doubt, RemovalRejected) and len(interface_ids) > 1:
        for id_ in listed:  # one id that the API does not accept may have held up all the others
            _remove(api, removal, [id_], deadline, repeat=False)
    elif listed and isinstance(doubt, OutcomeUnknown) and repeat:
        # The request was most likely lost on its way: the server had closed an idle connection.
        _remove(api, removal, listed, deadline, repeat=False)
    elif listed:
        why = doubt or ApiUnavailable("the API accepted the removal and still lists the interface")
        removal.settle(listed, "failed", why)


# --- what became of an id, over all its removals ------------------------------------------------------------


class Part(NamedTuple):
    """What a batch decided of one id of a job; complete, or as far as time allowed."""

    kept: tuple[Kept, ...] = ()
    removals: tuple[Removal, ...] = ()
    """Of every session that lists the interface and may be touched."""
    gone: Gone | None = None
    lost_targets: tuple[LostTarget, ...] = ()
    failure: UnmirrorError | None = None
    """What kept a server's interfaces from being listed."""

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


def of_parts(parts: Mapping[str, Part], reporter: object, owner: object = None) -> dict[str, Any]:
    """Return the members of a report that follow from what was decided of its ids.

    What nobody has counted is counted by the owner of what several share, else by the reporter.
    """
    return {
        "detachments": tuple(_detachments(parts, reporter, owner or reporter)),
        "kept": tuple(each for id_, part in parts.items() for each in kept(id_, part)),
        "lost_targets": tuple(dict.fromkeys(each for part in parts.values() for each in part.lost_targets)),
        "gone": tuple(part.gone for part in parts.values() if part.gone),
        "failure": next((part.failure for part in parts.values() if part.failure), None),
    }


_IS_DETACHMENT = frozenset({"detached", "already_absent", "planned", "failed", "not_tried"})


def _detachments(parts: Mapping[str, Part], reporter: object, owner: object) -> Iterator[Detachment]:
    """Yield one detachment for each removal and each way in which its interfaces fared."""
    groups: dict[tuple[int, Status, int, bool], tuple[Removal, list[str]]] = {}
    for id_, part in parts.items():
        for removal in part.removals:
            if (status := removal.statuses[id_]) in _IS_DETACHMENT:
                counted_by = removal.counted_by.setdefault(id_, owner)  # atomic: several may report it at once
                way = id(removal), status, id(removal.errors.get(id_)), counted_by is not reporter
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
