"""The second door, `on_cloud_event`: the framework parses and answers; what was not done has a status all the same."""

from __future__ import annotations

import json

import pytest
from cloudevents.http import CloudEvent
from werkzeug.exceptions import HTTPException

from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator, Fault
from handler.web.app import WebEdge
from tests.conftest import MAIN, NewFunction
from tests.support.function import Function, settings_for
from tests.web.test_on_event import binary, cloud_event, delete, sources, structured, trace, without

OURS = "io.unmirror.interface.deleted.v1"


@pytest.fixture
def function(new_function: NewFunction) -> Function:
    return new_function("on_cloud_event", MAIN)


@pytest.fixture
def hasty(new_function: NewFunction) -> Function:
    return new_function("on_cloud_event")


@pytest.mark.parametrize("send", [structured, binary])
def test_a_deleted_interface_leaves_its_sessions(send: object, function: Function, tenant: Tenant) -> None:
    assert callable(send)
    before, gone = sources(tenant), delete(tenant)
    answer = send(function, cloud_event(trace(gone)))
    assert (answer.status, answer.body) == (200, b"OK")
    assert sources(tenant) == without(before, gone)


def test_our_own_event_is_read(function: Function, tenant: Tenant) -> None:
    before, gone = sources(tenant), delete(tenant)
    assert structured(function, cloud_event({"interface_ids": [gone]}, OURS, "/inventory")).status == 200
    assert sources(tenant) == without(before, gone)


def test_another_type_is_ignored(function: Function, emulator: Emulator) -> None:
    assert structured(function, cloud_event({}, "com.example.other")).status == 200
    assert emulator.calls == []


def test_a_living_interface_asks_for_a_redelivery(hasty: Function, tenant: Tenant, emulator: Emulator) -> None:
    answer = structured(hasty, cloud_event(trace(tenant.interfaces["api-3"])))
    assert (answer.status, answer.report["outcome"]) == (503, "still_exists")
    assert "Retry-After" in answer.headers
    assert emulator.changes() == []


def test_an_api_that_is_away_asks_for_a_redelivery_and_leaves_no_trace_of_its_url(
    hasty: Function, tenant: Tenant, emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    emulator.faults.append(Fault("list_sessions", kind="reset", times=-1))
    answer = structured(hasty, cloud_event(trace(delete(tenant))))
    assert (answer.status, answer.report["outcome"]) == (503, "failed")
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert emulator.url not in out + err


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (cloud_event({"interface_ids": ["marked"]}, OURS), 400),
        (cloud_event({"interface_ids": [], "project_id": None}, OURS), 400),
        (cloud_event(None, OURS), 400),
        (cloud_event({"interface_ids": ["00000000-0000-4000-8000-000000000000"], "project_id": "marked"}, OURS), 403),
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
        (b"[]", "application/cloudevents-batch+json"),
        (b'[{"specversion": "1.0"}]', "application/cloudevents-batch+json"),
        (b'{"specversion": "1.0", "id": "marked"}', "application/cloudevents+json"),
        (b'{"cts": {"trace_id": "marked"}}', "application/json"),
        (b"marked", "text/plain"),
        (b"", ""),
    ],
    ids=str,
)
def test_what_is_no_cloudevent_is_a_400_that_repeats_no_header(function: Function, body: bytes, media: str) -> None:
    answer = function.post(body, {"Content-Type": media, "Authorization": "Bearer marked"})
    assert (answer.status, answer.problem["status"]) == (400, 400)
    assert b"marked" not in answer.body


def test_a_content_encoding_is_a_415_as_at_the_first_door(function: Function, emulator: Emulator) -> None:
    encoded = {"Content-Type": "application/cloudevents+json", "Content-Encoding": "gzip"}
    assert function.post(json.dumps(cloud_event({}, OURS)).encode(), encoded).status == 415
    assert emulator.calls == []


def test_the_framework_says_which_methods_it_takes(function: Function) -> None:
    answer = function.get(method="OPTIONS")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_what_cannot_be_parsed_is_admitted_first(new_function: NewFunction) -> None:
    assert new_function("on_cloud_event", UNMIRROR_TRUST="").post(b"marked").status == 401


def test_the_door_is_the_same(new_function: NewFunction, tenant: Tenant, emulator: Emulator) -> None:
    before, gone = sources(tenant), delete(tenant)
    function = new_function("on_cloud_event", UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS="marked-token")
    body, kind = json.dumps(cloud_event(trace(gone))).encode(), {"Content-Type": "application/cloudevents+json"}
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
