"""What a delivery hands in again while it waits, and when it gives up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from handler.errors import ApiRefused, ApiThrottled, ApiUnavailable, OutcomeUnknown, UnmirrorError
from handler.mirror.jobs import Delivery, Job
from handler.mirror.removal import of_parts
from handler.mirror.retry import MAX_QUEUED, Submission, work_off
from handler.mirror.rules import Rules
from handler.mirror.worker import WorkerConfig, Workers
from handler.report import Report
from tests.support.cloud import PROJECT, FakeCloud
from tests.support.observer import RecordingObserver


class Desk:
    """Deliveries to a worker on a fake cloud."""

    def __init__(self, cloud: FakeCloud, **rules: Any) -> None:
        self.cloud, self.jobs, self.pauses = cloud, list[Job](), list[float]()
        self.clock = cloud.clock.clock
        self.workers = Workers(WorkerConfig(RecordingObserver(), self.clock, Rules(**rules)))

    def add(self, job: Job) -> Callable[[], None]:
        self.jobs.append(job)
        return self.workers.add(PROJECT, "own", self.cloud.connect(), job)

    def deliver(self, *ids: str, seconds: float = 25.0, jitter: Callable[[], float] = lambda: 1.0) -> Report:
        clock = self.cloud.clock
        submission = Submission(self.add, ids, partial(Job, "interfaces"))
        before = clock.monotonic_now
        work_off([submission], Delivery(before, clock.deadline(seconds)), self.clock, jitter=jitter)
        self.pauses.append(round(clock.monotonic_now - before, 3))
        return Report("d", "e", **of_parts(submission.parts, submission))


@pytest.fixture
def cloud() -> FakeCloud:
    cloud = FakeCloud()
    cloud.add("s", ["a", "b", "c"], gone=["a", "b"])
    return cloud


def test_a_living_interface_is_verified_again_and_again_and_then_the_sender_comes_again(cloud: FakeCloud) -> None:
    desk = Desk(cloud)
    report = desk.deliver("c", "a")
    assert (report.status, report.outcome) == (503, "partial")
    assert desk.pauses == [0.25 + 0.75 + 1.5]
    assert [job.ids for job in desk.jobs] == [["c", "a"], ["c"], ["c"], ["c"]]
    assert len({job.delivery.arrived for job in desk.jobs}) == 1, "it keeps its place by its first arrival"
    assert len(cloud.asked("list_sessions")) == 1


def test_an_interface_that_goes_meanwhile_is_detached(cloud: FakeCloud) -> None:
    cloud.then("find_interface", lambda: None, lambda: cloud.delete("c"))
    report = Desk(cloud).deliver("c")
    assert (report.status, report.outcome) == (200, "detached")


def test_an_interface_that_joins_a_session_before_it_goes_leaves_that_one_too(cloud: FakeCloud) -> None:
    """The snapshot was taken before it joined: so the delivery looks once more, when it is gone."""

    def go() -> None:
        cloud.delete("c")

    cloud.add("t")
    cloud.latency = 0.01
    cloud.then("find_interface", lambda: cloud.watch("t", "c"), go)
    report = Desk(cloud).deliver("c")
    assert (report.outcome, cloud.sources()) == ("detached", {"s": ("a", "b"), "t": ()})
    assert (len(cloud.asked("list_sessions")), len(cloud.asked("find_interface"))) == (2, 2)


def test_without_time_to_look_again_the_sender_comes_again(cloud: FakeCloud) -> None:
    cloud.then("find_interface", lambda: None, lambda: cloud.delete("c"))

    def jitter() -> float:
        if not cloud.sources()["s"].count("c"):
            cloud.clock.pass_(25.0)
        return 1.0

    report = Desk(cloud).deliver("c", jitter=jitter)
    assert [(each.status, each.interface_ids) for each in report.detachments] == [("detached", ("c",))]
    assert (report.status, [each.reason for each in report.kept]) == (503, ["undecided"])


def test_what_left_with_its_session_is_looked_for_in_a_newer_listing_if_it_existed_since(cloud: FakeCloud) -> None:
    """Somebody replaces the session by another one while it is asked for, and then deletes the interface."""

    def replaced() -> None:
        cloud.sessions.pop("s")
        cloud.add("new", ["c"])

    cloud.latency = 0.01
    cloud.then("remove_sources", replaced)
    desk = Desk(cloud)
    cloud.then("find_interface", lambda: None, lambda: None, lambda: cloud.delete("c"))
    report = desk.deliver("c", "a")
    assert (report.status, cloud.sources()) == (200, {"new": ()})


def test_each_waits_for_its_own_error_and_not_for_that_of_another(cloud: FakeCloud) -> None:
    cloud.failing("find_interface", "b", ApiThrottled("later", retry_after=7.0))
    cloud.then("find_interface", lambda: None, lambda: None, lambda: cloud.delete("c"))
    desk = Desk(cloud)
    report = desk.deliver("c", "b", seconds=10.0)
    assert [job.ids for job in desk.jobs] == [["c", "b"], ["c"], ["c"], ["b"]]
    assert [each.interface_ids for each in report.detachments] == [("c",)]
    assert desk.pauses == [7.0]


def test_who_has_to_wait_for_longer_holds_up_no_other(cloud: FakeCloud) -> None:
    cloud.failing("find_interface", "b", ApiThrottled("later", retry_after=60.0))
    cloud.then("find_interface", lambda: None, lambda: None, lambda: cloud.delete("c"))
    report = Desk(cloud).deliver("c", "b")
    assert [id_ for each in report.detachments for id_ in each.interface_ids] == ["c"]
    assert report.status == 503


def test_what_was_removed_by_a_call_whose_answer_was_lost_counts_as_detached(cloud: FakeCloud) -> None:
    cloud.then("remove_sources", OutcomeUnknown("lost"))
    cloud.then("show_session", ApiUnavailable("away"))
    report = Desk(cloud).deliver("a")
    assert [(each.status, each.interface_ids) for each in report.detachments] == [("detached", ("a",))]
    assert report.status == 200


@pytest.mark.parametrize("again", [ApiThrottled("slow down", retry_after=1.0), ApiUnavailable("away")])
def test_a_lost_answer_counts_as_its_own_however_often_it_fails_after_that(
    cloud: FakeCloud, again: UnmirrorError
) -> None:
    cloud.then("remove_sources", OutcomeUnknown("lost"), again)
    cloud.then("show_session", ApiUnavailable("away"))
    report = Desk(cloud).deliver("a")
    assert [(each.status, each.interface_ids) for each in report.detachments] == [("detached", ("a",))]


@pytest.mark.parametrize("who", ["another event lists anew", "another event of the same"])
def test_a_removal_whose_answer_was_lost_is_told_once_whoever_finds_out(cloud: FakeCloud, who: str) -> None:
    cloud.then("remove_sources", ApiUnavailable("504: it was done all the same"))
    desk, others = Desk(cloud), list[Report]()

    def meanwhile(seconds: float) -> None:
        cloud.unwatch("s", "a")
        if not others:
            others.append(Report("other", "e"))  # so that it is not called again
            others.append(desk.deliver("z" if who == "another event lists anew" else "a"))
        cloud.clock.pass_(seconds)

    desk.clock = cloud.clock.clock._replace(sleep=meanwhile)
    reports = [desk.deliver("a"), *others]
    told = [each.status for report in reports for each in report.detachments if not each.coalesced]
    assert told == ["detached"]
    assert reports[0].status == 200


def test_a_removal_whose_answer_was_lost_is_told_and_counted_by_a_later_delivery(cloud: FakeCloud) -> None:
    desk = Desk(cloud)
    cloud.failing("remove_sources", "a", ApiUnavailable("away"))
    first = desk.deliver("a")
    cloud.unwatch("s", "a")
    second, third = desk.deliver("a"), desk.deliver("a")
    assert [each.status for each in first.detachments] == ["failed"]
    assert [(each.status, each.coalesced) for each in second.detachments] == [("detached", False)]
    assert third.outcome == "nothing_to_do"


def test_a_session_that_somebody_deletes_after_a_failed_removal_was_left_by_nobody_of_ours(cloud: FakeCloud) -> None:
    desk = Desk(cloud)
    cloud.failing("remove_sources", "a", ApiUnavailable("away"))
    desk.deliver("a")
    cloud.sessions.pop("s")
    assert [each.status for each in desk.deliver("a").detachments] == ["already_absent"]


def test_what_failed_in_one_session_is_tried_again_and_the_other_is_told_as_well(cloud: FakeCloud) -> None:
    cloud.add("t", ["a"], gone=["a"])
    cloud.then("remove_sources", ApiUnavailable("away"))
    report = Desk(cloud).deliver("a")
    assert cloud.sources() == {"s": ("b", "c"), "t": ()}
    assert sorted((each.session_id, each.status) for each in report.detachments) == [
        ("s", "detached"),
        ("t", "detached"),
    ]


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (ApiUnavailable("away"), 0.4 + 0.8 + 1.6),
        (ApiThrottled("slow down", retry_after=3.0), 9.0),
        (ApiThrottled("later", retry_after=60.0), 0.0),
        (ApiRefused("no permission"), 0.0),
    ],
)
def test_it_waits_as_long_as_the_error_asks_for_and_not_at_all_where_that_cannot_help(
    cloud: FakeCloud, error: UnmirrorError, pauses: float
) -> None:
    cloud.then("list_sessions", *[error] * 9)
    desk = Desk(cloud)
    report = desk.deliver("a")
    assert (type(report.error), report.outcome) == (type(error), "failed")
    assert desk.pauses == [pytest.approx(pauses)]


def test_so_many_ids_at_once_are_handed_in_by_portions(cloud: FakeCloud) -> None:
    ids = [f"i{n}" for n in range(2 * MAX_QUEUED + 1)]
    desk = Desk(cloud)
    assert desk.deliver(*ids).outcome == "nothing_to_do"
    assert [len(job.ids) for job in desk.jobs] == [MAX_QUEUED, MAX_QUEUED, 1]


def test_a_removal_that_was_planned_is_told_once(cloud: FakeCloud) -> None:
    cloud.then("find_interface", ApiUnavailable("away"))
    report = Desk(cloud, dry_run=True).deliver("a", "b")
    assert sorted(id_ for each in report.detachments for id_ in each.interface_ids) == ["a", "b"]
