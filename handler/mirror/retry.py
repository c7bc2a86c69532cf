"""The delivery's side of a worker: hand ids in, wait, and hand in again those that may fare better a moment later."""

from collections.abc import Callable, Iterable, Sequence
from math import inf

from handler.deadline import Clock, longest_backoff
from handler.errors import ApiThrottled, DeadlineExceeded, StillExists, UnmirrorError
from handler.mirror.detach import LATE
from handler.mirror.jobs import REPORTING_SECONDS, Delivery, Job
from handler.mirror.removal import Part, merged
from handler.model import Kept

# Ids of one delivery or sweep that are in a queue at once; the next go in when these are answered. One batch of so
# many takes about a second at 100 ms a call, which is what another delivery may have to wait for it.
MAX_QUEUED = 200
# Before each further verification of an interface that is said to be deleted and still exists. A deletion and the
# API's view of it are not one moment; bounded, because a forged event must not hold a thread for long.
STILL_EXISTS_SECONDS = (0.25, 0.75, 1.5)
MAX_ATTEMPTS = len(STILL_EXISTS_SECONDS) + 1


class Submission:
    """The ids of one event on their way through a worker, attempt by attempt."""

    def __init__(self, add: Callable[[Job], Callable[[], None]], ids: Sequence[str], job: Callable[..., Job]) -> None:
        """Take what puts a job into the worker's queue and returns what waits for it, and what makes a job of ids."""
        self.add, self.ids, self.job = add, ids, job
        self.parts: dict[str, Part] = {}
        self.jobs: list[Job] = []
        """All that it was handed in as, whose answers the parts merge."""


def work_off(submissions: Sequence[Submission], delivery: Delivery, clock: Clock, jitter: Callable[[], float]) -> None:
    """Fill the parts of all submissions of a delivery, within its deadline.

    `jitter` gives numbers from 0 to 1. The delivery's thread makes no call: it waits, and pauses between its attempts.
    """
    waiting = [_Waiting(each, id_, delivery.arrived) for each in submissions for id_ in each.ids]
    now = clock.monotonic()
    while waiting:
        todo = [each for each in waiting if each.due <= now]
        for start in range(0, len(todo), MAX_QUEUED):
            _attempt(todo[start : start + MAX_QUEUED], delivery)
        now, share = clock.monotonic(), jitter()
        for each in todo:
            each.schedule(now, share)
        left = delivery.deadline.remaining() - REPORTING_SECONDS
        waiting = [each for each in waiting if each.due - now < left]
        if waiting:
            soonest = min(each.due for each in waiting)
            clock.sleep(max(0.0, soonest - now))
            now = max(soonest, clock.monotonic())


class _Waiting:
    """An id on its way through a worker, attempt by attempt."""

    def __init__(self, submission: Submission, id_: str, arrived: float) -> None:
        self.submission, self.id, self.arrived = submission, id_, arrived
        self.due = -inf
        """When it is to be handed in, monotonic seconds; `inf` where that is not to be."""
        self._attempts, self._existed = 0, False

    def schedule(self, now: float, share: float) -> None:
        """Set when it is due again, by what it was answered; `share`: of the longest backoff, from 0 to 1."""
        part = self.submission.parts[self.id]
        errors = part.errors(self.id)
        self.due = now + _pause(self._attempts, errors, share)
        self._attempts += 1
        if any(isinstance(each, StillExists) for each in errors):
            self._existed = True
        elif self._existed and not errors and (part.gone or part.kept):  # of servers a sweep finds what is left
            # It may have joined another session before it went: only what is listed from now on shows that.
            undecided = Kept(self.id, "undecided", error=DeadlineExceeded(LATE))
            self.submission.parts[self.id] = part._replace(kept=(*part.kept, undecided))
            self.arrived, self.due, self._existed = now, now, False


def decided(job: Job) -> dict[str, Part]:
    """Return a part for each id of a job; what is not decided by now is undecided."""
    late = DeadlineExceeded(LATE)
    parts, unfinished = dict(job.parts), dict(job.unfinished)
    for id_ in [each for each in job.ids if each not in parts]:
        part = unfinished.get(id_) or Part()
        if job.failure is not None or job.kind != "interfaces":
            parts[id_] = part._replace(failure=job.failure or late)
        else:
            parts[id_] = part._replace(kept=(*part.kept, Kept(id_, "undecided", error=late)))
    return parts


def _attempt(todo: Iterable[_Waiting], delivery: Delivery) -> None:
    """Hand in the ids, and wait for all of them: one job for each submission and moment of arrival."""
    groups: dict[tuple[Submission, float], list[str]] = {}
    for each in todo:
        groups.setdefault((each.submission, each.arrived), []).append(each.id)
    waits = []
    for (submission, at), ids in groups.items():
        job = submission.job(ids=ids, delivery=delivery._replace(arrived=at))
        waits.append((submission, job, submission.add(job)))
    for submission, job, wait in waits:
        wait()
        submission.jobs.append(job)
        for id_, part in decided(job).items():
            submission.parts[id_] = merged(id_, submission.parts.get(id_), part)


def _pause(attempt: int, errors: Sequence[UnmirrorError], share: float) -> float:
    """Return the seconds before the next attempt, the longest that any of the errors asks for; inf for none at all.

    `share`: of the longest backoff, from 0 to 1.
    """
    passing = [error for error in errors if error.transient or isinstance(error, StillExists)]
    if not passing or attempt + 1 >= MAX_ATTEMPTS:
        return inf
    if any(isinstance(error, ApiThrottled) for error in passing):
        share = (1 + share) / 2  # gateways count in windows of a second: by the last attempt this one is over
    backoff = share * longest_backoff(attempt)
    of_living = STILL_EXISTS_SECONDS[attempt]
    return max(of_living if isinstance(each, StillExists) else each.retry_after or backoff for each in passing)
