"""The values that every layer shares. Frozen, and free of any I/O."""

from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from handler.deadline import Instant
from handler.errors import BadEvent, UnmirrorError

# --- what the cloud says ---------------------------------------------------------------------------


class MirrorSession(NamedTuple):
    """A traffic mirror session, in the API's own field names less the `traffic_mirror_` prefix.

    Source: https://support.huaweicloud.com/intl/en-us/api-vpc/ListTrafficMirrorSessions.html
    """

    id: str
    """As the session lists it; compare it in lower case."""
    name: str
    sources: tuple[str, ...]
    """Distinct ids in lower case: of interfaces where `type` is `eni`, of elastic IPs where it is `eip`."""
    target_id: str = ""
    """In lower case."""
    target_type: str = "eni"
    type: str = "eni"
    enabled: bool = True
    spellings: tuple[str, ...] = ()
    """The sources as the session lists them, where it spells one in other letters than lower case; else empty."""

    def spelled(self, interface_id: str) -> tuple[str, ...]:
        """Return every spelling in which the session lists the source."""
        return tuple(each for each in self.spellings if each.lower() == interface_id) or (interface_id,)


class UnreadableSession(NamedTuple):
    """A session that the API listed in a form that cannot be read. It may list any interface."""

    session_id: str
    """Empty where that is what cannot be read."""
    reason: str
    """What is wrong with it, without a value."""


class Listing(NamedTuple):
    """All sessions of a project, every page of them."""

    sessions: tuple[MirrorSession, ...]
    taken_at: datetime
    """A moment of the cloud's clock, UTC, that is surely not after the listing began."""
    began: Instant
    """Our own clocks before the first page was asked for."""
    request_ids: tuple[str, ...] = ()
    unreadable: tuple[UnreadableSession, ...] = ()


class Presence(NamedTuple):
    """What the VPC API says of one interface id."""

    exists: bool
    """False only after a 404 of the VPC API itself, asked for that id."""
    request_id: str = ""
    device_id: str = ""
    """Of the server that has it, in lower case; empty where the answer shows none."""


class SessionReply(NamedTuple):
    """A session as an answer showed it, or that it is gone."""

    session: MirrorSession | None
    """None: the VPC API says that there is no such session."""
    request_id: str = ""


# The calls of the VPC API that are made; `next_sessions` is `list_sessions` with a marker.
Operation: TypeAlias = Literal[
    "list_sessions", "next_sessions", "show_session", "remove_sources", "find_interface", "list_interfaces"
]


class ApiCall(NamedTuple):
    """One HTTP call of the VPC API that has ended, for metrics and traces."""

    operation: Operation
    status: int
    """0 when there was no answer."""
    request_id: str
    seconds: float
    ended_at: datetime
    """UTC."""


# --- what a delivery says ----------------------------------------------------------------------------


class EventMetadata(NamedTuple):
    """Where an event comes from and when; the same for every kind of event."""

    id: str
    """Names the event however often it is delivered: a trace id, a CloudEvent id."""
    envelope: str
    """The innermost envelope that held it, by its schema's name: `cts`, `cloudevent`."""
    project_id: str | None = None
    region: str | None = None
    time: datetime | None = None
    """When the cloud recorded it, UTC; None when the event does not say."""
    actor: str | None = None
    """Who did it, as far as the event says."""
    operation: str | None = None
    """What was done, as the table of operations has it: `VPC deletePort`; None for what is no trace of one."""


class InterfacesDeleted(NamedTuple):
    """Interfaces are said to be deleted. A hint: the VPC API decides."""

    metadata: EventMetadata
    interface_ids: tuple[str, ...]
    """Distinct, in lower case, in the order of the event, at least one."""


class ServersDeleted(NamedTuple):
    """Servers are said to be deleted, and with them interfaces that the event does not name."""

    metadata: EventMetadata
    server_ids: tuple[str, ...]
    """Distinct, in lower case, at least one."""


class TargetDeleted(NamedTuple):
    """A load balancer that may be the target of sessions is said to be deleted."""

    metadata: EventMetadata
    target_id: str
    """In lower case."""


class SweepRequested(NamedTuple):
    """Look at every source of the project: a timer, or an event that names neither interface nor server."""

    metadata: EventMetadata
    reason: str
    by: Literal["timer", "server"] = "timer"
    """What asked: a timer or a person, or the deletion of a server or an interface that is not named."""


class CheckRequested(NamedTuple):
    """Try every read with the function's own credentials, and change nothing."""

    metadata: EventMetadata


class Ignored(NamedTuple):
    """A well-formed event that asks for nothing now."""

    metadata: EventMetadata
    reason: str
    """In words, one line, without values of the payload beyond the names of operations."""
    pending: bool = False
    """Whether it tells of a request that is not yet completed; its result follows in another event."""


class Unreadable(NamedTuple):
    """One of several parts of a delivery that cannot be read: a 400 of its own."""

    metadata: EventMetadata
    error: BadEvent


Event: TypeAlias = (
    InterfacesDeleted | ServersDeleted | TargetDeleted | SweepRequested | CheckRequested | Ignored | Unreadable
)


# --- what is told of a delivery -------------------------------------------------------------------------

# What led to a detachment: an event that names the interface, one that names its server, or a sweep on its own.
By: TypeAlias = Literal["event", "server", "timer"]


class Detachment(NamedTuple):
    """Interfaces that left one session together, or were to."""

    session_id: str
    session_name: str
    interface_ids: tuple[str, ...]
    status: Literal["detached", "already_absent", "planned", "failed", "not_tried"]
    """`already_absent`: the session, or the interface in it, was gone before the call. A success.
    `not_tried`: no call, as time was up, somebody said stop, an earlier one hangs, or there was no thread."""
    request_ids: tuple[str, ...] = ()
    sources_before: tuple[str, ...] | None = None
    sources_after: tuple[str, ...] | None = None
    """As the API's own answer showed it; None when the session itself is gone or no answer showed it."""
    error: UnmirrorError | None = None
    coalesced: bool = False
    """Whether another delivery has told it before, and counts it: this one tells it too."""


class SessionName(NamedTuple):
    """A session as people find it again: names are not unique."""

    session_id: str
    session_name: str


class Kept(NamedTuple):
    """An interface that was not detached, and why."""

    interface_id: str
    reason: Literal["not_mirrored", "still_exists", "undecided", "protected"]
    sessions: tuple[SessionName, ...] = ()
    """Those that keep it."""
    request_id: str = ""
    """Of the answer that decided it."""
    error: UnmirrorError | None = None


class Gone(NamedTuple):
    """An interface that the VPC API confirmed gone, and the request id of the answer that did."""

    interface_id: str
    request_id: str


class LostTarget(NamedTuple):
    """A session whose target is gone, or is said to be: then it mirrors to nowhere until it is given another."""

    session_id: str
    session_name: str
    target_id: str
    confirmed: bool
    """Whether the VPC API confirmed it; False for a load balancer, of which an event alone tells."""


class SnapshotEvidence(NamedTuple):
    """The snapshot that a decision rests on, as a proof of what was and was not mirrored."""

    time: datetime
    """A moment of the cloud's clock, UTC, that nothing in the snapshot is older than."""
    request_ids: tuple[str, ...]
    """Of the pages of sessions."""
    age: float
    """Seconds since the listing began, when it was decided upon."""
    predates_delivery: bool
    """Whether the listing began before the delivery arrived: for another, or for an earlier one."""


class Cause(NamedTuple):
    """The event that led to detachments, as far as it says. Its texts are short and printable."""

    operation: str | None
    actor: str | None
    time: datetime | None
    seconds: float | None
    """From the deletion until all was detached; None for a sweep, which finds what was deleted at any time."""


class SweepFigures(NamedTuple):
    """What a sweep saw and did, counted."""

    sessions: int
    """All of the project that can be read, of any source type."""
    sources: int
    """Distinct interfaces that are a source of a session."""
    listed: int
    """Sources that the list of interfaces showed: they exist."""
    unlisted: int
    """Sources that the list does not show and that exist all the same: it shows less than there is."""
    gone: int
    """Sources that the API confirmed gone."""
    undecided: int
    """Sources of which nothing could be learned: all others are listed, unlisted or gone."""
    protected: int
    """Gone sources that a protected session keeps; `kept` names them."""
    detached: int
    """Distinct interfaces that left a session by this sweep."""
    would_detach: int
    """The same of a dry run, and of what `stop` kept from being done."""
    places_freed: int
    """Places in sessions: an interface may have had several."""
    would_free: int
    emptied: tuple[str, ...]
    """Ids of enabled sessions that this sweep left, or a dry run would leave, mirroring nothing."""
    complete: bool
    """Whether everything was looked at and decided."""
    stop: Literal["limit", "blind"] | None
    """The safety limit that kept it from changing anything."""


class CheckStep(NamedTuple):
    """One thing that a check tried."""

    step: str
    status: Literal["ok", "warning", "failed", "skipped"]
    detail: str
    """What was found, one line."""
    fix: str = ""
    """What to do, where something is to be done."""
    request_id: str = ""
