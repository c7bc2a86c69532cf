"""A worker works off one batch at a time, shares what its jobs have in common, and is held up by no call that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest

from handler.calls import MAX_LEFT_BEHIND, Call, Calls, CallThreads
from handler.deadline import Cancellation, Clock, Deadline
from handler.errors import (
    ApiThrottled,
    ApiUnavailable,
    DeadlineExceeded,
    Interrupted,
    Overloaded,
    RemovalRejected,
    UnmirrorError,
)
from handler.mirror import worker as worker_module
from handler.mirror.jobs import Delivery, Job, SweepTask
from handler.mirror.removal import of_parts
from handler.mirror.retry import decided
from handler.mirror.rules import Rules
from handler.mirror.worker import (
    MAX_WORKERS,
    REPORTING_SECONDS,
    SERVER_SWEEP_SECONDS,
    WorkerConfig,
    Workers,
)
from handler.report import Report
from tests.support.clock import RealClock
from tests.support.cloud import PROJECT, FakeCloud
from tests.support.observer import RecordingObserver

CATCHES_A_HANG = 30.0
"""Seconds; no test waits for it unless something is broken."""
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Gate:
    """A call that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, *_: object) -> None:
        self.reached.set()
        assert self.opened.wait(CATCHES_A_HANG)

    def wait(self) -> None:
        """Wait until the call has begun."""
        assert self.reached.wait(CATCHES_A_HANG)


NewGate: TypeAlias = Callable[[], Gate]


class Desk:
    """Workers on a fake cloud, with real threads and real time."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud, self.observer, self.cancellation = cloud, RecordingObserver(), Cancellation()
        self.clock = cloud.clock.clock
        self.workers = Workers(WorkerConfig(self.observer, self.clock, Rules(), max_age=300.0))
        self.waits: dict[Job | SweepTask, Callable[[], None]] = {}

    def job(
        self, *ids: str, seconds: float = CATCHES_A_HANG, identity: str = "own", trace: object = None, **more: Any
    ) -> Job:
        """Put a job into the queue."""
        job = Job(kind="interfaces", ids=ids, delivery=self._delivery(seconds, trace), **more)
        self.waits[job] = self.workers.add(PROJECT, identity, self.cloud.connect(), job)
        return job

    def sweep(self) -> SweepTask:
        task = SweepTask("timer", self._delivery(CATCHES_A_HANG))
        self.waits[task] = self.workers.add(PROJECT, "own", self.cloud.connect(), task)
        return task

    @contextmanager
    def held(self, operation: str, *ids: str, **more: Any) -> Iterator[Any]:
        """Put in a job, or a sweep, and hold its call of an operation while the block runs."""
        gate = Gate()
        self.cloud.then(operation, gate)
        task = self.job(*ids, **more) if ids else self.sweep()
        try:
            gate.wait()
            yield task
        finally:
            gate.opened.set()

    def report(self, job: Job) -> Report:
        self.waits[job]()
        report = Report("d", "e", **of_parts(decided(job), job))
        assert self.observer.bugs == []
        return report

    def _delivery(self, seconds: float, trace: object = None) -> Delivery:
        now = self.clock.monotonic()
        return Delivery(now, Deadline(now + seconds, self.clock.monotonic, self.cancellation), trace)


@pytest.fixture
def gate() -> Iterator[NewGate]:
    made: list[Gate] = []

    def make() -> Gate:
        made.append(Gate())
        return made[-1]

    yield make
    for each in made:
        each.opened.set()


@pytest.fixture
def desk() -> Desk:
    cloud = FakeCloud(RealClock())
    cloud.add("s", ["a", "b", "c", "d"], gone=["a", "b", "c"])
    return Desk(cloud)


class TestBatches:
    def test_who_arrives_during_a_batch_is_in_the_next_and_shares_it(self, desk: Desk) -> None:
        with desk.held("remove_sources", "a") as first:
            jobs = [first, desk.job("b"), desk.job("c"), desk.job("c")]
        assert {desk.report(job).outcome for job in jobs} == {"detached"}
        assert [about[1:] for about in desk.cloud.asked("remove_sources")] == [("a",), ("b", "c")]
        assert len(desk.cloud.asked("list_sessions")) == 2, "one for each batch, as no event has a time"
        assert sorted(desk.cloud.asked("find_interface")) == [("a",), ("b",), ("c",)]

    def test_a_kept_snapshot_answers_for_what_was_deleted_before_it(self, desk: Desk) -> None:
        desk.report(desk.job("a"))
        assert desk.report(desk.job("b", event_time=LONG_AGO)).outcome == "detached"
        assert len(desk.cloud.asked("list_sessions")) == 1

    def test_a_snapshot_that_is_older_than_a_living_interface_answers_for_its_deletion_no_more(
        self, desk: Desk
    ) -> None:
        """However early an event says that it was deleted: it may have joined another session since."""
        desk.cloud.add("t", ["e"])
        assert desk.report(desk.job("e", event_time=LONG_AGO)).outcome == "still_exists"
        desk.cloud.watch("s", "e")
        desk.cloud.delete("e")
        assert desk.report(desk.job("e", event_time=LONG_AGO)).outcome == "detached"
        assert "e" not in str(desk.cloud.sources())

    def test_calls_of_a_batch_run_side_by_side_but_not_without_end(self, desk: Desk) -> None:
        ids = [f"x{n}" for n in range(150)]
        desk.cloud.add("many", ids, gone=ids)
        barrier = threading.Barrier(worker_module.MAX_CALLS)
        desk.cloud.then("find_interface", *[lambda: barrier.wait(CATCHES_A_HANG)] * worker_module.MAX_CALLS)
        assert desk.report(desk.job(*ids)).outcome == "detached"
        assert desk.cloud.most_in_flight == worker_module.MAX_CALLS

    def test_a_listing_that_fails_fails_only_the_jobs_that_need_it(self, desk: Desk) -> None:
        desk.report(desk.job("a"))
        with desk.held("find_interface", "b", event_time=LONG_AGO) as busy:
            desk.cloud.then("list_sessions", ApiUnavailable("away"))
            needs, served = desk.job("c"), desk.job("c", event_time=LONG_AGO)
        assert [desk.report(job).outcome for job in (busy, served, needs)] == ["detached", "detached", "failed"]
        assert isinstance(needs.failure, ApiUnavailable)

    def test_a_bug_fails_the_batch_and_no_later_one(self, desk: Desk) -> None:
        desk.cloud.then("find_interface", lambda: 1 / 0)
        job = desk.job("a")
        desk.waits[job]()
        assert type(job.failure) is UnmirrorError
        assert [type(bug) for bug in desk.observer.bugs] == [ZeroDivisionError]
        desk.observer.bugs.clear()
        assert desk.report(desk.job("a")).outcome == "detached"

    def test_errors_are_copied_for_each_job(self, desk: Desk) -> None:
        error = ApiUnavailable("away", request_id="r")
        with desk.held("list_sessions", "a") as first:
            desk.cloud.then("list_sessions", error)
            others = [desk.job("b"), desk.job("c")]
        desk.report(first)
        failures = [desk.report(job) and job.failure for job in others]
        assert [(str(each), each and each.request_id) for each in failures] == [("away", "r")] * 2
        assert len({id(each) for each in (*failures, error)}) == 3

    def test_calls_are_told_with_the_traces_of_all_their_jobs(self, desk: Desk) -> None:
        with desk.held("list_sessions", "a", trace="one") as first:
            jobs = [first, desk.job("b", trace="two"), desk.job("b", trace="three")]
        assert {desk.report(job).outcome for job in jobs} == {"detached"}
        operations = ["list_sessions", "find_interface", "remove_sources"]
        told = [(call.operation, *traces) for call, traces in desk.observer.calls]
        assert told == [*((name, "one") for name in operations), *((name, "two", "three") for name in operations)]
        assert [sum(map(len, job.calls)) for job in jobs] == [3, 3, 3]


def test_a_call_is_over_before_its_result_is_told() -> None:
    """Else the next batch could take the removal that this one has just ended for one that never came back."""
    threads, told, running = CallThreads(), threading.Event(), list[bool]()

    def done(_: None) -> None:
        running.append(threads.is_running("call"))
        told.set()

    threads.run(Call("call", lambda: None, done))
    assert told.wait(CATCHES_A_HANG)
    assert running == [False]


class TestHungCalls:
    def test_who_is_decided_is_answered_while_another_call_of_the_batch_hangs(
        self, desk: Desk, gate: Callable[[], Gate]
    ) -> None:
        before = gate()
        desk.cloud.then("remove_sources", before)
        desk.job("b")
        assert before.reached.wait(CATCHES_A_HANG)
        desk.cloud.then("find_interface", gate())
        slow, quick = desk.job("a"), desk.job("d")
        before.opened.set()
        assert desk.report(quick).outcome == "still_exists"
        assert not slow.complete

    def test_a_batch_without_time_left_is_abandoned_and_the_next_begins(self, desk: Desk, gate: NewGate) -> None:
        desk.cloud.then("find_interface", gate())
        assert isinstance(desk.report(desk.job("a", seconds=1.0)).error, DeadlineExceeded)
        assert desk.report(desk.job("b")).outcome == "detached"
        assert desk.observer.abandoned == [PROJECT]

    def test_what_was_removed_before_time_was_up_is_told(self, desk: Desk, gate: NewGate) -> None:
        desk.cloud.add("t", ["a"], gone=["a"])
        desk.cloud.then("remove_sources", lambda: None, gate())
        report = desk.report(desk.job("a", seconds=1.0))
        assert [each.status for each in report.detachments][:1] == ["detached"]
        assert (report.outcome, report.status) == ("partial", 503)

    def test_a_removal_that_hangs_lets_no_other_into_its_session(self, desk: Desk, gate: NewGate) -> None:
        hung = gate()
        desk.cloud.then("remove_sources", hung)
        assert desk.report(desk.job("a", seconds=1.0)).status == 503
        assert [each.status for each in desk.report(desk.job("b")).detachments] == ["not_tried"]
        hung.opened.set()
        for _ in range(1000):
            if (report := desk.report(desk.job("b"))).outcome == "detached":
                break
        assert report.outcome == "detached"

    def test_one_call_that_hangs_leaves_its_own_id_undecided(
        self, desk: Desk, gate: NewGate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("handler.mirror.detach.CALL_SECONDS", 0.2)
        desk.cloud.add("t", ["e"], gone=["e"])
        desk.cloud.failing("find_interface", "nobody", ApiUnavailable(""))
        desk.cloud.then("find_interface", gate())
        report = desk.report(desk.job("a", "e"))
        assert (report.outcome, [each.reason for each in report.kept]) == ("partial", ["undecided"])
        assert desk.observer.abandoned == [], "the batch went on without it"

    def test_what_a_removal_that_was_left_behind_does_is_told_by_who_finds_it_done(
        self, desk: Desk, gate: NewGate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("handler.mirror.detach.REMOVAL_SECONDS", 0.3)
        hung = gate()
        desk.cloud.then("remove_sources", RemovalRejected("not together"), lambda: None, hung)
        first = desk.report(desk.job("a", "b"))
        hung.opened.set()
        while desk.cloud.in_flight:
            pass
        second = desk.report(desk.job("a", "b", event_time=LONG_AGO))
        told = [(each.interface_ids, each.status) for each in (*first.detachments, *second.detachments)]
        assert told == [(("a",), "detached"), (("b",), "failed"), (("b",), "detached")]

    def test_a_removal_that_ran_out_of_time_before_it_asked_claims_nothing(
        self, desk: Desk, gate: NewGate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("handler.mirror.detach.REMOVAL_SECONDS", 0.2)
        desk.workers = Workers(WorkerConfig(desk.observer, desk.clock, Rules(("keep-*",))))
        desk.cloud.then("show_session", gate())
        first = desk.report(desk.job("a"))
        desk.cloud.unwatch("s", "a")
        second = desk.report(desk.job("a"))
        assert [each.status for each in first.detachments] == ["failed"]
        assert (second.outcome, desk.cloud.asked("remove_sources")) == ("nothing_to_do", [])

    def test_with_too_many_hung_calls_nothing_more_begins(self, desk: Desk, gate: NewGate) -> None:
        ids = [f"x{n}" for n in range(MAX_LEFT_BEHIND)]
        desk.cloud.add("many", ids, gone=ids)
        desk.cloud.then("find_interface", *[gate() for _ in ids])
        desk.report(desk.job(*ids, seconds=0.5))
        assert isinstance(desk.report(desk.job("a")).error, Overloaded)

    def test_a_call_that_comes_back_says_nothing_of_another_that_hangs(self, gate: NewGate) -> None:
        threads, deadline = CallThreads(), Deadline.within(CATCHES_A_HANG, Clock().monotonic)
        for number in range(MAX_LEFT_BEHIND):
            hung = Call("call", gate(), lambda _: None)
            threads.run(hung)
            hung.left_behind = True
            if number < MAX_LEFT_BEHIND - 1:
                assert Calls(deadline, threads=threads).call("call", lambda _: "back") == "back"
        with pytest.raises(Overloaded):
            threads.run(Call("call", lambda: None, lambda _: None))

    def test_a_call_for_which_there_is_no_thread_waits_for_one_of_its_batch(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads, begun = CallThreads(), list[Call]()
        run = CallThreads.run

        def scarce(self: CallThreads, call: Call) -> None:
            begun.append(call)
            if len(begun) == 2:
                raise Overloaded("the process can start no more threads")
            run(self, call)

        monkeypatch.setattr(CallThreads, "run", scarce)
        calls = Calls(Deadline.within(CATCHES_A_HANG, Clock().monotonic), 4, threads)
        ended = dict(calls.map(lambda item, _: item, ["a", "b", "c"]))
        assert ended == {"a": "a", "b": "b", "c": "c"}

    def test_a_removal_for_which_there_is_no_thread_is_not_tried(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = CallThreads.run

        def scarce(self: CallThreads, call: Call) -> None:
            if call.key == ("remove", "s"):
                raise Overloaded("the process can start no more threads")
            run(self, call)

        with monkeypatch.context() as patched:
            patched.setattr(CallThreads, "run", scarce)
            first = desk.report(desk.job("a"))
        desk.cloud.unwatch("s", "a")
        second = desk.report(desk.job("a", event_time=LONG_AGO))
        told = [each.status for each in (*first.detachments, *second.detachments)]
        assert told == ["not_tried", "already_absent"], "somebody else removed it"

    def test_a_call_that_is_out_of_time_ends_alone(self, gate: NewGate) -> None:
        calls, other = Calls(Deadline.within(CATCHES_A_HANG, Clock().monotonic), 2), gate()
        calls.start("hung", gate(), 0.05)
        calls.start("other", other, CATCHES_A_HANG)
        first = calls.next()
        other.opened.set()
        second = calls.next()
        assert first is not None
        assert second is not None
        assert (first.key, type(first.error), second.key, second.error) == ("hung", DeadlineExceeded, "other", None)

    def test_a_single_call_that_hangs_is_given_up_at_the_deadline(self, gate: NewGate) -> None:
        deadline = Deadline.within(0.05, Clock().monotonic)
        with pytest.raises(DeadlineExceeded):
            Calls(deadline).call("a check", lambda _: gate()())


class TestStop:
    def test_no_call_begins_and_those_under_way_are_awaited(self, desk: Desk) -> None:
        with desk.held("find_interface", "a") as job:
            desk.cancellation.cancel()
        assert [each.status for each in desk.report(job).detachments] == ["not_tried"]
        assert desk.cloud.asked("remove_sources") == []

    def test_what_arrives_after_it_is_interrupted(self, desk: Desk) -> None:
        desk.cancellation.cancel()
        assert isinstance(desk.report(desk.job("a")).error, Interrupted)
        assert desk.cloud.calls == []


class TestWhoseWorker:
    def test_what_one_identity_was_told_is_never_used_for_another(self, desk: Desk) -> None:
        desk.report(desk.job("a", "b"))
        desk.cloud.calls.clear()
        desk.cloud.watch("s", "a")
        assert desk.report(desk.job("a", identity="another")).outcome == "detached"
        assert [call.operation for call in desk.cloud.calls] == ["list_sessions", "find_interface", "remove_sources"]

    def test_an_idle_worker_is_dropped_with_its_snapshot(self) -> None:
        cloud = FakeCloud()
        cloud.add("s", ["a"], gone=["a"])
        workers = Workers(WorkerConfig(RecordingObserver(), cloud.clock.clock, max_age=300.0))
        deadline = cloud.clock.deadline(1e6)

        def deliver(identity: str) -> None:
            now = cloud.clock.monotonic()
            job = Job(kind="interfaces", ids=("x",), delivery=Delivery(now, deadline), event_time=LONG_AGO)
            workers.add(PROJECT, identity, cloud.connect(), job)()
            while not all(each.threads.idle for each in workers._workers.values()):
                pass

        deliver("own")
        deliver("own")
        assert len(cloud.asked("list_sessions")) == 1
        for number in range(MAX_WORKERS):
            deliver(f"key {number}")
        deliver("own")
        assert len(cloud.asked("list_sessions")) == 1 + MAX_WORKERS + 1
        cloud.clock.freeze(301)
        deliver("another")
        assert len(workers._workers) == 1

    def test_a_busy_one_is_never_dropped_however_many_there_are(self, desk: Desk, gate: NewGate) -> None:
        gates = [gate() for _ in range(MAX_WORKERS + 1)]
        desk.cloud.then("list_sessions", *gates)
        for number in range(MAX_WORKERS):
            desk.job("a", identity=f"key {number}")
        first = desk.job("a", identity="one more")
        for each in gates:
            each.wait()
        second = desk.job("b", identity="one more")
        for each in gates:
            each.opened.set()
        assert {desk.report(first).status, desk.report(second).status} == {200}
        assert len(desk.workers._workers) == MAX_WORKERS + 1

    def test_one_whose_removal_hangs_is_kept_and_begins_no_other_on_the_session(
        self, desk: Desk, gate: NewGate
    ) -> None:
        desk.cloud.then("remove_sources", gate())
        assert desk.report(desk.job("a", seconds=0.5)).status == 503
        desk.cloud.clock.freeze(301)
        desk.job("z", identity="another")
        report = desk.report(desk.job("b"))
        assert report.status == 503
        assert [each.status for each in report.detachments] == ["not_tried"]


class TestSweeps:
    def test_a_sweep_not_yet_begun_serves_all_who_wait_and_one_under_way_nobody(self, desk: Desk) -> None:
        with desk.held("list_sessions") as first:
            tasks = [first, desk.sweep(), desk.sweep()]
        for task in tasks:
            desk.waits[task]()
        assert len(desk.cloud.asked("list_sessions")) == 2
        assert tasks[0].swept is not None
        assert tasks[0].swept.figures.detached == 3
        assert tasks[1].swept is tasks[2].swept

    def test_the_worker_keeps_the_sweeps_listing(self, desk: Desk) -> None:
        task = desk.sweep()
        desk.waits[task]()
        assert desk.report(desk.job("d", event_time=LONG_AGO)).outcome == "still_exists"
        assert len(desk.cloud.asked("list_sessions")) == 1

    def test_what_events_removed_while_it_looked_does_not_come_back_with_its_listing(self, desk: Desk) -> None:
        desk.report(desk.job("d"))
        with desk.held("list_interfaces") as task:
            assert desk.report(desk.job("a", "b", event_time=LONG_AGO)).outcome == "detached"
        desk.waits[task]()
        assert task.swept is not None
        assert (task.swept.figures.gone, task.swept.figures.detached) == (3, 1)
        assert [about[1:] for about in desk.cloud.asked("remove_sources")] == [("a", "b"), ("c",)]
        assert desk.cloud.asked("show_session") == []

    def test_a_removal_that_fails_for_a_moment_is_tried_again(self, desk: Desk) -> None:
        desk.workers = Workers(WorkerConfig(desk.observer, desk.clock._replace(sleep=lambda _: None)))
        desk.cloud.then("remove_sources", ApiThrottled("slow down", retry_after=1.0))
        task = desk.sweep()
        desk.waits[task]()
        assert task.swept is not None
        assert (task.swept.failure, task.swept.figures.detached) == (None, 3)

    def test_what_it_has_no_time_to_remove_is_told_as_gone(self, desk: Desk, gate: NewGate) -> None:
        desk.cloud.then("remove_sources", gate())
        now = desk.clock.monotonic()
        task = SweepTask("timer", Delivery(now, Deadline(now + 1, desk.clock.monotonic)))
        desk.workers.add(PROJECT, "own", desk.cloud.connect(), task)()
        assert task.swept is not None
        assert {each for each, part in task.swept.parts.items() if part.gone} == {"a", "b", "c"}

    def test_sweeps_that_servers_cause_keep_a_distance_and_a_timer_waits_for_none(self, gate: NewGate) -> None:
        cloud, pause = FakeCloud(), gate()
        cloud.add("s", ["a"])
        clock = Clock(cloud.clock.monotonic, cloud.clock.now, sleep=pause)
        workers = Workers(WorkerConfig(RecordingObserver(), clock))
        deadline = cloud.clock.deadline(1e6)

        def ask(by: Any) -> tuple[SweepTask, Callable[[], None]]:
            task = SweepTask(by, Delivery(0.0, deadline))
            return task, workers.add(PROJECT, "own", cloud.connect(), task)

        first, wait = ask("server")
        wait()
        held, wait_for_held = ask("server")
        pause.wait()
        timer, wait_for_timer = ask("timer")
        pause.opened.set()
        wait_for_timer()
        wait_for_held()
        assert len(cloud.asked("list_sessions")) == 2, "the timer's sweep serves the server as well"
        assert first.swept is not held.swept is timer.swept
        cloud.clock.pass_(SERVER_SWEEP_SECONDS)
        _, wait = ask("server")
        wait()
        assert len(cloud.asked("list_sessions")) == 3

    def test_a_server_that_waits_in_vain_keeps_no_later_one_waiting(self, gate: NewGate) -> None:
        cloud, pause = FakeCloud(), gate()
        cloud.add("s", ["a"])
        workers = Workers(WorkerConfig(RecordingObserver(), Clock(cloud.clock.monotonic, cloud.clock.now, pause)))

        def ask(seconds: float) -> tuple[SweepTask, Callable[[], None]]:
            task = SweepTask("server", Delivery(0.0, cloud.clock.deadline(seconds)))
            return task, workers.add(PROJECT, "own", cloud.connect(), task)

        ask(60)[1]()
        late, wait_for_late = ask(4)
        pause.wait()
        cloud.clock.pass_(SERVER_SWEEP_SECONDS)
        pause.opened.set()
        wait_for_late()
        assert late.swept is None
        task, wait = ask(4)
        wait()
        assert task.swept is not None

    def test_a_sweep_ends_before_the_deliveries_that_are_to_tell_of_it(self, desk: Desk) -> None:
        ends: list[float] = []
        connect = desk.cloud.connect()

        def connected(**given: Any) -> Any:
            api = connect(**given)
            listing = api.list_sessions
            api.list_sessions = lambda deadline: (ends.append(deadline.at), listing(deadline))[1]  # type: ignore[method-assign]
            return api

        now = desk.clock.monotonic()
        task = SweepTask("timer", Delivery(now, Deadline(now + 60, desk.clock.monotonic)))
        desk.workers.add(PROJECT, "own", connected, task)()
        assert ends == [now + 60 - REPORTING_SECONDS]

    def test_a_sweep_that_fails_tells_each_who_waits(self, desk: Desk) -> None:
        desk.cloud.then("list_sessions", ApiUnavailable("away"))
        task = desk.sweep()
        desk.waits[task]()
        assert isinstance(task.failure, ApiUnavailable)
