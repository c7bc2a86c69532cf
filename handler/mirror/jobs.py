"""What waits in the queues of a worker, and what comes back of it."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Any, Literal, NamedTuple

from handler.deadline import Clock, Deadline
from handler.errors import UnmirrorError
from handler.mirror.removal import Part
from handler.mirror.snapshot import Snapshot
from handler.model import Kept, SnapshotEvidence, SweepFigures, UnreadableSession

OUT_OF_TIME = (
    "out of time; for all of it run `unmirror sweep --deadline 900`, or give the function a longer time-out and "
    "UNMIRROR_DEADLINE"
)

# Between the end of a batch, a sweep, a check or the calls of a stop, and the end of who waits to report them.
REPORTING_SECONDS = 0.5

Stage = Literal["list", "look_up", "verify", "remove"]
# Hears the stage, how much of it is done and how much there is: interfaces, in `remove` sources.
Progress = Callable[[Stage, int, int], None]


class Delivery(NamedTuple):
    """What all that one delivery asks for shares."""

    arrived: float
    """Monotonic seconds."""
    deadline: Deadline
    trace: Any = None
    """Where it stands in a distributed trace."""
    key: Any = None
    """The access key that came with it; None where the function finds its own."""
    progress: Progress | None = None


class Task:
    """What waits in a queue of a worker, and what comes back of it."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.complete = False
        """Whether nothing more will be decided."""
        self.on_complete: Callable[[], None] = lambda: None
        self.failure: UnmirrorError | None = None
        """What kept the task as a whole from being worked on."""
        self.calls: list[list[str]] = []
        """The calls of each listing, batch or sweep that it took part in; others took part, too."""
        self.evidence: SnapshotEvidence | None = None
        self.unreadable: tuple[UnreadableSession, ...] = ()

    def end(self) -> None:
        """Note that all is decided."""
        self.complete = True
        self.on_complete()

    def fail(self, error: UnmirrorError) -> None:
        """End a task that is not complete with an error of its own: a traceback belongs to one thread."""
        if not self.complete:
            self.failure = copy(error)
            self.failure.__cause__ = error
            self.end()

    def rest_on(self, snapshot: Snapshot, clock: Clock) -> None:
        """Note the snapshot by which it is decided now."""
        self.evidence = snapshot.evidence(self.delivery.arrived, clock)
        self.unreadable = snapshot.listing.unreadable


class Job(Task):
    """Ids that one delivery or sweep hands to a worker. Its parts are filled one by one."""

    def __init__(
        self,
        kind: Literal["interfaces", "servers", "target"],
        ids: Sequence[str],
        delivery: Delivery,
        *,
        event_time: datetime | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        """Take distinct ids in lower case: of interfaces, of servers, or of one load balancer.

        A sweep brings its own snapshot, which the worker keeps if it is newer than its own.
        """
        super().__init__(delivery)
        self.kind, self.ids, self.event_time, self.snapshot = kind, ids, event_time, snapshot
        self.parts: dict[str, Part] = {}
        self.unfinished: dict[str, Part] = {}
        """What has been removed of ids that other sessions still list."""
        self.passed_over = False
        """Whether a batch has gone by that could not answer it."""


class Swept(NamedTuple):
    """What a sweep saw and did."""

    figures: SweepFigures
    snapshot: Snapshot
    counted_by: dict[str, object]
    """Who counts the `sweep`: the first of the tasks that share it whose report tells it."""
    parts: Mapping[str, Part]
    """By id what was decided of the gone interfaces."""
    undecided: tuple[Kept, ...]
    failure: UnmirrorError | None
    """Why it is not complete."""
    unlisted: Mapping[str, Sequence[Kept]]
    """By server the interfaces of it that no list shows and that exist all the same."""


class SweepTask(Task):
    """A sweep that a delivery asks for. One that has not begun serves all who wait for it."""

    def __init__(self, by: Literal["timer", "server"], delivery: Delivery) -> None:
        super().__init__(delivery)
        self.by = by
        self.swept: Swept | None = None
