"""FunctionGraph's own entry: a dict and a context in, the report out, an exception when a redelivery helps."""

from __future__ import annotations

import json
import socket
import traceback
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest

from handler import functiongraph
from handler.emulator.operations import Fault
from handler.emulator.sample import ACCESS_KEY, SECRET_KEY, Tenant
from handler.emulator.server import Emulator
from handler.errors import ApiUnavailable, NotConfigured, StillExists, UnmirrorError
from tests.support.function import Answer, check, check_report, settings_for
from tests.support.functiongraph import TEMPORARY, Context
from tests.support.tenant import VICTIM, cts, delete, deleted, messages, sources, through_gateway, without

UserData: TypeAlias = dict[str, str]


@pytest.fixture
def user_data(emulator: Emulator) -> Iterator[UserData]:
    """The function's settings, without keys: those come with each event."""
    emulator.keys[TEMPORARY[0]] = TEMPORARY[1:]
    yield settings_for(emulator, UNMIRROR_TRUST="", HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    functiongraph._service.cache_clear()  # the process's service, as when the platform ends an instance


def outcome(event: object, user_data: UserData, *keys: Any) -> str:
    return str(functiongraph.handler(event, Context(user_data, keys or TEMPORARY))["outcome"])


def test_the_report_is_returned(user_data: UserData, tenant: Tenant) -> None:
    before, gone = sources(tenant), delete(tenant)
    report = functiongraph.handler(cts(gone), Context(user_data))
    check_report(report)
    assert report["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)


def test_the_environment_serves_where_there_is_no_user_data(
    user_data: UserData, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in user_data.items():
        monkeypatch.setenv(name, value)
    assert outcome(deleted(delete(tenant)), {}) == "detached"


OWN = {"HUAWEICLOUD_SDK_AK": ACCESS_KEY, "HUAWEICLOUD_SDK_SK": SECRET_KEY}


def test_the_keys_of_each_event_are_used_before_others(user_data: UserData, tenant: Tenant, emulator: Emulator) -> None:
    emulator.keys["LATER"] = ("later-secret", "later-token")
    for keys in (TEMPORARY, ("LATER", "later-secret", "later-token"), (None, "", "null")):
        emulator.calls.clear()
        outcome(deleted(delete(tenant)), {**user_data, **OWN}, *keys)
        assert {call.access_key for call in emulator.calls} == {keys[0] or ACCESS_KEY}


def test_the_initializer_calls_nothing_and_one_listing_serves_many_events_of_an_instance(
    user_data: UserData, tenant: Tenant, emulator: Emulator
) -> None:
    functiongraph.initializer(Context(user_data))
    assert emulator.calls == []
    for name in ("web-1", "web-2", "web-3"):
        assert outcome({**deleted(delete(tenant, name)), "time": "2026-01-01T00:00:00Z"}, user_data) == "detached"
    assert emulator.counts["list_sessions"] == 1


def test_changed_user_data_is_taken_at_the_next_event(user_data: UserData, tenant: Tenant, emulator: Emulator) -> None:
    event = deleted(delete(tenant))
    assert outcome(event, {**user_data, "UNMIRROR_DRY_RUN": "1"}) == "planned"
    assert emulator.changes() == []
    assert outcome(event, user_data) == "detached"


def test_an_exception_asks_for_a_redelivery_of_what_still_exists(
    user_data: UserData, tenant: Tenant, emulator: Emulator
) -> None:
    little_time = Context(user_data, left=3_000)  # a second, of which the first pauses take three quarters
    with pytest.raises(StillExists):
        functiongraph.handler(cts(tenant.interfaces[VICTIM]), little_time)
    assert emulator.changes() == []


@pytest.mark.parametrize("left", [0, 2_000, 1_999])
def test_without_time_nothing_is_begun_and_a_redelivery_is_asked_for(
    user_data: UserData, tenant: Tenant, emulator: Emulator, left: int
) -> None:
    with pytest.raises(UnmirrorError, match="time"):
        functiongraph.handler(deleted(delete(tenant)), Context(user_data, left=left))
    assert emulator.calls == []


def test_what_is_raised_quotes_no_url(user_data: UserData, tenant: Tenant) -> None:
    """The runtime prints what is raised, with all that it is chained to."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        away = {"UNMIRROR_VPC_ENDPOINT": f"http://127.0.0.1:{nobody.getsockname()[1]}", "UNMIRROR_DEADLINE": "0.1"}
        with pytest.raises(ApiUnavailable) as raised:
            functiongraph.handler(deleted(delete(tenant)), Context({**user_data, **away}))
    assert "/v3/" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "event",
    [{"marked": "marked"}, ["marked"], "marked", b"\xff", None, {"cts": {1: "marked"}}, {"cts": object()}],
    ids=["object", "list", "text", "bytes", "nothing", "a key that is no text", "a value that is no JSON"],
)
def test_what_can_never_be_read_is_returned_as_a_problem(
    user_data: UserData, emulator: Emulator, event: object
) -> None:
    problem = functiongraph.handler(event, Context(user_data))
    assert (problem["status"], "outcome" in problem) == (400, False)
    assert "marked" not in json.dumps(problem)
    assert emulator.calls == []


def test_an_event_may_come_as_its_text(user_data: UserData, tenant: Tenant) -> None:
    text = json.dumps(deleted(delete(tenant)))
    assert (outcome(text, user_data), outcome(text.encode(), user_data)) == ("detached", "nothing_to_do")


def test_an_unreadable_part_costs_the_others_nothing(user_data: UserData, tenant: Tenant) -> None:
    """One message of a trigger's batch that is nested too deep; what is beside it is done, and nothing sent again."""
    before, gone, poison = sources(tenant), delete(tenant), "[" * 100 + "]" * 100
    report = functiongraph.handler(messages(poison, cts(gone)), Context(user_data))
    check_report(report, 400)
    assert [part["outcome"] for part in report["parts"]] == ["failed", "detached"]
    assert sources(tenant) == without(before, gone)


def test_an_unreadable_part_of_a_text_costs_the_others_nothing(user_data: UserData, tenant: Tenant) -> None:
    text = json.dumps([cts(delete(tenant)), {"twice": 1}]).replace('{"twice": 1}', '{"twice": 1, "twice": 2}')
    report = functiongraph.handler(text, Context(user_data))
    check_report(report, 400)
    assert [part["outcome"] for part in report["parts"]] == ["detached", "failed"]


def test_a_check_is_returned_whatever_it_found(user_data: UserData, emulator: Emulator) -> None:
    """It is the test event of a console, which shows what is returned."""
    emulator.faults.append(Fault("list_sessions", status=403, body=b'{"error_code":"VPC.2201"}', times=-1))
    report = functiongraph.handler({"type": "io.unmirror.check.due.v1", "id": "1"}, Context(user_data))
    check_report(report, 200)
    assert report["outcome"] == "checked"
    found = {step["step"]: step["status"] for step in report["check"]}
    assert (found["list sessions"], found["show an interface"]) == ("failed", "ok")
    assert next(step["detail"] for step in report["check"] if step["step"] == "show a session").endswith("comes first")
    asked = {name: many for name, many in emulator.counts.items() if name != "unknown"}  # that is the endpoint's root
    assert report["api_calls"] == sum(asked.values()) == 3


def test_wrong_user_data_stops_the_start_and_every_event_and_is_named() -> None:
    wrong = Context({"UNMIRROR_DRY_RUN": "marked", "UNMIRROR_REGION": "marked!"})
    for begin in (lambda: functiongraph.initializer(wrong), lambda: functiongraph.handler({}, wrong)):
        with pytest.raises(NotConfigured, match=r"UNMIRROR_REGION.*UNMIRROR_DRY_RUN") as raised:
            begin()
        assert "marked" not in str(raised.value)


def test_a_gateway_is_answered_in_its_envelope_and_nothing_is_raised(
    user_data: UserData, tenant: Tenant, emulator: Emulator
) -> None:
    def ask(body: object, *, as_text: bool = False, **more: str) -> Answer:
        request: object = through_gateway(body)
        answer = functiongraph.handler(json.dumps(request) if as_text else request, Context({**user_data, **more}))
        whole = Answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode() + b"\n")
        check(whole)
        return whole.enclosed

    event = deleted(delete(tenant))
    assert ask(event).report["outcome"] == "detached"
    assert ask(b"not JSON").status == 400
    assert ask(event, UNMIRROR_DRY_RUN="marked").status == 502
    emulator.faults.append(Fault(status=429, headers={"Retry-After": "100"}))
    throttled = ask(deleted(delete(tenant, "web-1")))
    assert (throttled.status, throttled.headers["Retry-After"]) == (503, "100")
    assert ask(cts(tenant.interfaces["db-1"]), as_text=True, UNMIRROR_DEADLINE="0.5").status == 503


def test_a_defect_is_raised_without_what_it_was_raised_with(
    user_data: UserData, tenant: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Context):
        def getRemainingTimeInMilliSeconds(self) -> int:  # noqa: N802
            raise RuntimeError("marked")

    with pytest.raises(UnmirrorError, match="defect") as raised:
        functiongraph.handler(deleted(delete(tenant)), Broken(user_data))
    assert "marked" not in "".join(traceback.format_exception(raised.value)) + capsys.readouterr().out
