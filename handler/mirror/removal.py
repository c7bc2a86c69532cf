"""Take interfaces that are confirmed gone out of one session, and prove by the API's own answers that they left."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from handler.deadline import Deadline
from handler.errors import ApiUnavailable, BadReply, DeadlineExceeded, OutcomeUnknown, RemovalRejected, UnmirrorError
from handler.mirror.plan import Protection
from handler.mirror.port import MirrorApi
from handler.model import MirrorSession, SessionReply

Status: TypeAlias = Literal["detached", "already_absent", "planned", "protected", "undecided", "failed", "not_tried"]

# For one call of a removal or a verification. A batch is as slow as its slowest call; the API's p99 is not published,
# the official SDK's own samples wait 3 s to 10 s.
CALL_SECONDS = 5.0


@dataclass(eq=False, repr=False)
class Removal:
    """What became of the interfaces that were to leave one session."""

    session: MirrorSession
    """As the last listing or answer showed it."""
    protection: Protection = field(default_factory=Protection)
    statuses: dict[str, Status] = field(default_factory=dict)
    """By interface id. `undecided`: its protection by name could not be read."""
    errors: dict[str, UnmirrorError] = field(default_factory=dict)
    """By interface id, for `failed`, `undecided` and `not_tried`."""
    before: tuple[str, ...] = ()
    """The sources that the last listing or answer before the removal showed."""
    after: tuple[str, ...] | None = None
    """The sources that the last answer showed; None when the session is gone or no answer showed it."""
    absent: set[str] = field(default_factory=set)
    """Interfaces that an answer showed absent from the session."""
    session_gone: bool = False
    request_ids: list[str] = field(default_factory=list)

    def settle(self, interface_ids: Sequence[str], status: Status, error: UnmirrorError | None = None) -> None:
        """Note what became of these interfaces."""
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

    def removable(self, reply: SessionReply, interface_ids: Sequence[str], absent: Status) -> list[str]:
        """As `read`, and note as `protected` what the session lists under a name that is protected by now."""
        listed = self.read(reply, interface_ids, absent)
        self.session = reply.session or self.session
        if self.protection.covers_name(self.session):
            self.settle(listed, "protected")
            return []
        return listed

    def note(self, request_id: str) -> None:
        """Keep the request id of a call, where its answer had one."""
        if request_id:
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
    if protection.names:
        todo = _read_protection(api, removal, todo, deadline)
    removal.before = removal.session.sources
    if dry_run:
        removal.after = tuple(id_ for id_ in removal.before if id_ not in todo)
        removal.settle(todo, "planned")
    elif todo:
        _remove(api, removal, todo, deadline)
    return removal


def _read_protection(api: MirrorApi, removal: Removal, interface_ids: list[str], deadline: Deadline) -> list[str]:
    """Read the name that the session has now; return the interfaces that may leave it."""
    try:
        reply = api.show_session(removal.session, deadline.sooner(CALL_SECONDS))
    except UnmirrorError as error:
        removal.note(error.request_id)
        removal.settle(interface_ids, "undecided", error)
        return []
    return removal.removable(reply, interface_ids, "already_absent")


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
        removal.note(error.request_id)
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
    try:
        reply = api.show_session(removal.session, deadline.sooner(CALL_SECONDS))
    except UnmirrorError as error:
        removal.note(error.request_id)
        removal.settle(interface_ids, "failed", error)
        return
    absent: Status = "already_absent" if isinstance(doubt, RemovalRejected) else "detached"
    listed = removal.removable(reply, interface_ids, absent)
    if isinstance(doubt, RemovalRejected) and len(interface_ids) > 1:
        for id_ in listed:  # one id that the API does not accept may have held up all the others
            _remove(api, removal, [id_], deadline, repeat=False)
    elif listed and isinstance(doubt, OutcomeUnknown) and repeat:
        # The request was most likely lost on its way: the server had closed an idle connection.
        _remove(api, removal, listed, deadline, repeat=False)
    elif listed:
        why = doubt or ApiUnavailable("the API accepted the removal and still lists the interface")
        removal.settle(listed, "failed", why)
