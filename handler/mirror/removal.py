"""Take interfaces that are confirmed gone out of one session, and prove by the API's own answers that they left."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Literal, NamedTuple, Self, TypeAlias

from handler.deadline import Deadline
from handler.errors import (
    ApiRefused,
    ApiThrottled,
    ApiUnavailable,
    BadReply,
    DeadlineExceeded,
    OutcomeUnknown,
    RemovalRejected,
    StillExists,
    UnmirrorError,
)
from handler.mirror.port import MirrorApi
from handler.mirror.rules import Rules
from handler.model import Detachment, Gone, Kept, LostTarget, MirrorSession, SessionName, SessionReply

Status: TypeAlias = Literal["detached", "already_absent", "planned", "protected", "undecided", "failed", "not_tried"]

# For one call of a removal or a verification. A batch is as slow as its slowest call; the API's p99 is not published,
# the official SDK's own samples wait 3 s to 10 s.
CALL_SECONDS = 5.0


class Removal:
    """The interfaces that are to leave one session, and what became of each."""

    def __init__(self, api: MirrorApi, session: MirrorSession, rules: Rules, asked: Iterable[str] = ()) -> None:
        """Take the session as the last listing showed it, and what an earlier removal has asked to leave it."""
        self._api, self._rules = api, rules
        self.session = session
        """As the last answer showed it."""
        self.asked = {*asked}
        """Interfaces of which the API was asked that they leave, and has not refused it."""
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

    def run(self, interface_ids: Sequence[str], deadline: Deadline) -> Self:
        """Take the interfaces out of the session, and prove it; return itself. Raises nothing that the API answers.

        The caller has confirmed that each is gone, and starts no second removal on the session before this one ended.
        """
        todo = list(interface_ids)
        if self._rules.protected_names:  # the session's name may have changed since the listing
            todo = self._read(todo, deadline, unread="undecided")
        self.before = self.session.sources
        if self._rules.dry_run:
            self.after = tuple(id_ for id_ in self.before if id_ not in todo)
            self.settle(todo, "planned")
        elif todo:
            self._remove(todo, deadline)
        return self

    def so_far(self, interface_ids: Sequence[str], status: Status, error: UnmirrorError) -> Self:
        """Return a copy in which what is not settled has that status: the removal itself may be under way."""
        statuses = dict(self.statuses)  # first: what they rest on is then as new at least
        twin = copy(self)
        twin.statuses, twin.errors, twin.request_ids = statuses, dict(self.errors), list(self.request_ids)
        twin.asked = set(self.asked)
        twin.settle([id_ for id_ in interface_ids if id_ not in statuses], status, error)
        return twin

    def proved(self, id_: str, session: MirrorSession | None) -> Self:
        """Return a copy that says of an interface that failed what a listing shows: the session without it, or gone."""
        twin = copy(self)
        twin.statuses, twin.errors, twin.counted_by = {id_: "detached" if session else "already_absent"}, {}, {}
        twin.session, twin.after = session or self.session, session.sources if session else None
        return twin

    def settle(self, interface_ids: Sequence[str], status: Status, error: UnmirrorError | None = None) -> None:
        """Note what became of these interfaces."""
        if error is not None:
            self._note(error.request_id)
        for id_ in interface_ids:
            if error is not None:  # before the status, which may be copied at any moment
                self.errors[id_] = error
            self.statuses[id_] = status

    def _note(self, request_id: str) -> None:
        if request_id and request_id not in self.request_ids:
            self.request_ids.append(request_id)

    def _remove(self, interface_ids: list[str], deadline: Deadline, *, repeat: bool = True) -> None:
        """Ask once; where the answer is no proof, read the session. `repeat`: a lost request may be sent again."""
        before = self.asked.copy()
        self.asked.update(interface_ids)
        try:
            deadline.require("a removal")
            reply = self._api.remove_sources(self.session, interface_ids, deadline.sooner(CALL_SECONDS))
        except (OutcomeUnknown, BadReply) as doubt:
            self._note(doubt.request_id)
            self._prove(interface_ids, doubt, deadline, repeat=repeat and isinstance(doubt, OutcomeUnknown))
        except UnmirrorError as error:
            if isinstance(error, ApiRefused | ApiThrottled | DeadlineExceeded):  # any other may have done it
                self.asked = before
            if isinstance(error, RemovalRejected):
                self._note(error.request_id)
                self._prove(interface_ids, error, deadline, repeat=len(interface_ids) > 1)
            else:  # out of time it was not sent
                self.settle(interface_ids, "not_tried" if isinstance(error, DeadlineExceeded) else "failed", error)
        else:
            if listed := self._take(reply, interface_ids):  # perhaps it is an old one, so the session itself is read
                ignored = ApiUnavailable("the API accepted the removal and still lists the interface")
                self._prove(listed, ignored, deadline, repeat=False)

    def _prove(self, interface_ids: list[str], doubt: UnmirrorError, deadline: Deadline, *, repeat: bool) -> None:
        """Read the session to learn what the removal's answer did not tell."""
        listed = self._read(interface_ids, deadline, unread="failed")
        if not repeat:
            self.settle(listed, "failed", doubt)
        elif isinstance(doubt, RemovalRejected):
            for id_ in listed:  # one id that the API does not accept may have held up all the others
                if self._is_protected:
                    self.settle([id_], "protected")
                else:
                    self._remove([id_], deadline, repeat=False)
        elif listed:  # most likely the request was lost on its way: the server had closed an idle connection
            self._remove(listed, deadline, repeat=False)

    def _read(self, interface_ids: list[str], deadline: Deadline, unread: Status) -> list[str]:
        """Read the session as it is now; return the interfaces that it lists and that may leave it."""
        try:
            reply = self._api.show_session(self.session, deadline.sooner(CALL_SECONDS))
        except UnmirrorError as error:
            self.settle(interface_ids, unread, error)
            return []
        listed = self._take(reply, interface_ids)
        if not self._is_protected:
            return listed
        self.settle(listed, "protected")
        return []

    def _take(self, reply: SessionReply, interface_ids: Sequence[str]) -> list[str]:
        """Note what an answer shows of the session; return those of the interfaces that it lists."""
        self._note(reply.request_id)
        if reply.session is None:
            self.session_gone, self.after = True, None
            self.settle(interface_ids, "already_absent")
            return []
        # Where the answer to a removal shows no name, the last one is as good as any.
        self.session = reply.session._replace(name=reply.session.name or self.session.name)
        self.after = reply.session.sources
        for id_ in interface_ids:
            if id_ not in self.after:
                self.absent.add(id_)
                self.settle([id_], "detached" if id_ in self.asked else "already_absent")
        return [id_ for id_ in interface_ids if id_ in self.after]

    @property
    def _is_protected(self) -> bool:
        return self._rules.protects_name(self.session)


# --- what became of an id, over all its removals ------------------------------------------------------------


class Part(NamedTuple):
    """What a batch decided of one id of a job; complete, or as far as time allowed."""

    kept: tuple[Kept, ...] = ()
    removals: tuple[Removal, ...] = ()
    """Of every session that lists the interface and may be touched, and those that are proved only now."""
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


def still_exists(id_: str, sessions: Iterable[MirrorSession], request_id: str = "") -> Kept:
    """Return that the interface is kept, since the API still shows it."""
    error = StillExists("said to be deleted, but the VPC API still shows it")
    return Kept(id_, "still_exists", tuple(map(name, sessions)), request_id, error)


def lost_targets(sessions: Iterable[MirrorSession], *, confirmed: bool) -> tuple[LostTarget, ...]:
    """Return that the target of these sessions is gone; `confirmed`: the VPC API said so, and not an event alone."""
    return tuple(LostTarget(each.id, each.name, each.target_id, confirmed) for each in sessions)


def merged(id_: str, earlier: Part | None, later: Part) -> Part:
    """Return what two batches decided of one id: what the earlier one removed stays, the rest was tried again."""
    if earlier is None:
        return later
    done = [each for each in earlier.removals if each.statuses[id_] in ("detached", "already_absent")]
    if done:
        later = later._replace(kept=tuple(each for each in later.kept if each.reason != "not_mirrored"))
    return later._replace(removals=(*done, *later.removals), gone=later.gone or earlier.gone)


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
