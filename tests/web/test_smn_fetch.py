"""One page of the internet, over real TLS: from a public address that was looked at, within bounds, and no further."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest
import trustme

from handler.errors import CannotVerify
from handler.web.fetch import MOST_ADDRESSES, PAGE_BYTES, Fetch, addresses_of, is_public, within
from tests.support.smn_topic import CERTIFICATE, HOST, Topic, serving
from tests.vpc.wire import secured

PATH = "/" + CERTIFICATE.split("/", 3)[3]
NewFetch: TypeAlias = Callable[..., Fetch]


@pytest.fixture
def topic(tmp_path: Path) -> Iterator[Topic]:
    with serving(tmp_path) as topic:
        yield topic


@pytest.fixture
def new_fetch(topic: Topic) -> NewFetch:
    """Return a function that makes one for the topic's host, which is on this machine."""

    def make(*addresses: str, seconds: float = 5, **more: object) -> Fetch:
        settings: dict[str, object] = {
            "resolve": lambda _: list(addresses or ["127.0.0.1"]),
            "allows": lambda address: address.is_loopback,
            "port": topic.port,
            "authorities": str(topic.authorities),
            "seconds": seconds,
        }
        return Fetch(**settings | more)  # type: ignore[arg-type]

    return make


def page(fetch: Fetch, url: str = CERTIFICATE, seconds: float = 10) -> bytes:
    return within(fetch.begin(url, bytes), seconds)


def test_a_page_is_asked_for_by_its_host_s_name(new_fetch: NewFetch, topic: Topic) -> None:
    assert page(new_fetch(), f"{CERTIFICATE}?a=b") == topic.pages[PATH][2]
    assert topic.asked == [(HOST, f"{PATH}?a=b")]


def test_a_page_may_be_64_kib_and_no_more(new_fetch: NewFetch, topic: Topic) -> None:
    topic.pages[PATH] = (200, {}, b"x" * PAGE_BYTES)
    assert len(page(new_fetch())) == PAGE_BYTES == 64 * 1024
    topic.pages[PATH] = (200, {}, b"x" * (PAGE_BYTES + 1))
    with pytest.raises(CannotVerify, match="over 65536 bytes"):
        page(new_fetch())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(new_fetch: NewFetch, topic: Topic, status: int) -> None:
    topic.pages[PATH] = (status, {"Location": f"{CERTIFICATE}?again"}, b"")
    with pytest.raises(CannotVerify, match=f"status {status}"):
        page(new_fetch())
    assert len(topic.asked) == 1


@pytest.mark.parametrize("status", [201, 204, 404, 429, 500, 503])
def test_no_other_status_is_a_page(new_fetch: NewFetch, topic: Topic, status: int) -> None:
    topic.pages[PATH] = (status, {}, b"")
    with pytest.raises(CannotVerify, match=f"status {status}"):
        page(new_fetch())
    assert len(topic.asked) == 1


def test_a_page_that_breaks_off_is_none(new_fetch: NewFetch, topic: Topic) -> None:
    topic.pages[PATH] = (200, {"Content-Length": "1000"}, b"cut off")
    with pytest.raises(CannotVerify, match="cannot be fetched"):
        page(new_fetch(seconds=0.3))


# --- whom it talks to ------------------------------------------------------------------------------------------


def test_a_server_has_to_show_a_certificate_of_that_name(tmp_path: Path, new_fetch: NewFetch) -> None:
    with serving(tmp_path, "evil.example") as other:
        with pytest.raises(CannotVerify, match="SSLError"):
            page(new_fetch(port=other.port, authorities=str(other.authorities)))
        assert other.asked == []


def test_a_server_s_certificate_has_to_lead_to_an_authority(new_fetch: NewFetch, topic: Topic, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "others.pem"))
    for authorities in (tmp_path / "others.pem", Path(Fetch().authorities)):
        with pytest.raises(CannotVerify, match="SSLError"):
            page(new_fetch(authorities=str(authorities)))
    assert topic.asked == []


NOT_PUBLIC = [
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "169.254.169.254", "172.16.0.1"),  # noqa: S104
    *("192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fc00::1", "fd00::1", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::1"),
    *("64:ff9b:1::7f00:1", "::127.0.0.1", "::ffff:0:127.0.0.1", "::ffff:0:a00:1", "4000::1"),
    *("3fff::1", "3fff:fff::1", "5f00::1"),
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_never_connected_to(address: str, new_fetch: NewFetch, topic: Topic) -> None:
    """Not even where another of the same host's is: who answers so is up to something."""
    assert not is_public(ipaddress.ip_address(address))
    for addresses in ([address], ["9.9.9.9", address], [address, "9.9.9.9"]):
        with pytest.raises(CannotVerify, match="not public"):
            page(new_fetch(*addresses, allows=is_public))
    assert topic.asked == []


@pytest.mark.parametrize("address", ["9.9.9.9", "2620:fe::9", "::ffff:9.9.9.9", "64:ff9b::909:909", "100.125.1.250"])
def test_an_address_of_the_internet_or_of_the_cloud_s_own_services_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to(new_fetch: NewFetch, topic: Topic) -> None:
    """A name server that answers otherwise the second time is not asked a second time."""
    asked: list[str] = []

    def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    assert page(new_fetch(resolve=resolve)) == topic.pages[PATH][2]
    assert asked == [HOST]


def test_the_next_address_is_tried_where_nobody_listens(new_fetch: NewFetch, topic: Topic) -> None:
    assert page(new_fetch("127.0.0.2", "127.0.0.1")) == topic.pages[PATH][2]
    with pytest.raises(CannotVerify, match="not to be reached"):
        page(new_fetch("127.0.0.2", "127.0.0.3"))
    with pytest.raises(CannotVerify, match="not to be reached"):
        page(new_fetch(*(f"127.0.0.{last}" for last in range(2, 2 + MOST_ADDRESSES)), "127.0.0.1"))


def test_a_name_without_an_address_is_no_page(new_fetch: NewFetch) -> None:
    def unknown(_: str) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    for resolve, why in (
        (lambda _: [], "no address"),
        (unknown, "looked up"),
        (lambda _: ["fe80::1%0"], "not public"),
        (lambda _: ["none"], "looked up"),
    ):
        with pytest.raises(CannotVerify, match=why):
            page(new_fetch(resolve=resolve, allows=is_public))


def test_the_system_is_asked_for_the_addresses_of_a_name() -> None:
    assert set(addresses_of("localhost")) <= {"127.0.0.1", "::1"}
    assert Fetch().resolve is addresses_of
    assert (Fetch().allows, Fetch().port) == (is_public, 443)


# --- and how long ----------------------------------------------------------------------------------------------


def test_nobody_waits_longer_than_asked_for_a_page_or_for_a_name_server(new_fetch: NewFetch, topic: Topic) -> None:
    stuck = threading.Event()

    def slow(_: str) -> Sequence[str]:
        stuck.wait(20)
        return ["127.0.0.1"]

    topic.gate.clear()
    begun = [fetch.begin(CERTIFICATE, bytes) for fetch in (new_fetch(), new_fetch(resolve=slow))]
    for each, seconds in zip(begun, (0.05, -1), strict=True):
        with pytest.raises(CannotVerify, match="takes too long"):
            within(each, seconds)
    stuck.set()
    topic.gate.set()
    assert [within(each, 10) for each in begun] == [topic.pages[PATH][2]] * 2


def test_a_server_that_does_not_answer_is_left(new_fetch: NewFetch, topic: Topic) -> None:
    topic.gate.clear()
    with pytest.raises(CannotVerify, match="cannot be fetched"):
        page(new_fetch(seconds=0.1))


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"], ids=["head", "body"])
def test_a_server_that_drips_is_left_when_the_time_is_up(new_fetch: NewFetch, tmp_path: Path, begins: bytes) -> None:
    """A byte comes again and again, so that no single wait is long."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "dripping.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    listening = socket.create_server(("127.0.0.1", 0))
    dripped: list[float] = []

    def drip() -> None:
        with closing(listening), secured(context, listening.accept()[0]) as connection:
            connection.recv(65_536)
            connection.sendall(begins)
            try:
                while len(dripped) < 500:
                    connection.sendall(b"X")
                    dripped.append(time.monotonic())
                    time.sleep(0.01)
            except OSError:
                pass

    server = threading.Thread(target=drip)
    server.start()
    with pytest.raises(CannotVerify):
        page(new_fetch(seconds=0.3, port=listening.getsockname()[1], authorities=str(tmp_path / "dripping.pem")))
    server.join(20)
    assert len(dripped) < 500
