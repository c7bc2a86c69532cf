"""What the cloud knows of ids: whether interfaces exist, and what an id is that is none."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

from handler.calls import Calls
from handler.cli.output import Progress
from handler.cli.reports import warn_of_no_session
from handler.deadline import Deadline
from handler.errors import UnmirrorError
from handler.mirror.port import MirrorApi
from handler.mirror.sweep import CALL_SECONDS
from handler.model import Listing, MirrorSession
from handler.service import Service
from handler.settings import Settings
from handler.vpc.client import VpcApi

# At a time; a batch of the function makes up to 32, and may be under way beside this.
MAX_CALLS = 8
# At each call, as many as botocore makes by default, and one for the person who waits.
ATTEMPTS = 4

Existence: TypeAlias = Literal["exists", "absent", "undecided"]


class Identity(NamedTuple):
    """What an id is, in the members of `schemas/cli/sessions.json`."""

    id: str
    state: Literal["exists", "gone", "session", "target", "unknown", "undecided"]
    """`gone` is said of a source alone: an id that was never an interface's is absent just the same."""
    mirrored_by: list[str]
    """Ids of sessions."""
    target_of: list[str]


def project_apis(service: Service) -> list[VpcApi]:
    """Return the API of each configured project, in the order of their ids, for somebody who waits."""
    return [service.client.api(each, attempts=ATTEMPTS) for each in sorted(service.settings.projects)]


def list_sessions(api: MirrorApi, settings: Settings, deadline: Deadline) -> Listing:
    """Return all sessions of a project; where there is none, ask on stderr whether it is the right project."""
    listing = Calls(deadline).call("the list of sessions", api.list_sessions)
    if not (listing.sessions or listing.unreadable):
        warn_of_no_session(settings, api.project_id)
    return listing


def look_up(
    api: MirrorApi, interface_ids: Collection[str], deadline: Deadline, progress: Progress = lambda *_: None
) -> dict[str, Existence]:
    """Return what the API says of each interface: by list first, then by id of those that the list does not show.

    Raises the list's error, and DeadlineExceeded; an interface that alone cannot be asked for is undecided.
    """
    if not interface_ids:
        return {}
    listed = Calls(deadline).call("the list of interfaces", partial(api.list_interfaces, interface_ids))
    found: dict[str, Existence] = dict.fromkeys(listed, "exists")
    missing = sorted({*interface_ids} - listed)
    for done, (id_, answer) in enumerate(Calls(deadline, MAX_CALLS).map(api.find_interface, missing, CALL_SECONDS), 1):
        found[id_] = "undecided" if isinstance(answer, UnmirrorError) else "exists" if answer.exists else "absent"
        progress("verifying those that no list shows", done, len(missing))
    if len(found) < len(interface_ids):
        deadline.require("asking for every interface")
    return found


def identify(id_: str, answers: Collection[Existence], sessions: Collection[MirrorSession]) -> tuple[Identity, str]:
    """Return what an id is, and the same in words that name the sessions.

    By what each project's API says of it as an interface, and by the sessions of all projects.
    """
    called = [each for each in sessions if each.id.lower() == id_]
    mirrored_by = [each for each in sessions if id_ in each.sources]
    target_of = [each for each in sessions if each.target_id == id_]
    exists, was_source = "exists" in answers, any(each.type == "eni" for each in mirrored_by)
    states: tuple[tuple[object, Any, str, Sequence[MirrorSession]], ...] = (  # the first that holds
        (called, "session", "no interface is known by this id; it is the id of session", called),
        (exists and mirrored_by, "exists", "the interface exists, so it stays in session", mirrored_by),
        (exists and target_of, "exists", "the interface exists; it is no source, but the target of session", target_of),
        (exists, "exists", "the interface exists, and no session lists it", ()),
        ("undecided" in answers, "undecided", "the API did not say whether this interface exists", ()),
        (was_source, "gone", "the interface is gone; it is a source of session", mirrored_by),
        (target_of, "target", "no interface is known by this id any more; it is the target of session", target_of),
        (True, "unknown", "no interface, session or target is known by this id", ()),
    )
    state, words, about = next(rest for holds, *rest in states if holds)
    names = ", ".join(sorted(f"{each.name} ({each.id})" for each in about))
    identity = Identity(id_, state, [each.id for each in mirrored_by], [each.id for each in target_of])
    return identity, f"{words} {names}".rstrip()
