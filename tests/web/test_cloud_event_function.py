"""`on_cloud_event`: the framework answers `OK` to a success, and what was not done has its status all the same."""

from __future__ import annotations

from typing import Any

import pytest

from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from tests.support.function import Function, NewFunction
from tests.support.tenant import (
    BATCH,
    CLOUDEVENT,
    DELETED,
    VICTIM,
    batch,
    binary,
    cloud_event,
    cts,
    delete,
    encoded,
    sources,
    structured,
    trace,
    without,
)


@pytest.fixture
def function(new_function: NewFunction) -> Function:
    return new_function("on_cloud_event")


@pytest.mark.parametrize("send", [structured, binary])
def test_a_deleted_interface_leaves_its_sessions(send: Any, function: Function, tenant: Tenant) -> None:
    before, gone = sources(tenant), delete(tenant)
    answer = send(function, cloud_event(trace(gone)))
    assert (answer.status, answer.body) == (200, b"OK")
    assert sources(tenant) == without(before, gone)


def test_a_living_interface_asks_for_a_redelivery(function: Function, tenant: Tenant, emulator: Emulator) -> None:
    answer = structured(function, cloud_event(trace(tenant.interfaces[VICTIM])))
    assert (answer.status, answer.report["outcome"]) == (503, "still_exists")
    assert "Retry-After" in answer.headers
    assert (emulator.counts["list_sessions"], emulator.changes()) == (1, [])


BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "HC.VPC", "ce-type": "VPC:CloudTrace:ApiCall"}
UNREADABLE: dict[str, tuple[bytes, dict[str, str]]] = {
    "an id that is none": (encoded(cloud_event({"interface_ids": ["marked"]}, DELETED)), {"Content-Type": CLOUDEVENT}),
    "the same name twice": (b'{"specversion": "marked",' + encoded(cloud_event(""))[1:], {"Content-Type": CLOUDEVENT}),
    "data that are none": (b'{"x": "marked', BINARY),
    "a batch of text": (b'["marked"]', {"Content-Type": BATCH}),
    "no source": (b'{"specversion": "1.0", "id": "marked"}', {"Content-Type": CLOUDEVENT}),
    "no CloudEvent": (b'{"cts": {"trace_id": "marked"}}', {"Content-Type": "application/json"}),
    "half of one": (b'{"x": "marked', {"Content-Type": CLOUDEVENT}),
    "not UTF-8": (b'{"x": "marked\xff"}', {"Content-Type": "application/json"}),
    "no JSON": (b"marked", {"Content-Type": "text/plain"}),
    "nothing": (b"", {}),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_a_400_that_repeats_nothing(
    kind: str, function: Function, emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    """The framework would answer with the request and all its headers, with a 500, or with `OK`."""
    body, headers = UNREADABLE[kind]
    answer = function.post(body, {**headers, "X-Odd": "marked"})
    assert (answer.status, answer.slug) == (400, "bad-event")
    out, err = capfd.readouterr()
    assert "marked" not in str(answer) + out + err
    assert emulator.calls == []


def test_what_only_our_own_parser_takes_is_worked_on(function: Function, tenant: Tenant) -> None:
    """Where the framework would lose it: a batch, and an event that is no CloudEvent."""
    before, gone, other = sources(tenant), delete(tenant), delete(tenant, "web-1")
    assert batch(function, cloud_event(trace(gone))).report["outcome"] == "detached"
    assert function.post(cts(other)).report["outcome"] == "detached"
    assert sources(tenant) == without(before, gone, other)


def test_the_frameworks_own_answers_repeat_nothing(function: Function, new_function: NewFunction) -> None:
    answer = function.get(method="OPTIONS")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    page = new_function("on_event")._client.post("/robots.txt", data=b"marked", headers={"X-Odd": "marked"})
    assert page.status_code == 404
    assert b"marked" not in page.data + str(page.headers).encode()


def test_the_caller_authenticates_as_for_on_event(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator
) -> None:
    function = new_function("on_cloud_event", UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS="marked-token")
    body, kind = encoded(cloud_event(trace(delete(tenant)))), {"Content-Type": CLOUDEVENT}
    for content, wrong in ((body, {}), (body, {"Authorization": "Bearer wrong"}), (b"no JSON", {})):
        answer = function.post(content, {**kind, **wrong})
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert emulator.calls == []
    assert function.post(body, {**kind, "Authorization": "Bearer marked-token"}).body == b"OK"
