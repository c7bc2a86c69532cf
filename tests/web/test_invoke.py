"""FunctionGraph's image: `POST /init`, `POST /invoke`, and the keys that the platform sends with a request."""

from __future__ import annotations

from handler.emulator.operations import Fault
from handler.emulator.sample import ACCESS_KEY, Tenant
from handler.emulator.server import Emulator
from handler.web.app import MAX_BODY
from tests.support.function import Answer, Function, NewFunction
from tests.support.functiongraph import TEMPORARY, key_headers
from tests.support.tenant import VICTIM, cloud_event, cts, delete, deleted, sources, through_gateway, trace

ABSENT = "00000000-0000-4000-8000-000000000000"


def invoke(function: Function, event: object, headers: dict[str, str] | None = None) -> Answer:
    return function.post(event, headers, path="/invoke")


def test_every_event_is_answered_in_the_form_that_the_platform_asks_for(function: Function, tenant: Tenant) -> None:
    """EventGrid's trigger hands on a bare CloudEvent, and it is the platform that reads the answer: never a 204."""
    gone = delete(tenant)
    for event, outcome in ((cts(gone), "detached"), (cloud_event(trace(gone)), "nothing_to_do")):
        answer = invoke(function, event)
        assert (answer.status, answer.enclosed.status, answer.enclosed.report["outcome"]) == (200, 200, outcome)
        assert answer.headers["Content-Type"] == "application/json"


def test_what_failed_is_no_success_to_http_either_unless_a_gateway_asked(hasty: Function, tenant: Tenant) -> None:
    """An asynchronous trigger sees the status alone; a gateway passes on the one in the envelope."""
    living = deleted(tenant.interfaces[VICTIM])
    for event, status in ((living, 503), (b"not JSON", 400), (deleted(ABSENT, project_id="another"), 403)):
        answer = invoke(hasty, event)
        assert (answer.status, answer.enclosed.status) == (status, status)
        asked = invoke(hasty, through_gateway(event))
        assert (asked.status, asked.enclosed.status) == (200, status)
        retry_after = "10" if status == 503 else None
        assert answer.headers.get("Retry-After") == asked.enclosed.headers.get("Retry-After") == retry_after


def test_a_refusal_before_the_event_is_read_has_the_same_form(new_function: NewFunction) -> None:
    large = invoke(new_function(), b" " * (MAX_BODY + 1))
    assert (large.status, large.enclosed.status, large.enclosed.slug) == (413, 413, "too-large")
    stranger = invoke(new_function(UNMIRROR_TRUST=""), deleted(ABSENT))
    assert (stranger.status, stranger.enclosed.status) == (401, 401)
    assert stranger.headers["WWW-Authenticate"] == "Bearer"


# --- the platform's keys ---------------------------------------------------------------------------------------


def test_the_platforms_keys_are_used_before_others(function: Function, tenant: Tenant, emulator: Emulator) -> None:
    emulator.keys[TEMPORARY[0]] = TEMPORARY[1:]
    answer = invoke(function, deleted(delete(tenant)), key_headers(*TEMPORARY))
    assert answer.enclosed.report["outcome"] == "detached"
    assert {call.access_key for call in emulator.calls} == {TEMPORARY[0]}


def test_keys_in_headers_are_nothing_where_anybody_can_set_headers(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator
) -> None:
    function = new_function(UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS="marked-token")
    headers = {**key_headers(*TEMPORARY), "Authorization": "Bearer marked-token"}
    assert invoke(function, deleted(delete(tenant)), headers).enclosed.report["outcome"] == "detached"
    assert {call.access_key for call in emulator.calls} == {ACCESS_KEY}


def test_what_one_key_is_told_holds_for_no_other(hasty: Function, tenant: Tenant, emulator: Emulator) -> None:
    """A key of somebody else's, to which the API shows nothing, makes no living interface gone for ours."""
    emulator.keys[TEMPORARY[0]] = TEMPORARY[1:]
    before, living = sources(tenant), tenant.interfaces["web-1"]
    emulator.faults += [
        Fault("show_port", status=404, body=b'{"error_code":"VPC.2502","error_msg":"Port not found"}'),
        Fault("remove_sources", status=403, body=b'{"error_code":"VPC.2201"}', times=-1),
    ]
    assert invoke(hasty, cts(living), key_headers(*TEMPORARY)).status == 502
    emulator.clear_faults()
    answer = hasty.post(cts(living))
    assert (answer.status, answer.report["outcome"]) == (503, "still_exists")
    assert sources(tenant) == before
