"""More than it can do: each delivery waits as long as its deadline and is told the truth."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from handler.emulator.operations import Fault
from handler.emulator.sample import PROJECT_ID
from handler.emulator.server import Emulator
from handler.emulator.state import Cloud
from tests.support.function import NewFunction
from tests.support.tenant import cts

SENDERS = 32


@pytest.fixture
def events(cloud: Cloud) -> list[dict[str, Any]]:
    """Of deleted sources, ten in each session; any snapshot is fresh enough for them."""
    ports = [cloud.new_id() for _ in range(SENDERS)]
    for at in range(0, SENDERS, 10):
        cloud.add_session(PROJECT_ID, sources=ports[at : at + 10], target_id="target")
    return [cts(port, age=60) for port in ports]


@pytest.mark.parametrize("operation", ["list_sessions", "show_port", "remove_sources"])
def test_a_delivery_that_cannot_be_served_in_time_is_told_when_to_come_again(
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


def test_many_who_wait_cost_no_more_calls_than_few(
    new_function: NewFunction, emulator: Emulator, events: list[dict[str, Any]]
) -> None:
    """The listing for the first is held while the others come; all of them share it, and the removals."""
    function = new_function()
    reached, go_on = threading.Event(), asyncio.Event()

    async def hold(operation: str) -> None:
        if operation == "list_sessions":
            reached.set()
            await go_on.wait()

    emulator.hold = hold
    with ThreadPoolExecutor(SENDERS) as pool:
        first = pool.submit(function.post, events[0])
        assert reached.wait(30)
        others = [pool.submit(function.post, event) for event in events[1:]]
        emulator.loop.call_soon_threadsafe(go_on.set)
        assert {each.result(30).status for each in (first, *others)} == {200}
    assert emulator.counts["list_sessions"] == 1
    assert emulator.counts["show_port"] == SENDERS
    assert emulator.counts["remove_sources"] < SENDERS
