"""What waits in the queues of a worker and what comes back of it, and the rules by which it is worked off."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Literal, NamedTuple

from handler.deadline import Deadline
from handler.errors import UnmirrorError
from handler.mirror.plan import Protection
from handler.mirror.removal import Part
from handler.mirror.snapshot import Snapshot
from handler.model import Presence, SnapshotEvidence, UnreadableSession


class Rules(NamedTuple):
    """What the operator decided about removals."""

    protection: Protection = Protection()
    dry_run: bool = False
    sweep_limit: Callable[[int, int], bool] = lambda leaving, sources: True
    """Whether one sweep may let so many of so many sources leave."""


class Task:
    """What waits in a queue of a worker, and what comes back of it."""

    def __init__(self, arrived: float, deadline: Deadline, trace: object = None) -> None:
        """Take when the delivery arrived, monotonic seconds, and where it stands in a distributed trace."""
        self.arrived, self.deadline, self.trace = arrived, deadline, trace
        self.completed: Callable[[], None] = lambda: None
        """Called once the task is complete."""
        self.failure: UnmirrorError | None = None
        """What kept the task as a whole from being worked on."""
        self.calls: list[list[str]] = []
        """The calls of each listing, batch or sweep that it took part in; others took part, too."""

    @property
    def complete(self) -> bool:
        """Whether nothing more will be decided."""
        return self.failure is not None


class Job(Task):
    """Ids that one delivery or sweep hands to a worker. Its parts are filled one by one."""

    def __init__(
        self,
        kind: Literal["interfaces", "servers", "target"],
        ids: Sequence[str],
        *,
        arrived: float,
        deadline: Deadline,
        trace: object = None,
        event_time: datetime | None = None,
        snapshot: Snapshot | None = None,
        gone: Mapping[str, Presence] = MappingProxyType({}),
    ) -> None:
        """Take distinct ids in lower case: of interfaces, of servers, or of one load balancer.

        A sweep brings its own snapshot, which the worker keeps if it is newer than its own, and what is gone.
        """
        super().__init__(arrived, deadline, trace)
        self.kind, self.ids, self.event_time, self.snapshot, self.gone = kind, ids, event_time, snapshot, gone
        self.parts: dict[str, Part] = {}
        self.unfinished: dict[str, Part] = {}
        """What has been removed of ids that other sessions still list."""
        self.evidence: SnapshotEvidence | None = None
        self.unreadable: tuple[UnreadableSession, ...] = ()
        self.passed_over = False
        """Whether a batch has gone by that could not answer it."""

    @property
    def complete(self) -> bool:
        """Whether nothing more will be decided."""
        return self.failure is not None or len(self.parts) == len(self.ids)
