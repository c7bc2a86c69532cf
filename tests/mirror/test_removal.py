"""How interfaces leave a session: together, one removal at a time, and never longer in doubt than one more look."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from handler.errors import ApiRefused, ApiUnavailable, OutcomeUnknown, RemovalRejected, UnmirrorError
from handler.mirror.detach import Detach
from handler.mirror.removal import Removal, Removals
from handler.mirror.snapshot import Looks
from handler.mirror.verification import Verifications
from handler.model import InterfacesDeleted, Origin
from handler.report import Report
from tests.support.cloud import PROJECT, Clock, Cloud, Hold

REJECTED = RemovalRejected("rejected", code="VPC.0001", request_id="no")


@pytest.fixture
def learned() -> list[tuple[str, str, tuple[str, ...] | None]]:
    return []


@pytest.fixture
def removals(learned: list[tuple[str, str, tuple[str, ...] | None]]) -> Removals:
    return Removals(lambda *what: learned.append(what))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def cloud(clock: Clock) -> Cloud:
    cloud = Cloud(clock)
    cloud.add("s", ["a", "b", "c", "d"], alive=["d"])
    return cloud


def remove(removals: Removals, cloud: Cloud, *ids: str) -> Removal:
    return removals.remove(cloud.api(), cloud.sessions["s"], ids)


def test_the_answer_proves_the_removal(
    removals: Removals, cloud: Cloud, learned: list[tuple[str, str, tuple[str, ...] | None]]
) -> None:
    removal = remove(removals, cloud, "a", "b")
    assert (removal.fates, removal.before, removal.after) == (
        {"a": "detached", "b": "detached"},
        ("a", "b", "c", "d"),
        ("c", "d"),
    )
    assert removal.request_ids == ("request-1",)
    assert learned == [(PROJECT, "s", ("a", "b"))]


def test_a_removal_waits_a_moment_for_those_that_are_being_verified(cloud: Cloud, pool: ThreadPoolExecutor) -> None:
    """And goes as soon as they are there, however long that moment could be."""
    removals = Removals(lambda *_: None, gather_seconds=60)
    with removals.expecting(PROJECT, ["s"]), removals.expecting(PROJECT, ["s"]):
        both = [pool.submit(remove, removals, cloud, id_) for id_ in ("a", "b")]
        assert [future.result(10).fates for future in both] == [{"a": "detached", "b": "detached"}] * 2
    assert [call.operation for call in cloud.calls] == ["remove_sources"]
    assert not removals._queues, "a session from which nobody removes anything is forgotten"


def test_events_about_interfaces_of_one_session_cost_one_removal(cloud: Cloud, pool: ThreadPoolExecutor) -> None:
    """The second is still being verified when the first could go."""
    looks, hold = Looks(300, cloud.clock), Hold()
    removals = Removals(looks.learn)
    detach = Detach(looks, Verifications(cloud.clock), removals, clock=cloud.clock, pause=cloud.clock.pass_)

    def deliver(id_: str) -> Report:
        event = InterfacesDeleted(Origin(id_, "cts", PROJECT), (id_,))
        return detach.interfaces(event, cloud.api(), cloud.clock())

    cloud.next("find_interface", hold)
    slow = pool.submit(deliver, "b")
    assert hold.reached.wait(10)
    fast = pool.submit(deliver, "a")
    until(lambda: joined(removals) or fast.done())
    hold.go_on.set()
    assert {fast.result().outcome, slow.result().outcome} == {"detached"}
    assert sorted(cloud.asked("remove_sources")[0]) == ["a", "b", "s"]


def test_a_removal_waits_no_longer_than_a_moment(cloud: Cloud) -> None:
    removals = Removals(lambda *_: None, gather_seconds=0)
    with removals.expecting(PROJECT, ["s"]), removals.expecting(PROJECT, ["s"]):
        assert remove(removals, cloud, "a").fates == {"a": "detached"}


def test_those_who_come_while_a_removal_is_under_way_go_together_in_the_next(
    removals: Removals, cloud: Cloud, pool: ThreadPoolExecutor
) -> None:
    """Removals on one session never overlap, and ten that wait cost one call."""
    hold = Hold()
    cloud.next("remove_sources", hold)
    first = pool.submit(remove, removals, cloud, "a")
    assert hold.reached.wait(10)
    waiting = [pool.submit(remove, removals, cloud, id_) for id_ in ("b", "c")]
    until(lambda: joined(removals) == 3)
    hold.go_on.set()
    assert first.result().fates == {"a": "detached"}
    assert [each.result().fates for each in waiting] == [{"b": "detached", "c": "detached"}] * 2
    assert sorted(cloud.asked("remove_sources")[1]) == ["b", "c", "s"]
    assert cloud.most_in_flight == 1


def test_sessions_do_not_wait_for_each_other(removals: Removals, cloud: Cloud, pool: ThreadPoolExecutor) -> None:
    cloud.add("t", ["a"], alive=[])
    hold = Hold()
    cloud.next("remove_sources", hold)
    first: Future[Removal] = pool.submit(remove, removals, cloud, "a")
    assert hold.reached.wait(10)
    assert removals.remove(cloud.api(), cloud.sessions["t"], ["a"]).fates == {"a": "detached"}
    hold.go_on.set()
    assert first.result().fates == {"a": "detached"}


def test_one_bad_id_holds_up_none_of_the_others(removals: Removals, cloud: Cloud) -> None:
    """Whether one id that the API does not accept rejects the whole call is not documented."""
    cloud.always("remove_sources", "b", REJECTED)
    removal = remove(removals, cloud, "a", "b", "c")
    assert (removal.fates["a"], removal.fates["c"]) == ("detached", "detached")
    assert removal.fates["b"] is REJECTED
    assert cloud.sessions["s"].sources == ("b", "d")


def test_what_had_left_meanwhile_is_a_success(removals: Removals, cloud: Cloud) -> None:
    session = cloud.sessions["s"]
    remove(removals, cloud, "a")
    cloud.next("remove_sources", REJECTED)
    removal = removals.remove(cloud.api(), session, ["a", "b"])
    assert removal.fates == {"a": "already_absent", "b": "detached"}


def test_a_session_that_is_gone_is_a_success(removals: Removals, cloud: Cloud) -> None:
    session = cloud.sessions.pop("s")
    removal = removals.remove(cloud.api(), session, ["a"])
    assert (removal.fates, removal.after) == ({"a": "already_absent"}, None)


def test_a_lost_answer_is_settled_by_looking(removals: Removals, cloud: Cloud) -> None:
    cloud.next("remove_sources", OutcomeUnknown("lost"))
    removal = remove(removals, cloud, "a")
    assert (removal.fates, removal.after) == ({"a": "detached"}, ("b", "c", "d"))
    assert cloud.asked("show_session") == [("s",)]


def test_a_removal_that_is_lost_twice_is_not_sent_a_third_time(removals: Removals, cloud: Cloud) -> None:
    lost = OutcomeUnknown("it was lost on its way there")

    def lose() -> None:
        raise lost

    cloud.next("remove_sources", lose, lose, lose)
    assert remove(removals, cloud, "a").fates == {"a": lost}
    assert [call.operation for call in cloud.calls] == ["remove_sources", "show_session"] * 2


def test_a_look_that_fails_leaves_it_open(removals: Removals, cloud: Cloud) -> None:
    away = ApiUnavailable("away")
    cloud.next("remove_sources", OutcomeUnknown("lost"))
    cloud.next("show_session", away)
    assert remove(removals, cloud, "a").fates == {"a": away}


def test_an_old_answer_is_checked_against_the_session(removals: Removals, cloud: Cloud) -> None:
    cloud.answer_stale("s")
    removal = remove(removals, cloud, "a")
    assert (removal.fates, removal.after) == ({"a": "detached"}, ("b", "c", "d"))


def test_an_accepted_removal_that_does_not_show_is_no_success(removals: Removals, cloud: Cloud) -> None:
    cloud.answer_stale("s", times=10)
    fate = remove(removals, cloud, "a").fates["a"]
    assert isinstance(fate, ApiUnavailable)


def test_a_refusal_is_told_to_all_who_wait_for_it(removals: Removals, cloud: Cloud, pool: ThreadPoolExecutor) -> None:
    hold = Hold()
    refusal = ApiRefused("no permission")
    cloud.next("remove_sources", hold, refusal)
    first = pool.submit(remove, removals, cloud, "a")
    assert hold.reached.wait(10)
    waiting = [pool.submit(remove, removals, cloud, id_) for id_ in ("b", "c")]
    until(lambda: joined(removals) == 3)
    hold.go_on.set()
    assert first.result().fates == {"a": "detached"}
    assert [each.result().fates for each in waiting] == [{"b": refusal, "c": refusal}] * 2


def test_a_defect_leaves_nobody_waiting(removals: Removals, cloud: Cloud, pool: ThreadPoolExecutor) -> None:
    """Neither those of the group that it befell, who are told so, nor who comes next."""
    hold = Hold()

    def broken() -> None:
        raise ZeroDivisionError

    cloud.next("remove_sources", hold, broken)
    first = pool.submit(remove, removals, cloud, "a")
    assert hold.reached.wait(10)
    group = []
    for number, id_ in enumerate(("b", "c"), 2):
        group.append(pool.submit(remove, removals, cloud, id_))
        until(lambda number=number: joined(removals) == number)
    hold.go_on.set()
    assert first.result().fates == {"a": "detached"}
    assert [type(each.exception()) for each in group] == [ZeroDivisionError, UnmirrorError]
    assert remove(removals, cloud, "b", "c").fates == {"b": "detached", "c": "detached"}


def joined(removals: Removals) -> int:
    """Return how many deliveries are in the queues just now."""
    with removals._lock:
        return sum(queue.joined for queue in removals._queues.values())


def until(condition: object) -> None:
    """Return as soon as the condition holds; another thread is about to make it so."""
    assert callable(condition)
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.001)
