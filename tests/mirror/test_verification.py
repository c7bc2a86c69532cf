"""What is asked once, what is asked again, and how much is remembered."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from handler.errors import ApiUnavailable
from handler.mirror.verification import Verifications
from tests.support.cloud import Clock, Cloud, Hold


def asked(cloud: Cloud) -> list[str]:
    return [about[0] for about in cloud.asked("find_interface")]


def test_gone_is_final_and_exists_is_not(cloud: Cloud) -> None:
    cloud.add("s1", ["alive", "dead"], alive=["alive"])
    verifications = Verifications(cloud.clock)
    for _ in range(3):
        assert not verifications.ask(cloud.api(), "dead").exists
        assert verifications.ask(cloud.api(), "alive").exists
    assert asked(cloud) == ["dead", "alive", "alive", "alive"]
    cloud.delete("alive")
    assert not verifications.ask(cloud.api(), "alive").exists


def test_those_who_ask_meanwhile_share_the_answer(cloud: Cloud) -> None:
    verifications, hold = Verifications(cloud.clock), Hold()
    cloud.next("find_interface", hold)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(verifications.ask, cloud.api(), "dead")
        assert hold.reached.wait(10)
        others = [pool.submit(verifications.ask, cloud.api(), "dead") for _ in range(8)]
        hold.go_on.set()
        assert {each.result() for each in others} == {first.result()}
    assert asked(cloud) == ["dead"]


def test_who_joins_an_answer_that_it_exists_asks_again(cloud: Cloud) -> None:
    """It was asked for before they came, and may be deleted since."""
    cloud.add("s1", ["x"], alive=["x"])
    verifications, hold, joined = Verifications(cloud.clock), Hold(), threading.Event()
    cloud.next("find_interface", hold)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(verifications.ask, cloud.api(), "x")
        assert hold.reached.wait(10)
        second = pool.submit(verifications.ask, cloud.api(60, noticed=joined.set), "x")
        assert joined.wait(10)
        hold.go_on.set()
        assert first.result().exists
        assert second.result().exists
    assert asked(cloud) == ["x", "x"]


def test_gone_in_one_project_is_not_gone_in_another(cloud: Cloud) -> None:
    verifications, other = Verifications(cloud.clock), Cloud(Clock(), "another")
    other.add("s1", ["x"], alive=["x"])
    assert not verifications.ask(cloud.api(), "x").exists
    assert verifications.ask(other.api(), "x").exists


def test_a_failure_is_not_remembered(cloud: Cloud) -> None:
    verifications = Verifications(cloud.clock)
    cloud.next("find_interface", ApiUnavailable("away"))
    with pytest.raises(ApiUnavailable):
        verifications.ask(cloud.api(), "dead")
    assert not verifications.ask(cloud.api(), "dead").exists


def test_so_many_are_remembered_and_no_more(cloud: Cloud) -> None:
    verifications = Verifications(cloud.clock, most=2)
    for id_ in ("a", "b", "c", "c", "b", "a"):
        assert not verifications.ask(cloud.api(), id_).exists
    assert asked(cloud) == ["a", "b", "c", "a"]


def test_who_asks_for_what_was_true_at_an_earlier_moment_shares_an_answer_begun_since(cloud: Cloud) -> None:
    """A sweep meets a hidden interface in two sessions at once, and asks for it once."""
    cloud.add("s1", ["x"], alive=["x"])
    verifications, hold, joined = Verifications(cloud.clock), Hold(), threading.Event()
    cloud.next("find_interface", hold)
    looked = cloud.clock()
    cloud.clock.pass_(1)
    with ThreadPoolExecutor(2) as pool:
        pool.submit(verifications.ask, cloud.api(), "x", since=looked)
        assert hold.reached.wait(10)
        second = pool.submit(verifications.ask, cloud.api(60, noticed=joined.set), "x", since=looked)
        assert joined.wait(10)
        hold.go_on.set()
        assert second.result().exists
    assert asked(cloud) == ["x"]
