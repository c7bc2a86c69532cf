"""What goes wrong at the API, one row each: at which call, and then the answer, the sessions and the calls.

`api-3` is deleted and its event delivered; three sessions list it. Everything goes over a real socket.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from handler.emulator.operations import Behaviour, Fault
from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator
from tests.support.function import Answer, Function, NewFunction
from tests.support.tenant import cts

LIST, PORT, REMOVE, SHOW = "list_sessions", "show_port", "remove_sources", "show_session"
DOCUMENTED = Behaviour()
PLENTY = 25.0
"""Seconds in which everything is done, however slow the machine."""


def code(operation: str, status: int, code: str, **more: Any) -> Fault:
    """Answer with an error in the API's own shape."""
    body = f'{{"error_code":"{code}","error_msg":"made up","request_id":"fault"}}'.encode()
    return Fault(operation, "answer", status, body, **more)


def says(operation: str, body: bytes, status: int = 200) -> Fault:
    return Fault(operation, "answer", status, body)


def ever(operation: str, kind: Any = "answer", status: int = 503, **more: Any) -> Fault:
    return Fault(operation, kind, status, times=-1, **more)


class Row(NamedTuple):
    """A fault, and what comes of it."""

    name: str
    faults: tuple[Fault, ...]
    answer: str
    """Its status and the report's outcome, or those that chance leaves; of a problem the last part of its type."""
    left: int
    """How many sessions still list the dead interface: which ones is chance, since they are cleared side by side."""
    calls: str
    """How many there were to list, to verify, to remove and to show a session."""
    behaviour: Behaviour = DOCUMENTED
    seconds: float = PLENTY
    """The time that the delivery may take."""


SLOW_DOWN, LATER, OTHER = "APIGW.0308", {"Retry-After": "60"}, b'{"port":{"id":"another"}}'
OTHER_SESSION = b'{"traffic_mirror_session":{"id":"other","traffic_mirror_sources":[]}}'
OLD, NO_PORTS, STALE = Behaviour(ports_versions=("v2.0",)), Behaviour(ports_versions=()), Behaviour(stale_removals=True)
LOOK_IS_LOST = (Fault(REMOVE, "lost"), ever(SHOW))

ROWS = [
    Row("nothing", (), "200 detached", 0, "1 1 3 0"),
    Row("list: 500 once", (Fault(LIST),), "200 detached", 0, "2 1 3 0"),
    Row("list: 503 for ever", (ever(LIST),), "503 failed", 3, "4 0 0 0"),
    Row("list: cut off once", (Fault(LIST, "truncate"),), "200 detached", 0, "2 1 3 0"),
    Row("list: hangs", (ever(LIST, "hang"),), "503 failed", 3, "1 0 0 0", seconds=0.8),
    Row("list: drips", (ever(LIST, "drip"),), "503 failed", 3, "1 0 0 0", seconds=0.8),
    Row("list: 429 once", (code(LIST, 429, SLOW_DOWN),), "200 detached", 0, "2 1 3 0"),
    Row("list: 429 for ever", (code(LIST, 429, SLOW_DOWN, times=-1),), "503 failed", 3, "4 0 0 0"),
    Row("list: 429 for a minute", (code(LIST, 429, SLOW_DOWN, headers=LATER),), "503 failed", 3, "1 0 0 0"),
    Row("list: a page for people", (says(LIST, b"<html>"),), "200 detached", 0, "2 1 3 0"),
    Row("list: not permitted", (code(LIST, 403, "VPC.2201"),), "502 api-refused", 3, "1 0 0 0"),
    Row("list: not published here", (code(LIST, 404, "APIGW.0101"),), "502 api-refused", 3, "1 0 0 0"),
    Row("list: the key is refused", (code(LIST, 401, "APIGW.0301"),), "502 api-refused", 3, "1 0 0 0"),
    Row("port: 500 once", (Fault(PORT),), "200 detached", 0, "1 2 3 0"),
    Row("port: 504 for ever", (ever(PORT, status=504),), "503 failed", 3, "1 4 0 0"),
    Row("port: not there, or not permitted", (code(PORT, 404, "VPC.2204"),), "502 failed", 3, "1 1 0 0"),
    Row("port: 404 of a proxy", (says(PORT, b"", 404),), "200 detached", 0, "1 2 3 0"),
    Row("port: no version is published", (), "502 failed", 3, "1 3 0 0", NO_PORTS),
    Row("port: only the oldest version is published", (), "200 detached", 0, "1 3 3 0", OLD),
    Row("port: shows another", (says(PORT, OTHER),), "200 detached", 0, "1 2 3 0"),
    Row("port: hangs", (ever(PORT, "hang"),), "503 failed", 3, "1 1 0 0", seconds=0.8),
    Row("removal: reset before it was done", (Fault(REMOVE, "reset"),), "200 detached", 0, "1 1 4 1"),
    Row("removal: its answer is lost", (Fault(REMOVE, "lost"),), "200 detached", 0, "1 1 3 1"),
    Row("removal: its answer is lost, and so is the look after it", LOOK_IS_LOST, "503 partial", 0, "1 1 6 4"),
    Row("removal: never arrives", (ever(REMOVE, "reset"),), "503 failed", 3, "1 1 24 24"),
    Row("removal: hangs", (ever(REMOVE, "hang", skip=1),), "503 partial|503 failed", 2, "1 1 3 0", seconds=0.8),
    Row("removal: one session is away", (Fault(REMOVE, times=4),), "200 detached", 0, "1 1 7 0"),
    Row("removal: busy once", (code(REMOVE, 409, "VPC.0103"),), "200 detached", 0, "1 1 4 0"),
    Row("removal: one session refuses", (code(REMOVE, 403, "VPC.2201", skip=1),), "502 partial", 1, "1 1 3 0"),
    Row("removal: not permitted", (code(REMOVE, 403, "VPC.2201", times=-1),), "502 failed", 3, "1 1 3 0"),
    Row("removal: not known here", (code(REMOVE, 404, "APIGW.0101", times=-1),), "502 failed", 3, "1 1 3 0"),
    Row("removal: rejected, and still there", (code(REMOVE, 400, "VPC.2802"),), "502 partial", 1, "1 1 3 1"),
    Row("removal: says 202", (says(REMOVE, b"{}", 202),), "200 detached", 0, "1 1 4 1"),
    Row("removal: shows another session", (says(REMOVE, OTHER_SESSION),), "200 detached", 0, "1 1 4 1"),
    Row("removal: shows the session as it was", (), "200 detached", 0, "1 1 3 3", STALE),
]


FAILING = [row for row in ROWS if "200" not in row.answer and row.seconds == PLENTY]


def deliver(row: Row, dead: str, function: Function, emulator: Emulator) -> Answer:
    """Send the event while the fault lasts."""
    emulator.behaviour = row.behaviour
    emulator.faults += [replace(fault) for fault in row.faults]
    answer = function.post(cts(dead))
    emulator.clear_faults()
    emulator.behaviour = DOCUMENTED
    return answer


@pytest.fixture
def dead(tenant: Tenant) -> str:
    tenant.cloud.delete_port(tenant.interfaces["api-3"])
    return tenant.interfaces["api-3"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_is_answered_truthfully(
    row: Row, dead: str, new_function: NewFunction, emulator: Emulator, tenant: Tenant
) -> None:
    before = tenant.cloud.sources(PROJECT_ID)
    answer = deliver(row, dead, new_function(UNMIRROR_DEADLINE=str(row.seconds)), emulator)

    counts, after = Counter(call.operation for call in emulator.calls), tenant.cloud.sources(PROJECT_ID)
    left = {id_ for id_, sources in after.items() if dead in sources}
    calls = [counts.pop(operation, 0) for operation in (LIST, PORT, REMOVE, SHOW)]
    expected = [int(number) for number in row.calls.split()]
    assert counts == {}
    if row.seconds == PLENTY:
        assert (len(left), calls) == (row.left, expected)
    else:  # how far it came in so short a time is a matter of the machine
        assert len(left) >= row.left
        assert all(made <= most for made, most in zip(calls, expected, strict=True))
    assert f"{answer.status} {answer.json.get('outcome') or answer.slug}" in row.answer.split("|")
    kept = {id_: tuple(each for each in ids if each != dead or id_ in left) for id_, ids in before.items()}
    assert after == kept


@pytest.mark.parametrize("row", FAILING, ids=lambda row: row.name)
def test_what_was_not_done_is_done_when_it_is_sent_again_and_the_fault_is_over(
    row: Row, dead: str, new_function: NewFunction, emulator: Emulator, tenant: Tenant
) -> None:
    function = new_function(UNMIRROR_DEADLINE=str(row.seconds))
    deliver(row, dead, function, emulator)
    if "429" in row.name or "key" in row.name:  # this instance waits as long as the API asked, or the key cools down
        function = new_function()
    again = function.post(cts(dead))
    assert (again.status, again.report["outcome"]) in ((200, "detached"), (200, "nothing_to_do"))
    assert all(dead not in sources for sources in tenant.cloud.sources(PROJECT_ID).values())
