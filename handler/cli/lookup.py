"""What the cloud knows of ids: whether interfaces exist, and what an id is that is none."""

from collections.abc import Collection, Iterable
from functools import partial
from typing import Literal, TypeAlias

from handler.cli.output import Progress
from handler.deadline import Deadline
from handler.errors import UnmirrorError
from handler.mirror.port import MirrorApi, call, concurrent_map
from handler.mirror.worker import CallThreads, ThreadedCalls
from handler.model import MirrorSession

# At a time; a batch of the function makes up to 32, and may be under way beside this.
MAX_CALLS = 8
# For one call with all its attempts, as in a sweep.
CALL_SECONDS = 60.0

Existence: TypeAlias = Literal["exists", "absent", "undecided"]

# What an id is. `gone` is said of a source alone: an id that was never an interface's is absent just the same.
State: TypeAlias = Literal["exists", "gone", "session", "target", "unknown", "undecided"]


def look_up(
    api: MirrorApi, interface_ids: Collection[str], deadline: Deadline, progress: Progress = lambda *_: None
) -> dict[str, Existence]:
    """Return what the API says of each interface: by list first, then by id of those that the list does not show.

    Raises the list's error, and DeadlineExceeded; an interface that alone cannot be asked for is undecided.
    """
    calls = ThreadedCalls(CallThreads(), deadline, MAX_CALLS)
    work = partial(api.list_interfaces, interface_ids)
    listed = call(calls, "the list of interfaces", work, CALL_SECONDS) if interface_ids else frozenset()
    found: dict[str, Existence] = dict.fromkeys(listed, "exists")
    missing = sorted(each for each in interface_ids if each not in listed)
    for done, (id_, answer) in enumerate(concurrent_map(calls, api.find_interface, missing, CALL_SECONDS), 1):
        found[id_] = "undecided" if isinstance(answer, UnmirrorError) else "exists" if answer.exists else "absent"
        progress("verifying those that no list shows", done, len(missing))
    if len(found) < len(interface_ids):
        deadline.require("asking for every interface")
    return found


def state_of(id_: str, answers: Collection[Existence], sessions: Collection[MirrorSession]) -> State:
    """Return what an id is, by what each project's API says of it as an interface, and by the projects' sessions."""
    if any(id_ == session.id.lower() for session in sessions):
        return "session"
    if "exists" in answers:
        return "exists"
    if "undecided" in answers:
        return "undecided"
    if any(session.type == "eni" and id_ in session.sources for session in sessions):
        return "gone"
    return "target" if any(id_ == session.target_id for session in sessions) else "unknown"


def explain_state(id_: str, state: State, sessions: Collection[MirrorSession]) -> str:
    """Return what an id is, in words, with the sessions that it is about."""
    targeting = _names(session for session in sessions if session.target_id == id_)
    mirroring = _names(session for session in sessions if id_ in session.sources)
    match state:
        case "session":
            names = _names(session for session in sessions if session.id.lower() == id_)
            return f"no interface is known by this id; it is the id of session {names}"
        case "target":
            return f"no interface is known by this id any more; it is the target of session {targeting}"
        case "gone":
            return f"the interface is gone; it is a source of session {mirroring}"
        case "exists" if mirroring:
            return f"the interface exists, so it stays in session {mirroring}"
        case "exists" if targeting:
            return f"the interface exists; it is no source, but the target of session {targeting}"
        case "exists":
            return "the interface exists, and no session lists it"
        case "undecided":
            return "the API did not say whether this interface exists"
        case _:
            return "no interface, session or target is known by this id"


def _names(sessions: Iterable[MirrorSession]) -> str:
    return ", ".join(sorted(f"{session.name} ({session.id})" for session in sessions))
