"""Who is let in: nobody by default, then whoever shows what the settings ask for. No answer says what was wrong."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from handler.web import auth as admission
from tests.conftest import NewFunction
from tests.support.function import Answer, Function
from tests.web.test_on_event import delete, deleted

TOKENS = ("marked-token-old", "marked-token-new")
SECRETS = tuple(
    f"whsec_{base64.b64encode(name.encode() * 2).decode()}" for name in ("marked-secret-1", "marked-secret-2")
)


@pytest.fixture
def function(new_function: NewFunction) -> Function:
    """A function with two tokens and two secrets, and no trust."""
    return new_function(
        UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS=" ".join(TOKENS), UNMIRROR_WEBHOOK_SECRETS=" ".join(SECRETS)
    )


def is_refused(answer: Answer) -> bool:
    assert b"marked" not in answer.body
    return (answer.status, answer.headers.get("WWW-Authenticate")) == (401, "Bearer")


def signed(body: bytes, secret: str = SECRETS[0], at: datetime | None = None, **other: str) -> dict[str, str]:
    """Return the headers of a webhook, with others in their place if asked."""
    at = at or datetime.now(timezone.utc)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body.decode("utf-8", "replace")),
        "Content-Type": "application/json",
    }
    return headers | {f"webhook-{name}": value for name, value in other.items()}


# --- nothing configured ----------------------------------------------------------------------------------------


def test_with_nothing_configured_nobody_comes_in_and_the_log_says_what_to_set(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = new_function(UNMIRROR_TRUST="")
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert (said["level"], said["event"]) == ("warning", "admission.closed")
    names = ("UNMIRROR_WEBHOOK_SECRETS", "UNMIRROR_BEARER_TOKENS", "UNMIRROR_SMN_TOPICS", "UNMIRROR_TRUST=platform")
    assert all(name in said["message"] for name in names)
    body = json.dumps(deleted(delete(tenant))).encode()
    for path in ("/", "/invoke", "/any/path"):
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}, signed(body)):
            assert is_refused(closed.post(body, headers, path=path))
    assert is_refused(closed.post(b"not JSON"))
    assert emulator.calls == []


def test_an_empty_setting_opens_nothing(new_function: NewFunction) -> None:
    closed = new_function(UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS=" ", UNMIRROR_WEBHOOK_SECRETS=" ")
    assert is_refused(closed.post(b"{}", {"Authorization": "Bearer "}))
    assert closed.get().json["ready"] is False


def test_topics_alone_admit_no_caller_that_is_not_the_topic(new_function: NewFunction, tenant: Tenant) -> None:
    topics = new_function(UNMIRROR_TRUST="", UNMIRROR_SMN_TOPICS="urn:smn:eu-west-101:project:deletions")
    assert is_refused(topics.post(deleted(delete(tenant))))


def test_a_trusted_platform_s_callers_need_to_show_nothing(new_function: NewFunction, tenant: Tenant) -> None:
    assert new_function(UNMIRROR_TRUST="platform").post(deleted(delete(tenant))).status == 200


def test_readiness_and_the_handshake_need_no_admission(function: Function) -> None:
    assert function.get().status == 200
    assert function.post(path="/init").status == 200
    assert function.get(method="OPTIONS", headers={"WebHook-Request-Origin": "example.com"}).status == 204


# --- tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer    "])
@pytest.mark.parametrize("token", TOKENS)
def test_each_token_opens_whatever_the_case_of_the_scheme(
    function: Function, tenant: Tenant, scheme: str, token: str
) -> None:
    assert function.post(deleted(delete(tenant)), {"Authorization": f"{scheme}{token}"}).status == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer ",
        "Bearer marked-token",
        "Bearer marked-token-oldx",
        "Bearer Marked-Token-Old",
        f"Bearer {TOKENS[0]} {TOKENS[1]}",
        f"Bearer {TOKENS[0]},{TOKENS[1]}",
        f"Basic {TOKENS[0]}",
        f"Token {TOKENS[0]}",
        TOKENS[0],
        "Bearer m\u00e4rked-t\u00f6ken",
        "Bearer \u00ff\u00fe",
    ],
)
def test_any_other_authorization_does_not(
    function: Function, tenant: Tenant, emulator: Emulator, authorization: str
) -> None:
    assert is_refused(function.post(deleted(delete(tenant)), {"Authorization": authorization}))
    assert emulator.calls == []


def test_a_token_in_the_query_is_none(function: Function, tenant: Tenant) -> None:
    """What stands in a URL stands in every proxy's log."""
    assert is_refused(function.post(deleted(delete(tenant)), path=f"/?access_token={TOKENS[0]}"))


def test_a_token_beyond_ascii_is_compared_by_its_bytes(new_function: NewFunction, tenant: Tenant) -> None:
    function = new_function(UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS="t\u00f6ken \udcff\udcfe")
    sent = "t\u00f6ken".encode().decode("latin-1")
    assert function.post(deleted(delete(tenant)), {"Authorization": f"Bearer {sent}"}).status == 200
    assert is_refused(function.post(b"{}", {"Authorization": "Bearer t\u00f6ken"}))


def test_the_time_it_takes_does_not_tell_which_token_or_how_much_of_one_was_right(
    function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is shown, as much is compared: digests of one length with every token, by what takes constant time."""
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(admission, "hmac", SimpleNamespace(compare_digest=compare))
    for token in (*TOKENS, TOKENS[0][:-1], "", "x" * 5_000):
        compared.clear()
        function.post(b"{}", {"Authorization": f"Bearer {token}"})
        assert compared == [(32, 32)] * len(TOKENS)


def test_the_token_decides_before_the_body_is_read_as_json(function: Function) -> None:
    assert is_refused(function.post(b"not JSON"))
    assert function.post(b"not JSON", {"Authorization": f"Bearer {TOKENS[0]}"}).status == 400


# --- signatures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", SECRETS)
def test_each_secret_s_signature_opens(function: Function, tenant: Tenant, secret: str) -> None:
    body = json.dumps(deleted(delete(tenant))).encode()
    assert function.post(body, signed(body, secret)).report["outcome"] == "detached"


def test_one_right_signature_of_several_is_enough(function: Function, tenant: Tenant) -> None:
    body = json.dumps(deleted(delete(tenant))).encode()
    right = signed(body)["webhook-signature"]
    several = f"v1a,{base64.b64encode(bytes(64)).decode()} v1,{base64.b64encode(bytes(32)).decode()} {right}"
    assert function.post(body, signed(body, signature=several)).status == 200


def test_a_signature_is_of_this_body(function: Function) -> None:
    assert is_refused(function.post(b'{"a":2}', signed(b'{"a":1}')))


def test_a_signature_of_another_secret_does_not_open(function: Function) -> None:
    other = f"whsec_{base64.b64encode(b'another-secret-entirely').decode()}"
    assert is_refused(function.post(b"{}", signed(b"{}", other)))


def test_a_redelivery_is_signed_and_timed_anew_and_opens_again(function: Function, tenant: Tenant) -> None:
    body = json.dumps(deleted(delete(tenant))).encode()
    for _ in range(2):
        assert function.post(body, signed(body)).status == 200


@pytest.mark.parametrize("minutes", [-6, 6, -60 * 24 * 365])
def test_an_old_or_future_signature_does_not_open(function: Function, minutes: int) -> None:
    at = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    assert is_refused(function.post(b"{}", signed(b"{}", at=at)))


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_clock_may_be_a_little_off(function: Function, tenant: Tenant, minutes: int) -> None:
    body = json.dumps(deleted(delete(tenant))).encode()
    at = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    assert function.post(body, signed(body, at=at)).status == 200


@pytest.mark.parametrize(
    "other",
    [
        {"signature": "v1"},
        {"signature": "v1,"},
        {"signature": ","},
        {"signature": " "},
        {"signature": "v1,not base64!"},
        {"signature": "v1,a,b"},
        {"signature": "v2,AAAA"},
        {"signature": "v1,\u00e4"},
        {"timestamp": "nan"},
        {"timestamp": "inf"},
        {"timestamp": "-1"},
        {"timestamp": "1e400"},
        {"timestamp": "9" * 400},
        {"timestamp": "now"},
        {"timestamp": ""},
        {"id": ""},
        {"id": "\u00ff"},
        {"id": "msg_2"},
    ],
    ids=str,
)
def test_a_malformed_signature_is_a_401_and_no_defect(function: Function, other: dict[str, str]) -> None:
    assert is_refused(function.post(b"{}", signed(b"{}", **other)))


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_all_three_headers_are_needed(function: Function, missing: str) -> None:
    headers = {name: value for name, value in signed(b"{}").items() if name != missing}
    assert is_refused(function.post(b"{}", headers))


def test_a_body_that_is_not_utf_8_is_a_401_and_no_defect(function: Function) -> None:
    assert is_refused(function.post(b"\xff\xfe", signed(b"\xff\xfe")))


ascii_text = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=60),
    headers=st.dictionaries(
        st.sampled_from(["Authorization", "webhook-id", "webhook-timestamp", "webhook-signature", "X-Forwarded-For"]),
        st.one_of(ascii_text, ascii_text.map("Bearer {}".format), ascii_text.map("v1,{}".format)),
    ),
)
def test_whatever_is_shown_that_is_not_right_is_refused(
    function: Function, body: bytes, headers: dict[str, str]
) -> None:
    assert is_refused(function.post(body, headers))
