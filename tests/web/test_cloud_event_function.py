"""`on_cloud_event`: the framework parses and answers; what was not done has a status all the same."""

from __future__ import annotations

from typing import Any

import pytest
from cloudevents.http import CloudEvent
from werkzeug.exceptions import HTTPException

from handler.emulator.operations import Fault
from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from handler.web.app import WebEdge
from tests.support.function import Function, NewFunction, settings_for
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
    assert emulator.changes() == []


def test_an_api_that_is_away_asks_for_a_redelivery_and_leaves_no_trace_of_its_url(
    function: Function, tenant: Tenant, emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    emulator.faults.append(Fault("list_sessions", kind="reset", times=-1))
    answer = structured(function, cloud_event(trace(delete(tenant))))
    assert (answer.status, answer.report["outcome"]) == (503, "failed")
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert emulator.url not in out + err


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (cloud_event({"interface_ids": ["marked"]}, DELETED), 400),
        (cloud_event({"interface_ids": [], "project_id": None}, DELETED), 400),
        (cloud_event(None, DELETED), 400),
        (
            cloud_event({"interface_ids": ["00000000-0000-4000-8000-000000000000"], "project_id": "marked"}, DELETED),
            403,
        ),
    ],
    ids=["an id that is none", "no id", "no data", "another project"],
)
def test_what_can_never_be_done_is_a_4xx_that_repeats_no_value(
    function: Function, emulator: Emulator, event: dict[str, object], status: int
) -> None:
    answer = structured(function, event)
    assert (answer.status, answer.problem["status"]) == (status, status)
    assert b"marked" not in answer.body
    assert emulator.calls == []


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b'["marked"]', BATCH),
        (b'{"specversion": "1.0", "id": "marked"}', CLOUDEVENT),
        (b'{"cts": {"trace_id": "marked"}}', "application/json"),
        (b'{"x": "marked', CLOUDEVENT),
        (b'{"x": "marked\xff"}', "application/json"),
        (b"marked", "text/plain"),
        (b"", ""),
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_what_the_framework_cannot_parse_is_a_400_that_repeats_nothing(
    function: Function, capfd: pytest.CaptureFixture[str], body: bytes, media: str, mode: str
) -> None:
    """It would answer with the request and all its headers, or with a 500."""
    attributes = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "HC.VPC", "ce-type": "VPC:CloudTrace:ApiCall"}
    headers = {"Content-Type": media, "X-Odd": "marked", **(attributes if mode == "binary" else {})}
    answer = function.post(body, headers)
    assert answer.status in (200, 400)
    assert answer.status == 400 or mode == "binary"
    out, err = capfd.readouterr()
    assert "marked" not in str(answer) + out + err


def test_what_only_our_own_parser_takes_is_worked_on(function: Function, tenant: Tenant) -> None:
    """Where the framework would lose it: a batch, and an event that is no CloudEvent."""
    before, gone, other = sources(tenant), delete(tenant), delete(tenant, "web-1")
    assert batch(function, cloud_event(trace(gone))).report["outcome"] == "detached"
    assert function.post(cts(other)).report["outcome"] == "detached"
    assert sources(tenant) == without(before, gone, other)


def test_a_content_encoding_is_a_415(function: Function, emulator: Emulator) -> None:
    headers = {"Content-Type": CLOUDEVENT, "Content-Encoding": "gzip"}
    assert function.post(encoded(cloud_event({}, DELETED)), headers).status == 415
    assert emulator.calls == []


def test_the_framework_says_which_methods_it_takes(function: Function) -> None:
    answer = function.get(method="OPTIONS")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_the_frameworks_own_page_for_an_unknown_path_repeats_nothing(new_function: NewFunction) -> None:
    answer = new_function("on_event")._client.post("/robots.txt", data=b"marked", headers={"X-Odd": "marked"})
    assert answer.status_code == 404
    assert b"marked" not in answer.data + str(answer.headers).encode()


def test_authentication_comes_before_what_cannot_be_parsed(new_function: NewFunction) -> None:
    assert new_function("on_cloud_event", UNMIRROR_TRUST="").post(b"marked").status == 401


def test_the_caller_authenticates_as_for_on_event(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator
) -> None:
    before, gone = sources(tenant), delete(tenant)
    function = new_function("on_cloud_event", UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS="marked-token")
    body, kind = encoded(cloud_event(trace(gone))), {"Content-Type": CLOUDEVENT}
    for wrong in ({}, {"Authorization": "Bearer wrong"}):
        answer = function.post(body, {**kind, **wrong})
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (sources(tenant), emulator.calls) == (before, [])
    assert function.post(body, {**kind, "Authorization": "Bearer marked-token"}).status == 200
    assert sources(tenant) == without(before, gone)


def test_a_server_without_the_request_s_headers_needs_a_trusted_platform(tenant: Tenant, emulator: Emulator) -> None:
    """functions-framework's ASGI server calls the function without a request: there is no token to look at."""
    event = cloud_event(trace(delete(tenant)))
    attributes = {name: value for name, value in event.items() if name != "data"}
    closed = settings_for(emulator, UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS="marked-token")
    with pytest.raises(HTTPException) as refused:
        WebEdge.from_env(closed).on_cloud_event(CloudEvent(attributes, event["data"]))
    assert refused.value.get_response().status_code == 401
    assert emulator.calls == []
    WebEdge.from_env(settings_for(emulator)).on_cloud_event(CloudEvent(attributes, event["data"]))
    assert len(emulator.changes()) == 3
