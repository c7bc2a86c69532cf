"""No secret comes out of the functions, whatever goes in and whatever goes wrong, with marked secrets everywhere.

What is searched: all that is written to stdout and stderr, every record of every logger, answers with their headers,
what is raised with what it was raised from, and the `repr` of what holds secrets.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from handler import functiongraph
from handler.deadline import Clock
from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from handler.errors import NotConfigured
from handler.service import Service
from handler.settings import Settings
from handler.vpc.credentials import AccessKey, CredentialChain
from handler.web.app import WebEdge
from tests.support.function import NewFunction, untraced
from tests.support.functiongraph import Context, key_headers
from tests.support.secrets import (
    ALL,
    FAULTS,
    MARKED,
    PLATFORM,
    WEBHOOK_SECRET,
    Ear,
    everything,
    listening,
    marked,
    secret_settings,
    spilled,
)
from tests.support.tenant import CLOUDEVENT, cloud_event, delete, encoded, structured

SHOWN = {"Authorization": f"Bearer {MARKED['bearer token']}", "X-Odd": MARKED["a header"], "Cookie": MARKED["a header"]}
SHOWN |= key_headers(*PLATFORM)


@pytest.fixture(autouse=True)
def ear(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Ear]:
    with listening(capfd, caplog) as ear:
        yield ear


@pytest.fixture
def settings(emulator: Emulator) -> dict[str, str]:
    return secret_settings(emulator)


def test_the_search_finds_a_mark_in_any_dress() -> None:
    for name, mark in MARKED.items():
        assert name in spilled(f"x{mark}x")
        assert name in spilled(json.dumps({"x": base64.b64encode(mark.encode()).decode()}))
        assert name in spilled(repr(mark.upper().encode()))
    assert spilled(f"a text that is only called marked, and {Path(__file__).name}") == []


# --- the functions of the web ----------------------------------------------------------------------------------


@untraced
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("target", ["on_event", "on_cloud_event"])
def test_no_answer_of_a_function_has_any(
    target: Any,
    fault: str,
    settings: dict[str, str],
    new_function: NewFunction,
    emulator: Emulator,
    tenant: Tenant,
    ear: Ear,
) -> None:
    function = new_function(target, **settings)
    emulator.faults += FAULTS[fault]
    statuses = set()
    for body, headers in everything(delete(tenant), tenant.interfaces["db-1"]):
        for path in ("/", "/invoke"):
            answer = function.post(body, headers | SHOWN, path=path)
            ear.hear(answer.headers, answer.body)
            statuses.add(answer.status)
    event = {**cloud_event(marked(tenant.interfaces["db-2"])["cts"]), "marked": MARKED["a value of an event"]}
    answer = function.post(encoded(event), {**SHOWN, "Content-Type": CLOUDEVENT})
    ear.hear(answer.headers, answer.body)
    assert 400 in statuses
    assert answer.status in (200, 204, 502, 503)


@pytest.mark.parametrize("target", ["on_event", "on_cloud_event"])
def test_no_refusal_of_a_caller_has_any(
    target: Any, settings: dict[str, str], new_function: NewFunction, tenant: Tenant, ear: Ear
) -> None:
    function, body, now = (
        new_function(target, **settings),
        encoded(marked(tenant.interfaces["db-1"])),
        datetime.now(UTC),
    )
    signature = Webhook(WEBHOOK_SECRET).sign("1", now, "another body")
    for shown in (
        {},
        {"Authorization": f"Bearer {MARKED['a wrong bearer token']}"},
        {"Authorization": f"Basic {MARKED['bearer token']}"},
        {"webhook-id": "1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature},
        {"webhook-id": MARKED["a header"], "webhook-timestamp": "x", "webhook-signature": MARKED["a header"]},
        key_headers(*PLATFORM),
    ):
        answer = function.post(body, {**shown, "X-Odd": MARKED["a header"]}, path=f"/?token={MARKED['bearer token']}")
        assert answer.status == 401
        ear.hear(answer.headers, answer.body, signature not in str(answer))


def test_no_message_of_a_topic_that_is_refused_is_quoted(
    settings: dict[str, str], new_function: NewFunction, ear: Ear
) -> None:
    topic, mark = "urn:smn:eu-west-101:project:deletions", MARKED["a member of a message"]
    function = new_function(**settings | {"UNMIRROR_SMN_TOPICS": topic})
    message = {
        "type": "Notification",
        "topic_urn": topic,
        "message_id": mark,
        "message": mark,
        "subject": mark,
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "signature": base64.b64encode(mark.encode()).decode(),
        "signature_version": "v1",
        "signing_cert_url": f"https://{mark}/",
    }
    for changed in ({}, *({name: f"{mark}\n"} for name in message), *({name: [mark]} for name in message)):
        answer = function.post({**message, **changed}, {"X-SMN-TOPIC-URN": mark})
        assert answer.status == 401
        ear.hear(answer.headers, answer.body)


def test_no_answer_to_another_method_has_any(settings: dict[str, str], new_function: NewFunction, ear: Ear) -> None:
    function = new_function(**settings)
    for method in ("GET", "OPTIONS", "PUT", "DELETE"):
        answer = function.get(f"/{MARKED['a value of an event']}", method=method, headers=SHOWN)
        ear.hear(answer.headers, answer.body)
    ear.hear(function.post({}, SHOWN, path="/init"))


def test_keys_that_the_platform_gives_with_a_request_stay_inside(
    settings: dict[str, str], new_function: NewFunction, tenant: Tenant, emulator: Emulator, ear: Ear
) -> None:
    function = new_function(**settings | {"UNMIRROR_TRUST": "platform"})
    answer = function.post(marked(delete(tenant)), SHOWN, path="/invoke")
    assert {call.access_key for call in emulator.calls} == {PLATFORM[0]}
    emulator.faults += FAULTS["401"]
    ear.hear(answer, function.post(marked(delete(tenant, "db-1")), SHOWN, path="/invoke"))


@pytest.mark.usefixtures("nothing_at_exit")
@pytest.mark.parametrize("headers", ["{}", "x={},{} y", 'authorization="{}"', "a=b;{}", "a=b\n{}", "={}"])
def test_the_key_of_a_collector_stays_inside(headers: str, settings: dict[str, str], new_function: NewFunction) -> None:
    """OpenTelemetry's SDK would log what it cannot read."""
    key = MARKED["key of a collector"]
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", name: headers.format(key, key)}
        assert new_function(**settings, **collector).get().status == 200


# --- FunctionGraph ---------------------------------------------------------------------------------------------


@pytest.fixture
def context(settings: dict[str, str]) -> Iterator[Context]:
    """The platform's context, with its keys; the settings are user data."""
    yield Context(settings, PLATFORM)
    functiongraph._service.cache_clear()


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_that_functiongraph_is_given_or_raised_has_any(
    fault: str, context: Context, settings: dict[str, str], emulator: Emulator, tenant: Tenant, ear: Ear
) -> None:
    functiongraph.initializer(context)
    events = [event for event, _ in everything(delete(tenant), tenant.cloud.new_id())]
    if faults := FAULTS[fault]:
        emulator.faults += faults
        context, events = Context(settings, PLATFORM, left=2_200), events[:1]  # no time to try again and again
    for event in events:
        try:
            ear.hear(functiongraph.handler(event, context))
        except Exception as error:  # noqa: BLE001 - whatever the platform would print
            ear.hear(error)


UNSENDABLE = ("{}\n{}", "{}\u200b", "\u201c{}\u201d", "{} {}", "{}\x7f")
"""Ways in which a key comes out of a clipboard."""


@pytest.mark.parametrize("wrap", UNSENDABLE, ids=ascii)
def test_a_key_that_no_header_can_carry_is_named_and_not_shown(
    wrap: str, settings: dict[str, str], new_function: NewFunction, tenant: Tenant, emulator: Emulator, ear: Ear
) -> None:
    """As a setting, as the platform's with an event, and as the platform's with a request."""
    for at in range(3):
        wrong = [wrap.format(part, part) if at == number else part for number, part in enumerate(PLATFORM)]
        with pytest.raises(NotConfigured) as raised:
            functiongraph.handler(marked(delete(tenant)), Context(settings, tuple(wrong)))
        ear.hear(raised.value)
        name = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN")[at]
        with pytest.raises(NotConfigured, match=name) as raised:
            functiongraph.initializer(Context({**settings, name: wrong[at]}, PLATFORM))
        ear.hear(raised.value)
        headers = {each: text.encode().decode("latin-1") for each, text in key_headers(*wrong).items()}
        if "\n" not in wrap:
            trusting = new_function(**settings | {"UNMIRROR_TRUST": "platform"})
            ear.hear(answer := trusting.post(marked(delete(tenant)), headers))
            assert answer.status == 502
    assert emulator.calls == []
    functiongraph._service.cache_clear()


def test_a_wrong_setting_is_named_without_its_value(settings: dict[str, str], ear: Ear) -> None:
    for name in settings | {"UNMIRROR_REGION": "", "UNMIRROR_TRUST": "", "UNMIRROR_SMN_TOPICS": ""}:
        for wrong in MARKED.values():
            try:
                functiongraph.initializer(Context({**settings, name: f"{wrong} !"}, PLATFORM))
            except NotConfigured as error:
                ear.hear(error)
    with pytest.raises(NotConfigured) as caught:
        Settings.from_env({"UNMIRROR_VPC_ENDPOINT": f"https://user:{MARKED['a password in a URL']}@host"})
    ear.hear(caught.value)
    functiongraph._service.cache_clear()


# --- defects ---------------------------------------------------------------------------------------------------


def test_a_defect_says_where_and_not_with_what(
    settings: dict[str, str],
    new_function: NewFunction,
    context: Context,
    tenant: Tenant,
    ear: Ear,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somewhere below, something fails in a way that nobody thought of, and says all that it knows."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(ALL)

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    gone = delete(tenant)
    answer = new_function(**settings).post(marked(gone), SHOWN)
    trusting = new_function("on_cloud_event", **settings | {"UNMIRROR_TRUST": "platform"})
    taken = structured(trusting, cloud_event(marked(gone)["cts"]))
    assert answer.status == taken.status == 500
    ear.hear(answer.headers, answer.body, taken.headers, taken.body)
    with pytest.raises(Exception, match="a defect") as caught:
        functiongraph.handler(marked(gone), context)
    ear.hear(caught.value)


# --- what holds secrets ----------------------------------------------------------------------------------------


def test_what_holds_secrets_shows_none(settings: dict[str, str], ear: Ear) -> None:
    service, edge = Service.from_env(settings), WebEdge.from_env(settings)
    chain = CredentialChain.from_env(settings, clock=Clock())
    key = chain.current(service.deadline())
    assert key is not None
    assert service.client is not None
    api = service.client.api(settings["HUAWEICLOUD_SDK_PROJECT_ID"], AccessKey.of(*PLATFORM))
    api.list_sessions(service.deadline())
    ear.hear(service, service.settings, service.client, edge, edge.authenticator, api, chain, chain.describe())
    ear.hear(key, [key], {"key": key}, f"{key!s} {key!r}", AccessKey(*PLATFORM))
