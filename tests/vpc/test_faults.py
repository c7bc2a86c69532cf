"""What goes wrong at the API, one row each: at which call, and then the answer, the sessions and the calls.

`api-3` is deleted and its event delivered; three sessions list it. Everything goes over a real socket.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from handler.emulator.operations import Behaviour, Fault
from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator
from tests.support.function import NewFunction
from tests.support.tenant import cts

ALL, NONE = 3, 0
EVER = -1


def code(status: int, code: str, operation: str = "*", **more: Any) -> Fault:
    """Answer with an error in the API's own shape."""
    body = f'{{"error_code":"{code}","error_msg":"made up","request_id":"fault"}}'.encode()
    return Fault(operation, "answer", status, body, **more)


def says(body: bytes, operation: str, status: int = 200, **more: Any) -> Fault:
    """Answer with this body."""
    return Fault(operation, "answer", status, body, **more)


DOCUMENTED = Behaviour()


@dataclass(frozen=True)
class Row:
    """A fault, and what comes of it."""

    name: str
    faults: tuple[Fault, ...]
    status: int
    outcome: str
    """The report's outcome, or those that chance leaves; of a problem the last part of its type."""
    left: int
    """How many sessions still list the dead interface: which ones is chance, since they are cleared side by side."""
    calls: str
    """The calls in alphabetical order, each with its number."""
    behaviour: Behaviour = DOCUMENTED
    settings: dict[str, str] = field(default_factory=dict)


LIST, PORT, REMOVE, SHOW = "list_sessions", "show_port", "remove_sources", "show_session"
GOOD = "list_sessions 1, remove_sources 3, show_port 1"
SHORT = {"UNMIRROR_DEADLINE": "0.8"}

ROWS = [
    Row("nothing", (), 200, "detached", NONE, GOOD),
    # the look
    Row("list: 500 once", (Fault(LIST),), 200, "detached", NONE, "list_sessions 2, remove_sources 3, show_port 1"),
    Row("list: 503 for ever", (Fault(LIST, status=503, times=EVER),), 503, "failed", ALL, "list_sessions 4"),
    Row("list: 502 page", (says(b"<html>", LIST, 502),), 200, "detached", NONE, GOOD.replace("1", "2", 1)),
    Row("list: reset once", (Fault(LIST, "reset"),), 200, "detached", NONE, GOOD.replace("1", "2", 1)),
    Row("list: cut off once", (Fault(LIST, "truncate"),), 200, "detached", NONE, GOOD.replace("1", "2", 1)),
    Row("list: hangs", (Fault(LIST, "hang", times=EVER),), 503, "failed", ALL, "list_sessions 1", settings=SHORT),
    Row("list: drips", (Fault(LIST, "drip", times=EVER),), 503, "failed", ALL, "list_sessions 1", settings=SHORT),
    Row("list: 429 once", (code(429, "APIGW.0308", LIST),), 200, "detached", NONE, GOOD.replace("1", "2", 1)),
    Row("list: 429 for ever", (code(429, "APIGW.0308", times=EVER),), 503, "failed", ALL, "list_sessions 4"),
    Row(
        "list: 429, and the wait is longer than the deadline",
        (code(429, "APIGW.0308", headers={"Retry-After": "60"}),),
        503,
        "failed",
        ALL,
        "list_sessions 1",
    ),
    Row(
        "list: redirected",
        (says(b"", LIST, 302, headers={"Location": "/"}),),
        200,
        "detached",
        NONE,
        "list_sessions 2, remove_sources 3, show_port 1",
    ),
    Row(
        "list: a page for people",
        (says(b"<html>", LIST),),
        200,
        "detached",
        NONE,
        "list_sessions 2, remove_sources 3, show_port 1",
    ),
    Row(
        "list: null",
        (says(b'{"traffic_mirror_sessions":null}', LIST),),
        200,
        "detached",
        NONE,
        "list_sessions 2, remove_sources 3, show_port 1",
    ),
    Row("list: not permitted", (code(403, "VPC.2201", LIST),), 502, "api-refused", ALL, "list_sessions 1"),
    Row("list: not published here", (code(404, "APIGW.0101", LIST),), 502, "api-refused", ALL, "list_sessions 1"),
    Row("list: the key is refused", (code(401, "APIGW.0301", LIST),), 502, "api-refused", ALL, "list_sessions 1"),
    Row("list: in arrears", (code(401, "VPC.0005", LIST),), 502, "api-refused", ALL, "list_sessions 1"),
    Row("list: another project", (code(400, "VPC.0007", LIST),), 502, "api-refused", ALL, "list_sessions 1"),
    # is it gone?
    Row("port: 500 once", (Fault(PORT),), 200, "detached", NONE, "list_sessions 1, remove_sources 3, show_port 2"),
    Row(
        "port: 504 for ever", (Fault(PORT, status=504, times=EVER),), 503, "failed", ALL, "list_sessions 1, show_port 4"
    ),
    Row("port: not permitted", (code(403, "VPC.2201", PORT),), 502, "failed", ALL, "list_sessions 1, show_port 1"),
    Row(
        "port: not there, or not permitted",
        (code(404, "VPC.2204", PORT),),
        502,
        "failed",
        ALL,
        "list_sessions 1, show_port 1",
    ),
    Row(
        "port: 404 of a proxy",
        (says(b"", PORT, 404),),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 3, show_port 2",
    ),
    Row(
        "port: no version is published",
        (),
        502,
        "failed",
        ALL,
        "list_sessions 1, show_port 3",
        Behaviour(ports_versions=()),
    ),
    Row(
        "port: only the oldest version is published",
        (),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 3, show_port 3",
        Behaviour(ports_versions=("v2.0",)),
    ),
    Row(
        "port: shows another",
        (says(b'{"port":{"id":"another"}}', PORT),),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 3, show_port 2",
    ),
    Row(
        "port: reset", (Fault(PORT, "reset"),), 200, "detached", NONE, "list_sessions 1, remove_sources 3, show_port 2"
    ),
    Row(
        "port: hangs",
        (Fault(PORT, "hang", times=EVER),),
        503,
        "failed",
        ALL,
        "list_sessions 1, show_port 1",
        settings=SHORT,
    ),
    # the removal
    Row(
        "removal: reset before it was done",
        (Fault(REMOVE, "reset"),),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 4, show_port 1, show_session 1",
    ),
    Row(
        "removal: its answer is lost",
        (Fault(REMOVE, "lost"),),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 3, show_port 1, show_session 1",
    ),
    Row(
        "removal: its answer is cut off",
        (Fault(REMOVE, "truncate"),),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 3, show_port 1, show_session 1",
    ),
    Row(
        "removal: its answer is lost, and so is the look after it",
        (Fault(REMOVE, "lost"), Fault(SHOW, status=503, times=EVER)),
        503,
        "partial",
        NONE,
        "list_sessions 1, remove_sources 6, show_port 1, show_session 4",
    ),
    Row(
        "removal: never arrives",
        (Fault(REMOVE, "reset", times=EVER),),
        503,
        "failed",
        ALL,
        "list_sessions 1, remove_sources 24, show_port 1, show_session 24",
    ),
    Row(
        "removal: hangs after the first",
        (Fault(REMOVE, "hang", skip=1, times=EVER),),
        503,
        "partial|failed",
        2,
        "list_sessions 1, remove_sources 3, show_port 1",
        settings=SHORT,
    ),
    Row(
        "removal: 500 once",
        (Fault(REMOVE),),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 4, show_port 1",
    ),
    Row(
        "removal: one session refuses",
        (code(403, "VPC.2201", REMOVE, skip=1),),
        502,
        "partial",
        1,
        GOOD,
    ),
    Row("removal: not permitted", (code(403, "VPC.2201", REMOVE, times=EVER),), 502, "failed", ALL, GOOD),
    Row(
        "removal: one session is away",
        (Fault(REMOVE, status=503, times=4),),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 7, show_port 1",
    ),
    Row(
        "removal: busy once",
        (code(409, "VPC.0103", REMOVE),),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 4, show_port 1",
    ),
    Row(
        "removal: rejected, and the interface is still there",
        (code(400, "VPC.2802", REMOVE),),
        502,
        "partial",
        1,
        "list_sessions 1, remove_sources 3, show_port 1, show_session 1",
    ),
    Row(
        "removal: says 202",
        (says(b"{}", REMOVE, 202),),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 4, show_port 1, show_session 1",
    ),
    Row(
        "removal: shows another session",
        (says(b'{"traffic_mirror_session":{"id":"other","traffic_mirror_sources":[]}}', REMOVE),),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 4, show_port 1, show_session 1",
    ),
    Row(
        "removal: shows the session as it was",
        (),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 3, show_port 1, show_session 3",
        Behaviour(stale_removals=True),
    ),
    Row(
        "removal: the gateway does not know it",
        (code(404, "APIGW.0101", REMOVE, times=EVER),),
        502,
        "failed",
        ALL,
        GOOD,
    ),
    Row(
        "removal: 429 once",
        (code(429, "APIGW.0308", REMOVE),),
        200,
        "detached",
        NONE,
        "list_sessions 1, remove_sources 4, show_port 1",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_is_answered_truthfully(
    row: Row, new_function: NewFunction, emulator: Emulator, tenant: Tenant
) -> None:
    dead = tenant.interfaces["api-3"]
    before = tenant.cloud.sources(PROJECT_ID)
    tenant.cloud.delete_port(dead)
    function = new_function(**row.settings)
    emulator.behaviour = row.behaviour
    emulator.faults += [replace(fault) for fault in row.faults]

    began = time.monotonic()
    answer = function.post(cts(dead))
    took = time.monotonic() - began
    emulator.clear_faults()

    told = answer.json.get("outcome") or answer.slug
    counts = Counter(call.operation for call in emulator.calls)
    after = tenant.cloud.sources(PROJECT_ID)
    left = {id_ for id_, sources in after.items() if dead in sources}
    calls = ", ".join(f"{name} {counts[name]}" for name in sorted(counts))
    assert (answer.status, len(left), calls) == (row.status, row.left, row.calls)
    assert told in row.outcome.split("|")
    assert after == {
        id_: tuple(each for each in sources if each != dead or id_ in left) for id_, sources in before.items()
    }
    assert took < float(row.settings.get("UNMIRROR_DEADLINE", 25)) + 1
    assert (answer.status == 200) <= (not left)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.status != 200 and row.settings != SHORT], ids=lambda row: row.name
)
def test_what_was_not_done_is_done_when_it_is_sent_again_and_the_fault_is_over(
    row: Row, new_function: NewFunction, emulator: Emulator, tenant: Tenant
) -> None:
    dead = tenant.interfaces["api-3"]
    tenant.cloud.delete_port(dead)
    function = new_function(**row.settings)
    emulator.behaviour = row.behaviour
    emulator.faults += [replace(fault) for fault in row.faults]
    function.post(cts(dead))
    emulator.clear_faults()
    emulator.behaviour = DOCUMENTED
    if "key is refused" in row.name:
        function = new_function()  # the key rests for five minutes; another instance has it tried
    if "429" in row.name:
        function = new_function()  # the whole process waits as long as the API asked
    again = function.post(cts(dead))
    assert again.status == 200
    assert again.report["outcome"] in ("detached", "nothing_to_do")
    assert all(dead not in sources for sources in tenant.cloud.sources(PROJECT_ID).values())


def test_one_bad_id_of_a_removal_holds_up_no_other(
    new_function: NewFunction, emulator: Emulator, tenant: Tenant
) -> None:
    """While three interfaces are on their way out of a session, somebody else takes one of them out by hand."""
    dead = [tenant.interfaces[name] for name in ("web-1", "web-2", "web-3")]
    session = tenant.sessions["ids-web-tier"]
    for id_ in dead:
        tenant.cloud.delete_port(id_)

    async def by_hand(operation: str) -> None:
        sources = tenant.cloud.sources(PROJECT_ID)[session]
        if operation == REMOVE and dead[1] in sources:
            tenant.cloud.set_sources(PROJECT_ID, session, [id_ for id_ in sources if id_ != dead[1]])

    emulator.hold = by_hand
    answer = new_function().post(
        {"type": "io.unmirror.interface.deleted.v1", "id": "1", "data": {"interface_ids": dead}}
    )
    fates = {id_: each["status"] for each in answer.report["detachments"] for id_ in each["interface_ids"]}
    assert (answer.status, fates) == (200, {dead[0]: "detached", dead[1]: "already_absent", dead[2]: "detached"})
    assert not set(dead) & set(tenant.cloud.sources(PROJECT_ID)[session])
    assert [call.ids for call in emulator.changes() if call.status == 200] == [(dead[0],), (dead[2],)]
