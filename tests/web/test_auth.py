"""Who may call: nobody by default, then whoever shows what the settings ask for. No answer says what was wrong."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from handler.observability import logs
from handler.web import auth
from handler.web.app import WebEdge
from tests.support.function import Answer, Function, NewFunction, settings_for
from tests.support.tenant import delete, deleted, encoded, timer

TOKENS = ("marked-token-old", "marked-token-new")
SECRETS = tuple(
    f"whsec_{base64.b64encode(name.encode() * 2).decode()}" for name in ("marked-secret-1", "marked-secret-2")
)
TOPIC = "urn:smn:eu-west-101:project:deletions"


@pytest.fixture
def function(new_function: NewFunction) -> Function:
    """A function with two tokens and two secrets, and no trust."""
    return new_function(
        UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS=" ".join(TOKENS), UNMIRROR_WEBHOOK_SECRETS=" ".join(SECRETS)
    )


def is_refused(answer: Answer) -> bool:
    assert b"marked" not in answer.body
    return (answer.status, answer.headers.get("WWW-Authenticate")) == (401, "Bearer")


BODY = encoded(timer())


def signed(body: bytes, secret: str = SECRETS[0], at: datetime | None = None, **other: str) -> dict[str, str]:
    """Return the headers of a webhook, with others in their place if asked."""
    at = at or datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body.decode("utf-8", "replace")),
    }
    return headers | {f"webhook-{name}": value for name, value in other.items()}


# --- nothing configured ----------------------------------------------------------------------------------------


def test_with_nothing_configured_nobody_may_call(new_function: NewFunction, tenant: Tenant, emulator: Emulator) -> None:
    closed = new_function(UNMIRROR_TRUST="", UNMIRROR_BEARER_TOKENS=" ", UNMIRROR_WEBHOOK_SECRETS=" ")
    body = encoded(deleted(delete(tenant)))
    for path in ("/", "/invoke", "/any/path"):
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}, signed(body)):
            assert is_refused(closed.post(body, headers, path=path))
    assert is_refused(closed.post(b"not JSON")), "authentication comes before parsing"
    assert closed.get().json["ready"] is False
    assert emulator.calls == []


def test_readiness_and_the_handshake_need_no_authentication(function: Function) -> None:
    assert function.get().json == function.post(path="/init").json
    assert function.get(method="OPTIONS", headers={"WebHook-Request-Origin": "example.com"}).status == 204


NAMED = {
    "authentication.closed": ("UNMIRROR_WEBHOOK_SECRETS", "UNMIRROR_BEARER_TOKENS", "UNMIRROR_SMN_TOPICS"),
    "authentication.trusting": ("UNMIRROR_TRUST=platform", "never on a public URL"),
}


@pytest.mark.parametrize(
    ("settings", "events"),
    [
        ({"RUNTIME_FUNC_NAME": ""}, ["authentication.trusting"]),
        ({"RUNTIME_FUNC_NAME": "unmirror"}, []),
        ({"UNMIRROR_TRUST": "", "UNMIRROR_BEARER_TOKENS": "t"}, []),
        ({"UNMIRROR_TRUST": ""}, ["authentication.closed"]),
        ({"UNMIRROR_TRUST": "", "UNMIRROR_SMN_TOPICS": TOPIC}, []),
    ],
    ids=["platform, elsewhere", "platform, in FunctionGraph", "a token", "nothing", "a topic"],
)
def test_the_start_warns_where_nobody_or_everybody_may_call(
    emulator: Emulator, settings: dict[str, str], events: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure()
    WebEdge.from_env(settings_for(emulator) | settings)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [(event, "warning") for event in events]
    assert all(name in lines[0]["message"] for event in events for name in NAMED[event])


# --- tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization", [f"Bearer {TOKENS[0]}", f"Bearer {TOKENS[1]}", f"bearer {TOKENS[0]}", f"BEARER    {TOKENS[0]} "]
)
def test_each_token_authenticates_whatever_the_case_of_the_scheme(function: Function, authorization: str) -> None:
    assert function.post(timer(), {"Authorization": authorization}).status == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer marked-token",
        "Bearer marked-token-oldx",
        "Bearer Marked-Token-Old",
        f"Bearer {TOKENS[0]} {TOKENS[1]}",
        f"Basic {TOKENS[0]}",
        TOKENS[0],
        "Bearer m\u00e4rked-t\u00f6ken",
    ],
)
def test_any_other_authorization_does_not(function: Function, authorization: str) -> None:
    assert is_refused(function.post(timer(), {"Authorization": authorization}))


def test_a_token_in_the_url_is_none(function: Function) -> None:
    """What stands in a URL stands in every proxy's log."""
    assert is_refused(function.post(timer(), path=f"/?access_token={TOKENS[0]}"))


def test_the_time_it_takes_does_not_tell_which_token_or_how_much_of_one_was_right(
    function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is shown, as much is compared: digests of one length with every token, in constant time."""
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(auth, "hmac", SimpleNamespace(compare_digest=compare))
    for token in (*TOKENS, TOKENS[0][:-1], "", "x" * 5_000):
        compared.clear()
        function.post(b"{}", {"Authorization": f"Bearer {token}"})
        assert compared == [(32, 32)] * len(TOKENS)


# --- signatures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", SECRETS)
def test_each_secrets_signature_authenticates_and_again_when_it_is_made_anew(
    function: Function, tenant: Tenant, secret: str
) -> None:
    body = encoded(deleted(delete(tenant)))
    assert function.post(body, signed(body, secret)).report["outcome"] == "detached"
    assert function.post(body, signed(body, secret)).report["outcome"] == "nothing_to_do"


def test_one_right_signature_of_several_is_enough(function: Function) -> None:
    wrong = f"v1a,{base64.b64encode(bytes(64)).decode()} v1,{base64.b64encode(bytes(32)).decode()}"
    several = f"{wrong} {signed(BODY)['webhook-signature']}"
    assert function.post(BODY, signed(BODY, signature=several)).status == 200


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_clock_may_be_a_little_off(function: Function, minutes: int) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    assert function.post(BODY, signed(BODY, at=at)).status == 200


NOW = datetime.now(UTC)
NOT_RIGHT = {
    "of another body": signed(b'{"a":1}'),
    "of another secret": signed(b"{}", f"whsec_{base64.b64encode(b'another-secret-entirely').decode()}"),
    "six minutes old": signed(b"{}", at=NOW - timedelta(minutes=6)),
    "of tomorrow": signed(b"{}", at=NOW + timedelta(days=1)),
    **{
        f"{name} {value!r:.20}": signed(b"{}", **{name: value})
        for name, values in {
            "signature": ("", "v1", "v1,", ",", " ", "v1,not base64!", "v1,a,b", "v2,AAAA", "v1,\u00e4"),
            "timestamp": ("", "nan", "inf", "-1", "1e400", "9" * 400, "now"),
            "id": ("", "\u00ff", "msg_2"),
        }.items()
        for value in values
    },
    "nothing": {},
}


@pytest.mark.parametrize("kind", NOT_RIGHT)
def test_a_signature_that_is_not_right_is_a_401(function: Function, kind: str) -> None:
    assert is_refused(function.post(b"{}", NOT_RIGHT[kind]))


def test_a_signed_body_that_is_not_utf_8_is_a_401(function: Function) -> None:
    assert is_refused(function.post(b"\xff\xfe", signed(b"\xff\xfe")))


latin_1 = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


@given(
    body=st.binary(max_size=60),
    headers=st.dictionaries(
        st.sampled_from(["Authorization", "webhook-id", "webhook-timestamp", "webhook-signature", "X-Forwarded-For"]),
        st.one_of(latin_1, latin_1.map("Bearer {}".format), latin_1.map("v1,{}".format)),
    ),
)
def test_whatever_is_shown_that_is_not_right_is_refused(
    function: Function, body: bytes, headers: dict[str, str]
) -> None:
    assert is_refused(function.post(body, headers))
