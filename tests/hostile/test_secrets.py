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
from handler.vpc.credentials import KEY_NAMES, AccessKey, CredentialChain
from handler.web import smn
from handler.web.app import WebEdge
from tests.support.function import Answer, Function, NewFunction, untraced
from tests.support.functiongraph import Context, key_headers
from tests.support.secrets import (
    ALL,
    FAULTS,
    MARKED,
    PLATFORM,
    WEBHOOK_SECRET,
    Ear,
    everything,
    marked,
    secret_settings,
    spilled,
)
from tests.support.smn_topic import URN, message
from tests.support.tenant import delete, encoded

SHOWN = {"Authorization": f"Bearer {MARKED['bearer token']}", "X-Odd": MARKED["a header"], "Cookie": MARKED["a header"]}
SHOWN |= key_headers(*PLATFORM)


@pytest.fixture
def settings(emulator: Emulator) -> dict[str, str]:
    return secret_settings(emulator)


@pytest.fixture
def new_function(
    new_function: NewFunction, settings: dict[str, str], ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> NewFunction:
    """Return what makes a function with all secrets, every answer of which is heard."""
    answered = Function._open

    def heard(function: Function, path: str, **request: Any) -> Answer:
        ear.hear(answer := answered(function, path, **request))
        return answer

    monkeypatch.setattr(Function, "_open", heard)
    return lambda target="on_event", **more: new_function(target, **settings | more)


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
    target: str, fault: str, new_function: NewFunction, emulator: Emulator, tenant: Tenant
) -> None:
    function, statuses = new_function(target), set()
    emulator.faults += FAULTS[fault]
    for body, headers in everything(delete(tenant), tenant.interfaces["db-1"]):
        statuses |= {function.post(body, headers | SHOWN, path=path).status for path in ("/", "/invoke")}
    assert 400 in statuses
    assert statuses & {200, 502, 503}


@pytest.mark.parametrize("target", ["on_event", "on_cloud_event"])
def test_no_refusal_of_a_caller_has_any(target: str, new_function: NewFunction, tenant: Tenant) -> None:
    function = new_function(target)
    body, now, header = encoded(marked(tenant.interfaces["db-1"])), datetime.now(UTC), MARKED["a header"]
    signature = Webhook(WEBHOOK_SECRET).sign("1", now, "another body")
    for shown in (
        {"Authorization": f"Bearer {MARKED['a wrong bearer token']}"},
        {"Authorization": f"Basic {MARKED['bearer token']}"},
        {"webhook-id": "1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature},
        {"webhook-id": header, "webhook-timestamp": "x", "webhook-signature": header},
        key_headers(*PLATFORM),
    ):
        answer = function.post(body, {**shown, "X-Odd": header}, path=f"/?token={MARKED['bearer token']}")
        assert (answer.status, signature in str(answer)) == (401, False)


def test_no_message_of_a_topic_that_is_refused_is_quoted(new_function: NewFunction) -> None:
    function = new_function(UNMIRROR_SMN_TOPICS=URN)
    mark = MARKED["a member of a message"]
    said = message(mark, message_id=mark, subject=mark, signing_cert_url=f"https://{mark}/")
    for changed in ({}, *({name: f"{mark}\n"} for name in said), *({name: [mark]} for name in said)):
        assert function.post({**said, **changed}, {"X-SMN-TOPIC-URN": mark}).status == 401


def test_no_answer_to_another_method_has_any(new_function: NewFunction) -> None:
    function = new_function()
    for method in ("GET", "OPTIONS", "PUT", "DELETE"):
        function.post(b"", SHOWN, method=method, path=f"/{MARKED['a value of an event']}")
    function.post({}, SHOWN, path="/init")


def test_keys_that_the_platform_gives_with_a_request_stay_inside(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator
) -> None:
    function = new_function(UNMIRROR_TRUST="platform")
    function.post(marked(delete(tenant)), SHOWN, path="/invoke")
    assert {call.access_key for call in emulator.calls} == {PLATFORM[0]}
    emulator.faults += FAULTS["401"]
    function.post(marked(delete(tenant, "db-1")), SHOWN, path="/invoke")


@pytest.mark.usefixtures("nothing_at_exit")
@pytest.mark.parametrize("headers", ["{}", "x={},{} y", 'authorization="{}"', "a=b;{}", "a=b\n{}", "={}"])
def test_the_key_of_a_collector_stays_inside(headers: str, new_function: NewFunction) -> None:
    """OpenTelemetry's SDK would log what it cannot read."""
    key = MARKED["key of a collector"]
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", name: headers.format(key, key)}
        assert new_function(**collector).get().status == 200


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
    event, trusting = marked(delete(tenant)), new_function(UNMIRROR_TRUST="platform")
    for at in range(3):
        wrong = [wrap.format(part, part) if at == number else part for number, part in enumerate(PLATFORM)]
        with pytest.raises(NotConfigured) as raised:
            functiongraph.handler(event, Context(settings, tuple(wrong)))
        ear.hear(raised.value)
        with pytest.raises(NotConfigured, match=KEY_NAMES[at]) as raised:
            functiongraph.initializer(Context({**settings, KEY_NAMES[at]: wrong[at]}, PLATFORM))
        ear.hear(raised.value)
        headers = {each: text.encode().decode("latin-1") for each, text in key_headers(*wrong).items()}
        if "\n" not in wrap:
            assert trusting.post(event, headers).status == 502
    assert emulator.calls == []
    functiongraph._service.cache_clear()


# --- defects ---------------------------------------------------------------------------------------------------


def test_a_defect_says_where_and_not_with_what(
    new_function: NewFunction, context: Context, tenant: Tenant, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somewhere below, something fails in a way that nobody thought of, and says all that it knows."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(ALL)

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    event = marked(delete(tenant))
    for target in ("on_event", "on_cloud_event"):
        assert new_function(target).post(event, SHOWN).status == 500
    with pytest.raises(Exception, match="a defect") as caught:
        functiongraph.handler(event, context)
    ear.hear(caught.value)


# --- what holds secrets ----------------------------------------------------------------------------------------


def test_what_holds_secrets_shows_none(settings: dict[str, str], ear: Ear) -> None:
    service, edge = Service(settings), WebEdge.from_env(settings)
    chain = CredentialChain.from_env(settings, clock=Clock())
    key = chain.current(service.deadline())
    assert key is not None
    assert service.client is not None
    api = service.client.api(settings["HUAWEICLOUD_SDK_PROJECT_ID"], AccessKey.of(*PLATFORM))
    api.list_sessions(service.deadline())
    ear.hear(service, service.settings, service.client, edge, edge.authenticator, api, chain, chain.source)
    ear.hear(smn.Message.parse(encoded(message(ALL, subject=ALL))))
    ear.hear(key, [key], {"key": key}, f"{key!s} {key!r}", AccessKey(*PLATFORM))
