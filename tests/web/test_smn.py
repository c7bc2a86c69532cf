"""SMN's own signature: a topic's messages are worked on, its subscription is confirmed, and no other's."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from handler.errors import NotConfigured
from handler.web.app import WebEdge
from tests.support import schemas
from tests.support.function import Answer, Function, NewFunction, settings_for, untraced
from tests.support.smn_topic import (
    CERTIFICATE,
    CONFIRMATION,
    CONSOLE,
    HOST,
    OTHER_KEY,
    RSA_KEY,
    URN,
    Topic,
    certificate,
    message,
    serving,
)
from tests.support.tenant import delete, deleted, encoded, sources, without

NewSubscriber: TypeAlias = Callable[..., Function]


@pytest.fixture
def topic(tmp_path: Path) -> Iterator[Topic]:
    """A topic whose certificate and confirmation are served over TLS."""
    with serving(tmp_path) as topic:
        yield topic


@pytest.fixture
def new_subscriber(new_function: NewFunction, topic: Topic) -> NewSubscriber:
    """Return what makes a function for the topic and no other caller."""
    assert topic.pages
    return partial(new_function, UNMIRROR_TRUST="", UNMIRROR_SMN_TOPICS=URN)


@pytest.fixture
def function(new_subscriber: NewSubscriber) -> Function:
    return new_subscriber()


def post(function: Function, said: object) -> Answer:
    """Post as SMN does."""
    headers = {"Content-Type": "text/plain; charset=utf-8", "X-SMN-MESSAGE-TYPE": "Notification"}  # not signed
    return function.post(json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass"), headers)


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the lines of the log since the last look that are about SMN; each is as its schema has it."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [schemas.violations("log", line) for line in lines] == [[]] * len(lines)
    assert "marked" not in str(lines)
    return [line for line in lines if line["event"].startswith("smn.")]


def refused(function: Function, said: object, capsys: pytest.CaptureFixture[str], why: str) -> None:
    """The answer tells nothing; the log tells what was wrong, and no value of it."""
    answer = post(function, said)
    assert (answer.status, answer.problem["detail"]) == (401, "the caller is not authenticated")
    assert "marked" not in str(answer)
    line = logged(capsys)[-1]
    assert (line["event"], why in line["message"]) == ("smn.message_refused", True)


# --- what is worked on -----------------------------------------------------------------------------------------


def test_a_signed_notification_of_the_topic_is_worked_on_with_one_fetch_for_all(
    function: Function, tenant: Tenant, topic: Topic
) -> None:
    before, gone = sources(tenant), delete(tenant)
    assert post(function, message(deleted(gone))).report["outcome"] == "detached"
    assert post(function, message(deleted(gone))).report["outcome"] == "nothing_to_do"
    assert sources(tenant) == without(before, gone)
    assert topic.asked == [(HOST, CERTIFICATE.removeprefix(f"https://{HOST}"))]


@pytest.mark.parametrize(
    "members",
    [{"subject": "\u5220\u9664"}, {"subject": ""}, {"subject": None}, {"minutes": -59}, {"minutes": 4}],
    ids=repr,
)
def test_a_message_may_lack_a_subject_be_an_hour_old_or_of_a_clock_that_is_a_little_off(
    function: Function, tenant: Tenant, members: dict[str, Any]
) -> None:
    assert post(function, message(deleted(delete(tenant)), **members)).status == 200


@pytest.mark.parametrize(
    "text", ["{}\n", 'message\n{"x": 1}\nmessage_id\n1\n', "\u00e4\u5220\U0001f4a5", " "], ids=repr
)
def test_the_text_of_a_message_may_be_any(function: Function, text: str) -> None:
    """Authenticated, and so read: it is no event."""
    assert post(function, message(text)).status == 400


CERTIFICATES = {
    "SHA-384": (RSA_KEY, hashes.SHA384(), ()),
    "SHA-512": (RSA_KEY, hashes.SHA512(), ()),
    "ECDSA with SHA-256": (OTHER_KEY, hashes.SHA256(), ()),
    "ECDSA with SHA-384": (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384(), ()),
    "the first of several": (RSA_KEY, hashes.SHA256(), (certificate(OTHER_KEY),)),
}


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_the_certificate_says_which_key_and_hash(function: Function, tenant: Tenant, topic: Topic, kind: str) -> None:
    key, hash_, others = CERTIFICATES[kind]
    topic.serves(certificate(key, hash_=hash_), *others)
    assert post(function, message(deleted(delete(tenant)), key=key, hash_=hash_)).status == 200


def test_of_pinned_certificates_no_other_is_relied_on(
    new_subscriber: NewSubscriber, tenant: Tenant, topic: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    topic.serves(pinned := certificate())
    fingerprint = pinned.fingerprint(SHA256()).hex(":").upper()
    function = new_subscriber(UNMIRROR_SMN_CERTIFICATES=f"{'0' * 64} {fingerprint}")
    assert post(function, message(deleted(delete(tenant)))).status == 200
    topic.serves(certificate())
    other = new_subscriber(UNMIRROR_SMN_CERTIFICATES=fingerprint)
    refused(other, message("{}"), capsys, "not among UNMIRROR_SMN_CERTIFICATES")


def test_other_domains_may_be_set(new_subscriber: NewSubscriber, tmp_path: Path, tenant: Tenant) -> None:
    function = new_subscriber(UNMIRROR_SMN_DOMAINS="cloud.example")
    assert post(function, message("{}")).status == 401
    host = HOST.replace("myhuaweicloud.com", "cloud.example")
    with serving(tmp_path, host) as other:
        said = message(deleted(delete(tenant)), signing_cert_url=CERTIFICATE.replace(HOST, host))
        assert post(function, said).status == 200
        assert [asked for asked, _ in other.asked] == [host]


def test_a_caller_may_authenticate_otherwise(new_subscriber: NewSubscriber, tenant: Tenant, topic: Topic) -> None:
    """A header of the subscription's own can carry a token, where no certificate can be fetched."""
    topic.pages.clear()
    function, said = new_subscriber(UNMIRROR_BEARER_TOKENS="marked-token"), encoded(message(deleted(delete(tenant))))
    assert function.post(said).status == 503
    assert function.post(said, {"Authorization": "Bearer marked-token"}).report["outcome"] == "detached"


def test_a_message_has_four_of_the_five_seconds_that_smn_waits(
    function: Function, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be done in them is answered with a 503, after which SMN sends again; a 4xx it takes for an end."""
    monkeypatch.setattr("handler.web.auth.SMN_SECONDS", 1e-9)
    answer = post(function, message(deleted(delete(tenant))))
    assert (answer.status, "Retry-After" in answer.headers) == (503, True)


@pytest.mark.parametrize(("target", "path"), [("on_event", "/"), ("on_event", "/invoke"), ("on_cloud_event", "/")])
def test_no_header_says_what_a_signed_message_is(
    new_subscriber: NewSubscriber, tenant: Tenant, emulator: Emulator, target: str, path: str
) -> None:
    """SMN signs none: whoever has recorded a message cannot make a sweep or another event of it."""
    said = encoded(message({"data": {"interface_ids": [tenant.interfaces["api-3"]]}}))
    ours = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "io.unmirror.sweep.due.v1"}
    headers = {"Content-Type": "application/json", **ours}
    assert new_subscriber(target=target).post(said, headers, path=path).status == 400
    assert emulator.calls == []


# --- what is not -----------------------------------------------------------------------------------------------


def test_a_signature_is_of_every_member_that_is_signed(function: Function, capsys: pytest.CaptureFixture[str]) -> None:
    said = message("{}")
    changes = ({"message": "{} "}, {"message_id": "1"}, {"subject": "x"}, {"subject": None}, {"subject": ""})
    for change in (*changes, {"timestamp": message(minutes=-1)["timestamp"]}):
        refused(function, {**said, **change}, capsys, "signature does not hold")
    said = message("welcome", type="SubscriptionConfirmation")
    other = CONFIRMATION.replace("marked-token", "another-token")
    for change in ({"subscribe_url": other}, {"type": "UnsubscribeConfirmation"}):
        refused(function, {**said, **change}, capsys, "signature does not hold")


MADE_UP: dict[str, tuple[dict[str, Any], str]] = {
    "another topic": ({"topic_urn": URN + "-2"}, "not among UNMIRROR_SMN_TOPICS"),
    "no topic": ({"topic_urn": None}, "topic_urn is not one line"),
    "a type that SMN does not sign": ({"type": "HttpSubscriptionUserConfirm"}, "type whose signature"),
    "another version": ({"signature_version": "v2"}, "version v1"),
    "a line break in the id": ({"message_id": "marked\nsubject\nx"}, "message_id is not one line"),
    "a line break in the subject": ({"subject": "marked\ntimestamp\nx"}, "subject is not one line"),
    "a subject that is a number": ({"subject": 17}, "subject is not one line"),
    "a time that is none": ({"timestamp": "marked"}, "timestamp is too old"),
    "a time without a zone": ({"timestamp": "2026-01-01T00:00:00"}, "timestamp is too old"),
    "an hour ago": ({"minutes": -61}, "timestamp is too old"),
    "six minutes ahead": ({"minutes": 6}, "timestamp is too old, too early"),
}


@pytest.mark.parametrize("kind", MADE_UP)
def test_a_message_that_is_not_as_smn_makes_it_is_refused(
    function: Function, topic: Topic, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Though it is signed: that is not even looked at."""
    members, why = MADE_UP[kind]
    refused(function, message("{}", **members), capsys, why)
    assert topic.asked == []


@pytest.mark.parametrize("wrong", ["", "!", "AAAA", "marked", None, 17, [], {}, "A" * 10_000], ids="{!r:.20}".format)
def test_a_signature_that_is_none_is_refused(
    function: Function, capsys: pytest.CaptureFixture[str], wrong: object
) -> None:
    refused(function, {**message("{}"), "signature": wrong}, capsys, "signature")


def of_a_key_that_nobody_knows() -> x509.Certificate:
    """Return a certificate whose key is of an algorithm beside RSA's, in the tree of names that has both."""
    der = certificate().public_bytes(serialization.Encoding.DER)
    rsas = bytes.fromhex("06092a864886f70d010101")
    assert der.count(rsas) == 1
    return x509.load_der_x509_certificate(der.replace(rsas, rsas[:-1] + b"\x7f"))


UNRELIABLE: dict[str, tuple[x509.Certificate, str]] = {
    "expired": (certificate(days=(-2, -1)), "not valid today"),
    "not yet valid": (certificate(days=(1, 2)), "not valid today"),
    "SHA-224": (certificate(hash_=hashes.SHA224()), "not signed with SHA-256"),
    "RSA of 1,024 bits": (certificate(rsa.generate_private_key(65537, 1024)), "too short"),  # noqa: S505 - the point
    "ECDSA of 192 bits": (certificate(ec.generate_private_key(ec.SECP192R1())), "too short"),
    "another key": (certificate(rsa.generate_private_key(65537, 2048)), "does not hold"),
    "another kind": (certificate(OTHER_KEY), "does not hold"),
    "a kind that nobody knows": (of_a_key_that_nobody_knows(), "of a kind that is not known"),
}


@pytest.mark.parametrize("kind", UNRELIABLE)
def test_a_certificate_that_is_not_to_be_relied_on_is_refused(
    function: Function, topic: Topic, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    served, why = UNRELIABLE[kind]
    topic.serves(served)
    refused(function, message("{}"), capsys, why)


def test_what_is_not_smns_is_not_looked_at(
    function: Function, topic: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    for body in (b"not JSON", b"{}", encoded(deleted("x"))):
        assert function.post(body).status == 401
    assert "smn.message_refused" not in capsys.readouterr().out
    for body in (b'"signing_cert_url"', b'{"signing_cert_url":', b'["signing_cert_url"]'):
        assert function.post(body).status == 401
    assert topic.asked == []


mutations = st.dictionaries(
    st.sampled_from(sorted(message())),
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.lists(st.text(max_size=5), max_size=2)),
    min_size=1,
)


@untraced
@given(mutations)
def test_no_change_of_a_message_is_worked_on_or_is_a_defect(
    function: Function, topic: Topic, emulator: Emulator, changed: dict[str, Any]
) -> None:
    said = message("{}", subject=None)
    if {**said, **changed} != said and not (set(changed) == {"subject"} and not changed["subject"]):
        assert post(function, {**said, **changed}).status == 401
    assert emulator.calls == []
    assert {host for host, _ in topic.asked} <= {HOST}


# --- subscriptions ---------------------------------------------------------------------------------------------


def test_a_subscription_is_confirmed_once_its_signature_holds(
    function: Function, topic: Topic, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    said = message("You are invited", type="SubscriptionConfirmation")
    assert post(function, said).report["outcome"] == "ignored"
    assert topic.asked[1:] == [(CONSOLE, CONFIRMATION.removeprefix(f"https://{CONSOLE}"))]
    (line,) = logged(capsys)
    assert (line["event"], line["level"], line["topic_urn"]) == ("smn.confirmed", "info", URN)
    assert emulator.calls == []


@pytest.mark.parametrize("status", [302, 403, 500])
def test_a_confirmation_that_fails_is_asked_for_again(
    function: Function, topic: Topic, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    topic.pages["/smn/subscription/confirm"] = (status, {"Location": CERTIFICATE}, b"")
    said = message("welcome", type="SubscriptionConfirmation")
    assert post(function, said).status == 503
    assert [(line["event"], line["level"]) for line in logged(capsys)] == [("smn.not_confirmed", "error")]
    topic.pages["/smn/subscription/confirm"] = (200, {}, b"")
    assert post(function, said).status == 200
    elsewhere = message("welcome", type="SubscriptionConfirmation", subscribe_url=f"https://{CONSOLE}/iam/?x")
    assert post(function, elsewhere).status == 503
    assert [host for host, _ in topic.asked] == [HOST, CONSOLE, CONSOLE]


def test_the_end_of_a_subscription_is_told_and_nothing_is_asked(
    function: Function, topic: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    said = message("You are unsubscribed", type="UnsubscribeConfirmation")
    assert post(function, said).report["outcome"] == "ignored"
    assert [host for host, _ in topic.asked] == [HOST]
    assert [(line["event"], line["level"]) for line in logged(capsys)] == [("smn.unsubscribed", "warning")]


def test_a_subscription_that_is_not_signed_is_not_confirmed_whoever_else_may_call(
    new_subscriber: NewSubscriber, topic: Topic
) -> None:
    function, said = new_subscriber(UNMIRROR_TRUST="platform"), message("welcome", type="SubscriptionConfirmation")
    assert post(function, {**said, "signature": "AAAA"}).report["outcome"] == "ignored"
    assert [host for host, _ in topic.asked] == [HOST]
    assert post(function, said).status == 200
    assert [host for host, _ in topic.asked] == [HOST, CONSOLE]


# --- the extra -------------------------------------------------------------------------------------------------


def test_topics_without_the_extra_say_what_to_install(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "handler.web.smn", None)
    WebEdge.from_env(settings_for(emulator))
    with pytest.raises(NotConfigured, match=r"pip install 'unmirror\[smn\]'"):
        WebEdge.from_env(settings_for(emulator, UNMIRROR_SMN_TOPICS=URN))
