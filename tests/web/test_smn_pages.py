"""Where SMN's certificates and confirmations may be, and how they are fetched: over TLS, bounded, no redirect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.deadline import Clock, Deadline
from handler.errors import CannotVerify
from handler.settings import SMN_DOMAINS, Settings
from handler.web import smn
from tests.support.smn_topic import CERTIFICATE, CONFIRMATION, CONSOLE, HOST, REGION, Topic, certificate, serving

PATH = "/" + CERTIFICATE.split("/", 3)[3]


@pytest.fixture
def topic(tmp_path: Path) -> Iterator[Topic]:
    with serving(tmp_path) as topic:
        yield topic


def within(seconds: float = 10) -> Deadline:
    return Deadline(seconds, lambda: 0.0)


# --- where -----------------------------------------------------------------------------------------------------

ELSEWHERE = [
    CERTIFICATE.replace("https:", "http:"),
    CERTIFICATE.replace("https://", "https://user:pass@"),
    CERTIFICATE.replace(HOST, f"{HOST}.evil.example"),
    CERTIFICATE.replace(HOST, f"evil-{HOST}"),
    CERTIFICATE.replace(HOST, "smn.cn-north-4.myhuaweicloud.com"),
    CERTIFICATE.replace(HOST, CONSOLE),
    CERTIFICATE.replace("myhuaweicloud", "my\u04bbuaweicloud"),
    CERTIFICATE.replace(HOST, HOST.replace(".", "\u3002")),
    CERTIFICATE.replace(HOST, HOST.upper()),
    CERTIFICATE.replace(HOST, f"{HOST}."),
    CERTIFICATE.replace(HOST, f"{HOST}:443"),
    CERTIFICATE.replace("/smn/", "/smn/../smn/"),
    CERTIFICATE.replace("/smn/", "/other/"),
    CERTIFICATE.replace(f"SMN_{REGION}", "SMN_cn-north-4"),
    CERTIFICATE + "?x=1",
    CERTIFICATE + "\n",
    CERTIFICATE.replace(".pem", "%00.pem"),
    "",
]


@pytest.mark.parametrize("url", ELSEWHERE, ids=repr)
def test_a_certificate_is_at_smns_own_host_of_the_topics_region_and_nowhere_else(url: str) -> None:
    assert smn.is_certificate_url(CERTIFICATE, REGION, SMN_DOMAINS)
    assert not smn.is_certificate_url(url, REGION, SMN_DOMAINS)


@pytest.mark.parametrize(
    "url",
    [
        CONFIRMATION.replace("https:", "http:"),
        CONFIRMATION.replace(CONSOLE, "console.evil.example"),
        CONFIRMATION.replace(CONSOLE, f"{CONSOLE}@evil.example"),
        CONFIRMATION.replace(CONSOLE, f"{CONSOLE}:8443"),
        CONFIRMATION.replace("/smn/", "/iam/"),
        CONFIRMATION.replace("/smn/", "/smn/../iam/"),
        CONFIRMATION + "#x",
        CONFIRMATION + " HTTP/1.1",
        CONFIRMATION.partition("?")[0],
    ],
)
def test_a_subscription_is_confirmed_at_smn_or_the_console_and_nowhere_else(url: str) -> None:
    assert smn.is_confirmation_url(CONFIRMATION, REGION, SMN_DOMAINS)
    assert smn.is_confirmation_url(CONFIRMATION.replace(CONSOLE, HOST), REGION, SMN_DOMAINS)
    assert not smn.is_confirmation_url(url, REGION, SMN_DOMAINS)


@given(st.text(max_size=30), st.integers(0, 60), st.text(max_size=30))
def test_no_text_leads_to_another_host(head: str, at: int, tail: str) -> None:
    for url in (head + CERTIFICATE[at:], CERTIFICATE[:at] + tail, CERTIFICATE[:at] + head + CERTIFICATE[at:]):
        if smn.is_certificate_url(url, REGION, SMN_DOMAINS):
            host, _, path = url.removeprefix("https://").partition("/")
            assert host in {f"smn.{REGION}.{domain}" for domain in SMN_DOMAINS}
            assert path.startswith(f"smn/SMN_{REGION}_")


# --- how -------------------------------------------------------------------------------------------------------


def test_a_page_may_be_64_kib_and_no_more(topic: Topic) -> None:
    topic.pages[PATH] = (200, {}, b"x" * smn.MAX_PAGE)
    assert len(smn.fetch(CERTIFICATE, within())) == smn.MAX_PAGE == 64 * 1024
    topic.pages[PATH] = (200, {}, b"x" * (smn.MAX_PAGE + 1))
    with pytest.raises(CannotVerify, match="over 65536 bytes"):
        smn.fetch(CERTIFICATE, within())


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 404, 429, 500, 503])
def test_nothing_but_a_200_is_a_page_and_no_redirect_is_followed(topic: Topic, status: int) -> None:
    topic.pages[PATH] = (status, {"Location": f"{CERTIFICATE}?again"}, b"")
    with pytest.raises(CannotVerify, match=f"status {status}"):
        smn.fetch(CERTIFICATE, within())
    assert len(topic.asked) == 1


def test_a_page_that_breaks_off_or_never_comes_is_none(topic: Topic) -> None:
    topic.pages[PATH] = (200, {"Content-Length": "1000"}, b"cut off")
    with pytest.raises(CannotVerify, match="cannot be fetched"):
        smn.fetch(CERTIFICATE, within())
    topic.gate.clear()
    with pytest.raises(CannotVerify, match="cannot be fetched") as raised:
        smn.fetch(CERTIFICATE, within(0.1))
    assert raised.value.__cause__ is None, "the cause would quote the URL"


def test_a_host_whose_certificate_is_anothers_is_not_smn(tmp_path: Path) -> None:
    with serving(tmp_path, "evil.example") as topic:
        with pytest.raises(CannotVerify, match="SSLError"):
            smn.fetch(CERTIFICATE, within())
        assert topic.asked == []


# --- how often -------------------------------------------------------------------------------------------------


def test_a_certificate_is_kept_for_a_day_and_a_failure_not_at_all(topic: Topic) -> None:
    now = [0.0]
    verifier = smn.SmnVerifier(Settings(), Clock(now.pop))
    topic.pages.clear()
    with pytest.raises(CannotVerify, match="status 404"):
        verifier.certificate(CERTIFICATE, within())
    topic.serves(certificate())
    for at, asked in ((1.0, 2), (86_400.9, 2), (86_401.0, 3)):
        now.append(at)
        verifier.certificate(CERTIFICATE, within())
        assert len(topic.asked) == asked


def test_so_many_certificates_are_kept_and_the_least_recently_used_goes(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smn, "MAX_CERTIFICATES", 3)
    verifier = smn.SmnVerifier(Settings(), Clock())
    urls = [CERTIFICATE.replace("0123", f"ff{number:02}") for number in range(4)]
    for url in (*urls, *urls[1:], urls[0]):
        topic.serves(certificate(), url=url)
        verifier.certificate(url, within())
    assert len(topic.asked) == 5


def test_a_page_that_is_no_certificate_is_none(topic: Topic) -> None:
    topic.pages[PATH] = (200, {}, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(CannotVerify, match="no certificate"):
        smn.SmnVerifier(Settings(), Clock()).certificate(CERTIFICATE, within())
