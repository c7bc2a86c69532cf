"""The wire: what is no answer, what cannot be reached and why, proxies and certificates."""

from __future__ import annotations

import gzip
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from handler.deadline import Clock, Deadline
from handler.errors import ApiUnavailable, NotConfigured, OutcomeUnknown, UnmirrorError
from handler.vpc.transport import proxies_for
from tests.support.vpc_clients import EMPTY, VpcRegion, session
from tests.support.wire import closing, said, wire

REMOTE = "https://vpc.example.invalid"
AUTHORITIES = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
CERTIFICATE = str(Path(__file__).with_name("loopback.pem"))


def tls(most: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.maximum_version = most
    return context


def failure(region: VpcRegion, url: str, **options: Any) -> UnmirrorError:
    """Return what becomes of a call to a URL."""
    with pytest.raises(UnmirrorError) as caught:
        region.api(region.client(url, **options)).remove_sources(session("s", "a"), ["a"], region.deadline(5))
    return caught.value


# --- answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 999999 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
    ids=["not HTTP", "status", "no gzip", "many headers", "long header"],
)
def test_what_is_no_http_leaves_the_outcome_open(region: VpcRegion, data: bytes) -> None:
    def say(connection: socket.socket) -> None:
        connection.sendall(data)
        closing(connection)

    with wire([say]) as served:
        assert isinstance(failure(region, served.url), OutcomeUnknown)


def test_a_compressed_answer_is_read_though_none_is_asked_for(region: VpcRegion) -> None:
    with wire([said("200 OK", gzip.compress(EMPTY), "Content-Encoding: gzip")]) as served:
        client = region.client(served.url)
        assert region.list(client) == region.list(client) == []
        assert (served.header("accept-encoding"), served.connections) == ("identity", 1)


def test_a_server_that_closes_after_each_answer_gets_a_connection_for_each(region: VpcRegion) -> None:
    with wire([said("200 OK", EMPTY, "Connection: close")]) as served:
        client = region.client(served.url)
        assert region.list(client) == region.list(client) == []
        assert served.connections == 2


# --- what cannot be reached ---------------------------------------------------------------------------------


def test_an_unknown_host_is_said_to_be_that(region: VpcRegion) -> None:
    error = failure(region, REMOTE)
    assert "its host is not known here; check UNMIRROR_REGION" in str(error)
    assert not isinstance(error, OutcomeUnknown)


def test_a_host_that_does_not_answer_is_told_apart(region: VpcRegion) -> None:
    """Its queue of connections is full, so that no handshake ends."""
    clock, waiting = Clock(), []
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        for _ in range(2):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(address)
        api = region.api(region.client(f"http://127.0.0.1:{address[1]}", clock=clock))
        with pytest.raises(ApiUnavailable, match="no connection in time; check the network") as caught:
            api.list_sessions(Deadline.within(0.3, clock.monotonic))
        assert not isinstance(caught.value, OutcomeUnknown)
        for each in waiting:
            each.close()


def test_tls_to_a_plain_port_and_the_other_way_round_is_said_to_be_that(region: VpcRegion) -> None:
    error = failure(region, region.emulator.url.replace("http:", "https:"))
    assert "does not speak TLS with us; check the endpoint, its port above all" in str(error)

    def alert(connection: socket.socket) -> None:
        connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46\r\n")
        closing(connection)

    with wire([alert]) as served:
        assert "does not speak HTTP; check the endpoint, its port above all" in str(failure(region, served.url))


# --- certificates -------------------------------------------------------------------------------------------


def test_a_certificate_that_nobody_trusts_is_refused_before_anything_is_said(region: VpcRegion) -> None:
    with wire([said("200 OK", EMPTY)], tls()) as served:
        error = failure(region, served.url)
        assert "its certificate is not trusted" in str(error)
        assert "REQUESTS_CA_BUNDLE" in str(error)
        assert not isinstance(error, OutcomeUnknown)
        assert served.heads == []


@pytest.mark.parametrize("name", AUTHORITIES)
def test_the_usual_variables_name_the_certificates_to_trust(region: VpcRegion, name: str) -> None:
    with wire([said("200 OK", EMPTY)], tls()) as served:
        client = region.client(served.url, environ={name: CERTIFICATE})
        assert region.list(client) == region.list(client) == []
        assert served.connections == 1
    with pytest.raises(NotConfigured, match=name):
        region.client(REMOTE, environ={name: "/nowhere/ca.pem"})


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_nothing_older_than_tls_1_2_is_spoken(region: VpcRegion) -> None:
    with wire([said("200 OK", EMPTY)], tls(ssl.TLSVersion.TLSv1_1)) as served:
        assert isinstance(failure(region, served.url, environ={AUTHORITIES[0]: CERTIFICATE}), ApiUnavailable)
        assert served.heads == []


# --- proxies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_is_used_that_the_usual_variables_name(region: VpcRegion, name: str) -> None:
    with wire([said("407 Proxy Authentication Required", b"")]) as served:
        assert "HTTPS_PROXY" in str(failure(region, REMOTE, environ={name: served.url}))
        assert served.heads[0].startswith(b"CONNECT vpc.example.invalid:443 ")


HOST, PROXY = "https://vpc.example.com", {"https": "http://p:1"}


@pytest.mark.parametrize(
    ("endpoint", "environ", "proxies"),
    [
        (HOST, {"HTTPS_PROXY": "http://p:1"}, PROXY),
        (HOST, {"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:1"}, PROXY),
        (HOST, {"ALL_PROXY": "http://p:1"}, {"all": "http://p:1"}),
        (HOST, {"HTTPS_PROXY": "", "all_proxy": "http://p:1"}, {"all": "http://p:1"}),
        (HOST, {"HTTP_PROXY": "http://p:1"}, {"http": "http://p:1"}),
        (HOST, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, {}),
        (HOST, {"HTTPS_PROXY": "http://p:1", "no_proxy": "a.test, example.com"}, {}),
        (HOST + ":8443", {"HTTPS_PROXY": "http://p:1", "no_proxy": "vpc.example.com:443"}, PROXY),
        ("https://10.1.2.3", {"HTTPS_PROXY": "http://p:1", "no_proxy": "10.1.0.0/16"}, {}),
        ("http://127.0.0.1:8080", {"HTTP_PROXY": "http://p:1"}, {}),
        ("http://localhost:8080", {"HTTP_PROXY": "http://p:1"}, {}),
        (HOST, {}, {}),
    ],
)
def test_the_usual_variables_name_the_proxy_and_its_exceptions(
    endpoint: str, environ: dict[str, str], proxies: dict[str, str]
) -> None:
    assert proxies_for(endpoint, environ) == proxies


@pytest.mark.parametrize("proxy", ["http://", "gopher://p", "http://p:port"])
def test_a_proxy_that_is_none_is_a_wrong_setting(region: VpcRegion, proxy: str) -> None:
    error = failure(region, REMOTE, environ={"HTTPS_PROXY": proxy})
    assert isinstance(error, NotConfigured)
    assert "HTTPS_PROXY" in str(error)
