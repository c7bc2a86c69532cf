"""A sweep finds what no event told, within its limits, and says nothing that it does not know."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from handler.errors import ApiRefused, ApiUnavailable, DeadlineExceeded, Interrupted
from handler.mirror.detach import Batch, Memory
from handler.mirror.jobs import Delivery, Job, Stage, Swept
from handler.mirror.removal import Part
from handler.mirror.rules import Rules
from handler.mirror.snapshot import Snapshot
from handler.mirror.sweep import BATCH, BLIND_AFTER, MAX_FAILURES, MAX_UNLISTED, Sweep
from handler.model import Presence, UnreadableSession
from tests.support.calls import SerialCalls
from tests.support.cloud import TARGET, FakeCloud


class Bench:
    """Sweeps of a fake cloud, one after another."""

    def __init__(self, cloud: FakeCloud, *protect: str, limit: int = 1000, dry_run: bool = False) -> None:
        self.cloud = cloud
        self.rules = Rules(protect, dry_run, lambda leaving, sources: leaving <= limit)
        self.told: list[tuple[Stage, int, int]] = []

    def run(self) -> Swept:
        deadline = self.cloud.clock.deadline(600)

        def remove(snapshot: Snapshot, gone: Mapping[str, Presence]) -> Mapping[str, Part]:
            job = Job(kind="interfaces", ids=list(gone), delivery=Delivery(0.0, deadline))
            memory = Memory()
            for id_, presence in gone.items():
                memory.gone.put(id_, presence)
            Batch([job], snapshot, self.cloud.api(), SerialCalls(deadline), self.rules, memory).work_off()
            return job.parts

        return Sweep(
            self.cloud.api(),
            lambda: SerialCalls(deadline),
            remove,
            deadline=deadline,
            rules=self.rules,
            progress=lambda *stage: self.told.append(stage),
        ).run()


@pytest.fixture
def cloud() -> FakeCloud:
    """Sixteen sources in two sessions; `g0` to `g3` are gone, and `g0` is in both sessions."""
    cloud = FakeCloud()
    cloud.add("one", [*(f"g{n}" for n in range(4)), *(f"a{n}" for n in range(6))], gone=[f"g{n}" for n in range(4)])
    cloud.add("two", ["g0", *(f"b{n}" for n in range(6))], gone=["g0"])
    return cloud


def check(swept: Swept, **figures: object) -> None:
    """See that the sweep tells these figures."""
    assert {name: getattr(swept.figures, name) for name in figures} == figures


def test_every_source_that_is_gone_leaves_every_session(cloud: FakeCloud) -> None:
    swept = Bench(cloud).run()
    assert [len(sources) for sources in cloud.sources().values()] == [6, 6]
    check(swept, sessions=2, sources=16, listed=12, gone=4, detached=4, places_freed=5, complete=True)
    assert swept.failure is None


def test_it_costs_one_list_for_a_hundred_sources_and_one_call_for_each_that_it_does_not_show(cloud: FakeCloud) -> None:
    cloud.add("many", [f"m{n}" for n in range(3 * BATCH)])
    Bench(cloud).run()
    assert len(cloud.asked("list_sessions")) == 1
    assert [len(about) for about in cloud.asked("list_interfaces")] == [BATCH, BATCH, BATCH, 17]
    assert sorted(cloud.asked("find_interface")) == [("g0",), ("g1",), ("g2",), ("g3",)]


def test_a_list_never_decides(cloud: FakeCloud) -> None:
    """A list may be scoped to an enterprise project: what it does not show may exist all the same."""
    cloud.unlisted = {"a0", "b0"}
    check(Bench(cloud).run(), unlisted=2, gone=4)
    assert {"a0", "b0"} <= {id_ for sources in cloud.sources().values() for id_ in sources}


def test_a_list_that_is_refused_costs_a_question_for_each(cloud: FakeCloud) -> None:
    """As with a policy that allows to read one interface, and not to list them."""
    cloud.then("list_interfaces", ApiRefused("vpc:ports:list"))
    check(Bench(cloud).run(), listed=0, unlisted=12, gone=4)


def test_for_too_many_sources_the_error_of_the_lists_ends_the_sweep(cloud: FakeCloud) -> None:
    cloud.add("many", [f"m{n}" for n in range(MAX_UNLISTED + BATCH)])
    cloud.then("list_interfaces", *[ApiUnavailable("away")] * 9)
    cloud.unreadable = [UnreadableSession("odd", "its sources are no list of ids")]
    swept = Bench(cloud).run()
    assert isinstance(swept.failure, ApiUnavailable)
    assert (swept.parts, swept.figures.complete) == ({}, False)
    assert swept.snapshot.listing.unreadable == tuple(cloud.unreadable)


def test_sources_of_sessions_of_other_types_are_no_interfaces(cloud: FakeCloud) -> None:
    cloud.add("addresses", ["an-address"], gone=["an-address"], type="eip")
    assert Bench(cloud).run().figures.sources == 16
    assert cloud.sources()["addresses"] == ("an-address",)


def test_a_target_that_is_gone_is_named(cloud: FakeCloud) -> None:
    cloud.delete(TARGET)
    lost = [target for part in Bench(cloud).run().parts.values() for target in part.lost_targets]
    assert {(target.session_id, target.confirmed) for target in lost} == {("one", True), ("two", True)}


def test_a_session_that_cannot_be_read_stops_no_other(cloud: FakeCloud) -> None:
    cloud.unreadable.append(UnreadableSession("odd", "has sources that are no list"))
    swept = Bench(cloud).run()
    assert [each.session_id for each in swept.snapshot.listing.unreadable] == ["odd"]
    check(swept, detached=4, complete=False)


class TestLimit:
    def test_more_than_the_limit_is_stopped_before_anything_is_removed(self, cloud: FakeCloud) -> None:
        before = cloud.sources()
        swept = Bench(cloud, limit=3).run()
        check(swept, stop="limit", gone=4, detached=0, would_detach=4)
        assert (swept.failure, cloud.sources()) == (None, before)

    def test_what_is_undecided_counts_as_gone_and_is_no_stop(self, cloud: FakeCloud) -> None:
        before = cloud.sources()
        cloud.failing("find_interface", "g3", ApiUnavailable("away"))
        swept = Bench(cloud, limit=3).run()
        check(swept, stop=None, complete=False)
        assert (type(swept.failure), cloud.sources()) == (ApiUnavailable, before)
        assert [kept.interface_id for kept in swept.undecided] == ["g3"]

    def test_what_is_undecided_and_within_the_limit_keeps_nothing_else(self, cloud: FakeCloud) -> None:
        cloud.failing("find_interface", "g3", ApiUnavailable("away"))
        check(Bench(cloud, limit=4).run(), stop=None, detached=3, undecided=1)

    def test_too_many_gone_are_a_stop_whatever_else_is_undecided(self, cloud: FakeCloud) -> None:
        cloud.failing("find_interface", "g3", ApiUnavailable("away"))
        check(Bench(cloud, limit=2).run(), stop="limit")

    def test_sources_that_only_protected_sessions_list_do_not_count(self, cloud: FakeCloud) -> None:
        check(Bench(cloud, "name of one", limit=1).run(), stop=None, detached=1, protected=4)
        assert "g1" in cloud.sources()["one"]
        assert "g0" not in cloud.sources()["two"]

    def test_a_dry_run_beyond_the_limit_tells_what_is_undecided(self, cloud: FakeCloud) -> None:
        cloud.failing("find_interface", "g3", ApiUnavailable("away"))
        swept = Bench(cloud, limit=2, dry_run=True).run()
        check(swept, stop="limit", undecided=1)
        assert [each.interface_id for each in swept.undecided] == ["g3"]
        assert isinstance(swept.failure, ApiUnavailable)

    def test_a_dry_run_shows_what_would_be_done_beyond_the_limit(self, cloud: FakeCloud) -> None:
        before = cloud.sources()
        check(Bench(cloud, limit=3, dry_run=True).run(), stop="limit", detached=0, would_detach=4, would_free=5)
        assert cloud.sources() == before


class TestBlind:
    """Credentials that see no interface at all would take out all sources."""

    @pytest.fixture
    def hidden(self) -> FakeCloud:
        cloud = FakeCloud()
        sources = [f"i{n}" for n in range(30)]
        cloud.add("s", sources, gone=sources)
        cloud.delete(TARGET)
        return cloud

    def test_no_interface_to_be_seen_stops_the_sweep_after_a_few(self, hidden: FakeCloud) -> None:
        check(Bench(hidden).run(), stop="blind")
        assert len(hidden.asked("find_interface")) == BLIND_AFTER
        assert len(hidden.sources()["s"]) == 30

    def test_a_single_other_interface_that_can_be_seen_tells_that_they_are_not(self, hidden: FakeCloud) -> None:
        hidden.interfaces["somewhere else"] = ""
        check(Bench(hidden).run(), detached=30)

    def test_an_outage_is_no_blindness(self, hidden: FakeCloud) -> None:
        hidden.failing("find_interface", "i7", ApiUnavailable("away"))
        swept = Bench(hidden).run()
        assert (swept.figures.stop, type(swept.failure)) == (None, ApiUnavailable)

    def test_an_outage_of_the_last_question_is_none_either(self, hidden: FakeCloud) -> None:
        hidden.then("list_interfaces", lambda: None, ApiUnavailable("away"))
        assert isinstance(Bench(hidden).run().failure, ApiUnavailable)


class TestTrouble:
    def test_after_many_failures_in_a_row_the_rest_is_not_asked_for(self, cloud: FakeCloud) -> None:
        gone = [f"x{n:03}" for n in range(100)]
        cloud.add("many", gone, gone=gone)
        cloud.then("find_interface", *[ApiUnavailable("away")] * 100)
        swept = Bench(cloud).run()
        assert len(cloud.asked("find_interface")) == MAX_FAILURES
        assert isinstance(swept.failure, ApiUnavailable)

    @pytest.mark.parametrize("cancelled", [False, True])
    def test_a_sweep_that_is_cut_short_says_so_and_how_to_do_it_whole(self, cloud: FakeCloud, cancelled: bool) -> None:
        def cut_short() -> None:
            cloud.clock.cancellation.cancelled = cancelled
            cloud.clock.pass_(0 if cancelled else 700)

        cloud.then("find_interface", lambda: None, cut_short)
        swept = Bench(cloud).run()
        assert isinstance(swept.failure, Interrupted if cancelled else DeadlineExceeded)
        assert cancelled or "unmirror sweep --deadline 900" in str(swept.failure)
        assert not swept.figures.complete

    def test_without_time_for_the_lists_nothing_is_decided(self, cloud: FakeCloud) -> None:
        cloud.then("list_interfaces", lambda: cloud.clock.pass_(700))
        swept = Bench(cloud).run()
        assert isinstance(swept.failure, DeadlineExceeded)
        assert swept.figures.undecided == swept.figures.sources


def test_it_tells_how_far_it_has_come(cloud: FakeCloud) -> None:
    bench = Bench(cloud)
    bench.run()
    assert (bench.told[:2], bench.told[-1]) == ([("list", 0, 0), ("look_up", 13, 17)], ("remove", 0, 4))
    assert ("verify", 4, 4) in bench.told


def test_a_session_that_loses_its_last_source_is_named(cloud: FakeCloud) -> None:
    cloud.add("last", ["g1"], gone=["g1"])
    cloud.add("off", ["g1"], gone=["g1"], enabled=False)
    assert Bench(cloud).run().figures.emptied == ("last",)
