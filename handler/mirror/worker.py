"""Every change in a project goes through one worker for each identity, which works off one batch at a time.

The only file of the use cases with queues and locks; the threads are those of `handler.calls`. A delivery puts jobs
into a worker's queue and waits no longer than its own deadline. The worker's thread takes the waiting jobs as one
batch; whoever arrives meanwhile is in the next. That thread makes no call itself.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from handler.calls import GRACE_SECONDS, Call, Calls, CallThreads
from handler.deadline import LOOK_SECONDS, Clock, Deadline, Instant
from handler.errors import DeadlineExceeded, Overloaded, UnmirrorError
from handler.mirror.detach import Batch, Memory, answer_unmirrored
from handler.mirror.jobs import REPORTING_SECONDS, Delivery, Job, SweepTask, Task
from handler.mirror.port import Connect, MirrorApi, Observer
from handler.mirror.removal import Part
from handler.mirror.retry import Submission, work_off
from handler.mirror.rules import Rules
from handler.mirror.snapshot import Snapshot
from handler.model import ApiCall, Presence

# Calls at a time for each worker. 32 calls of 100 ms are 320 a second, about what one process of two cores decides.
MAX_CALLS = 32
# Calls at a time for a sweep: it is in no hurry, and shares the project's rate limit with deliveries.
SWEEP_CALLS = 8
# For all pages: 20,000 sessions, the quota of a project, are ten pages of at most 10 s each.
LISTING_SECONDS = 120.0
# Of one call of a sweep; the batches of deliveries make one, since the delivery itself comes again.
SWEEP_ATTEMPTS = 4
# Between the beginnings of two sweeps that servers cause in a project; all that wait meanwhile share the next.
SERVER_SWEEP_SECONDS = 5.0
# Idle workers that are kept; a snapshot of 20,000 sessions takes about 30 MiB.
MAX_WORKERS = 16


class WorkerConfig(NamedTuple):
    """What all workers of a process share."""

    observer: Observer
    clock: Clock = Clock()
    rules: Rules = Rules()
    jitter: Callable[[], float] = lambda: 1.0
    """Gives numbers from 0 to 1."""
    max_age: float = 300.0
    """Seconds after which a snapshot answers no delivery that came after it, and an idle worker is dropped."""


def latest(tasks: Iterable[Task]) -> Deadline:
    """Return the deadline of the task that has most time."""
    return max((each.delivery.deadline for each in tasks), key=lambda each: each.at)


def earlier(deadline: Deadline) -> Deadline:
    """Return when work of several calls has to end, so that who waits for it is there to report what it did."""
    return deadline._replace(at=deadline.at - min(REPORTING_SECONDS, deadline.remaining() / 10))


# --- queues --------------------------------------------------------------------------------------------


J = TypeVar("J", bound=Task)


class Queue(Generic[J]):
    """Tasks that one thread works off, batch by batch. It is busy while there are any."""

    def __init__(self, threads: CallThreads, work: Callable[[list[J]], None], observer: Observer) -> None:
        """Take what works off those that wait; what it leaves unanswered waits for the next batch."""
        self._threads, self._work, self._observer = threads, work, observer
        self._lock = threading.Lock()
        self._tasks: list[J] = []
        self._idle = True
        """Whether nothing waits and nothing is worked off."""

    def add(self, task: J) -> Callable[[], None]:
        """Put a task in; return what waits for it, no longer than the task's deadline."""
        event = threading.Event()
        task.on_complete = event.set
        with self._lock:
            try:
                if self._idle:
                    self._threads.run(Call(self, self._run, lambda _: None))
                self._idle = False
                self._tasks.append(task)
            except Overloaded as error:  # what the delivery has done so far is to be told all the same
                task.fail(error)
        return partial(_wait, task, event)

    def _run(self) -> None:
        while waiting := self._waiting():
            try:
                self._work(waiting)
            except Exception as error:  # noqa: BLE001 - the thread must live on for those that come later
                failure = error if isinstance(error, UnmirrorError) else self._observer.on_unhandled(error)
                for task in waiting:
                    task.fail(failure)

    def _waiting(self) -> list[J]:
        """Return what waits, the oldest first. Those whose time is up are answered: a batch for nobody costs others."""
        with self._lock:
            for task in self._tasks:
                try:
                    task.delivery.deadline.require("a batch of the project's worker")
                except DeadlineExceeded as late:
                    task.fail(late)
            self._tasks = [each for each in self._tasks if not each.complete]
            self._idle = not self._tasks
            return list(self._tasks)


def _wait(task: Task, event: threading.Event) -> None:
    deadline = task.delivery.deadline
    ends = deadline.at
    while not task.complete:
        now = deadline.clock()
        if deadline.cancellation.cancelled:
            ends = min(ends, now + GRACE_SECONDS + REPORTING_SECONDS)
        if now >= ends:
            return
        event.wait(min(ends - now, LOOK_SECONDS))
        event.clear()


# --- workers -------------------------------------------------------------------------------------------


class Worker:
    """The changes of one project by one identity: its snapshot, its memory, its queue of jobs and of sweeps."""

    def __init__(self, project_id: str, connect: Connect, config: WorkerConfig) -> None:
        self.used = config.clock.instant()
        self._project_id, self._connect, self._config = project_id, connect, config
        self.threads = CallThreads()
        """Idle when nothing waits, nothing is worked off, and no call hangs: a hung removal is to be known of."""
        self._snapshot: Snapshot | None = None
        self._memory = Memory()
        self._last_server_sweep: Instant | None = None
        self._jobs: Queue[Job] = Queue(self.threads, self._work_off, config.observer)
        self._sweeps: Queue[SweepTask] = Queue(self.threads, self._sweep, config.observer)

    def add(self, task: Job | SweepTask) -> Callable[[], None]:
        """Put a task into its queue; return what waits for it, no longer than its deadline."""
        if isinstance(task, SweepTask):
            return self._sweeps.add(task)
        # Most deletions are of interfaces that nobody mirrors. They need no batch: a snapshot that may answer them
        # does so in the delivery's own thread, which saves two changes of threads.
        snapshot, memory = self._snapshot, self._memory
        if snapshot is not None and self._may_answer(task, snapshot) and answer_unmirrored(task, snapshot, memory):
            task.rest_on(snapshot, self._config.clock)
            return lambda: None
        return self._jobs.add(task)

    # --- batches

    def _work_off(self, waiting: list[Job]) -> None:
        """Work off the jobs that the kept snapshot may answer.

        Where these are none, or another job has already waited one batch, only list the sessions, for the next batch.
        """
        kept = self._snapshot
        known = [each for each in (kept, *(job.snapshot for job in waiting)) if each is not None]
        self._snapshot = snapshot = max(known, key=lambda each: each.listing.began.monotonic, default=None)
        if snapshot is not None and kept is not None and snapshot is not kept:
            snapshot.take_over(kept)
        ready, others = list[Job](), list[Job]()
        for job in waiting:
            may_answer = snapshot is not None and self._may_answer(job, snapshot)
            (ready if may_answer else others).append(job)
        if snapshot is None or not ready or any(each.passed_over for each in others):
            calls, api = self._calls(waiting), self._api(waiting, attempts=1)
            try:
                self._snapshot = Snapshot(calls.call("the list of sessions", api.list_sessions, LISTING_SECONDS))
            except UnmirrorError as error:
                for job in others:
                    job.fail(error)
            return
        for job in others:
            job.passed_over = True
        for job in ready:
            job.rest_on(snapshot, self._config.clock)
        calls, api = self._calls(ready), self._api(ready, attempts=1)
        Batch(ready, snapshot, api, calls, self._config.rules, self._memory).work_off()

    def _may_answer(self, job: Job, snapshot: Snapshot) -> bool:
        existed = any(self._memory.existed.get(id_) for id_ in job.ids)
        event_time = None if existed else job.event_time
        return snapshot.may_answer(job.delivery.arrived, event_time, self._config.clock, self._config.max_age)

    def _calls(self, jobs: Sequence[Job]) -> Calls:
        on_abandoned = partial(self._config.observer.on_abandoned, self._project_id)
        return Calls(earlier(latest(jobs)), MAX_CALLS, self.threads, on_abandoned)

    def _api(self, tasks: Sequence[Job] | Sequence[SweepTask], attempts: int) -> MirrorApi:
        """Return the API for calls that are made for these tasks together."""
        traces = [each.delivery.trace for each in tasks if each.delivery.trace is not None]
        made: list[str] = []
        for task in tasks:
            task.calls.append(made)

        def on_call(call: ApiCall) -> None:
            made.append(call.operation)
            self._config.observer.on_call(call, traces)

        return self._connect(on_call=on_call, attempts=attempts)

    # --- sweeps

    def _sweep(self, waiting: list[SweepTask]) -> None:
        """Sweep once for all that wait; who comes later waits for the next."""
        from handler.mirror.sweep import Sweep  # a function that starts for a deletion needs none

        config, last = self._config, self._last_server_sweep
        if last is not None and all(each.by == "server" for each in waiting):
            self._last_server_sweep = None
            config.clock.sleep(max(0.0, SERVER_SWEEP_SECONDS - config.clock.age(last)))
            return  # who has come meanwhile takes part
        if any(each.by == "server" for each in waiting):
            self._last_server_sweep = config.clock.instant()
        deadline = earlier(latest(waiting))
        swept = Sweep(
            self._api(waiting, SWEEP_ATTEMPTS),
            lambda: Calls(deadline, SWEEP_CALLS, self.threads),
            partial(self._remove, waiting, deadline),
            deadline=deadline,
            rules=config.rules,
            progress=waiting[0].delivery.progress or (lambda *_: None),
        ).run()
        for task in waiting:
            task.rest_on(swept.snapshot, config.clock)
            task.swept = swept
            task.end()

    def _remove(
        self, tasks: Sequence[SweepTask], deadline: Deadline, snapshot: Snapshot, gone: Mapping[str, Presence]
    ) -> dict[str, Part]:
        """Let the worker remove what a sweep found gone, so many at a time that deliveries are not kept waiting."""
        for id_, presence in gone.items():
            self._memory.gone.put(id_, presence)
        found = Submission(self._jobs.add, list(gone), partial(Job, "interfaces", snapshot=snapshot))
        delivery = Delivery(snapshot.listing.began.monotonic, deadline, tasks[0].delivery.trace)
        work_off([found], delivery, self._config.clock, self._config.jitter)
        for task in tasks:
            task.calls += [calls for job in found.jobs for calls in job.calls]
        return found.parts


class Workers:
    """The workers of a process, by project and identity. Idle ones are dropped, busy ones never."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._workers: OrderedDict[tuple[str, Hashable], Worker] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, project_id: str, identity: Hashable, connect: Connect, task: Job | SweepTask) -> Callable[[], None]:
        """Put a task into the queue of its worker; return what waits for it, no longer than the task's deadline.

        `connect` returns the API for a new worker. What one identity was told is never used for another's.
        """
        with self._lock:
            worker = self._workers.get((project_id, identity))
            if worker is None:
                worker = self._workers[project_id, identity] = Worker(project_id, connect, self._config)
            worker.used = self._config.clock.instant()
            self._workers.move_to_end((project_id, identity))
            wait = worker.add(task)
            self._drop_idle()
            return wait

    def _drop_idle(self) -> None:
        *others, _ = self._workers.items()  # the last is the one that was used just now
        for key, worker in others:
            is_old = self._config.clock.age(worker.used) > self._config.max_age
            if worker.threads.idle and (is_old or len(self._workers) > MAX_WORKERS):
                del self._workers[key]
