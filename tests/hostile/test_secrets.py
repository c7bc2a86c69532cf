"""No secret comes out, whatever goes in and whatever goes wrong: every public path, with marked secrets.

What is searched: all that is written to stdout and stderr, every record of every logger, answers with their headers,
what is raised with what it was raised from, and the `repr` of what holds secrets.
"""

from __future__ import annotations

import base64
import json
import logging
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from standardwebhooks.webhooks import Webhook

from handler import functiongraph
from handler.cli.app import unmirror
from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator, Fault
from handler.errors import NotConfigured
from handler.model import Deadline
from handler.service import Service
from handler.settings import Settings
from handler.vpc.credentials import AccessKey, Credentials
from handler.web.app import WebEdge
from handler.web.auth import Admission
from tests.conftest import NewFunction, untraced
from tests.support.function import Function, settings_for
from tests.web.test_functiongraph import Context
from tests.web.test_on_event import cloud_event, delete, deleted, keys, structured, through_gateway, trace

MARKED = {
    "access key": "MARKEDAK7F3A0001",
    "secret key": "marked-sk-7f3a-0002",
    "security token": "marked-security-token-7f3a-0003",
    "access key of the platform": "MARKEDAK7F3A0004",
    "secret key of the platform": "marked-sk-7f3a-0005",
    "token of the platform": "marked-security-token-7f3a-0006",
    "access key of the profile": "MARKEDAK7F3A0007",
    "secret key of the profile": "marked-sk-7f3a-0008",
    "a line of a broken profile": "marked-line-7f3a-0009",
    "token of a pod": "marked-pod-token-7f3a-0010",
    "bearer token": "marked-bearer-7f3a-0011",
    "a wrong bearer token": "marked-bearer-7f3a-0012",
    "webhook secret": "marked-webhook-secret-7f3a-0013",
    "a header": "marked-header-7f3a-0014",
    "a value of an event": "marked-value-7f3a-0015",
    "a name in an event": "marked-name-7f3a-0016",
    "a password in a URL": "marked-password-7f3a-0017",
    "what a defect is raised with": "marked-defect-7f3a-0018",
    "what the API says": "marked-message-7f3a-0019",
    "key of a collector": "marked-collector-7f3a-0020",
    "a member of a message": "marked-member-7f3a-0021",
}
"""Every secret that there is, and the values that may come back to nobody."""

WEBHOOK_SECRET = f"whsec_{base64.b64encode(MARKED['webhook secret'].encode()).decode()}"
PLATFORM = tuple(MARKED[f"{name} of the platform"] for name in ("access key", "secret key", "token"))


def spilled(text: str) -> list[str]:
    """Return the names of the marks that a text has, plain or in any dress that they might come out in."""
    dresses: tuple[Callable[[str], str], ...] = (
        str,
        quote,
        lambda mark: mark[::-1],
        lambda mark: mark.encode().hex(),
        lambda mark: base64.b64encode(mark.encode()).decode().rstrip("="),
        lambda mark: json.dumps(mark)[1:-1],
    )
    folded = text.lower()
    return [name for name, mark in MARKED.items() if any(dress(mark).lower() in folded for dress in dresses)]


@dataclass
class Ear:
    """Hears all that comes out."""

    heard: list[str] = field(default_factory=list)

    def hear(self, *values: object) -> None:
        for value in values:
            if isinstance(value, BaseException):
                self.heard.append("".join(traceback.format_exception(value)))
            self.heard += [str(value), repr(value)]


@pytest.fixture(autouse=True)
def ear(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Ear]:
    """Hear a whole test, down to the last word of any library's logger, and find no mark."""
    caplog.set_level(logging.DEBUG)
    listening = Ear()
    yield listening
    out, err = capfd.readouterr()
    listening.hear(out, err, *(record.__dict__ for record in caplog.records))
    assert spilled("\n".join(listening.heard)) == []


@pytest.fixture
def settings(emulator: Emulator) -> dict[str, str]:
    """Settings with every secret that they can hold; the keys are right."""
    assert emulator.door is not None
    ak, sk, token = (MARKED[name] for name in ("access key", "secret key", "security token"))
    emulator.door.keys |= {ak: (sk, token), PLATFORM[0]: PLATFORM[1:]}
    return settings_for(
        emulator,
        UNMIRROR_TRUST="",
        HUAWEICLOUD_SDK_AK=ak,
        HUAWEICLOUD_SDK_SK=sk,
        HUAWEICLOUD_SDK_SECURITY_TOKEN=token,
        UNMIRROR_BEARER_TOKENS=MARKED["bearer token"],
        UNMIRROR_WEBHOOK_SECRETS=WEBHOOK_SECRET,
    )


def marked(interface_id: str, **members: object) -> dict[str, Any]:
    """Return a trace with marks wherever it has room for them."""
    value, name = MARKED["a value of an event"], MARKED["a name in an event"]
    said = {"resource_name": value, "source_ip": value, "message": value, "request": {name: value}, name: {name: value}}
    return {"cts": trace(interface_id, **{**said, **members})}


def test_the_search_finds_a_mark_in_any_dress() -> None:
    for name, mark in MARKED.items():
        assert name in spilled(f"x{mark}x")
        assert name in spilled(json.dumps({"x": base64.b64encode(mark.encode()).decode()}))
        assert name in spilled(repr(mark.upper().encode()))
    assert spilled(f"a text that is only called marked, and {Path(__file__).name}") == []


# --- the functions ---------------------------------------------------------------------------------------------


SHOWN = {"Authorization": f"Bearer {MARKED['bearer token']}", "X-Odd": MARKED["a header"], "Cookie": MARKED["a header"]}
SHOWN |= keys(*PLATFORM)


def api_says(status: int, code: str, operation: str = "*") -> Fault:
    """Return an answer that quotes what it was sent, as gateways do."""
    said = {"error_code": code, "error_msg": " ".join(MARKED.values()), "request_id": "1", "detail": MARKED}
    return Fault(operation, status=status, body=json.dumps(said).encode(), times=-1)


FAULTS: Mapping[str, tuple[Fault, ...]] = {
    "none": (),
    "401": (api_says(401, "APIGW.0301"),),
    "403": (api_says(403, "VPC.2201", "show_port"),),
    "404": (api_says(404, "APIGW.0101"),),
    "429": (api_says(429, "APIGW.0308", "list_sessions"),),
    "500": (api_says(500, "VPC.0002", "remove_sources"),),
    "no JSON": (Fault(status=200, body=" ".join(MARKED.values()).encode(), times=-1),),
    "elsewhere": (Fault(status=302, headers={"Location": f"http://{MARKED['what the API says']}/"}, times=-1),),
    "lost": (Fault("remove_sources", "lost", times=-1),),
    "reset": (Fault(kind="reset", times=-1),),
}


def everything(interface_id: str, living: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """Yield deliveries for every kind of answer, each with its headers."""
    value, name = MARKED["a value of an event"], MARKED["a name in an event"]
    plain = {"Content-Type": "application/json"}
    yield marked(interface_id), {}
    yield marked(living), {}
    yield marked(living, trace_rating="warning"), {}
    yield marked(living, response={"job_id": value}), {}
    yield marked(living, trace_name=value + " "), {}
    yield marked(value), {}
    yield marked(living, project_id=value), {}
    yield deleted(value, value, **{name: value}), {}
    yield {**deleted(living), "id": 17, name: value}, {}
    yield through_gateway(marked(living)), {}
    yield {"events": [cloud_event(marked(living)["cts"]), value]}, {}
    yield {name: value}, {}
    yield f'{{"{name}": "{value}'.encode(), plain
    yield value.encode(), {"Content-Type": f"text/{value}"}
    yield value.encode(), plain | {"Content-Encoding": value}
    yield value.encode() * 20_000, plain
    yield value.encode(), plain | {"ce-specversion": "1.0", "ce-data": value, "ce-source": f"{value}%ff"}


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
    answer = structured_as(function, marked(tenant.interfaces["db-2"])["cts"])
    ear.hear(answer.headers, answer.body)
    assert 400 in statuses
    assert answer.status in (200, 204, 502, 503)


def structured_as(function: Function, data: object) -> Any:
    event = {**cloud_event(data), "marked": MARKED["a value of an event"]}
    return function.post(json.dumps(event).encode(), {**SHOWN, "Content-Type": "application/cloudevents+json"})


@pytest.mark.parametrize("target", ["on_event", "on_cloud_event"])
def test_no_refusal_at_the_door_has_any(
    target: Any, settings: dict[str, str], new_function: NewFunction, tenant: Tenant, ear: Ear
) -> None:
    function, body = new_function(target, **settings), json.dumps(marked(tenant.interfaces["db-1"])).encode()
    now = datetime.now(timezone.utc)
    signature = Webhook(WEBHOOK_SECRET).sign("1", now, "another body")
    for shown in (
        {},
        {"Authorization": f"Bearer {MARKED['a wrong bearer token']}"},
        {"Authorization": f"Basic {MARKED['bearer token']}"},
        {"webhook-id": "1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature},
        {"webhook-id": MARKED["a header"], "webhook-timestamp": "x", "webhook-signature": MARKED["a header"]},
        keys(*PLATFORM),
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
        "timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "signature": base64.b64encode(mark.encode()).decode(),
        "signature_version": "v1",
        "signing_cert_url": f"https://{mark}/",
    }
    for changed in ({}, *({name: f"{mark}\n"} for name in message), *({name: [mark]} for name in message)):
        answer = function.post({**message, **changed}, {"X-SMN-TOPIC-URN": mark})
        assert answer.status == 401
        ear.hear(answer.headers, answer.body)


@pytest.mark.usefixtures("nothing_at_exit")
@pytest.mark.parametrize("headers", ["{}", "x={},{} y", 'authorization="{}"', "a=b;{}", "a=b\n{}", "={}"])
def test_the_key_of_a_collector_stays_inside(headers: str, settings: dict[str, str], new_function: NewFunction) -> None:
    """OpenTelemetry's SDK would log what it cannot read."""
    key = MARKED["key of a collector"]
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", name: headers.format(key, key)}
        assert new_function(**settings, **collector).get().status == 200


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


# --- defects -----------------------------------------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somewhere below, something fails in a way that nobody thought of, and says all that it knows."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(" ".join(MARKED.values()))

    monkeypatch.setattr(socket, "getaddrinfo", fail)


@pytest.mark.usefixtures("broken")
def test_a_defect_says_where_and_not_with_what(
    settings: dict[str, str], new_function: NewFunction, context: Context, tenant: Tenant, ear: Ear
) -> None:
    gone = delete(tenant)
    answer = new_function(**settings).post(marked(gone), SHOWN)
    assert answer.status == 500
    taken = structured(
        new_function("on_cloud_event", **settings | {"UNMIRROR_TRUST": "platform"}), cloud_event(marked(gone)["cts"])
    )
    assert taken.status == 500
    ear.hear(answer.headers, answer.body, taken.headers, taken.body)
    with pytest.raises(Exception, match="a defect") as caught:
        functiongraph.handler(marked(gone), context)
    ear.hear(caught.value)


# --- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def command(settings: dict[str, str], ear: Ear, tmp_path: Path) -> Callable[..., int]:
    """Return what calls the command with all secrets in its environment, and hears what it says."""

    def call(*arguments: str, **environ: str) -> int:
        env = {**settings, "HOME": str(tmp_path), "COLUMNS": "80", **environ}
        result = CliRunner().invoke(unmirror, arguments, env=env, prog_name="unmirror")
        ear.hear(result.output, result.stdout, result.stderr)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code

    return call


@untraced
@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["for people", "JSON"])
@pytest.mark.parametrize("fault", FAULTS)
def test_no_command_says_any(
    fault: str,
    as_json: tuple[str, ...],
    command: Callable[..., int],
    emulator: Emulator,
    tenant: Tenant,
    tmp_path: Path,
) -> None:
    gone, living = delete(tenant), tenant.interfaces["db-1"]
    emulator.faults += FAULTS[fault]
    letters = tmp_path / "letters.jsonl"
    events = [body for body, _ in everything(gone, tenant.cloud.new_id()) if isinstance(body, dict)]
    events = events[:1] if FAULTS[fault] else events
    letters.write_text("".join(f"{json.dumps(event)}\n" for event in events) + MARKED["a value of an event"])
    one = tmp_path / "one.json"
    one.write_text(json.dumps(marked(living)))
    codes = [
        command(*words, *as_json, "--deadline", "0.2" if FAULTS[fault] else "20")  # no time to try again and again
        for words in (
            ("check",),
            ("detach", gone),
            ("sweep", "--dry-run"),
            ("sweep",),
            ("sessions",),
            ("replay", str(letters)),
        )
    ]
    codes += [command("explain", str(one), *as_json), command("explain", str(letters), *as_json)]
    assert set(codes) <= {0, 1, 2, 3}
    assert 1 in codes


def test_a_replay_to_a_url_shows_neither_token_nor_secret(
    command: Callable[..., int], emulator: Emulator, tmp_path: Path
) -> None:
    letters = tmp_path / "letters.jsonl"
    letters.write_text(json.dumps(marked("8f0e2c41-6f5d-4b7a-9d43-5c1f6a2b7e10")))
    at = ("replay", str(letters), "--json", "--url")
    shown = ("--token-env", "UNMIRROR_BEARER_TOKENS", "--secret-env", "UNMIRROR_WEBHOOK_SECRETS")
    assert command(*at, emulator.url, *shown) == 1
    assert command(*at, f"https://user:{MARKED['a password in a URL']}@localhost/", *shown) == 2
    assert command(*at, "http://example.com/", *shown) == 2
    assert command(*at, emulator.url, "--secret-env", "UNMIRROR_BEARER_TOKENS") == 2


@pytest.mark.parametrize(
    "name", ["UNMIRROR_WEBHOOK_SECRETS", "UNMIRROR_VPC_ENDPOINT", "UNMIRROR_SWEEP_LIMIT", "UNMIRROR_TRUST"]
)
@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["for people", "JSON"])
def test_a_command_names_a_wrong_setting_without_its_value(
    name: str, as_json: tuple[str, ...], command: Callable[..., int]
) -> None:
    for words in (("check",), ("sweep",), ("detach", "8f0e2c41-6f5d-4b7a-9d43-5c1f6a2b7e10")):
        assert command(*words, *as_json, **{name: f"https://user:{MARKED['a password in a URL']}@x !"}) == 1


# --- where keys come from ----------------------------------------------------------------------------------------


PROFILE = f"[basic]\nak = {MARKED['access key of the profile']}\nsk = {MARKED['secret key of the profile']}\n"
BROKEN_PROFILES = {
    "not a profile": MARKED["a line of a broken profile"],
    "a line that is none": f"{PROFILE}{MARKED['a line of a broken profile']}\n",
    "the same twice": PROFILE + f"sk = {MARKED['a line of a broken profile']}\n",
    "not UTF-8": None,
    "a key without its half": f"[basic]\nak = {MARKED['access key of the profile']}\n",
}


@pytest.mark.parametrize("profile", ["whole", *BROKEN_PROFILES])
def test_no_source_of_keys_is_quoted(
    profile: str, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The API refuses the profile's key, or the profile is broken and the pod's service is not there."""
    monkeypatch.setattr("handler.vpc.credentials.METADATA", "http://127.0.0.1:9")
    file, token = tmp_path / "credentials", tmp_path / "token"
    text = {"whole": PROFILE, **BROKEN_PROFILES}[profile]
    file.write_bytes(MARKED["a line of a broken profile"].encode() + b"\xff\xfe" if text is None else text.encode())
    token.write_text(MARKED["token of a pod"])
    from_files = {
        "HUAWEICLOUD_SDK_AK": "",
        "HUAWEICLOUD_SDK_SK": "",
        "HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(file),
        "HC_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/",
        "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
    }
    assert command("check", **from_files) == 1
    assert command("check", "--json", **from_files) == 1
    assert command("sweep", **from_files) == 1


# --- what holds secrets --------------------------------------------------------------------------------------------


def test_what_holds_secrets_shows_none(settings: dict[str, str], ear: Ear) -> None:
    service = Service.from_env(settings)
    edge = WebEdge.from_env(settings)
    api = service.api(settings["HUAWEICLOUD_SDK_PROJECT_ID"], Deadline.within(5, service.clock), AccessKey(*PLATFORM))
    credentials = Credentials.from_env(settings)
    key = credentials.current(api.deadline)
    ear.hear(service, service.settings, service.client, edge, edge.admission, Admission(service.settings), api)
    ear.hear(credentials, key, [key], {"key": key}, f"{key!s} {key!r}", AccessKey(*PLATFORM))
    api.list_sessions()
    ear.hear(api, api.log, service.client and service.client.guard)
