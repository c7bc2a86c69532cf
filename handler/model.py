"""The values that every part shares. Frozen, and free of any I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Literal, TypeAlias

from handler.errors import DeadlineExceeded, Interrupted

# --- what the cloud says ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MirrorSession:
    """A traffic mirror session, in the API's own field names, less the `traffic_mirror_` prefix.

    Source: https://support.huaweicloud.com/intl/en-us/api-vpc/ListTrafficMirrorSessions.html
    """

    id: str
    name: str
    sources: tuple[str, ...]
    """Ids of what is mirrored: interfaces where `type` is `eni`, elastic IPs where it is `eip`."""
    target_id: str = ""
    target_type: str = "eni"
    type: str = "eni"
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Listing:
    """All sessions of a project, every page of them."""

    sessions: tuple[MirrorSession, ...]
    taken_at: datetime
    """The cloud's clock, UTC: nothing in the listing is older than this."""
    began: float
    """Our monotonic clock, seconds, before the first page was asked for."""
    request_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Presence:
    """What the VPC API says of one interface id."""

    exists: bool
    """False only after a 404 of the VPC API itself, asked for that id."""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class SessionReply:
    """A session as an answer showed it, or that it is gone."""

    session: MirrorSession | None
    """None: the VPC API says that there is no such session."""
    request_id: str = ""


# --- what a delivery says ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
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
    """What was done, as our own table of operations has it: `VPC deletePort`; None for what is no trace of one."""


@dataclass(frozen=True, slots=True)
class InterfacesDeleted:
    """Interfaces are said to be deleted. A hint: the VPC API decides."""

    origin: Origin
    interface_ids: tuple[str, ...]
    """Distinct, in the order of the event, at least one."""


@dataclass(frozen=True, slots=True)
class SweepDue:
    """Look at every source of the project: a timer, or an event that names no interface."""

    origin: Origin
    reason: str


@dataclass(frozen=True, slots=True)
class TargetDeleted:
    """A load balancer that may be the target of sessions is said to be deleted."""

    origin: Origin
    target_id: str


@dataclass(frozen=True, slots=True)
class NothingForUs:
    """A well-formed event that asks for nothing: `ignored`, or `not_yet` for a request that is under way."""

    origin: Origin
    outcome: Literal["ignored", "not_yet"]
    reason: str
    """In words, one line, without values of the payload beyond the names of operations."""


Event: TypeAlias = InterfacesDeleted | SweepDue | TargetDeleted | NothingForUs


# --- time --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deadline:
    """The one budget of time of a delivery. Everything that waits is given what is left of it."""

    at: float
    """On the same monotonic clock as `clock`, seconds. Finite: whoever has no deadline takes a day."""
    clock: Callable[[], float]

    @classmethod
    def within(cls, seconds: float, clock: Callable[[], float]) -> Deadline:
        """Return the deadline `seconds` from now."""
        return cls(clock() + seconds, clock)

    def remaining(self) -> float:
        """Return the seconds left, never negative."""
        return max(0.0, self.at - self.clock())

    def require(self, what: str) -> float:
        """Return the seconds left; raise DeadlineExceeded, naming what was not started, when none are.

        Where the clock says that time has come to its end, it is Interrupted that is raised.
        """
        left = self.remaining()
        if left <= 0:
            if self.clock() == inf:
                raise Interrupted(f"interrupted before {what}")
            raise DeadlineExceeded(f"no time left for: {what}")
        return left
