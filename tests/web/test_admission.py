"""What surrounds the doors: deliveries that come again, tokens in a URL, the web hook handshake, and who is warned."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator, Fault
from handler.errors import ApiThrottled
from handler.report import Report
from handler.web.app import WebEdge
from handler.web.auth import Caller, Done
from tests.conftest import NewFunction
from tests.support.function import Function, settings_for
from tests.support.smn_topic import URN, Topic, message, serving
from tests.web.test_door import SECRETS, TOKENS, is_refused, signed
from tests.web.test_on_event import cloud_event, delete, deleted, sources, without


@pytest.fixture
def function(new_function: NewFunction) -> Function:
    """A function that takes signed webhooks."""
    return new_function(UNMIRROR_TRUST="", UNMIRROR_WEBHOOK_SECRETS=" ".join(SECRETS))


@pytest.fixture
def topic(tmp_path: Path) -> Iterator[Topic]:
    with serving(tmp_path) as topic:
        yield topic


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


# --- a delivery that comes again ---------------------------------------------------------------------------------


def test_a_delivery_that_was_done_is_answered_as_done_without_work(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    """The sender signs it anew; who has recorded it sends the very same bytes."""
    body = encoded(deleted(delete(tenant)))
    first = function.post(body, recorded := signed(body))
    calls = len(emulator.calls)
    for headers in (signed(body), recorded, signed(body, SECRETS[1])):
        again = function.post(body, headers)
        assert (again.status, again.report["outcome"]) == (200, "ignored")
        assert again.report["delivery_id"] == first.report["delivery_id"]
    assert first.report["outcome"] == "detached"
    assert len(emulator.calls) == calls


def test_a_cloudevent_that_comes_again_is_a_204(function: Function, tenant: Tenant, emulator: Emulator) -> None:
    body = encoded(cloud_event({"interface_ids": [delete(tenant)]}, "io.unmirror.interface.deleted.v1", "/x"))
    kind = {"Content-Type": "application/cloudevents+json"}
    assert function.post(body, signed(body) | kind).status == 200
    calls = len(emulator.calls)
    again = function.post(body, signed(body) | kind)
    assert (again.status, again.body) == (204, b"")
    assert len(emulator.calls) == calls


def test_a_delivery_that_failed_is_worked_on_again(function: Function, tenant: Tenant, emulator: Emulator) -> None:
    before, gone = sources(tenant), delete(tenant)
    body = encoded(deleted(gone))
    emulator.faults.append(Fault("list_sessions", status=503, times=-1))
    for _ in range(2):
        assert function.post(body, signed(body)).status == 503
    emulator.clear_faults()
    assert function.post(body, signed(body)).report["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)


def test_one_id_for_two_deliveries_loses_neither(function: Function, tenant: Tenant) -> None:
    """The library's id is signed; a sender that gives one twice is wrong, and not to be punished by a blind spot."""
    before, one, other = sources(tenant), delete(tenant), delete(tenant, "db-1")
    for gone in (one, other):
        body = encoded(deleted(gone))
        assert function.post(body, signed(body)).report["outcome"] == "detached"
    assert sources(tenant) == without(without(before, one), other)


def test_a_forged_id_suppresses_nothing(function: Function, tenant: Tenant) -> None:
    body = encoded(deleted(delete(tenant)))
    assert is_refused(function.post(body, signed(body, signature="v1,AAAA")))
    assert function.post(body, signed(body)).report["outcome"] == "detached"


def test_a_strangers_repetition_that_is_read_as_something_else_suppresses_nothing(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    """Headers are not signed: they make another event of a body that was overheard, and that other one is done."""
    gone = delete(tenant)
    body = encoded(deleted(gone))
    emulator.faults.append(Fault("list_sessions", status=403, body=b'{"error_code": "VPC.2201"}'))
    assert function.post(body, recorded := signed(body)).status == 502
    added = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "a.b"}
    assert function.post(body, recorded | added).status == 204
    assert function.post(body, signed(body)).report["outcome"] == "detached"
    assert all(gone not in ids for ids in sources(tenant).values())


def test_a_second_that_comes_while_the_first_is_under_way_is_not_called_done(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    body = encoded(deleted(delete(tenant)))
    reached, go_on = threading.Event(), threading.Event()

    async def hold(operation: str) -> None:
        import asyncio

        if operation == "list_sessions":
            reached.set()
            while not go_on.is_set():
                await asyncio.sleep(0.005)

    emulator.hold = hold
    outcomes: list[Any] = []
    senders = [threading.Thread(target=lambda: outcomes.append(function.post(body, signed(body)))) for _ in range(2)]
    for sender in senders:
        sender.start()
    assert reached.wait(10)
    assert outcomes == []
    go_on.set()
    for sender in senders:
        sender.join(20)
    assert {answer.report["reason"] for answer in outcomes}.isdisjoint({"it was done when it came before"})
    assert {answer.status for answer in outcomes} == {200}


def test_a_message_of_smn_s_that_comes_again_is_answered_as_done(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator, topic: Topic
) -> None:
    settings = {"UNMIRROR_TRUST": "", "UNMIRROR_SMN_TOPICS": URN} | topic.environment
    function = new_function(source="tests/support/smn_function.py", **settings)
    said = message(deleted(delete(tenant)))
    assert function.post(said).report["outcome"] == "detached"
    calls = len(emulator.calls)
    assert (
        function.post({**said, "unsubscribe_url": "https://console.huaweicloud.com/smn"}).report["outcome"] == "ignored"
    )
    assert len(emulator.calls) == calls


def test_a_message_of_smn_s_is_no_cloudevent_whatever_its_headers_say(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator, topic: Topic
) -> None:
    settings = {"UNMIRROR_TRUST": "", "UNMIRROR_SMN_TOPICS": URN} | topic.environment
    function = new_function("on_cloud_event", source="tests/support/smn_function.py", **settings)
    added = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "dev.knative.sources.ping"}
    answer = function.post(message(deleted(delete(tenant))), added | {"Content-Type": "application/json"})
    assert answer.status == 415
    assert emulator.calls == []


DONE = Report("1", "interface-deleted", "detached", "done")


def caller(number: int, window: float = 600) -> Caller:
    return Caller(number.to_bytes(32, "big"), window)


def test_what_is_remembered_is_bounded_in_number_and_in_time() -> None:
    now = [0.0]
    done = Done(lambda: now[0], most=3)
    for number in (1, 2, 3, 1, 4):
        done.add(caller(number), DONE)
    assert [number for number in range(6) if done.before(caller(number))] == [1, 3, 4]
    now[0] = 599.9
    assert done.before(caller(4))
    now[0] = 600.0
    assert done.before(caller(4)) is None


@pytest.mark.parametrize(
    "report",
    [replace(DONE, outcome="failed", error=ApiThrottled("")), replace(DONE, outcome="stopped")],
    ids=["failed", "stopped at a limit, which the operator may raise"],
)
def test_what_may_end_otherwise_is_not_remembered(report: Report) -> None:
    done = Done()
    done.add(caller(1), report)
    assert done.before(caller(1)) is None


def test_what_nothing_signed_names_is_worked_on_every_time(new_function: NewFunction, tenant: Tenant) -> None:
    """A bearer token says who calls, and not whether a delivery is new."""
    function = new_function(UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS=TOKENS[0])
    event = deleted(delete(tenant))
    for outcome in ("detached", "nothing_to_do"):
        assert function.post(event, {"Authorization": f"Bearer {TOKENS[0]}"}).report["outcome"] == outcome
    done = Done()
    done.add(Caller(), DONE)
    assert done.before(Caller()) is None


# --- a token in the URL ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"access_token={TOKENS[0]}", 200),
        (f"a=b&access_token={TOKENS[1]}", 200),
        ("access_token=marked-t%6Fken-old", 200),
        ("access_token=marked-token", 401),
        ("access_token=", 401),
        (f"Access_Token={TOKENS[0]}", 401),
        (f"access_token={TOKENS[0]}&access_token={TOKENS[0]}", 401),
        (f"access_token={TOKENS[0]}&access_token=x", 401),
        ("access_token=%ff%fe", 401),
        (f"token={TOKENS[0]}", 401),
        ("", 401),
    ],
)
def test_a_token_in_the_url_opens_where_the_operator_says_so(
    new_function: NewFunction, tenant: Tenant, query: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """As CloudEvents' web hooks have it; the header opens all the same."""
    tokens = {"UNMIRROR_TRUST": "", "UNMIRROR_BEARER_TOKENS": " ".join(TOKENS)}
    function = new_function(**tokens, UNMIRROR_ACCESS_TOKEN_QUERY="1")
    event = deleted(delete(tenant))
    assert function.post(event, path=f"/?{query}").status == status
    assert function.post(event, {"Authorization": f"Bearer {TOKENS[0]}"}, path=f"/?{query}").status == 200
    assert is_refused(new_function(**tokens).post(event, path=f"/?{query}"))
    assert "marked" not in capsys.readouterr().out


# --- the handshake -----------------------------------------------------------------------------------------------


def consent(function: Function, origin: str | None) -> tuple[str | None, str | None]:
    headers = {} if origin is None else {"WebHook-Request-Origin": origin, "WebHook-Request-Rate": "120"}
    answer = function.get(method="OPTIONS", headers=headers)
    assert (answer.status, answer.body, "POST" in answer.headers["Allow"]) == (204, b"", True)
    return answer.headers.get("WebHook-Allowed-Origin"), answer.headers.get("WebHook-Allowed-Rate")


def test_the_handshake_consents_to_the_origins_and_the_rate_that_are_set(new_function: NewFunction) -> None:
    function = new_function(
        UNMIRROR_WEBHOOK_ORIGINS="EventEmitter.example.com, other.example", UNMIRROR_WEBHOOK_RATE="60"
    )
    assert consent(function, "eventemitter.example.com") == ("eventemitter.example.com", "60")
    assert consent(function, "OTHER.example") == ("other.example", "60")
    for origin in (
        "evil.example",
        "other.example.evil",
        "",
        "*",
        "other.example, evil.example",
        "https://other.example",
    ):
        assert consent(function, origin) == (None, None)
    assert consent(function, None) == (None, None)


def test_by_default_it_consents_to_anybody_and_repeats_nothing(new_function: NewFunction) -> None:
    assert consent(new_function(), "marked.example") == ("*", "*")
    assert consent(new_function(UNMIRROR_WEBHOOK_ORIGINS="a.example *"), "marked.example") == ("*", "*")


# --- who trusts too much -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "events"),
    [
        ({"RUNTIME_FUNC_NAME": ""}, ["admission.trusting"]),
        ({"RUNTIME_FUNC_NAME": "unmirror"}, []),
        ({"RUNTIME_FUNC_NAME": "", "UNMIRROR_TRUST": "", "UNMIRROR_BEARER_TOKENS": "t"}, []),
        ({"RUNTIME_FUNC_NAME": "", "UNMIRROR_TRUST": ""}, ["admission.closed"]),
        ({"UNMIRROR_TRUST": "", "UNMIRROR_SMN_TOPICS": URN}, []),
    ],
    ids=["platform, elsewhere", "platform, in FunctionGraph", "a token", "nothing", "a topic"],
)
def test_trust_in_the_platform_is_warned_about_where_it_is_not_functiongraph(
    emulator: Emulator, settings: dict[str, str], events: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from handler.observability import logs as telemetry

    telemetry.configure()
    WebEdge.from_env(settings_for(emulator) | settings)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [(event, "warning") for event in events]
    assert all("never on a public URL" in line["message"] for line in lines if "trusting" in line["event"])


def test_readiness_says_what_is_missing_and_no_value(new_function: NewFunction) -> None:
    marked = {
        "UNMIRROR_BEARER_TOKENS": "marked-token",
        "UNMIRROR_WEBHOOK_SECRETS": SECRETS[0],
        "UNMIRROR_SMN_TOPICS": "urn:smn:eu-west-101:marked:marked",
        "UNMIRROR_SMN_CERTIFICATES": "0" * 64,
        "UNMIRROR_WEBHOOK_ORIGINS": "marked.example",
        "HUAWEICLOUD_SDK_AK": "marked-key",
        "HUAWEICLOUD_SDK_PROJECT_ID": "marked-project",
    }
    answer = new_function(**marked).get()
    assert (answer.status, answer.json["ready"], answer.json["missing"]) == (200, True, [])
    assert "marked" not in answer.body.decode() + str(answer.headers)
