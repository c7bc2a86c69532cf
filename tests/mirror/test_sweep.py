"""The sweep: what it finds without being told, what it must never touch, and how it stops and goes on."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from handler.errors import ApiRefused, ApiUnavailable, BadReply, DeadlineExceeded, RemovalRejected
from handler.mirror.clearing import BLIND_AFTER, GIVE_UP_AFTER, Progress
from handler.mirror.detach import Detach, Protected
from handler.mirror.ledger import SETTLED
from handler.mirror.lookup import BATCH, MOST_UNLISTED
from handler.mirror.removal import Removals
from handler.mirror.snapshot import Looks
from handler.mirror.sweep import Sweep
from handler.mirror.verification import Verifications
from handler.model import InterfacesDeleted, Origin, SweepDue
from handler.report import Report
from handler.settings import SweepLimit
from tests.support.cloud import PROJECT, Clock, Cloud, Hold

SCHEMA = Draft202012Validator(json.loads((Path(__file__).parents[2] / "schemas" / "report.json").read_text("utf-8")))
MAX_AGE = 300.0


def ids(name: str, count: int) -> list[str]:
    return [f"{name}-{number:05}" for number in range(count)]


class World:
    """A cloud, and this process in front of it."""

    def __init__(self, cloud: Cloud, limit: SweepLimit, in_flight: int = 4, protect: tuple[str, ...] = ()) -> None:
        self.cloud = cloud
        self.progress: list[Progress] = []
        self.due = 0
        looks = Looks(MAX_AGE, cloud.clock)
        self.detach = Detach(
            looks=looks,
            verifications=Verifications(cloud.clock),
            removals=Removals(looks.learn),
            clock=cloud.clock,
            pause=cloud.clock.pass_,
            protect=Protected(protect),
        )
        self.limit, self.in_flight = limit, in_flight
        self.use = Sweep(self.detach, limit.allows, in_flight=in_flight, tell=self.progress.append)

    def dry(self) -> None:
        """From here on change nothing."""
        self.detach = replace(self.detach, dry_run=True)
        self.use = Sweep(self.detach, self.limit.allows, in_flight=self.in_flight)

    def sweep(self, seconds: float = 25.0, event: SweepDue | None = None, pause: float = 60.0) -> Report:
        """Let a sweep become due after a pause; check what every report promises."""
        self.cloud.clock.pass_(pause)
        if event is None:
            self.due += 1
            event = SweepDue(Origin(f"due-{self.due}", "timer", time=self.cloud.clock.cloud), "a timer")
        report = self.use.project(event, self.cloud.api(seconds), self.cloud.clock())
        SCHEMA.validate(report.to_json())
        return report

    def told(self, *interface_ids: str) -> Report:
        """Let an event name deleted interfaces."""
        self.cloud.clock.pass_(60)
        event = InterfacesDeleted(Origin("event", "cts", time=self.cloud.clock.cloud), interface_ids)
        return self.detach.interfaces(event, self.cloud.api(), self.cloud.clock())


@pytest.fixture
def world(cloud: Cloud) -> World:
    return World(cloud, SweepLimit(20, percent=True))


# --- what it finds -------------------------------------------------------------------------------------


def test_a_gone_source_leaves_every_session_and_nothing_else_does(world: World) -> None:
    """One look, one list, one confirmation and one removal a session; the report proves each."""
    cloud = world.cloud
    cloud.add("s1", ["a", "b", "dead"], alive=["a", "b"])
    cloud.add("s2", ["dead", "c"], alive=["c"])
    cloud.add("s3", ["d"])
    report = world.sweep()
    assert [session.sources for session in cloud.sessions.values()] == [("a", "b"), ("c",), ("d",)]
    assert (report.outcome, report.status, report.delivery_id, report.envelope) == ("detached", 200, "due-1", "timer")
    assert {each.session_id: (each.interface_ids, each.sources_after) for each in report.detachments} == {
        "s1": (("dead",), ("a", "b")),
        "s2": (("dead",), ("c",)),
    }
    assert set(report.gone_request_ids) == {"dead"}
    figures = report.sweep
    assert figures
    assert (figures.sessions, figures.sources, figures.listed, figures.gone) == (3, 5, 4, 1)
    assert (figures.detached, figures.places_freed, figures.found_by_sweep) == (1, 2, 1)
    assert (figures.complete, figures.stop, figures.unknown, figures.hidden) == (True, None, 0, 0)
    assert (figures.pages, figures.batches, figures.asked) == (0, 1, 1)
    assert cloud.asked("find_interface") == [("dead",)]
    assert [call.operation for call in cloud.calls].count("remove_sources") == 2


def test_where_all_is_well_nothing_is_asked_one_by_one(world: World) -> None:
    world.cloud.add("s1", ids("alive", 10))
    report = world.sweep()
    assert (report.outcome, report.status) == ("nothing_to_do", 200)
    assert [call.operation for call in world.cloud.calls] == ["list_sessions", "list_interfaces"]


def test_a_project_without_sessions_costs_one_call(world: World) -> None:
    report = world.sweep()
    assert (report.outcome, len(world.cloud.calls)) == ("nothing_to_do", 1)


def test_elastic_ips_are_not_judged(world: World) -> None:
    """Sources of a session of type eip are no interfaces: no port API knows them."""
    world.cloud.add("s1", ["eip-1", "eip-2"], alive=[], type="eip")
    world.cloud.add("s2", ["a"])
    report = world.sweep()
    assert (report.outcome, report.sweep and report.sweep.sources) == ("nothing_to_do", 1)
    assert world.cloud.sessions["s1"].sources == ("eip-1", "eip-2")
    assert not world.cloud.asked("find_interface")


def test_an_interface_that_an_event_had_named_does_not_count_as_lost(world: World) -> None:
    """It was said to be deleted too early, so the event's delivery ended with 503 and the sweep came first."""
    world.cloud.add("s1", ["early", "unheard", "a"])
    assert world.told("early").outcome == "still_exists"
    world.cloud.delete("early", "unheard")
    figures = world.sweep().sweep
    assert figures
    assert (figures.detached, figures.found_by_sweep) == (2, 1)


def test_sessions_left_empty_and_sessions_near_their_quota_are_counted(world: World) -> None:
    world.cloud.add("emptied", ["dead-1"], alive=[])
    world.cloud.add("disabled", ["dead-2"], alive=[], enabled=False)
    world.cloud.add("nine-left", [*ids("x", 9), "dead-3"], alive=ids("x", 9))
    world.cloud.add("eight-left", [*ids("y", 8), "dead-3"], alive=ids("y", 8))
    world.cloud.add("ten", ids("z", 10))
    figures = world.sweep().sweep
    assert figures
    assert (figures.emptied.count, figures.emptied.session_ids) == (1, ("emptied",))
    assert (figures.near_quota.count, figures.near_quota.session_ids) == (2, ("nine-left", "ten"))


def test_a_target_that_is_gone_is_named_and_its_session_left_alone(world: World) -> None:
    world.cloud.add("s1", ["a"], target_id="dead-target")
    world.cloud.add("s2", ["b"])
    world.cloud.add("s3", ["c"], target_id="dead-balancer", target_type="elb")
    report = world.sweep()
    assert report.outcome == "nothing_to_do"
    assert [(lost.session_id, lost.target_id) for lost in report.lost_targets] == [("s1", "dead-target")]
    assert report.sweep
    assert (report.sweep.orphaned, report.sweep.gone) == (1, 0)
    assert not world.cloud.asked("remove_sources")


# --- lists are hints --------------------------------------------------------------------------------


def test_a_list_that_forgets_the_ids_it_is_asked_for_detaches_nothing(world: World) -> None:
    world.cloud.page_size = 3
    world.cloud.forgets_ids = True
    world.cloud.interfaces.update(dict.fromkeys(ids("other", 3)))
    world.cloud.add("s1", ids("alive", 30))
    report = world.sweep()
    assert (report.outcome, len(world.cloud.sessions["s1"].sources)) == ("nothing_to_do", 30)
    assert report.sweep
    assert (report.sweep.hidden, report.sweep.gone) == (30, 0)


@pytest.mark.parametrize("count", [5, BATCH, 3 * BATCH])
def test_a_list_scoped_to_an_enterprise_project_detaches_only_what_is_gone(world: World, count: int) -> None:
    """Half of what exists is not shown, in either list; only the one that answers 404 leaves."""
    living = ids("alive", count)
    world.cloud.add("s1", [*living, "dead"], alive=living)
    world.cloud.unlisted = set(living[::2])
    report = world.sweep()
    assert report.outcome == "detached"
    assert world.cloud.sessions["s1"].sources == tuple(living)
    assert report.sweep
    assert report.sweep.hidden == len(world.cloud.unlisted)


def test_a_list_that_shows_nothing_is_not_believed_while_ids_can_be_found(world: World) -> None:
    living = ids("alive", 8)
    world.cloud.add("s1", [*living, "dead"], alive=living)
    world.cloud.unlisted = {*living, "the-target"}
    assert world.sweep().outcome == "detached"
    assert world.cloud.sessions["s1"].sources == tuple(living)


@settings(max_examples=60)
@given(st.data())
def test_no_living_interface_ever_leaves_a_session(data: st.DataObject) -> None:
    """Whatever the lists hide or forget, whatever fails, however short the time: only what is gone leaves."""
    names = ids("x", 40)
    cloud = Cloud(Clock())
    for number in range(data.draw(st.integers(1, 6))):
        cloud.add(f"s{number}", data.draw(st.lists(st.sampled_from(names), max_size=10, unique=True)))
    before = {session.id: set(session.sources) for session in cloud.sessions.values()}
    cloud.delete(*(set(data.draw(st.lists(st.sampled_from(names), unique=True))) & set(cloud.interfaces)))
    cloud.unlisted = set(data.draw(st.lists(st.sampled_from(names))))
    cloud.forgets_ids = data.draw(st.booleans())
    cloud.page_size = data.draw(st.integers(1, 50))
    cloud.latency = data.draw(st.sampled_from([0.0, 1.0, 5.0]))
    for operation in ("list_interfaces", "list_all_interfaces", "find_interface", "remove_sources"):
        errors = st.sampled_from([ApiUnavailable("away"), BadReply("unreadable"), RemovalRejected("no")])
        cloud.next(operation, *data.draw(st.lists(errors, max_size=3)))
    world = World(cloud, data.draw(st.sampled_from([SweepLimit(0), SweepLimit(100, percent=True)])))
    try:
        figures = world.sweep().sweep
        assert figures
        assert figures.sources == figures.listed + figures.hidden + figures.gone + figures.unknown
    except (ApiUnavailable, ApiRefused):
        assert not cloud.asked("remove_sources")
    after = {session.id: set(session.sources) for session in cloud.sessions.values()}
    left = {id_ for session_id, sources in before.items() for id_ in sources - after[session_id]}
    assert not left & set(cloud.interfaces)


# --- which list -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "others", "page_size", "pages", "batches"),
    [
        pytest.param(BATCH, 5000, 2000, 0, 1, id="one look-up is enough"),
        pytest.param(BATCH + 1, 0, 2000, 1, 0, id="one page shows all"),
        pytest.param(20 * BATCH, 2000, 1000, 4, 0, id="all are cheaper than twenty look-ups"),
        pytest.param(3 * BATCH, 9000, 1000, 3, 3, id="a large project: no more pages than look-ups"),
    ],
)
def test_the_cheaper_list_is_used_or_at_worst_both_for_the_price_of_one(
    world: World, sources: int, others: int, page_size: int, pages: int, batches: int
) -> None:
    cloud = world.cloud
    cloud.page_size = page_size
    cloud.interfaces.update(dict.fromkeys(ids("other", others)))
    living = ids("source", sources)
    cloud.interfaces.update(dict.fromkeys(living))
    for start in range(0, sources, 10):
        cloud.add(f"s{start}", living[start : start + 10], target_id="")
    report = world.sweep()
    assert report.outcome == "nothing_to_do"
    assert report.sweep
    assert (report.sweep.pages, report.sweep.batches) == (pages, batches)


def test_a_list_of_all_that_breaks_off_is_gone_on_with_by_id(world: World) -> None:
    living = ids("a", 3 * BATCH)
    world.cloud.page_size = 100
    world.cloud.add("s1", [*living, "dead"], alive=living)
    world.cloud.next("list_all_interfaces", lambda: None, BadReply("the marker leads nowhere"))
    report = world.sweep()
    assert (report.outcome, report.sweep and report.sweep.hidden) == ("detached", 0)
    assert len(world.cloud.asked("list_interfaces")) == 3


def test_where_lists_are_refused_a_few_sources_are_asked_for_one_by_one(world: World) -> None:
    """A permission for vpc:ports:get without vpc:ports:list is enough for a small project."""
    for operation in ("list_interfaces", "list_all_interfaces"):
        world.cloud.next(operation, *[ApiRefused("no vpc:ports:list")] * 9)
    living = ids("a", MOST_UNLISTED - 2)
    world.cloud.add("s1", [*living, "dead"], alive=living)
    assert world.sweep().outcome == "detached"
    assert len(world.cloud.asked("find_interface")) == MOST_UNLISTED


def test_where_lists_are_refused_many_sources_are_not(world: World) -> None:
    for operation in ("list_interfaces", "list_all_interfaces"):
        world.cloud.next(operation, *[ApiRefused("no vpc:ports:list")] * 99)
    world.cloud.add("s1", ids("a", 10 * BATCH))
    with pytest.raises(ApiRefused, match="vpc:ports:list"):
        world.sweep()
    assert not world.cloud.asked("find_interface")


# --- safety limits ------------------------------------------------------------------------------------


def test_more_than_the_limit_stops_it_before_anything_is_removed(world: World) -> None:
    living, dead = ids("a", 70), ids("dead", 30)
    world.cloud.add("s1", living[:35] + dead[:15], alive=living)
    world.cloud.add("s2", living[35:] + dead[15:], alive=[])
    report = world.sweep()
    assert (report.outcome, report.status, report.detachments) == ("stopped", 200, ())
    assert "unmirror sweep --limit" in report.reason
    assert report.sweep
    assert (report.sweep.stop, report.sweep.complete) == ("limit", False)
    assert not world.cloud.asked("remove_sources")
    assert 20 < len(world.cloud.asked("find_interface")) < 20 + 3 * world.in_flight  # and no longer than it takes


def test_many_suspects_are_no_reason_to_stop_if_few_are_gone(world: World) -> None:
    living, dead = ids("a", 80), ids("dead", 20)
    world.cloud.add("s1", living + dead, alive=living)
    world.cloud.unlisted = set(living[:40])
    report = world.sweep()
    assert (report.outcome, report.sweep and report.sweep.detached) == ("detached", 20)
    assert world.cloud.sessions["s1"].sources == tuple(living)


def test_a_dry_run_shows_the_plan_over_the_limit_and_says_so(world: World) -> None:
    living, dead = ids("a", 70), ids("dead", 30)
    world.cloud.add("s1", living + dead, alive=living)
    world.dry()
    report = world.sweep()
    assert (report.outcome, report.dry_run, report.sweep and report.sweep.stop) == ("planned", True, "limit")
    assert [(each.status, each.interface_ids) for each in report.detachments] == [("planned", tuple(dead))]
    assert "UNMIRROR_SWEEP_LIMIT" in report.reason
    assert not world.cloud.asked("remove_sources")
    assert len(world.cloud.sessions["s1"].sources) == 100


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize("count", [3, 1000])
def test_blind_credentials_change_nothing(world: World, count: int, dry: bool) -> None:
    """The sessions can be read, and every port answers 404: not even three sources are believed to be gone."""
    world.cloud.add("s1", ids("a", count))
    world.cloud.interfaces.clear()
    if dry:
        world.dry()
    report = world.sweep()
    assert (report.outcome, report.status, report.detachments) == ("stopped", 200, ())
    assert "vpc:ports" in report.reason
    assert report.sweep
    assert report.sweep.stop == "blind"
    assert len(world.cloud.asked("find_interface")) < 40


def test_any_interface_of_the_project_shows_that_the_credentials_see(world: World) -> None:
    """All sources are gone, the target too, and another interface is there: three are within the limit."""
    world.cloud.add("s1", ids("dead", 3))
    world.cloud.interfaces.clear()
    world.cloud.interfaces["another"] = None
    assert world.sweep().outcome == "detached"


def test_a_target_that_can_be_found_shows_that_the_credentials_see(cloud: Cloud) -> None:
    """No list shows anything, and all sources of a small project really are gone."""
    world = World(cloud, SweepLimit(100, percent=True))
    cloud.add("s1", ids("dead", 2 * BLIND_AFTER), alive=[])
    cloud.unlisted = {"the-target"}
    assert world.sweep().outcome == "detached"
    assert cloud.sessions["s1"].sources == ()


def test_gone_targets_do_not_count_towards_the_limit(cloud: Cloud) -> None:
    """Only what would leave a session does."""
    world = World(cloud, SweepLimit(1), in_flight=1)
    cloud.add("s1", ["dead", "alive"], alive=["alive"], target_id="dead-target-1")
    cloud.add("s2", ["alive"], target_id="dead-target-2")
    cloud.unlisted = {"the-target", "alive"}
    assert world.sweep().outcome == "detached"
    assert cloud.sessions["s1"].sources == ("alive",)


def test_who_is_stopped_by_a_limit_is_not_told_to_send_again(world: World) -> None:
    """Whatever else went wrong: the same delivery would be stopped again."""
    world.cloud.add("s1", ids("dead", 30), alive=[])
    world.cloud.next("find_interface", ApiUnavailable("away"))
    report = world.sweep()
    assert (report.outcome, report.status, report.retry) == ("stopped", 200, False)


def test_protected_sessions_keep_their_gone_sources_and_are_named(cloud: Cloud) -> None:
    world = World(cloud, SweepLimit(20, percent=True), protect=("name of prod*",))
    cloud.add("prod-1", ["dead", "only-there", "a"], alive=["a"])
    cloud.add("test-1", ["dead", "b"], alive=["b"])
    report = world.sweep()
    assert cloud.sessions["prod-1"].sources == ("dead", "only-there", "a")
    assert cloud.sessions["test-1"].sources == ("b",)
    assert {(kept.interface_id, kept.why, kept.session_ids) for kept in report.kept} == {
        ("dead", "protected", ("prod-1",)),
        ("only-there", "protected", ("prod-1",)),
    }
    assert report.sweep
    assert (report.sweep.protected, report.sweep.gone, report.sweep.detached) == (2, 2, 1)


# --- put back ------------------------------------------------------------------------------------------


def test_a_dead_id_that_is_put_back_is_removed_three_times_again_and_then_only_reported(world: World) -> None:
    world.cloud.add("s1", ["dead", "a"], alive=["a"])
    world.told("dead")  # what an event removed counts as well
    seen = []
    for _ in range(5):
        world.cloud.put_back("s1", "dead")
        report = world.sweep(pause=3600)
        assert report.sweep
        seen.append((report.outcome, *((each.session_id, each.removals) for each in report.sweep.put_back)))
        assert report.sweep.found_by_sweep == 0
        assert bool(report.kept) is (report.outcome == "nothing_to_do")
        if report.outcome == "nothing_to_do":
            world.cloud.sessions["s1"] = replace(world.cloud.sessions["s1"], sources=("a",))  # its writer gives in
    assert seen == [
        ("detached", ("s1", 1)),
        ("detached", ("s1", 2)),
        ("detached", ("s1", 3)),
        ("nothing_to_do", ("s1", 4)),
        ("nothing_to_do", ("s1", 4)),
    ]
    assert [(kept.interface_id, kept.why) for kept in report.kept] == [("dead", "put_back")]


def test_an_old_list_is_not_taken_for_somebody_who_puts_back(world: World) -> None:
    """Shortly after a removal a list may still show what it was before."""
    world.cloud.add("s1", ["dead", "a"], alive=["a"])
    world.sweep()
    world.cloud.put_back("s1", "dead")
    report = world.sweep(pause=SETTLED / 2)
    assert (report.outcome, report.sweep and report.sweep.put_back) == ("detached", ())


# --- one sweep serves many ----------------------------------------------------------------------------


def test_what_came_before_a_sweep_is_served_by_it_and_gets_its_own_report(world: World) -> None:
    world.cloud.add("s1", ["dead", "a"], alive=["a"])
    earlier = SweepDue(Origin("server-1", "cts", time=world.cloud.clock.cloud), "a server was deleted")
    first = world.sweep()
    calls = len(world.cloud.calls)
    second = world.sweep(event=earlier)
    assert len(world.cloud.calls) == calls
    assert second == replace(first, delivery_id="server-1", envelope="cts", shared=True)


def test_what_came_after_a_sweep_needs_another(world: World) -> None:
    world.cloud.add("s1", ["dead", "later", "a"], alive=["later", "a"])
    world.sweep()
    world.cloud.delete("later")
    assert [each.interface_ids for each in world.sweep().detachments] == [("later",)]


def test_a_hundred_deleted_servers_cost_two_sweeps(world: World) -> None:
    """One that runs, and one that begins after the last of them arrived."""
    world.cloud.add("s1", ["dead", "a"], alive=["a"])
    hold = Hold()
    world.cloud.next("list_sessions", hold)
    events = [SweepDue(Origin(f"server-{number}", "cts"), "a server was deleted") for number in range(20)]
    arrived = world.cloud.clock()
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(world.use.project, events[0], world.cloud.api(), arrived)
        assert hold.reached.wait(10)
        world.cloud.clock.pass_(1)
        rest = [pool.submit(world.use.project, event, world.cloud.api(), arrived + 1) for event in events[1:]]
        hold.go_on.set()
        reports = [first.result(), *(each.result() for each in rest)]
    assert [report.delivery_id for report in reports] == [event.origin.id for event in events]
    assert len(world.cloud.asked("list_sessions")) == 2


def test_projects_take_turns_so_that_none_is_always_too_late(world: World) -> None:
    assert world.use.in_turn({"b", PROJECT, "a"}) == [PROJECT, "a", "b"]
    world.sweep()
    assert world.use.in_turn({"b", PROJECT, "a"}) == ["a", "b", PROJECT]


# --- trouble -------------------------------------------------------------------------------------------


def test_a_suspect_that_cannot_be_verified_stays_and_the_others_go(world: World) -> None:
    world.cloud.add("s1", ["dead", "doubtful", "a"], alive=["a"])
    world.cloud.always("find_interface", "doubtful", ApiUnavailable("503 again and again", request_id="r-503"))
    report = world.sweep()
    assert (report.outcome, report.status, report.retry) == ("partial", 503, True)
    assert world.cloud.sessions["s1"].sources == ("doubtful", "a")
    assert [(kept.interface_id, kept.why, kept.session_ids, kept.request_id) for kept in report.kept] == [
        ("doubtful", "unconfirmed", ("s1",), "r-503")
    ]
    assert report.sweep
    assert (report.sweep.unknown, report.sweep.complete) == (1, False)


def test_the_worst_error_decides_the_status(world: World) -> None:
    world.cloud.add("s1", ["x", "y", "a"], alive=["a"])
    world.cloud.always("find_interface", "x", ApiRefused("no"))
    report = world.sweep()
    assert (report.outcome, report.status) == ("partial", 502)
    world.cloud.put_back("s1", "y2")
    world.cloud.always("find_interface", "y2", ApiUnavailable("away"))
    report = world.sweep()
    assert (report.outcome, report.status) == ("failed", 503)
    assert {kept.interface_id for kept in report.kept} == {"x", "y2"}


def test_a_session_that_refuses_does_not_keep_the_others_from_being_cleared(world: World) -> None:
    world.cloud.add("s1", ["dead-1"], alive=[])
    world.cloud.add("s2", ["dead-2", "a"], alive=["a"])
    world.cloud.always("remove_sources", "s1", ApiRefused("no vpc:trafficMirrorSessions:removeSource"))
    report = world.sweep()
    assert (report.outcome, report.status) == ("partial", 502)
    assert {each.session_id: each.status for each in report.detachments} == {"s1": "failed", "s2": "detached"}
    assert report.sweep
    assert not report.sweep.complete
    assert "1 removal(s) failed" in report.reason


def fill(cloud: Cloud, sessions: int = 40) -> None:
    """Sessions of ten, one of each gone."""
    for number in range(sessions):
        living = ids(f"a{number}", 9)
        cloud.add(f"s{number}", [*living, f"dead-{number}"], alive=living)


def cleared(cloud: Cloud) -> set[str]:
    """The sessions of `fill` that lost their gone one, and nothing else."""
    return {id_ for id_, session in cloud.sessions.items() if session.sources == tuple(ids(f"a{id_[1:]}", 9))}


def test_verifications_that_fail_again_and_again_are_not_tried_for_all(world: World) -> None:
    """A missing permission fails a thousand times alike; the report names the first hundred."""
    fill(world.cloud, 200)
    world.cloud.next("find_interface", *[ApiRefused("no vpc:ports:get")] * 200)
    report = world.sweep()
    assert (report.outcome, report.status, len(report.kept)) == ("failed", 502, 100)
    assert report.sweep
    assert report.sweep.unknown == 200
    assert len(world.cloud.asked("find_interface")) < GIVE_UP_AFTER + 2 * world.in_flight


def test_removals_that_fail_again_and_again_are_not_tried_for_all(world: World) -> None:
    fill(world.cloud, 200)
    world.cloud.next("remove_sources", *[ApiRefused("no vpc:trafficMirrorSessions:removeSource")] * 200)
    report = world.sweep()
    assert (report.outcome, report.status) == ("failed", 502)
    assert [each.status for each in report.detachments] == ["failed"] * 200
    assert len(world.cloud.asked("remove_sources")) < GIVE_UP_AFTER + 2 * world.in_flight


def test_a_failed_sweep_serves_nobody_later(world: World) -> None:
    world.cloud.add("s1", ["dead", "a"], alive=["a"])
    event = SweepDue(Origin("due", "timer", time=world.cloud.clock.cloud), "a timer")
    world.cloud.next("find_interface", ApiUnavailable("away"))
    assert world.sweep(event=event).status == 503
    assert world.sweep(event=event).outcome == "detached"


# --- out of time --------------------------------------------------------------------------------------


def test_an_interrupted_sweep_keeps_what_it_did_and_the_next_goes_on(world: World) -> None:
    """Sent again, the same event ends the work; what was listed is not listed again, what is gone not asked again."""
    fill(world.cloud)
    event = SweepDue(Origin("due", "timer", time=world.cloud.clock.cloud), "a timer")
    world.cloud.latency = 1.0
    first = world.sweep(20, event)
    assert (first.outcome, first.status, first.retry) == ("partial", 503, True)
    assert isinstance(first.error, DeadlineExceeded)
    assert first.sweep
    assert 0 < first.sweep.detached < 40
    assert first.sweep.unknown > 0
    assert not first.sweep.complete
    done = {each.session_id for each in first.detachments if each.status == "detached"}
    assert cleared(world.cloud) == done
    world.cloud.calls.clear()
    second = world.sweep(1000, event)
    assert (second.outcome, second.sweep and second.sweep.complete) == ("detached", True)
    assert cleared(world.cloud) == set(world.cloud.sessions)
    assert not world.cloud.asked("list_all_interfaces")
    asked = {id_ for (id_,) in world.cloud.asked("find_interface")}
    assert not asked & set(first.gone_request_ids)


def test_an_interrupted_list_goes_on_where_it_was(world: World) -> None:
    fill(world.cloud)
    world.cloud.page_size, world.cloud.latency = 100, 1.0
    event = SweepDue(Origin("due", "timer", time=world.cloud.clock.cloud), "a timer")
    first = world.sweep(3, event)
    assert (first.outcome, first.sweep and first.sweep.pages) == ("partial", 1)
    second = world.sweep(1000, event)
    assert second.outcome == "detached"
    assert second.sweep
    assert second.sweep.listed > 300


def test_what_an_interrupted_sweep_saw_says_nothing_to_a_later_event(world: World) -> None:
    """An interface that was there then may be deleted since."""
    fill(world.cloud)
    world.cloud.latency = 1.0
    assert world.sweep(20).outcome == "partial"
    world.cloud.delete("a0-00000")
    world.sweep(1000)
    assert cleared(world.cloud) == {*world.cloud.sessions} - {"s0"}
    assert world.cloud.sessions["s0"].sources == tuple(ids("a0", 9)[1:])


def test_what_an_interrupted_sweep_saw_is_forgotten_with_age(world: World) -> None:
    fill(world.cloud)
    event = SweepDue(Origin("due", "timer", time=world.cloud.clock.cloud), "a timer")
    world.cloud.latency = 1.0
    assert world.sweep(20, event).outcome == "partial"
    world.cloud.calls.clear()
    assert world.sweep(1000, event, pause=MAX_AGE + 1).outcome == "detached"
    assert world.cloud.asked("list_all_interfaces")


def test_a_resumed_sweep_is_as_old_as_what_it_went_on_from(world: World) -> None:
    """It must not answer for what was deleted after the first one saw it, however new its sessions are."""
    fill(world.cloud)
    event = SweepDue(Origin("due", "timer", time=world.cloud.clock.cloud), "a timer")
    world.cloud.latency = 1.0
    assert world.sweep(20, event).outcome == "partial"
    world.cloud.latency = 0.0
    world.cloud.delete("a0-00000")
    later = SweepDue(Origin("server", "cts", time=world.cloud.clock.cloud), "a server was deleted")
    world.told("somebody-elses")  # a new look at the sessions
    assert world.sweep(event=event, pause=10).outcome == "detached"
    assert "a0-00000" in world.cloud.sessions["s0"].sources
    assert world.sweep(event=later, pause=10).outcome == "detached"
    assert "a0-00000" not in world.cloud.sessions["s0"].sources


def test_a_resumed_sweep_ages_from_what_it_went_on_from(world: World) -> None:
    fill(world.cloud)
    event = SweepDue(Origin("due", "timer", time=world.cloud.clock.cloud), "a timer")
    world.cloud.latency = 1.0
    assert world.sweep(20, event).outcome == "partial"
    world.cloud.latency = 0.0
    world.told("somebody-elses")
    assert world.sweep(1000, event).outcome == "detached"
    world.cloud.calls.clear()
    assert world.sweep(1000, event, pause=MAX_AGE - 100).outcome == "nothing_to_do"
    assert world.cloud.asked("list_all_interfaces")


@pytest.mark.parametrize("seconds", range(1, 30, 2))
def test_whenever_time_runs_out_the_report_tells_what_was_done(world: World, seconds: int) -> None:
    fill(world.cloud, 12)
    world.cloud.latency = 1.0
    try:
        report = world.sweep(seconds)
    except DeadlineExceeded:
        assert seconds == 1  # not even a look
        return
    told = {each.session_id: each.status for each in report.detachments}
    done = {id_ for id_, status in told.items() if status == "detached"}
    assert done <= cleared(world.cloud) <= set(told)  # an answer may be lost, a removal never unmentioned
    assert (report.outcome == "detached") == (len(done) == 12)


@pytest.mark.parametrize(("seconds", "status"), [(2, 503), (3, 503), (5, 503), (7, 503), (9, 200)])
def test_who_had_no_time_to_ask_for_all_does_not_say_that_all_is_well(cloud: Cloud, seconds: int, status: int) -> None:
    """Nothing is to be removed here: the suspects are in a protected session, and asked for last."""
    world = World(cloud, SweepLimit(100, percent=True), in_flight=1, protect=("s",))
    cloud.add("s", [*ids("dead", 6), "alive"], alive=["alive"])
    cloud.latency = 1.0
    report = world.sweep(seconds)
    assert report.sweep
    assert (report.status, report.sweep.complete) == (status, status == 200)
    assert bool(report.sweep.unknown) is (status == 503)
    assert isinstance(report.error, DeadlineExceeded) is (status == 503)


def test_a_resumed_sweep_asks_for_nothing_that_was_seen_to_live(cloud: Cloud) -> None:
    """Also not for what no list shows."""
    world = World(cloud, SweepLimit(100, percent=True), in_flight=1)
    cloud.add("s", [*ids("hidden", 8), *ids("dead", 2)], alive=ids("hidden", 8))
    cloud.unlisted = {*ids("hidden", 8)}
    cloud.latency = 1.0
    event = SweepDue(Origin("due", "timer", time=cloud.clock.cloud), "a timer")
    assert world.sweep(7, event).status == 503
    confirmed = {about for about, *_ in cloud.asked("find_interface")[:-1]}  # time was up within the last
    assert len(confirmed) >= 3
    cloud.calls.clear()
    assert world.sweep(60, event).outcome == "detached"
    assert confirmed.isdisjoint(about for about, *_ in cloud.asked("find_interface"))


# --- how it works ---------------------------------------------------------------------------------------


def test_never_more_calls_in_flight_than_agreed(cloud: Cloud) -> None:
    world = World(cloud, SweepLimit(100, percent=True), in_flight=3)
    fill(cloud)
    cloud.next("find_interface", *[lambda: threading.Event().wait(0.03)] * 9)  # long enough for all to be there
    assert world.sweep().outcome == "detached"
    assert cloud.most_in_flight == 3


def test_a_living_suspect_asked_for_by_two_at_once_counts_once(cloud: Cloud) -> None:
    world = World(cloud, SweepLimit(20, percent=True), in_flight=2)
    for number in range(2):
        cloud.add(f"s{number}", ["hidden", *ids(f"a{number}", 3)])
    cloud.unlisted = {"hidden"}
    hold = Hold()
    cloud.next("find_interface", hold)
    api = cloud.api(noticed=lambda: hold.go_on.set() if hold.reached.is_set() else None)  # the second to ask does
    report = world.use.project(SweepDue(Origin("due", "timer"), "a timer"), api, cloud.clock())
    assert report.sweep
    assert report.sweep.hidden == 1


def test_the_progress_ends_where_it_should(world: World) -> None:
    fill(world.cloud)
    world.sweep()
    last = {each.stage: each for each in world.progress}
    assert list(last) == ["look", "list", "detach"]
    assert last["list"] == Progress("list", 361, 401)
    assert last["detach"] == Progress("detach", 40, 40)


def test_a_living_suspect_of_several_sessions_is_asked_for_once(cloud: Cloud) -> None:
    world = World(cloud, SweepLimit(20, percent=True), in_flight=1)
    for number in range(3):
        cloud.add(f"s{number}", ["hidden", *ids(f"a{number}", 3)])
    cloud.unlisted = {"hidden"}
    assert world.sweep().outcome == "nothing_to_do"
    assert cloud.asked("find_interface") == [("hidden",)]
