"""SMN's own signature: its messages come in, a subscription is confirmed, and nothing that only looks like it does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handler import events
from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from handler.errors import CannotVerify, NotAdmitted, NotConfigured
from handler.settings import SMN_DOMAINS
from handler.web import smn
from handler.web.app import WebEdge
from handler.web.fetch import Fetch
from tests.conftest import NewFunction, untraced
from tests.support.function import Answer, Function, settings_for
from tests.support.smn_topic import (
    CERTIFICATE,
    CONFIRMATION,
    CONSOLE,
    HOST,
    OTHER_KEY,
    REGION,
    RSA_KEY,
    URN,
    Topic,
    certificate,
    message,
    serving,
    signature,
)
from tests.web.test_on_event import delete, deleted, sources, without

SOURCE = "tests/support/smn_function.py"
NewSubscriber: TypeAlias = Callable[..., Function]


@pytest.fixture
def topic(tmp_path: Path) -> Iterator[Topic]:
    """A topic whose certificate and confirmation are served over TLS."""
    with serving(tmp_path) as topic:
        yield topic


@pytest.fixture
def new_subscriber(new_function: NewFunction, topic: Topic) -> NewSubscriber:
    """Return a function that makes one for the topic and no other caller."""

    def make(**more: str) -> Function:
        return new_function(
            source=SOURCE, **{"UNMIRROR_TRUST": "", "UNMIRROR_SMN_TOPICS": URN} | topic.environment | more
        )

    return make


@pytest.fixture
def function(new_subscriber: NewSubscriber) -> Function:
    return new_subscriber()


def post(function: Function, said: object) -> Answer:
    """Post as SMN does."""
    headers = {"Content-Type": "text/plain; charset=utf-8", "X-SMN-MESSAGE-TYPE": "Notification"}  # not signed
    return function.post(json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass"), headers)


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the lines of the log since the last look, each of which is as its schema has it."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [events.validate("log", line) for line in lines] == [()] * len(lines)
    return lines


def refused(function: Function, said: object, capsys: pytest.CaptureFixture[str], why: str) -> None:
    """The answer tells nothing; the log tells what was wrong, and no value of it."""
    capsys.readouterr()
    answer = post(function, said)
    assert (answer.status, answer.problem["detail"]) == (401, "the delivery is not admitted")
    assert "marked" not in str(answer)
    lines = logged(capsys)
    assert [line["event"] for line in lines] == ["admission.smn_refused", "delivery.not-admitted"]
    assert why in lines[0]["message"]
    assert "marked" not in str(lines)


# --- what comes in ---------------------------------------------------------------------------------------------


def test_a_signed_notification_of_the_topic_is_worked_on(function: Function, tenant: Tenant, topic: Topic) -> None:
    before, gone = sources(tenant), delete(tenant)
    assert post(function, message(deleted(gone))).report["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)
    assert topic.asked == [(HOST, CERTIFICATE.removeprefix(f"https://{HOST}"))]


@pytest.mark.parametrize("subject", ["deletePort", "\u5220\u9664\u3000\u7aef\u53e3", "", None], ids=repr)
def test_a_subject_is_signed_where_there_is_one(function: Function, tenant: Tenant, subject: str | None) -> None:
    assert post(function, message(deleted(delete(tenant)), subject=subject)).status == 200


@pytest.mark.parametrize(
    "text", ["{}\n", 'message\n{"x": 1}\nmessage_id\n1\n', "\u00e4\u5220\U0001f4a5", " "], ids=repr
)
def test_the_text_of_a_message_may_be_any(function: Function, text: str) -> None:
    """Let in, and so read: it is no event."""
    assert post(function, message(text)).status == 400


CERTIFICATES = {
    "SHA-384": (RSA_KEY, hashes.SHA384()),
    "SHA-512": (RSA_KEY, hashes.SHA512()),
    "ECDSA with SHA-256": (OTHER_KEY, hashes.SHA256()),
    "ECDSA with SHA-384": (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()),
}


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_the_certificate_says_which_key_and_hash(function: Function, tenant: Tenant, topic: Topic, kind: str) -> None:
    key, hash_ = CERTIFICATES[kind]
    topic.serves(certificate(key, hash_=hash_))
    assert post(function, message(deleted(delete(tenant)), key=key, hash_=hash_)).status == 200


def test_the_first_of_several_certificates_is_the_one(function: Function, tenant: Tenant, topic: Topic) -> None:
    topic.serves(certificate(), certificate(OTHER_KEY))
    assert post(function, message(deleted(delete(tenant)))).status == 200


def test_a_pinned_certificate_lets_in_and_another_does_not(
    new_subscriber: NewSubscriber, tenant: Tenant, topic: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = certificate()
    fingerprint = pinned.fingerprint(SHA256()).hex(":").upper()
    function = new_subscriber(UNMIRROR_SMN_CERTIFICATES=f"{'0' * 64} {fingerprint}")
    topic.serves(pinned)
    assert post(function, message(deleted(delete(tenant)))).status == 200
    other = new_subscriber(UNMIRROR_SMN_CERTIFICATES=fingerprint)
    topic.serves(certificate())
    refused(other, message("{}"), capsys, "not among UNMIRROR_SMN_CERTIFICATES")


def test_a_certificate_is_fetched_once_for_many_messages(function: Function, topic: Topic) -> None:
    """Those that come while it is under way wait for it."""
    topic.gate.clear()
    said = message("{}")
    with ThreadPoolExecutor(4) as senders:
        answers = [senders.submit(post, function, said) for _ in range(4)]
        while not topic.asked:
            threading.Event().wait(0.001)
        topic.gate.set()
        assert {answer.result().status for answer in answers} == {400}
    assert post(function, said).status == 400
    assert len(topic.asked) == 1


def test_another_door_stays_open_to_what_smn_sends(
    new_subscriber: NewSubscriber, tenant: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    """A header of the subscription's own can carry a token, where no certificate can be fetched."""
    function = new_subscriber(UNMIRROR_BEARER_TOKENS="marked-token", SMN_PORT="1")
    said = json.dumps(message(deleted(delete(tenant)))).encode()
    assert function.post(said).status == 503
    assert function.post(said, {"Authorization": "Bearer marked-token"}).report["outcome"] == "detached"


def test_a_message_has_four_of_the_five_seconds_that_smn_waits(
    function: Function, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be done in them is answered with a 503, after which SMN sends again; a 4xx it takes for an end."""
    monkeypatch.setattr("handler.web.auth.SMN_SECONDS", 1e-9)
    answer = post(function, message(deleted(delete(tenant))))
    assert (answer.status, "Retry-After" in answer.headers) == (503, True)


def test_no_header_says_what_a_signed_message_is(function: Function, tenant: Tenant, emulator: Emulator) -> None:
    """SMN signs none: whoever has recorded a message cannot make a sweep or another event of it."""
    said = json.dumps(message({"data": {"interface_ids": [tenant.interfaces["api-3"]]}})).encode()
    ours = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "io.unmirror.sweep.due.v1"}
    for path in ("/", "/invoke"):
        assert function.post(said, {"Content-Type": "application/json", **ours}, path=path).status == 400
    assert emulator.calls == []


# --- what does not ---------------------------------------------------------------------------------------------


def test_a_signature_is_of_every_member_that_is_signed(function: Function, capsys: pytest.CaptureFixture[str]) -> None:
    said = message("{}")
    changes = ({"message": "{} "}, {"message_id": "1"}, {"subject": "x"}, {"subject": None}, {"subject": ""})
    for change in (*changes, {"timestamp": later(said["timestamp"], -1)}):
        refused(function, {**said, **change}, capsys, "signature does not hold")


def test_a_confirmation_s_url_is_signed(function: Function, topic: Topic, capsys: pytest.CaptureFixture[str]) -> None:
    said = message("welcome", type="SubscriptionConfirmation")
    other = CONFIRMATION.replace("marked-token", "another-token")
    refused(function, {**said, "subscribe_url": other}, capsys, "signature does not hold")
    refused(function, {**said, "type": "UnsubscribeConfirmation"}, capsys, "signature does not hold")
    assert [host for host, _ in topic.asked] == [HOST]


MADE_UP: dict[str, tuple[dict[str, Any], str]] = {
    "another topic": ({"topic_urn": URN + "-2"}, "not among UNMIRROR_SMN_TOPICS"),
    "no topic": ({"topic_urn": None}, "topic_urn is not one line"),
    "a topic that is a list": ({"topic_urn": [URN]}, "topic_urn is not one line"),
    "a type that SMN does not sign": ({"type": "HttpSubscriptionUserConfirm"}, "type whose signature"),
    "a type that is a list": ({"type": ["Notification"]}, "type whose signature"),
    "another version": ({"signature_version": "v2"}, "version v1"),
    "no version": ({"signature_version": None}, "version v1"),
    "no message": ({"message": None}, "message is not"),
    "no id": ({"message_id": None}, "message_id is not"),
    "a line break in the id": ({"message_id": "marked\nsubject\nx"}, "message_id is not one line"),
    "a line break in the subject": ({"subject": "marked\ntimestamp\nx"}, "subject is not one line"),
    "a subject that is a number": ({"subject": 17}, "subject is not one line"),
    "no time": ({"timestamp": None}, "timestamp is not"),
    "a time that is none": ({"timestamp": "marked"}, "timestamp is too old"),
    "last year": ({"timestamp": "2024-07-10T09:43:44Z"}, "timestamp is too old"),
}


@pytest.mark.parametrize("kind", MADE_UP)
def test_a_message_that_is_not_as_smn_makes_it_is_refused(
    function: Function, topic: Topic, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Though it is signed: that is not even looked at."""
    members, why = MADE_UP[kind]
    said = {name: value for name, value in {**message("{}"), **members}.items() if value is not None}
    said["signature"] = signature({**said, "type": "Notification"})
    refused(function, said, capsys, why)
    assert topic.asked == []


@pytest.mark.parametrize("minutes", [-61, 6])
def test_a_message_that_is_too_old_or_too_early_is_refused(
    function: Function, capsys: pytest.CaptureFixture[str], minutes: int
) -> None:
    said = message("{}")
    late = message("{}", timestamp=later(said["timestamp"], minutes))
    refused(function, late, capsys, "timestamp is too old, too early")


def later(timestamp: str, minutes: int) -> str:
    moment = datetime.fromisoformat(timestamp.removesuffix("Z")) + timedelta(minutes=minutes)
    return f"{moment.isoformat()}Z"


@pytest.mark.parametrize("minutes", [-59, 4])
def test_a_message_may_be_an_hour_old_and_the_clocks_a_little_off(
    function: Function, tenant: Tenant, minutes: int
) -> None:
    timestamp = later(message()["timestamp"], minutes)
    assert post(function, message(deleted(delete(tenant)), timestamp=timestamp)).status == 200


@pytest.mark.parametrize(
    "wrong", ["", "!", "AAAA", "marked", None, 17, [], {}, "A" * 10_000, "\u00e4"], ids="{!r:.20}".format
)
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


@pytest.mark.parametrize(
    ("served", "why"),
    [
        (certificate(days=(-2, -1)), "not valid today"),
        (certificate(days=(1, 2)), "not valid today"),
        (certificate(hash_=hashes.SHA224()), "not signed with SHA-256"),
        (certificate(rsa.generate_private_key(65537, 1024)), "too short"),  # noqa: S505 - that is the point
        (certificate(ec.generate_private_key(ec.SECP192R1())), "too short"),
        (certificate(rsa.generate_private_key(65537, 2048)), "does not hold"),
        (certificate(OTHER_KEY), "does not hold"),
        (of_a_key_that_nobody_knows(), "of a kind that is not known"),
    ],
    ids=[
        "expired",
        "not yet valid",
        "SHA-224",
        "RSA of 1,024 bits",
        "ECDSA of 192 bits",
        "another key",
        "another kind",
        "a kind that nobody knows",
    ],
)
def test_a_certificate_that_is_not_to_be_relied_on_is_refused(
    function: Function, topic: Topic, capsys: pytest.CaptureFixture[str], served: Any, why: str
) -> None:
    topic.serves(served)
    refused(function, message("{}"), capsys, why)


ELSEWHERE = [
    CERTIFICATE.replace("https:", "http:"),
    CERTIFICATE.replace("https://", "https://user:pass@"),
    CERTIFICATE.replace("https://", f"https://{HOST}@evil.example/"),
    CERTIFICATE.replace(HOST, f"{HOST}.evil.example"),
    CERTIFICATE.replace(HOST, f"evil.example#{HOST}"),
    CERTIFICATE.replace(HOST, f"evil-{HOST}"),
    CERTIFICATE.replace(HOST, "evil.example"),
    CERTIFICATE.replace(HOST, "smn.cn-north-4.myhuaweicloud.com"),
    CERTIFICATE.replace(HOST, CONSOLE),
    CERTIFICATE.replace(HOST, f"obs.{REGION}.myhuaweicloud.com"),
    CERTIFICATE.replace("myhuaweicloud", "myhuaweiclouds"),
    CERTIFICATE.replace("myhuaweicloud", "my\u04bbuaweicloud"),
    CERTIFICATE.replace(HOST, HOST.replace(".", "\u3002")),
    CERTIFICATE.replace(HOST, HOST.upper()),
    CERTIFICATE.replace(HOST, f"{HOST}."),
    CERTIFICATE.replace(HOST, f"{HOST}:443"),
    CERTIFICATE.replace(HOST, f"{HOST}:8443"),
    CERTIFICATE.replace(HOST, "127.0.0.1"),
    CERTIFICATE.replace(HOST, "169.254.169.254"),
    CERTIFICATE.replace(HOST, "[::1]"),
    CERTIFICATE.replace(HOST, "2130706433"),
    CERTIFICATE.replace("/smn/", "/smn/../smn/"),
    CERTIFICATE.replace("/smn/", "/other/"),
    CERTIFICATE.replace(f"SMN_{REGION}", "SMN_cn-north-4"),
    CERTIFICATE + "?x=1",
    CERTIFICATE + "#x",
    CERTIFICATE + "\n",
    CERTIFICATE + "\r\nHost: evil.example",
    CERTIFICATE.replace(".pem", ""),
    CERTIFICATE.replace(".pem", "%00.pem"),
    " " + CERTIFICATE,
    "",
    None,
    17,
    [CERTIFICATE],
]


@pytest.mark.parametrize("url", ELSEWHERE, ids=repr)
def test_a_certificate_from_elsewhere_is_never_asked_for(
    function: Function, topic: Topic, capsys: pytest.CaptureFixture[str], url: object
) -> None:
    refused(function, {**message("{}"), "signing_cert_url": url}, capsys, "its certificate is not where SMN")
    assert topic.asked == []


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.integers(0, 60), st.text(max_size=30))
def test_no_text_leads_to_another_host(head: str, at: int, tail: str) -> None:
    for url in (head + CERTIFICATE[at:], CERTIFICATE[:at] + tail, CERTIFICATE[:at] + head + CERTIFICATE[at:]):
        if smn.is_certificate_url(url, REGION, SMN_DOMAINS):
            host, _, path = url.removeprefix("https://").partition("/")
            assert host in {f"smn.{REGION}.{domain}" for domain in SMN_DOMAINS}
            assert path.startswith(f"smn/SMN_{REGION}_")


def test_other_domains_may_be_set(new_subscriber: NewSubscriber, tmp_path: Path, tenant: Tenant) -> None:
    host = f"smn.{REGION}.cloud.example"
    with serving(tmp_path, host) as topic:
        function = new_subscriber(UNMIRROR_SMN_DOMAINS="cloud.example", **topic.environment)
        assert post(function, message("{}")).status == 401
        url = CERTIFICATE.replace(HOST, host)
        assert post(function, message(deleted(delete(tenant)), signing_cert_url=url)).status == 200
        assert [asked for asked, _ in topic.asked] == [host]


def test_what_is_not_smn_s_is_not_looked_at(
    function: Function, topic: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for body in (b"not JSON", b"{}", json.dumps(deleted("x")).encode()):
        assert function.post(body).status == 401
    assert "smn_refused" not in capsys.readouterr().out
    for body in (b'"signing_cert_url"', b'{"signing_cert_url":', b'["signing_cert_url"]'):
        assert function.post(body).status == 401
    assert topic.asked == []


mutations = st.dictionaries(
    st.sampled_from(sorted(message())),
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.lists(st.text(max_size=5), max_size=2)),
    min_size=1,
)


@untraced
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations)
def test_no_change_of_a_message_is_let_in_or_is_a_defect(
    function: Function, topic: Topic, emulator: Emulator, changed: dict[str, Any]
) -> None:
    said = message("{}", subject=None)
    if {**said, **changed} != said and not (set(changed) == {"subject"} and not changed["subject"]):
        assert post(function, {**said, **changed}).status == 401
    assert emulator.calls == []
    assert {host for host, _ in topic.asked} <= {HOST}


# --- when the certificate cannot be had ------------------------------------------------------------------------


def test_a_certificate_that_cannot_be_had_is_a_503_so_that_smn_sends_again(
    function: Function, topic: Topic, tenant: Tenant
) -> None:
    topic.pages.clear()
    answer = post(function, message(deleted(delete(tenant))))
    assert (answer.status, answer.problem["type"].rpartition("/")[2]) == (503, "cannot-verify")
    assert "Retry-After" in answer.headers


def test_a_failure_is_remembered_for_a_minute_and_a_certificate_for_a_day(topic: Topic) -> None:
    now = [0.0]
    certificates = smn.Certificates(fetch_of(topic), lambda: now[0])
    page = topic.pages.pop("/" + CERTIFICATE.split("/", 3)[3])
    for _ in range(3):
        with pytest.raises(CannotVerify, match="status 404"):
            certificates.at(CERTIFICATE, 5)
    assert len(topic.asked) == 1
    topic.serves(certificate())
    now[0] += smn.FAILURE_SECONDS
    for _ in range(3):
        certificates.at(CERTIFICATE, 5)
    now[0] += smn.CERTIFICATE_SECONDS - 1
    certificates.at(CERTIFICATE, 5)
    assert len(topic.asked) == 2
    now[0] += 1
    certificates.at(CERTIFICATE, 5)
    assert len(topic.asked) == 3
    assert page


def test_forged_messages_cannot_make_it_fetch_without_end(topic: Topic) -> None:
    """And a certificate that was good is had all the same."""
    now = [0.0]
    certificates = smn.Certificates(fetch_of(topic), lambda: now[0])
    certificates.at(CERTIFICATE, 5)
    for number in range(100):
        with pytest.raises(CannotVerify):
            certificates.at(CERTIFICATE.replace("0123", f"{number:04}"), 5)
    assert len(topic.asked) == 1 + smn.MOST_FAILURES
    certificates.at(CERTIFICATE, 5)
    now[0] += smn.FAILURE_SECONDS
    with pytest.raises(CannotVerify, match="status 404"):
        certificates.at(CERTIFICATE.replace("0123", "ffff"), 5)
    assert len(topic.asked) == 2 + smn.MOST_FAILURES


def test_the_certificates_that_are_kept_are_few(topic: Topic) -> None:
    certificates = smn.Certificates(fetch_of(topic), lambda: 0.0)
    page = topic.pages["/" + CERTIFICATE.split("/", 3)[3]]
    urls = [CERTIFICATE.replace("0123", f"{number:04}") for number in range(smn.MOST_CERTIFICATES + 1)]
    for url in urls:
        topic.pages["/" + url.split("/", 3)[3]] = page
        certificates.at(url, 5)
    certificates.at(urls[-1], 5)
    assert len(topic.asked) == len(urls)
    certificates.at(urls[0], 5)
    assert len(topic.asked) == len(urls) + 1


def fetch_of(topic: Topic) -> Fetch:
    return Fetch(
        resolve=lambda _: ["127.0.0.1"],
        allows=lambda address: address.is_loopback,
        port=topic.port,
        authorities=str(topic.authorities),
    )


# --- subscriptions ---------------------------------------------------------------------------------------------


def test_a_subscription_is_confirmed_once_its_signature_holds(
    function: Function, topic: Topic, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    said = message("You are invited", type="SubscriptionConfirmation")
    assert post(function, said).report["outcome"] == "ignored"
    assert topic.asked[1:] == [(CONSOLE, CONFIRMATION.removeprefix(f"https://{CONSOLE}"))]
    lines = logged(capsys)
    assert [(line["event"], line["level"]) for line in lines][:1] == [("admission.smn_confirmed", "info")]
    assert "marked" not in str(lines)
    assert emulator.calls == []


def test_a_confirmation_that_comes_again_is_not_confirmed_again(function: Function, topic: Topic) -> None:
    said = message("You are invited", type="SubscriptionConfirmation")
    for _ in range(3):
        assert post(function, said).status == 200
    assert [host for host, _ in topic.asked] == [HOST, CONSOLE]


@pytest.mark.parametrize(
    "url",
    [
        CONFIRMATION.replace("https:", "http:"),
        CONFIRMATION.replace(CONSOLE, "console.evil.example"),
        CONFIRMATION.replace(CONSOLE, "obs.huaweicloud.com"),
        CONFIRMATION.replace(CONSOLE, f"{CONSOLE}@evil.example"),
        CONFIRMATION.replace(CONSOLE, f"{CONSOLE}:8443"),
        CONFIRMATION.replace(CONSOLE, "127.0.0.1"),
        CONFIRMATION.replace("/smn/", "/iam/"),
        CONFIRMATION.replace("/smn/", "/smn/../iam/"),
        CONFIRMATION + "#x",
        CONFIRMATION + " HTTP/1.1",
        CONFIRMATION.partition("?")[0],
    ],
)
def test_a_subscription_is_confirmed_at_smn_s_own_hosts_alone(
    function: Function, topic: Topic, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is signed, so the topic's own sender says so: the operator is told to confirm it by hand."""
    assert post(function, message("welcome", type="SubscriptionConfirmation", subscribe_url=url)).status == 503
    assert [host for host, _ in topic.asked] == [HOST]
    lines = logged(capsys)
    assert [(line["event"], line["level"]) for line in lines][:1] == [("admission.smn_unconfirmed", "error")]
    assert "marked" not in str(lines)


@pytest.mark.parametrize("status", [302, 403, 500])
def test_a_confirmation_that_fails_is_asked_for_again(function: Function, topic: Topic, status: int) -> None:
    topic.pages["/smn/subscription/confirm"] = (status, {"Location": CERTIFICATE}, b"")
    said = message("welcome", type="SubscriptionConfirmation")
    assert post(function, said).status == 503
    topic.pages["/smn/subscription/confirm"] = (200, {}, b"")
    assert post(function, said).status == 200
    assert [host for host, _ in topic.asked] == [HOST, CONSOLE, CONSOLE]


def test_the_end_of_a_subscription_is_told_and_nothing_is_asked(
    function: Function, topic: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        post(function, message("You are unsubscribed", type="UnsubscribeConfirmation")).report["outcome"] == "ignored"
    )
    assert [host for host, _ in topic.asked] == [HOST]
    said = next(line for line in logged(capsys) if "smn" in line["event"])
    assert (said["event"], said["level"], said["topic_urn"]) == ("admission.smn_unsubscribed", "warning", URN)


def test_a_subscription_that_is_not_signed_is_not_confirmed_whoever_else_is_let_in(
    new_subscriber: NewSubscriber, topic: Topic
) -> None:
    function = new_subscriber(UNMIRROR_TRUST="platform")
    said = {**message("welcome", type="SubscriptionConfirmation"), "signature": "AAAA"}
    assert post(function, said).report["outcome"] == "ignored"
    assert [host for host, _ in topic.asked] == [HOST]
    assert post(function, message("welcome", type="SubscriptionConfirmation")).status == 200
    assert [host for host, _ in topic.asked] == [HOST, CONSOLE]


# --- the extra -------------------------------------------------------------------------------------------------


def test_topics_without_the_extra_say_what_to_install(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handler.web.smn.find_spec", lambda _: None)
    WebEdge.from_env(settings_for(emulator))
    with pytest.raises(NotConfigured, match=r"pip install 'unmirror\[smn\]'"):
        WebEdge.from_env(settings_for(emulator, UNMIRROR_SMN_TOPICS=URN))


def test_a_message_shows_nothing_of_itself() -> None:
    assert "marked" not in repr(smn.Message.read(message("marked", subject="marked")))
    with pytest.raises(NotAdmitted):
        smn.Message.read([])
