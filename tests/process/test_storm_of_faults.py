"""A storm: interfaces die, events come in any order and number, and the API fails in every way that we know.

Whatever happens, no living interface is detached, no answer says "done" when it is not, and few authentications
fail; and when the faults end, every dead source that was announced leaves every session. Some hundred steps here;
`HYPOTHESIS_EXAMPLES=600 pytest --timeout=0 tests/process/test_storm_of_faults.py` takes 12,000.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from handler.emulator.operations import SESSIONS_A_SOURCE, SOURCES_A_SESSION, Behaviour, Fault
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY
from handler.emulator.server import Emulator
from handler.emulator.signatures import Authenticator
from handler.emulator.state import Cloud
from tests.support.function import AT_ONCE, Answer, Function, settings_for, untraced
from tests.support.tenant import cts

MOST_AT_ONCE = 6
"""Deliveries that are sent at the same time."""

STEPS = 20
"""Of an example; a step takes the time that a delivery takes."""

CODES = [
    (400, "VPC.2802"),
    (401, "APIGW.0301"),
    (403, "VPC.2201"),
    (404, "APIGW.0101"),
    (404, "VPC.2204"),
    (409, "VPC.0103"),
    (429, "APIGW.0308"),
    (500, "VPC.2502"),
    (503, "APIGW.0613"),
]
"""Every kind of error but the two that say "gone": an API that lies about that is not to be defended against."""

BODIES = [b"", b"<html>", b"null", b"{}", b'{"traffic_mirror_sessions":{}}', b'{"port":{}}']


def _error(answer: tuple[int, str], **often: Any) -> Fault:
    status, code = answer
    body = f'{{"error_code":"{code}","error_msg":"made up","request_id":"fault"}}'
    return Fault(status=status, body=body.encode(), **often)


operations = st.sampled_from(("remove_sources", "list_sessions", "show_port", "show_session", "list_ports", "*"))
often = {"operation": operations, "times": st.integers(1, 3), "skip": st.integers(0, 2)}
faults = st.one_of(
    st.builds(_error, answer=st.sampled_from(CODES), **often),
    st.builds(Fault, operation=operations, body=st.sampled_from(BODIES), status=st.sampled_from((200, 202, 302, 404))),
    st.builds(Fault, kind=st.sampled_from(("reset", "lost", "truncate")), **often),
    st.builds(Fault, operation=operations, kind=st.just("hang")),
)
places = st.integers(0, 1_000_000)
"""Chooses one of however many there are by then."""


class Storm(RuleBasedStateMachine):
    """A region, a function in it, and what we know to be true of both."""

    @initialize(seed=st.integers(0, 1000), page_cap=st.sampled_from((1, 2, 2000)))
    def begin(self, seed: int, page_cap: int) -> None:
        self.cloud = Cloud(seed)
        self.emulator = Emulator(self.cloud, keys={ACCESS_KEY: SECRET_KEY}, page_cap=page_cap)
        self.emulator.__enter__()
        self.sessions = [self.cloud.add_session(PROJECT_ID, name=f"session-{n}") for n in range(3)]
        self.living: list[str] = []
        self.dead: list[str] = []
        self.announced: list[str] = []
        self.pending: list[dict[str, Any]] = []
        for n in range(9):
            self.an_interface_is_made_and_watched([n])
        self.restart()

    def teardown(self) -> None:
        if hasattr(self, "emulator"):
            try:
                self.settle()
            finally:
                self.emulator.__exit__()

    # --- what happens in the cloud

    @rule(where=st.lists(places, min_size=1, max_size=SESSIONS_A_SOURCE))
    def an_interface_is_made_and_watched(self, where: list[int]) -> None:
        port = self.cloud.add_port(PROJECT_ID)
        self.living.append(port)
        for session in {self.sessions[place % len(self.sessions)] for place in where}:
            sources = self.cloud.sources(PROJECT_ID)[session]
            if len(sources) < SOURCES_A_SESSION:
                self.cloud.set_sources(PROJECT_ID, session, [*sources, port])
        self.watched = self._watched()

    @rule()
    def a_session_is_made(self) -> None:
        self.sessions.append(self.cloud.add_session(PROJECT_ID))
        self.watched = self._watched()

    @precondition(lambda self: len(self.sessions) > 1)
    @rule(place=places)
    def a_session_is_deleted(self, place: int) -> None:
        self.cloud.delete_session(PROJECT_ID, self.sessions.pop(place % len(self.sessions)))
        self.watched = self._watched()

    @precondition(lambda self: self.living)
    @rule(place=places, told=st.integers(0, 2), fault=st.none() | faults)
    def an_interface_dies(self, place: int, told: int, fault: Fault | None) -> None:
        """And is told of once, often, or never, perhaps as something goes wrong."""
        port = self._die(place)
        if fault is not None:
            self.the_api_fails(fault)
        for _ in range(told):
            self._deliver(self._announce(port))

    @precondition(lambda self: self.living)
    @rule(some=st.lists(places, min_size=2, max_size=4), fault=st.none() | faults)
    def interfaces_die_together(self, some: list[int], fault: Fault | None) -> None:
        """And are told of at once."""
        events = [self._announce(self._die(place)) for place in some[: len(self.living)]]
        if fault is not None:
            self.the_api_fails(fault)
        with ThreadPoolExecutor(len(events)) as pool:
            list(pool.map(self._deliver, events))

    @precondition(lambda self: self.living)
    @rule(place=places)
    def an_event_is_forged(self, place: int) -> None:
        """Perhaps its interface dies later, before the event is sent again."""
        self._deliver(self._announce(self.living[place % len(self.living)]))

    # --- what happens to the API

    @rule(fault=faults)
    def the_api_fails(self, fault: Fault) -> None:
        self.emulator.faults.append(replace(fault))

    @rule(
        absent=st.sampled_from(("reject", "ignore")),
        marker=st.sampled_from((404, 400, 0)),
        versions=st.sampled_from((("v3", "v1", "v2.0"), ("v1", "v2.0"), ("v2.0",), ())),
        stale=st.booleans(),
    )
    def the_api_is_of_another_region(self, absent: Any, marker: Any, versions: tuple[str, ...], stale: bool) -> None:
        self.emulator.behaviour = Behaviour(
            absent_source=absent, vanished_marker=marker, ports_versions=versions, stale_removals=stale
        )

    @rule()
    def the_key_is_not_accepted_any_more(self) -> None:
        self.emulator.keys = {}

    @rule()
    def the_faults_end(self) -> None:
        """And no key is locked any more; every new instance that tried it has brought it nearer to that."""
        self.emulator.keys = {ACCESS_KEY: SECRET_KEY}
        self.emulator.authenticator = Authenticator(lambda: datetime.now(UTC))
        self.emulator.clear_faults()

    # --- what happens to the function

    @rule()
    def restart(self, deadline: str = "0.3") -> None:
        """Another instance, which knows nothing; a key that rested is tried again."""
        self.function = Function(
            settings_for(self.emulator, UNMIRROR_DEADLINE=deadline), target="on_event", source=AT_ONCE
        )
        self.calls_before = len(self.emulator.calls)

    @rule(some=st.lists(places, min_size=1, max_size=MOST_AT_ONCE))
    def events_are_sent_again(self, some: list[int]) -> None:
        """At once. What is pending depends on time, so no precondition may ask for it."""
        events = {place % len(self.pending): self.pending[place % len(self.pending)] for place in some if self.pending}
        with ThreadPoolExecutor(len(some)) as pool:
            list(pool.map(self._deliver, events.values()))

    @rule()
    def a_sweep_is_due(self) -> None:
        self.function.post({"type": "io.unmirror.sweep.due.v1"})

    # --- what is true

    @invariant()
    def every_living_interface_is_watched_as_before(self) -> None:
        assert self._watched() == self.watched

    @invariant()
    def few_authentications_fail(self) -> None:
        """Two at most; but calls that are under way when a key that was good is first refused cannot be called back."""
        assert sum(call.status == 401 for call in self.emulator.calls[self.calls_before :]) <= 2 + MOST_AT_ONCE - 1

    def settle(self) -> None:
        """End all faults and send again what was not answered with a success."""
        self.the_faults_end()
        self.emulator.behaviour = replace(self.emulator.behaviour, ports_versions=("v1", "v2.0"))
        self.restart(deadline="25")
        for event in [event for event in self.pending if event["cts"]["resource_id"] in self.dead]:
            assert self._deliver(event).status == 200
        held = {source for sources in self.cloud.sources(PROJECT_ID).values() for source in sources}
        assert not held & set(self.announced) & set(self.dead)

    def _die(self, place: int) -> str:
        port = self.living.pop(place % len(self.living))
        self.cloud.delete_port(port)
        self.dead.append(port)
        self.watched = self._watched()
        return port

    def _announce(self, port: str) -> dict[str, Any]:
        self.announced.append(port)
        self.pending.append(cts(port, number=len(self.announced)))
        return self.pending[-1]

    def _deliver(self, event: dict[str, Any]) -> Answer:
        answer = self.function.post(event)
        if answer.status == 200:
            port = event["cts"]["resource_id"]
            assert not any(port in sources for sources in self.cloud.sources(PROJECT_ID).values()), answer.report
            self.pending.remove(event)
        else:
            assert answer.status in (502, 503)
        return answer

    def _watched(self) -> dict[str, tuple[str, ...]]:
        living = set(self.living)
        found = self.cloud.sources(PROJECT_ID)
        return {id_: tuple(each for each in sources if each in living) for id_, sources in found.items()}


TestStorm = untraced(Storm.TestCase)
TestStorm.settings = settings(stateful_step_count=STEPS)
