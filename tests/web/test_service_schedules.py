"""Over real sockets: interfaces are attached and deleted between the pages of a look, while removals are under way.

What happens and when is drawn from a seed; the emulator holds the call before which it happens. Which thread goes on
is up to the machine here; `tests/mirror/test_schedules.py` draws that, too.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from handler import bulkhead as places
from handler.cli.commands.demo import cts_event
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY
from handler.emulator.server import Behaviour, Cloud, Emulator, Fault
from tests.conftest import AT_ONCE, NewFunction, untraced
from tests.support.function import Function, settings_for

SCHEDULES = int(os.environ.get("SCHEDULES", "20"))
SESSIONS, DELETIONS, SENDERS = 6, 12, 24


class Region:
    """A cloud whose clock runs ahead of ours by ever more, and a function that is told of what is deleted there."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a schedule that can be repeated
        self.cloud = Cloud(seed)
        self.ahead = timedelta()
        self.emulator = Emulator(
            self.cloud,
            keys={ACCESS_KEY: SECRET_KEY},
            page_cap=2,
            now=lambda: datetime.now(timezone.utc) + self.ahead,
            behaviour=Behaviour(absent_source=self.chance.choice(("reject", "ignore"))),
        )
        self.sessions = [self.cloud.add_session(PROJECT_ID) for _ in range(SESSIONS)]
        self.living = [self.cloud.add_port(PROJECT_ID) for _ in range(DELETIONS + 4)]
        for port in self.living:
            self.watch(port)
        self.dead: list[str] = []
        self.answers: list[Future[None]] = []

    def watch(self, port: str) -> None:
        session = self.chance.choice(self.sessions)
        sources = self.cloud.sources(PROJECT_ID)[session]
        if port not in sources:
            self.cloud.set_sources(PROJECT_ID, session, [*sources, port])

    def run(self) -> None:
        """Tell of one deletion; the others happen before the calls that it leads to."""
        with self.emulator, ThreadPoolExecutor(SENDERS) as self.pool:
            self.function = Function(settings_for(self.emulator), source=AT_ONCE)
            self.emulator.hold = self.hold
            if self.chance.random() < 0.5:
                trouble = self.chance.choice(("list_sessions", "show_port", "remove_sources"))
                skip = self.chance.randint(0, 2)
                self.emulator.faults.append(Fault(trouble, status=400, body=b"{}", times=2, skip=skip))
            while len(self.dead) < DELETIONS:
                self.delete()
                self.answers[-1].result(30)
            for answer in self.answers:
                answer.result(30)

    async def hold(self, operation: str) -> None:
        """Before each call, as drawn: time passes, and what is deleted may have been attached just before."""
        self.ahead += timedelta(seconds=self.chance.choice((0, 0, 0.5, 4)))
        while len(self.dead) < DELETIONS and self.chance.random() < 0.35:
            self.delete()
        await asyncio.sleep(0)

    def delete(self) -> None:
        port = self.living.pop(self.chance.randrange(len(self.living)))
        self.watch(port)
        self.cloud.delete_port(port)
        self.dead.append(port)
        event = cts_event(port, trace=len(self.dead))
        event["cts"]["record_time"] = int((datetime.now(timezone.utc) + self.ahead).timestamp() * 1000)
        for _ in range(self.chance.choice((1, 1, 2))):
            self.answers.append(self.pool.submit(self.deliver, event))

    def deliver(self, event: dict[str, Any]) -> None:
        for _ in range(20):
            answer = self.function.post(event)
            if answer.status == 200:
                assert not self.cloud.uses(event["cts"]["resource_id"]), answer.report
                return
            assert answer.status in (502, 503)
        raise AssertionError(f"it is never done: {answer.body.decode()}")


@untraced
@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_no_deletion_slips_between_the_pages_of_a_look(seed: int) -> None:
    region = Region(seed)
    region.run()
    left = sorted(id_ for sources in region.cloud.sources(PROJECT_ID).values() for id_ in {*sources})
    assert {*left} == {*region.living}


# --- projects do not wait for one another -----------------------------------------------------------------------

QUICK, SLOW = PROJECT_ID, "5" * 32
OTHERS = ",".join(f"{number:032x}" for number in range(1, 9))


@pytest.fixture
def two_projects(cloud: Cloud, new_function: NewFunction) -> tuple[Function, Callable[..., dict[str, Any]]]:
    """A function for two projects, and what makes an event of a deleted source in one of them."""
    sessions = {project: cloud.add_session(project, target_id="target") for project in (QUICK, SLOW)}

    def deleted(project: str) -> dict[str, Any]:
        port = cloud.new_id()
        cloud.set_sources(project, sessions[project], [*cloud.sources(project)[sessions[project]], port])
        event = cts_event(port, trace=1)
        event["cts"]["project_id"] = project
        return event

    return new_function(UNMIRROR_PROJECTS=f"{QUICK},{SLOW}"), deleted


@contextmanager
def held(emulator: Emulator, operation: str) -> Iterator[threading.Event]:
    """Hold the next call of an operation until the block is left; yield what tells that it has come."""
    reached, go_on = threading.Event(), asyncio.Event()

    async def hold(which: str) -> None:
        if which == operation and not reached.is_set():
            reached.set()
            await go_on.wait()

    emulator.hold = hold
    try:
        yield reached
    finally:
        emulator.loop.call_soon_threadsafe(go_on.set)


@pytest.mark.parametrize("operation", ["list_sessions", "show_port", "remove_sources"])
def test_a_project_whose_call_hangs_delays_no_other(
    emulator: Emulator, two_projects: tuple[Function, Callable[..., dict[str, Any]]], operation: str
) -> None:
    """Every delivery of the quick one ends while the slow one's is held; neither key nor pool stands between them."""
    function, deleted = two_projects
    assert function.post(deleted(QUICK)).status == 200  # the key is proven
    with ThreadPoolExecutor(8) as pool:
        with held(emulator, operation) as reached:
            slow = [pool.submit(function.post, deleted(SLOW))]
            assert reached.wait(10)
            slow += [pool.submit(function.post, deleted(SLOW)) for _ in range(3)]
            assert [function.post(deleted(QUICK)).status for _ in range(8)] == [200] * 8
            assert not slow[0].done()
        assert [each.result(30).status for each in slow] == [200] * 4


def test_a_project_that_hangs_leaves_a_thread_to_the_other(
    emulator: Emulator, new_function: NewFunction, two_projects: tuple[Function, Callable[..., dict[str, Any]]]
) -> None:
    """Three threads serve: the slow one has two, and is told to come again instead of taking the last."""
    _, deleted = two_projects
    function = new_function(UNMIRROR_PROJECTS=f"{QUICK},{SLOW}", THREADS="3")
    assert function.post(deleted(QUICK)).status == 200
    with ThreadPoolExecutor(3) as pool:
        with held(emulator, "list_sessions") as reached:
            slow = [pool.submit(function.post, deleted(SLOW)) for _ in range(3)]
            assert reached.wait(10)
            refused = next(iter(as_completed(slow, 30))).result()
            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
            assert refused.report["error"]["type"].endswith("/busy")
            assert [function.post(deleted(QUICK)).status for _ in range(3)] == [200] * 3
        assert sorted(each.result(30).status for each in slow) == [200, 200, 503]
    assert function.post(deleted(SLOW)).status == 200


def test_one_of_more_projects_than_threads_has_half_of_them(
    emulator: Emulator, new_function: NewFunction, two_projects: tuple[Function, Callable[..., dict[str, Any]]]
) -> None:
    """Where each of the others was kept a thread, a storm in one project would be served one by one."""
    _, deleted = two_projects
    function = new_function(UNMIRROR_PROJECTS=f"{QUICK},{SLOW},{OTHERS}", THREADS="4")
    assert function.post(deleted(QUICK)).status == 200
    with ThreadPoolExecutor(3) as pool:
        with held(emulator, "list_sessions") as reached:
            slow = [pool.submit(function.post, deleted(SLOW)) for _ in range(3)]
            assert reached.wait(10)
            assert next(iter(as_completed(slow, 30))).result().status == 503
            assert [function.post(deleted(QUICK)).status for _ in range(3)] == [200] * 3
        assert sorted(each.result(30).status for each in slow) == [200, 200, 503]


def test_an_event_of_a_project_that_is_none_of_several_is_refused(
    two_projects: tuple[Function, Callable[..., dict[str, Any]]],
) -> None:
    function, deleted = two_projects
    event = deleted(QUICK)
    event["cts"]["project_id"] = "6" * 32
    assert function.post(event).status == 403


def test_a_storm_that_the_api_bears_sends_nobody_away(
    new_function: NewFunction,
    two_projects: tuple[Function, Callable[..., dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More deliveries at once than its project may have threads: they wait for those before them, and no longer."""
    monkeypatch.setattr(places, "PATIENCE", 30.0)
    _, deleted = two_projects
    function = new_function(UNMIRROR_PROJECTS=f"{QUICK},{OTHERS}", THREADS="4")
    storm = [deleted(QUICK) for _ in range(64)]
    with ThreadPoolExecutor(8) as pool:
        assert {answer.status for answer in pool.map(function.post, storm)} == {200}


def test_a_project_that_is_throttled_slows_no_other(
    emulator: Emulator, two_projects: tuple[Function, Callable[..., dict[str, Any]]]
) -> None:
    """It is told to wait for years, and does for minutes; the other goes on at once, with no call more."""
    function, deleted = two_projects
    throttled = Fault(status=429, body=b'{"error_code":"APIGW.0308"}', headers={"Retry-After": "99999999"}, times=1)
    emulator.faults.append(throttled)
    answer = function.post(deleted(SLOW))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "300")
    began = len(emulator.calls)
    assert function.post(deleted(SLOW)).status == 503
    assert len(emulator.calls) == began, "nothing is sent for the one that has to wait"
    answers = [function.post(deleted(QUICK)) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert {QUICK in call.path for call in emulator.calls[began:]} == {True}
