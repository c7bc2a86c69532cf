"""More than it can do: deliveries wait as long as their deadline and are sent away, and memory stays bounded."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from handler.cli.commands.demo import cts_event
from handler.emulator.sample import PROJECT_ID
from handler.emulator.server import Cloud, Emulator, Fault
from handler.mirror.freshness import MOST_PROJECTS
from tests.conftest import NewFunction

SENDERS = 32


@pytest.fixture
def events(cloud: Cloud) -> list[dict[str, Any]]:
    """Of deleted sources, ten in each session; any look is young enough for them."""
    ports = [cloud.new_id() for _ in range(SENDERS)]
    for at in range(0, SENDERS, 10):
        cloud.add_session(PROJECT_ID, sources=ports[at : at + 10], target_id="target")
    return [deleted_a_minute_ago(port) for port in ports]


def deleted_a_minute_ago(port: str) -> dict[str, Any]:
    event = cts_event(port, trace=1)
    event["cts"]["record_time"] -= 60_000
    return event


@pytest.mark.parametrize("operation", ["list_sessions", "show_port", "remove_sources"])
def test_who_cannot_be_served_in_time_is_told_when_to_come_again(
    new_function: NewFunction, emulator: Emulator, cloud: Cloud, events: list[dict[str, Any]], operation: str
) -> None:
    """The API does not answer at all: each waits for its own deadline, and none is told that it is done."""
    function = new_function(UNMIRROR_DEADLINE="0.4")
    emulator.faults.append(Fault(operation, kind="hang", times=-1))
    with ThreadPoolExecutor(SENDERS) as pool:
        answers = list(pool.map(function.post, events))
    assert {answer.status for answer in answers} == {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    assert all(cloud.uses(event["cts"]["resource_id"]) for event in events)
    emulator.clear_faults()
    again = new_function()
    with ThreadPoolExecutor(SENDERS) as pool:
        assert {answer.status for answer in pool.map(again.post, events)} == {200}
    assert not any(cloud.uses(event["cts"]["resource_id"]) for event in events)


def test_many_who_wait_cost_no_more_calls_than_few(
    new_function: NewFunction, emulator: Emulator, events: list[dict[str, Any]]
) -> None:
    """The look that the first takes is held while the others come; none of them takes another."""
    function = new_function()
    reached, go_on = threading.Event(), asyncio.Event()

    async def hold(operation: str) -> None:
        if operation == "list_sessions":
            reached.set()
            await go_on.wait()

    emulator.hold = hold
    with ThreadPoolExecutor(SENDERS) as pool:
        first = pool.submit(function.post, events[0])
        assert reached.wait(10)
        others = [pool.submit(function.post, event) for event in events[1:]]
        emulator.loop.call_soon_threadsafe(go_on.set)
        assert {each.result(30).status for each in (first, *others)} == {200}
    assert emulator.counts["list_sessions"] == 1
    assert emulator.counts["remove_sources"] <= SENDERS


def test_the_projects_that_are_remembered_are_the_last_ones(
    new_function: NewFunction, emulator: Emulator, cloud: Cloud
) -> None:
    """An event that is old enough for any look costs one where the project's last look is known, and only there."""
    projects = [f"{number:032x}" for number in range(MOST_PROJECTS + 1)]
    function = new_function(UNMIRROR_PROJECTS=",".join(projects))

    def looks(project: str) -> int:
        before = emulator.counts.get("list_sessions", 0)
        event = deleted_a_minute_ago(cloud.new_id())
        event["cts"]["project_id"] = project
        assert function.post(event).status == 200
        return emulator.counts["list_sessions"] - before

    assert [looks(project) for project in projects[:-1]] == [1] * MOST_PROJECTS
    assert looks(projects[0]) == 0, "it is known, and now the last that was used"
    assert looks(projects[-1]) == 1, "one too many"
    assert looks(projects[0]) == 0
    assert looks(projects[1]) == 1, "the least recently used was dropped"
