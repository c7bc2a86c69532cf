"""One batch: what several jobs name is verified once, leaves each session together, and is answered part by part."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from handler.errors import ApiUnavailable, DeadlineExceeded, StillExists, UnmirrorError
from handler.mirror.detach import Batch, Memory
from handler.mirror.jobs import Delivery, Job
from handler.mirror.removal import of_parts
from handler.mirror.retry import decided
from handler.mirror.rules import Rules
from handler.mirror.snapshot import Snapshot
from handler.model import Detachment, Gone, LostTarget, Presence, UnreadableSession
from handler.report import Report
from tests.support.calls import SerialCalls
from tests.support.cloud import TARGET, FakeCloud

SESSION_ID = "5f1d0c8e-7a9b-4c3d-8e2f-6a1b0c9d8e7f"


class Bench:
    """Batches on a fake cloud, one after another, with the cache of one worker."""

    def __init__(self, cloud: FakeCloud, *protect: str, seed: int | None = None) -> None:
        self.cloud, self.rules = cloud, Rules(protect)
        self.memory = Memory()
        self.chance = None if seed is None else random.Random(seed)  # noqa: S311 - an order that can be repeated
        self.snapshot = Snapshot(cloud.api().list_sessions(cloud.clock.deadline()))
        cloud.calls.clear()
        self.calls = SerialCalls(cloud.clock.deadline(), self.chance)

    def job(self, *ids: str, kind: Any = "interfaces") -> Job:
        return Job(kind=kind, ids=ids, delivery=Delivery(0.0, self.cloud.clock.deadline()))

    def work_off(self, *jobs: Job) -> list[Report]:
        Batch(jobs, self.snapshot, self.cloud.api(), self.calls, self.rules, self.memory).work_off()
        assert all(job.complete for job in jobs)
        return [Report("d", "e", **of_parts(job.parts, job)) for job in jobs]

    def detach(self, *ids: str, kind: Any = "interfaces") -> Report:
        return self.work_off(self.job(*ids, kind=kind))[0]


def told(detachments: Sequence[Detachment]) -> list[tuple[Any, ...]]:
    return sorted((each.session_id, each.interface_ids, each.status, each.coalesced) for each in detachments)


def kept(report: Report) -> list[tuple[str, str, list[str]]]:
    return [(each.interface_id, each.reason, [held.session_id for held in each.sessions]) for each in report.kept]


@pytest.fixture
def cloud() -> FakeCloud:
    cloud = FakeCloud()
    cloud.add("one", ["a", "b", "c"], gone=["a", "b"])
    cloud.add("two", ["a", "d"], gone=["a"])
    return cloud


@pytest.mark.parametrize("seed", range(8))
def test_an_interface_leaves_every_session_whatever_the_order_of_the_calls(cloud: FakeCloud, seed: int) -> None:
    report = Bench(cloud, seed=seed).detach("a", "b")
    assert cloud.sources() == {"one": ("c",), "two": ("d",)}
    assert report.outcome == "detached"
    assert {each.interface_id for each in report.gone} == {"a", "b"}
    assert [len(about) for about in cloud.asked("find_interface")] == [1, 1]
    assert sorted(about[0] for about in cloud.asked("remove_sources")) == ["one", "two"]


def test_jobs_of_one_batch_share_verification_and_removal_and_the_first_counts_it(cloud: FakeCloud) -> None:
    bench = Bench(cloud)
    first, second = bench.work_off(bench.job("a"), bench.job("b", "a"))
    assert len(cloud.asked("find_interface")) == len(cloud.asked("remove_sources")) == 2
    assert told(first.detachments) == [("one", ("a",), "detached", False), ("two", ("a",), "detached", False)]
    assert told(second.detachments) == [
        ("one", ("a",), "detached", True),
        ("one", ("b",), "detached", False),
        ("two", ("a",), "detached", True),
    ]


def test_servers_that_are_listed_one_by_one_are_listed_side_by_side(cloud: FakeCloud) -> None:
    bench = Bench(cloud)
    api = cloud.api()
    api.servers_a_call = 1
    Batch([bench.job("x", "y", kind="servers")], bench.snapshot, api, bench.calls, bench.rules, bench.memory).work_off()
    assert cloud.asked("list_interfaces") == [("x",), ("y",)]


def test_what_the_first_never_told_the_next_counts(cloud: FakeCloud) -> None:
    """The first may have given up before it was answered."""
    bench = Bench(cloud)
    jobs = bench.job("a"), bench.job("a")
    Batch(jobs, bench.snapshot, cloud.api(), bench.calls, bench.rules, bench.memory).work_off()
    second = of_parts(jobs[1].parts, jobs[1])["detachments"]
    assert told(second) == [("one", ("a",), "detached", False), ("two", ("a",), "detached", False)]
    assert [each.coalesced for each in of_parts(jobs[0].parts, jobs[0])["detachments"]] == [True, True]


def test_a_living_interface_stays(cloud: FakeCloud) -> None:
    report = Bench(cloud).detach("c", "a")
    assert cloud.sources() == {"one": ("b", "c"), "two": ("d",)}
    assert kept(report) == [("c", "still_exists", ["one"])]
    assert (report.outcome, report.status) == ("partial", 503)


def test_what_no_session_lists_costs_no_call(cloud: FakeCloud) -> None:
    report = Bench(cloud).detach("unknown")
    assert (report.outcome, cloud.calls, kept(report)) == ("nothing_to_do", [], [("unknown", "not_mirrored", [])])


def test_a_verification_that_fails_decides_nothing(cloud: FakeCloud) -> None:
    error = ApiUnavailable("away", request_id="r")
    cloud.failing("find_interface", "a", error)
    report = Bench(cloud).detach("a", "b")
    assert cloud.sources() == {"one": ("a", "c"), "two": ("a", "d")}
    assert [(each.interface_id, each.reason, each.error) for each in report.kept] == [("a", "undecided", error)]
    assert report.outcome == "partial"


def test_gone_is_final_and_asked_for_once(cloud: FakeCloud) -> None:
    bench = Bench(cloud)
    cloud.failing("remove_sources", "two", ApiUnavailable("away"))
    assert bench.detach("a").status == 503
    cloud.calls.clear()
    bench.detach("a")
    assert cloud.asked("find_interface") == []


def test_a_session_that_cannot_be_read_proves_no_removal_that_failed(cloud: FakeCloud) -> None:
    bench = Bench(cloud)
    cloud.failing("remove_sources", "two", ApiUnavailable("away"))
    bench.detach("a")
    listing = cloud.api().list_sessions(cloud.clock.deadline())
    others = tuple(each for each in listing.sessions if each.id != "two")
    bench.snapshot = Snapshot(listing._replace(sessions=others, unreadable=(UnreadableSession("two", "odd"),)))
    assert bench.detach("a").detachments == ()
    bench.snapshot = Snapshot(listing._replace(sessions=others))
    assert told(bench.detach("a").detachments) == [("two", ("a",), "already_absent", False)]


def test_exists_is_never_remembered(cloud: FakeCloud) -> None:
    bench = Bench(cloud)
    assert bench.detach("c").outcome == "still_exists"
    cloud.delete("c")
    assert bench.detach("c").outcome == "detached"


def test_a_session_spells_an_interface_in_capitals_and_it_is_gone_only_in_all_spellings() -> None:
    cloud = FakeCloud()
    cloud.add("s", ["ABC", "x"])
    cloud.interfaces |= {"ABC": ""}  # a cloud whose ids differ in case, which nothing excludes
    del cloud.interfaces["abc"]
    assert Bench(cloud).detach("abc").outcome == "still_exists"
    del cloud.interfaces["ABC"]
    assert Bench(cloud).detach("abc").outcome == "detached"
    assert cloud.sources() == {"s": ("x",)}


class TestProtection:
    def test_a_session_that_is_protected_by_id_keeps_its_sources_in_any_spelling(self) -> None:
        cloud = FakeCloud()
        cloud.add(SESSION_ID, ["a"], gone=["a"])
        report = Bench(cloud, SESSION_ID.upper()).detach("a")
        assert (report.outcome, kept(report)) == ("nothing_to_do", [("a", "protected", [SESSION_ID])])
        assert (report.gone, cloud.sources()) == ((Gone("a", "request-1"),), {SESSION_ID: ("a",)})

    def test_a_living_interface_in_a_protected_session_still_exists(self) -> None:
        cloud = FakeCloud()
        cloud.add(SESSION_ID, ["a"])
        assert Bench(cloud, SESSION_ID).detach("a").outcome == "still_exists"

    def test_one_session_is_protected_and_the_other_is_cleaned(self, cloud: FakeCloud) -> None:
        cloud.rename("two", "forensics")
        report = Bench(cloud, "forensics").detach("a")
        assert cloud.sources() == {"one": ("b", "c"), "two": ("a", "d")}
        assert kept(report) == [("a", "protected", ["two"])]
        assert told(report.detachments) == [("one", ("a",), "detached", False)]

    def test_a_session_whose_protection_cannot_be_read_is_undecided(self, cloud: FakeCloud) -> None:
        cloud.failing("show_session", "two", ApiUnavailable("away"))
        report = Bench(cloud, "forensics").detach("a")
        assert (report.status, kept(report)) == (503, [("a", "undecided", ["two"])])


class TestTargets:
    def test_a_target_that_is_gone_is_named_and_the_sources_leave_as_ever(self) -> None:
        cloud = FakeCloud()
        cloud.add("s", ["a"], gone=["a"])
        cloud.delete(TARGET)
        report = Bench(cloud).detach(TARGET, "a")
        assert report.lost_targets == (LostTarget("s", "name of s", TARGET, confirmed=True),)
        assert cloud.sources() == {"s": ()}

    def test_a_target_that_lives_still_exists(self, cloud: FakeCloud) -> None:
        assert Bench(cloud).detach(TARGET).outcome == "still_exists"

    def test_of_a_load_balancer_only_an_event_tells(self) -> None:
        cloud = FakeCloud()
        cloud.add("s", [], target_id="balancer", target_type="elb")
        report = Bench(cloud).detach("balancer", kind="target")
        assert report.lost_targets == (LostTarget("s", "name of s", "balancer", confirmed=False),)
        assert (report.outcome, cloud.calls) == ("nothing_to_do", [])


class TestServers:
    def test_a_mirrored_interface_of_a_deleted_server_still_exists(self, cloud: FakeCloud) -> None:
        cloud.interfaces |= {"c": "server", "e": "server"}
        report = Bench(cloud).detach("server", kind="servers")
        assert kept(report) == [("c", "still_exists", ["one"])]
        assert isinstance(report.error, StillExists)

    def test_many_servers_cost_one_list(self, cloud: FakeCloud) -> None:
        bench = Bench(cloud)
        jobs = [bench.job(f"server-{n}", kind="servers") for n in range(40)]
        assert {report.outcome for report in bench.work_off(*jobs)} == {"nothing_to_do"}
        assert [len(about) for about in cloud.asked("list_interfaces")] == [40]

    def test_a_list_that_fails_decides_nothing(self, cloud: FakeCloud) -> None:
        error = ApiUnavailable("away")
        cloud.then("list_interfaces", error)
        assert Bench(cloud).detach("server", kind="servers").failure is error


class TestTime:
    def test_what_time_was_not_enough_for_is_undecided(self, cloud: FakeCloud) -> None:
        bench = Bench(cloud)
        cloud.latency = 30.0
        report = bench.detach("a", "b")
        assert {each.reason for each in report.kept} == {"undecided"}
        assert report.status == 503

    def test_a_removal_that_was_not_begun_is_not_tried(self, cloud: FakeCloud) -> None:
        bench = Bench(cloud)
        cloud.latency = 4.0
        cloud.then("find_interface", lambda: cloud.clock.pass_(30))
        bench.memory.gone.put("a", Presence(exists=False))
        report = bench.detach("b", "a")
        found = {(each.session_id, each.status) for each in report.detachments}
        assert found == {("two", "not_tried"), ("one", "not_tried")}


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), ApiUnavailable("away")])
def test_the_snapshot_forgets_only_what_was_proven_absent(cloud: FakeCloud, error: UnmirrorError) -> None:
    bench = Bench(cloud)
    cloud.failing("show_session", "one", error)
    cloud.failing("remove_sources", "one", error)
    bench.detach("a")
    assert [each.id for each in bench.snapshot.holding("a")] == ["one"]


def test_what_was_removed_before_a_bug_is_told(cloud: FakeCloud) -> None:
    bench = Bench(cloud)
    job = bench.job("a")

    def bug() -> None:
        raise RuntimeError("a bug")

    cloud.then("remove_sources", lambda: None, bug)
    with pytest.raises(RuntimeError):
        Batch([job], bench.snapshot, cloud.api(), bench.calls, bench.rules, bench.memory).work_off()
    job.failure = UnmirrorError("a bug")
    report = Report("d", "e", **of_parts(decided(job), job))
    assert [(each.status, each.interface_ids) for each in report.detachments] == [("detached", ("a",))]
    assert report.status == 500
