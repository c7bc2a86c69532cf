"""A worker works off one batch at a time, shares what its jobs have in common, and is held up by no call that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handler.deadline import Cancellation, Clock, Deadline
from handler.errors import ApiUnavailable, DeadlineExceeded, Interrupted, Overloaded, UnmirrorError
from handler.mirror import worker as worker_module
from handler.mirror.detach import Job, Rules
from handler.mirror.results import of_parts
from handler.mirror.retry import decided
from handler.mirror.sweep import SweepTask
from handler.mirror.worker import MAX_LEFT_BEHIND, MAX_WORKERS, SERVER_SWEEP_SECONDS, WorkerConfig, Workers, call_within
from handler.report import Report
from tests.support.clock import RealClock
from tests.support.cloud import PROJECT, FakeCloud
from tests.support.observer import RecordingObserver

CATCHES_A_HANG = 30.0
"""Seconds; no test waits for it unless something is broken."""


class Gate:
    """A call that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(CATCHES_A_HANG)


class Desk:
    """Workers on a fake cloud, with real threads and real time."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud, self.observer, self.cancellation = cloud, RecordingObserver(), Cancellation()
        self.clock = cloud.clock.clock
        self.workers = Workers(WorkerConfig(self.observer, self.clock, Rules(), max_age=300.0))
        self.waits: dict[Job | SweepTask, Callable[[], None]] = {}

    def job(self, *ids: str, seconds: float = CATCHES_A_HANG, identity: str = "own", **more: Any) -> Job:
        """Put a job into the queue."""
        job = Job(kind="interfaces", ids=ids, **self._common(seconds), **more)
        self.waits[job] = self.workers.add(PROJECT, identity, self.cloud.connect(), job)
        return job

    def sweep(self, by: Any = "timer", seconds: float = CATCHES_A_HANG) -> SweepTask:
        task = SweepTask(by=by, **self._common(seconds))
        self.waits[task] = self.workers.add(PROJECT, "own", self.cloud.connect(), task)
        return task

    def report(self, job: Job) -> Report:
        self.waits[job]()
        report = Report("d", "e", **of_parts(decided(job)))
        assert self.observer.bugs == []
        return report

    def _common(self, seconds: float) -> dict[str, Any]:
        now = self.clock.monotonic()
        return {"arrived": now, "deadline": Deadline(now + seconds, self.clock.monotonic, self.cancellation)}


@pytest.fixture
def gates() -> Iterator[list[Gate]]:
    made: list[Gate] = []
    yield made
    for gate in made:
        gate.opened.set()


@pytest.fixture
def gate(gates: list[Gate]) -> Callable[[], Gate]:
    def make() -> Gate:
        gates.append(Gate())
        return gates[-1]

    return make


@pytest.fixture
def desk() -> Desk:
    cloud = FakeCloud(RealClock())
    cloud.add("s", ["a", "b", "c", "d"], gone=["a", "b", "c"])
    return Desk(cloud)


class TestBatches:
    def test_who_arrives_while_a_batch_is_worked_off_is_in_the_next_and_shares_it(
        self, desk: Desk, gate: Callable[[], Gate]
    ) -> None:
        first = gate()
        desk.cloud.then("remove_sources", first)
        jobs = [desk.job("a")]
        assert first.reached.wait(CATCHES_A_HANG)
        jobs += [desk.job("b"), desk.job("c"), desk.job("c")]
        first.opened.set()
        assert {desk.report(job).outcome for job in jobs} == {"detached"}
        assert [about[1:] for about in desk.cloud.asked("remove_sources")] == [("a",), ("b", "c")]
        assert len(desk.cloud.asked("list_sessions")) == 2, "one for each batch, as no event has a time"
        assert sorted(desk.cloud.asked("find_interface")) == [("a",), ("b",), ("c",)]

    def test_a_kept_snapshot_answers_for_what_was_deleted_before_it(self, desk: Desk) -> None:
        desk.report(desk.job("a"))
        old = desk.clock.now().replace(year=2020)
        assert desk.report(desk.job("b", event_time=old)).outcome == "detached"
        assert len(desk.cloud.asked("list_sessions")) == 1 + (desk.cloud.moment() < old)

    def test_calls_of_a_batch_run_side_by_side_but_not_without_end(self, desk: Desk) -> None:
        ids = [f"x{n}" for n in range(150)]
        desk.cloud.add("many", ids, gone=ids)
        barrier = threading.Barrier(worker_module.MAX_CALLS)
        desk.cloud.then("find_interface", *[lambda: barrier.wait(CATCHES_A_HANG)] * worker_module.MAX_CALLS)
        assert desk.report(desk.job(*ids)).outcome == "detached"
        assert desk.cloud.most_in_flight == worker_module.MAX_CALLS

    def test_a_listing_that_fails_fails_only_the_jobs_that_need_it(self, desk: Desk, gate: Callable[[], Gate]) -> None:
        desk.report(desk.job("a"))
        verifying = gate()
        desk.cloud.then("find_interface", verifying)
        busy = desk.job("b", event_time=desk.cloud.clock.cloud.replace(year=2020))
        assert verifying.reached.wait(CATCHES_A_HANG)
        desk.cloud.then("list_sessions", ApiUnavailable("away"))
        needs, served = desk.job("c"), desk.job("c", event_time=desk.cloud.clock.cloud.replace(year=2020))
        verifying.opened.set()
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

    def test_errors_are_copied_for_each_job(self, desk: Desk, gate: Callable[[], Gate]) -> None:
        listing = gate()
        error = ApiUnavailable("away", request_id="r")
        desk.cloud.then("list_sessions", listing, error)
        first = desk.job("a")
        assert listing.reached.wait(CATCHES_A_HANG)
        others = [desk.job("b"), desk.job("c")]
        listing.opened.set()
        desk.report(first)
        failures = [desk.report(job) and job.failure for job in others]
        assert [str(each) for each in failures] == ["away", "away"]
        assert len({id(each) for each in (*failures, error)}) == 3
        assert {each.request_id for each in failures if each} == {"r"}

    def test_calls_are_told_with_the_traces_of_all_their_jobs(self, desk: Desk, gate: Callable[[], Gate]) -> None:
        listing = gate()
        desk.cloud.then("list_sessions", listing)
        first = desk.job("a", trace="one")
        assert listing.reached.wait(CATCHES_A_HANG)
        listing.opened.set()
        desk.report(first)
        assert {tuple(traces) for _, traces in desk.observer.calls} == {("one",)}
        assert [call.operation for call, _ in desk.observer.calls] == [
            "list_sessions",
            "find_interface",
            "remove_sources",
        ]
        assert sum(map(len, first.calls)) == 3


class TestHungCalls:
    def test_a_delivery_waits_no_longer_than_its_deadline(self, desk: Desk, gate: Callable[[], Gate]) -> None:
        desk.cloud.then("list_sessions", gate())
        report = desk.report(desk.job("a", seconds=0.05))
        assert isinstance(report.error, DeadlineExceeded)

    def test_a_batch_whose_jobs_have_no_time_left_is_abandoned_and_the_next_begins_at_once(
        self, desk: Desk, gate: Callable[[], Gate]
    ) -> None:
        hung = gate()
        desk.cloud.then("find_interface", hung)
        assert desk.report(desk.job("a", seconds=0.3)).status == 503
        assert desk.report(desk.job("b")).outcome == "detached"
        assert desk.observer.abandoned == [PROJECT]

    def test_what_was_removed_before_time_was_up_is_told(self, desk: Desk, gate: Callable[[], Gate]) -> None:
        desk.cloud.add("t", ["a"], gone=["a"])
        desk.cloud.then("remove_sources", lambda: None, gate())
        report = desk.report(desk.job("a", seconds=0.3))
        assert [each.status for each in report.detachments][:1] == ["detached"]
        assert (report.outcome, report.status) == ("partial", 503)

    def test_a_removal_that_hangs_lets_no_other_into_its_session(self, desk: Desk, gate: Callable[[], Gate]) -> None:
        hung = gate()
        desk.cloud.then("remove_sources", hung)
        assert desk.report(desk.job("a", seconds=0.3)).status == 503
        assert [each.status for each in desk.report(desk.job("b")).detachments] == ["failed"]
        hung.opened.set()
        for _ in range(1000):
            if (report := desk.report(desk.job("b"))).outcome == "detached":
                break
        assert report.outcome == "detached"

    def test_one_call_that_hangs_leaves_its_own_id_undecided(
        self, desk: Desk, gate: Callable[[], Gate], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("handler.mirror.detach.CALL_SECONDS", 0.2)
        desk.cloud.add("t", ["e"], gone=["e"])
        desk.cloud.failing("find_interface", "nobody", ApiUnavailable(""))
        desk.cloud.then("find_interface", gate())
        report = desk.report(desk.job("a", "e"))
        assert (report.outcome, [each.reason for each in report.kept]) == ("partial", ["undecided"])
        assert desk.observer.abandoned == [], "the batch went on without it"

    def test_with_too_many_hung_calls_nothing_more_begins(self, desk: Desk, gate: Callable[[], Gate]) -> None:
        ids = [f"x{n}" for n in range(MAX_LEFT_BEHIND)]
        desk.cloud.add("many", ids, gone=ids)
        desk.cloud.then("find_interface", *[gate() for _ in ids])
        desk.report(desk.job(*ids, seconds=0.5))
        assert isinstance(desk.report(desk.job("a")).error, Overloaded)

    def test_a_single_call_is_bounded_as_well(self, gate: Callable[[], Gate]) -> None:
        deadline = Deadline.within(0.05, Clock().monotonic)
        with pytest.raises(DeadlineExceeded):
            call_within(deadline, "a check", lambda _: gate()())


class TestStop:
    def test_no_call_begins_and_those_under_way_are_awaited(self, desk: Desk, gate: Callable[[], Gate]) -> None:
        under_way = gate()
        desk.cloud.then("find_interface", under_way)
        job = desk.job("a")
        assert under_way.reached.wait(CATCHES_A_HANG)
        desk.cancellation.cancel()
        under_way.opened.set()
        report = desk.report(job)
        assert [each.status for each in report.detachments] == ["not_tried"]
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
        old = cloud.clock.cloud.replace(year=2020)

        def deliver(identity: str) -> None:
            job = Job(kind="interfaces", ids=("x",), arrived=cloud.clock.monotonic(), deadline=deadline, event_time=old)
            workers.add(PROJECT, identity, cloud.connect(), job)()
            while not all(each.idle for each in workers._workers.values()):
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


class TestSweeps:
    def test_a_sweep_that_has_not_begun_serves_all_who_wait_and_one_under_way_nobody(
        self, desk: Desk, gate: Callable[[], Gate]
    ) -> None:
        listing = gate()
        desk.cloud.then("list_sessions", listing)
        tasks = [desk.sweep()]
        assert listing.reached.wait(CATCHES_A_HANG)
        tasks += [desk.sweep(), desk.sweep()]
        listing.opened.set()
        for task in tasks:
            desk.waits[task]()
        assert [task.coalesced for task in tasks] == [False, False, True]
        assert len(desk.cloud.asked("list_sessions")) == 2
        assert tasks[0].swept is not None
        assert tasks[0].swept.figures.detached == 3
        assert tasks[1].swept is tasks[2].swept

    def test_the_worker_keeps_the_sweeps_listing(self, desk: Desk) -> None:
        task = desk.sweep()
        desk.waits[task]()
        old = desk.cloud.clock.cloud.replace(year=2020)
        assert desk.report(desk.job("d", event_time=old)).outcome == "still_exists"
        assert len(desk.cloud.asked("list_sessions")) == 1

    def test_sweeps_that_servers_cause_keep_a_distance_and_a_timer_waits_for_none(self) -> None:
        cloud = FakeCloud()
        cloud.add("s", ["a"])
        workers = Workers(WorkerConfig(RecordingObserver(), cloud.clock.clock))
        deadline = cloud.clock.deadline(1e6)

        def ask(by: Any) -> tuple[SweepTask, Callable[[], None]]:
            task = SweepTask(by=by, arrived=0.0, deadline=deadline)
            return task, workers.add(PROJECT, "own", cloud.connect(), task)

        first, wait = ask("server")
        wait()
        held, wait_for_held = ask("server")
        timer, wait_for_timer = ask("timer")
        wait_for_timer()
        wait_for_held()
        assert len(cloud.asked("list_sessions")) == 2, "the timer's sweep serves the server as well"
        assert (first.coalesced, held.coalesced, timer.coalesced) == (False, False, True)
        cloud.clock.pass_(SERVER_SWEEP_SECONDS)
        _, wait = ask("server")
        wait()
        assert len(cloud.asked("list_sessions")) == 3

    def test_a_sweep_that_fails_tells_each_who_waits(self, desk: Desk) -> None:
        desk.cloud.then("list_sessions", ApiUnavailable("away"))
        task = desk.sweep()
        desk.waits[task]()
        assert isinstance(task.failure, ApiUnavailable)
