"""Every change in a project goes through one worker for each identity, which works off one batch at a time.

The only file of the use cases with threads, queues and locks. A delivery puts jobs into a worker's queue and waits no
longer than its own deadline. The worker's thread takes the waiting jobs as one batch; whoever arrives meanwhile is in
the next. That thread makes no call itself: calls run in daemon threads, and one that outlasts its time is left behind
there. So no resolver that hangs, and no answer that drips, holds up a batch beyond its time.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from math import inf
from typing import Any, Generic, NamedTuple, TypeVar

from handler.deadline import LOOK_SECONDS, Clock, Deadline, Instant
from handler.errors import DeadlineExceeded, Overloaded, UnmirrorError
from handler.mirror.detach import Batch, Memory, answer_unmirrored
from handler.mirror.jobs import Job, Rules, SweepTask, Task
from handler.mirror.port import Connect, Ended, MirrorApi, Observer, call
from handler.mirror.removal import Part
from handler.mirror.retry import Submission, work_off
from handler.mirror.snapshot import Snapshot
from handler.model import ApiCall, Presence

# Calls at a time for each worker. 32 calls of 100 ms are 320 a second, about what one process of two cores decides.
MAX_CALLS = 32
# Calls at a time for a sweep: it is in no hurry, and shares the project's rate limit with deliveries.
SWEEP_CALLS = 8
# Threads of calls that outlasted their time, for each worker; each holds a socket and about 100 KiB.
MAX_LEFT_BEHIND = 32
# After which a thread without calls ends.
IDLE_SECONDS = 10.0
# For all pages: 20,000 sessions, the quota of a project, are ten pages of at most 10 s each.
LISTING_SECONDS = 120.0
# For the calls that are under way when SIGTERM or Ctrl-C ends every deadline.
GRACE_SECONDS = 5.0
# Of one call of a sweep; the batches of deliveries make one, since the delivery itself comes again.
SWEEP_ATTEMPTS = 4
# Between the beginnings of two sweeps that servers cause in a project; all that wait meanwhile share the next.
SERVER_SWEEP_SECONDS = 5.0
# Between the end of a sweep, a check or the calls of a stop, and the end of who waits to report them.
REPORTING_SECONDS = 0.5
# Idle workers that are kept; a snapshot of 20,000 sessions takes about 30 MiB.
MAX_WORKERS = 16
R = TypeVar("R")


class WorkerConfig(NamedTuple):
    """What all workers of a process share."""

    observer: Observer
    clock: Clock = Clock()
    rules: Rules = Rules()
    jitter: Callable[[], float] = lambda: 1.0
    """Gives numbers from 0 to 1."""
    max_age: float = 300.0
    """Seconds after which a snapshot answers no delivery that came after it, and an idle worker is dropped."""


# --- calls ---------------------------------------------------------------------------------------------


class CallThreads:
    """Daemon threads in which batches and their calls run; started when needed, kept for a while."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tasks: deque[tuple[object, Callable[[], Any], Callable[[Any], None]]] = deque()
        self._idle = 0
        self._running: dict[object, Hashable] = {}
        """The keys of calls that have not come back."""
        self._left_behind: set[object] = set()

    @property
    def idle(self) -> bool:
        """Whether every call has come back."""
        return not self._running

    def run(self, key: Hashable, work: Callable[[], R], done: Callable[[R], None]) -> object:
        """Run the work in a thread, and give `done` what it returns once this call of the key has come back.

        Returns what names the call; raises Overloaded where the process can have no more threads.
        """
        with self._changed:
            if len(self._left_behind) >= MAX_LEFT_BEHIND:
                raise Overloaded("too many calls of the VPC API hang: check the network, and what resolves names")
            name = object()
            self._tasks.append((name, work, done))
            self._running[name] = key
            if self._idle >= len(self._tasks):
                self._changed.notify()
                return name
            try:
                threading.Thread(target=self._serve, name="unmirror-call", daemon=True).start()
            except RuntimeError as error:
                self._tasks.pop()
                del self._running[name]
                raise Overloaded("the process can start no more threads") from error
            return name

    def leave_behind(self, name: object) -> None:
        """Note that nobody waits for the call any more."""
        with self._changed:
            if name in self._running:
                self._left_behind.add(name)

    def is_running(self, key: Hashable) -> bool:
        """Tell whether a call of that key has not come back, awaited or left behind."""
        with self._changed:
            return key in self._running.values()

    def _serve(self) -> None:
        while (task := self._take()) is not None:
            name, work, done = task
            result = work()
            with self._changed:
                del self._running[name]
                self._left_behind.discard(name)
            done(result)

    def _take(self) -> tuple[object, Callable[[], Any], Callable[[Any], None]] | None:
        with self._changed:
            self._idle += 1
            if not self._tasks:
                self._changed.wait(IDLE_SECONDS)
            self._idle -= 1
            return self._tasks.popleft() if self._tasks else None


class ThreadedCalls:
    """The calls of one batch or sweep, side by side. Used by one thread; meets `port.Calls`."""

    def __init__(self, threads: CallThreads, deadline: Deadline, limit: int) -> None:
        self.deadline = deadline
        self._threads, self._limit = threads, limit
        self._line: deque[tuple[Hashable, Callable[[Deadline], Any], float]] = deque()
        self._running: dict[Hashable, tuple[float, object]] = {}
        """When each call's time is up, and what names it among the threads, by its key."""
        self._ended: deque[Ended] = deque()
        self._wake = threading.Event()
        self._ends = deadline.at
        self.abandoned = False
        """Whether time was up with calls under way."""

    def start(self, key: Hashable, work: Callable[[Deadline], Any], seconds: float) -> None:
        """Begin the work, or put it in line; it gets a deadline that is at most so many seconds away."""
        self._line.append((key, work, seconds))
        self._fill()

    def next(self) -> Ended | None:
        """Wait for the next call to end; None when none is left, or time is up. Raises a call's bug."""
        with self.deadline.cancellation.waking(self._wake):
            while self._running:
                self._wake.clear()
                if self._ended:
                    ended = self._ended.popleft()
                    if self._running.pop(ended.key, None) is None:
                        continue  # it came back after its time
                    if ended.bug is not None:
                        raise ended.bug
                    self._fill()
                    return ended
                now = self.deadline.clock()
                if self.deadline.cancellation.cancelled:
                    self._ends = min(self._ends, now + GRACE_SECONDS)
                    self._line.clear()
                if now >= self._ends:
                    self.abandoned = not self.deadline.cancellation.cancelled
                    self._leave_behind(*self._running)
                    return None
                key = min(self._running, key=lambda each: self._running[each][0])
                first = self._running[key][0]
                if now >= first:
                    self._leave_behind(key)
                    self._fill()
                    return Ended(key, error=DeadlineExceeded("the VPC API gave no answer in time"))
                self._wake.wait(min(self._ends - now, first - now, LOOK_SECONDS))
        return None

    def is_running(self, key: Hashable) -> bool:
        """Tell whether a call of that key, of this batch or an earlier one, has not come back yet."""
        return self._threads.is_running(key)

    def _fill(self) -> None:
        while self._line and len(self._running) < self._limit and self.deadline.remaining() > 0:
            key, work, seconds = self._line[0]
            deadline, name = self.deadline.sooner(seconds), None
            try:
                name = self._threads.run(key, partial(_do, key, work, deadline), self._end)
            except Overloaded as error:
                if self._running:  # a thread will be free
                    return
                self._ended.append(Ended(key, error=error))
            self._line.popleft()
            self._running[key] = deadline.at, name

    def _end(self, ended: Ended) -> None:
        self._ended.append(ended)
        self._wake.set()

    def _leave_behind(self, *keys: Hashable) -> None:
        for key in keys:
            self._threads.leave_behind(self._running.pop(key)[1])


def _do(key: Hashable, work: Callable[[Deadline], Any], deadline: Deadline) -> Ended:
    try:
        return Ended(key, work(deadline))
    except UnmirrorError as error:
        return Ended(key, error=error)
    except BaseException as bug:  # noqa: BLE001 - it is raised again, where the call is waited for
        return Ended(key, bug=bug)


def call_within(deadline: Deadline, what: str, work: Callable[[Deadline], R]) -> R:
    """Make one call in a thread of its own, and wait for it no longer than the deadline."""
    return call(ThreadedCalls(CallThreads(), deadline, limit=1), what, work, inf)


def earlier(deadline: Deadline) -> Deadline:
    """Return when work of several calls has to end, so that who waits for it is there to report what it did."""
    return deadline._replace(at=deadline.at - min(REPORTING_SECONDS, deadline.remaining() / 10))


# --- queues --------------------------------------------------------------------------------------------


J = TypeVar("J", bound=Task)


class Queue(Generic[J]):
    """Tasks that one thread works off, batch by batch. It is busy while there are any."""

    def __init__(
        self,
        threads: CallThreads,
        work: Callable[[list[J]], None],
        on_unhandled: Callable[[BaseException], UnmirrorError],
    ) -> None:
        """Take what works off those that wait; what it leaves unanswered waits for the next batch."""
        self._threads, self._work, self._on_unhandled = threads, work, on_unhandled
        self._lock = threading.Lock()
        self._tasks: list[J] = []
        self.idle = True
        """Whether nothing waits and nothing is worked off."""

    def add(self, task: J) -> Callable[[], None]:
        """Put a task in; return what waits for it, no longer than the task's deadline."""
        event = threading.Event()
        task.completed = event.set
        with self._lock:
            try:
                if self.idle:
                    self._threads.run(self, self._run, lambda _: None)
                self.idle = False
                self._tasks.append(task)
            except Overloaded as error:  # what the delivery has done so far is to be told all the same
                task.failure = error
        return partial(_wait, task, event)

    def waiting(self) -> list[J]:
        """Return what is not complete and has time left, the oldest first."""
        with self._lock:
            return self._left()

    def _run(self) -> None:
        while waiting := self._next():
            try:
                self._work(waiting)
            except Exception as error:  # noqa: BLE001 - the thread must live on for those that come later
                fail(waiting, error if isinstance(error, UnmirrorError) else self._on_unhandled(error))

    def _next(self) -> list[J]:
        with self._lock:
            left = self._left()
            self.idle = not left
            return left

    def _left(self) -> list[J]:
        """Drop what is answered, and answer those whose time is up: a batch for nobody would make the others wait."""
        for task in [each for each in self._tasks if not each.complete]:
            try:
                task.deadline.require("a batch of the project's worker")
            except DeadlineExceeded as late:
                task.failure = late
                task.completed()
        self._tasks = [each for each in self._tasks if not each.complete]
        return list(self._tasks)


def fail(tasks: Iterable[Task], error: UnmirrorError) -> None:
    """Answer each that is not complete with an error of its own: a traceback belongs to one thread."""
    for task in tasks:
        if not task.complete:
            task.failure = copy(error)
            task.failure.__cause__ = error
            task.completed()


def _wait(task: Task, event: threading.Event) -> None:
    deadline, ends = task.deadline, task.deadline.at
    with deadline.cancellation.waking(event):
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
        self.project_id = project_id
        self.used = config.clock.instant()
        self._connect, self._config = connect, config
        self._threads = CallThreads()
        self._snapshot: Snapshot | None = None
        self._memory = Memory()
        self._last_server_sweep: Instant | None = None
        self.jobs: Queue[Job] = Queue(self._threads, self._work_off, config.observer.on_unhandled)
        self.sweeps: Queue[SweepTask] = Queue(self._threads, self._sweep, config.observer.on_unhandled)

    @property
    def idle(self) -> bool:
        """Whether it may be dropped."""
        return self.jobs.idle and self.sweeps.idle and self._threads.idle  # a hung removal is to be known of

    def add(self, task: Task) -> Callable[[], None]:
        """Put a task into its queue; return what waits for it, no longer than its deadline."""
        if isinstance(task, SweepTask):
            return self.sweeps.add(task)
        assert isinstance(task, Job)  # noqa: S101 - there is no third kind
        # Most deletions are of interfaces that nobody mirrors. They need no batch: a snapshot that may answer them
        # does so in the delivery's own thread, which saves two changes of threads.
        snapshot = self._snapshot
        if snapshot is not None and self._may_answer(task, snapshot) and answer_unmirrored(task, snapshot):
            self._set_evidence(task, snapshot)
            return lambda: None
        return self.jobs.add(task)

    # --- batches

    def _work_off(self, waiting: list[Job]) -> None:
        ready = self._ready(waiting)
        if not ready or any(each.passed_over for each in waiting if each not in ready):
            ready = self._list(waiting, ready)
        for job in self.jobs.waiting():
            job.passed_over = job not in ready
        ready = [each for each in ready if not each.complete]
        if ready and self._snapshot is not None:
            self._run_batch(ready, self._snapshot)

    def _ready(self, jobs: Iterable[Job]) -> list[Job]:
        """Return the jobs that the kept snapshot may answer, once it is the newest of all that they bring."""
        jobs = list(jobs)
        for job in jobs:
            brought, kept = job.snapshot, self._snapshot
            if brought and (not kept or brought.listing.began.monotonic > kept.listing.began.monotonic):
                self._snapshot = brought
        snapshot = self._snapshot
        return [each for each in jobs if snapshot is not None and self._may_answer(each, snapshot)]

    def _may_answer(self, job: Job, snapshot: Snapshot) -> bool:
        return snapshot.may_answer(job.arrived, job.event_time, self._config.clock, self._config.max_age)

    def _list(self, waiting: list[Job], ready: list[Job]) -> list[Job]:
        """Take a new snapshot; return the jobs that may be worked off now. A failure fails only those that need it."""
        calls, api = self._calls(waiting)
        try:
            self._snapshot = Snapshot(call(calls, "the list of sessions", api.list_sessions, LISTING_SECONDS))
        except UnmirrorError as error:
            if calls.abandoned:
                self._config.observer.on_abandoned(self.project_id)
            fail([each for each in waiting if each not in ready], error)
            return ready
        ready = self._ready(self.jobs.waiting())
        return ready + [each for each in waiting if each not in ready]  # it began after they had arrived

    def _run_batch(self, jobs: list[Job], snapshot: Snapshot) -> None:
        for job in jobs:
            self._set_evidence(job, snapshot)
        calls, api = self._calls(jobs)
        Batch(jobs, snapshot, api, calls, self._config.rules, self._memory).work_off()
        if calls.abandoned:
            self._config.observer.on_abandoned(self.project_id)

    def _set_evidence(self, job: Job, snapshot: Snapshot) -> None:
        job.evidence = snapshot.evidence(job.arrived, self._config.clock)
        job.unreadable = snapshot.listing.unreadable

    def _calls(self, jobs: Sequence[Job]) -> tuple[ThreadedCalls, MirrorApi]:
        """Return the calls of a batch, which has as much time as the job that has most, and the API for them."""
        deadline = max((each.deadline for each in jobs), key=lambda each: each.at)
        return ThreadedCalls(self._threads, deadline, MAX_CALLS), self._connect(self._counted(jobs), 1)

    def _counted(self, tasks: Sequence[Job] | Sequence[SweepTask]) -> Callable[[ApiCall], None]:
        """Return what hears of the calls that are made for these tasks together."""
        traces = [each.trace for each in tasks if each.trace is not None]
        made: list[str] = []
        for task in tasks:
            task.calls.append(made)

        def on_call(call: ApiCall) -> None:
            made.append(call.operation)
            self._config.observer.on_call(call, traces)

        return on_call

    # --- sweeps

    def _sweep(self, waiting: list[SweepTask]) -> None:
        """Sweep once for all that wait; who comes later waits for the next."""
        from handler.mirror.sweep import Sweep  # a function that starts for a deletion needs none

        config = self._config
        if all(each.by == "server" for each in waiting) and self._last_server_sweep is not None:
            config.clock.sleep(max(0.0, SERVER_SWEEP_SECONDS - config.clock.age(self._last_server_sweep)))
            waiting = self.sweeps.waiting()
        if not waiting:
            return
        if any(each.by == "server" for each in waiting):
            self._last_server_sweep = config.clock.instant()
        deadline = earlier(max((each.deadline for each in waiting), key=lambda each: each.at))
        sweep = Sweep(
            self._connect(self._counted(waiting), SWEEP_ATTEMPTS),
            lambda: ThreadedCalls(self._threads, deadline, SWEEP_CALLS),
            partial(self._remove, waiting, deadline),
            deadline=deadline,
            clock=config.clock,
            rules=config.rules,
            arrived=min(each.arrived for each in waiting),
            progress=waiting[0].progress,
        )
        try:
            swept = sweep.run()
        except UnmirrorError as error:
            fail(waiting, error)
            return
        for task in waiting:
            task.swept = swept
            task.completed()

    def _remove(
        self, tasks: Sequence[SweepTask], deadline: Deadline, snapshot: Snapshot, gone: Mapping[str, Presence]
    ) -> dict[str, Part]:
        """Let the worker remove what a sweep found gone, so many at a time that deliveries are not kept waiting."""
        for id_, presence in gone.items():
            self._memory.gone.put(id_, presence)
        found = Submission(self.jobs.add, list(gone), partial(Job, "interfaces", snapshot=snapshot))
        work_off(
            [found],
            arrived=snapshot.listing.began.monotonic,
            deadline=deadline,
            clock=self._config.clock,
            jitter=self._config.jitter,
            trace=tasks[0].trace,
        )
        for task in tasks:
            task.calls += found.calls
        return found.parts


class Workers:
    """The workers of a process, by project and identity. Idle ones are dropped, busy ones never."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._workers: OrderedDict[tuple[str, Hashable], Worker] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, project_id: str, identity: Hashable, connect: Connect, task: Task) -> Callable[[], None]:
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
        clock, config = self._config.clock, self._config
        idle = [key for key, worker in self._workers.items() if worker.idle]
        old = [key for key in idle if clock.age(self._workers[key].used) > config.max_age]
        too_many = idle[:-1][: max(0, len(self._workers) - MAX_WORKERS)]  # not the one that was used just now
        for key in {*old, *too_many}:
            del self._workers[key]
