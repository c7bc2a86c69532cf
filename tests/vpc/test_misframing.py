"""A server that misframes in every way: no answer is ever taken for that to another question.

Half of the interfaces that are asked for exist. A connection on which anything odd was said is never asked again. What
comes only after the next request was sent no client of HTTP/1.1 can tell, so the server has always said all by then.
"""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handler.deadline import Clock, Deadline
from handler.errors import ApiUnavailable
from handler.vpc.client import VpcApi, VpcClient
from handler.vpc.credentials import CredentialChain
from tests.support.vpc_clients import PROJECT, VARIABLES
from tests.support.wire import Wire, wire

GONE = b'{"code":"VPC.2502","message":"Port not found"}'
CERTIFICATE = str(Path(__file__).with_name("loopback.pem"))

Say = Callable[[socket.socket, bytes, bytes, random.Random], None]
"""Sends an answer with this status line and body, in its own way."""


def framed(status: bytes, body: bytes, length: int | None = None, more: bytes = b"") -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, size, more, body)


def chunked(status: bytes, body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"HTTP/1.1 %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%s" % (status, len(body), body, end)


def in_pieces(connection: socket.socket, data: bytes, chance: random.Random) -> None:
    for piece in (data[at : at + 40] for at in range(0, len(data), 40)):
        connection.sendall(piece)
        time.sleep(chance.random() / 500)


def hang_up(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def interim(connection: socket.socket, status: bytes, body: bytes, chance: random.Random) -> None:
    early = chance.choice((b"102 Processing", b"103 Early Hints", b"199 x", b"101 Switching Protocols"))
    connection.sendall(b"HTTP/1.1 %s\r\n\r\n" % early * chance.randint(1, 3))
    time.sleep(chance.random() / 100)
    connection.sendall(framed(status, body))


GONE_TOO = framed(b"404 Not Found", GONE)


def at_the_edge_of_the_buffer(connection: socket.socket, status: bytes, body: bytes, _: random.Random) -> None:
    """The answer fills what http.client reads at once; of the record the other one is left, which TLS has decrypted."""
    body += b" " * (8192 - len(framed(status, body)) - 2)  # the length gets two digits more
    assert len(framed(status, body)) == 8192
    connection.sendall(framed(status, body) + GONE_TOO)


def then_gone_too(connection: socket.socket, status: bytes, body: bytes, _: random.Random) -> None:
    connection.sendall(framed(status, body))
    connection.sendall(GONE_TOO)


RIGHT: dict[str, Say] = {
    "framed": lambda c, s, b, r: c.sendall(framed(s, b)),
    "framed, in pieces": lambda c, s, b, r: in_pieces(c, framed(s, b), r),
    "chunked": lambda c, s, b, r: c.sendall(chunked(s, b)),
    "chunked, in pieces": lambda c, s, b, r: in_pieces(c, chunked(s, b), r),
    "after some 100": lambda c, s, b, r: c.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * r.randint(1, 3) + framed(s, b)),
}
ODD: dict[str, Say] = {
    "interim": interim,
    "interim alone": lambda c, s, b, r: c.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "another answer with it": lambda c, s, b, r: c.sendall(framed(s, b) + GONE_TOO),
    "another answer after it": then_gone_too,
    "another at the edge of the buffer": at_the_edge_of_the_buffer,
    "another after chunks": lambda c, s, b, r: c.sendall(chunked(s, b) + GONE_TOO),
    "the beginning of another": lambda c, s, b, r: c.sendall(framed(s, b) + GONE_TOO[: r.randint(1, 60)]),
    "some bytes too many": lambda c, s, b, r: c.sendall(framed(s, b + b"\r\n" * r.randint(1, 9), len(b))),
    "much too much": lambda c, s, b, r: c.sendall(framed(s, b) + b"x" * 20_000),
    "cut off": lambda c, s, b, r: hang_up(c, framed(s, b)[: r.randint(0, len(framed(s, b)) - 1)]),
    "chunks cut off": lambda c, s, b, r: hang_up(c, chunked(s, b)[: r.randint(0, len(chunked(s, b)) - 6)]),
    "shorter than framed": lambda c, s, b, r: hang_up(c, framed(s, b, len(b) + r.randint(1, 99))),
    "silent before its end": lambda c, s, b, r: c.sendall(framed(s, b, len(b) + 1)),
    "framed too short": lambda c, s, b, r: c.sendall(framed(s, b, r.randint(1, len(b) - 1))),
    "two lengths": lambda c, s, b, r: c.sendall(framed(s, b, more=b"Content-Length: 7\r\n")),
    "length and chunks": lambda c, s, b, r: c.sendall(
        chunked(s, b).replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n", 1) + GONE_TOO
    ),
    "a trailer": lambda c, s, b, r: c.sendall(chunked(s, b, b"0\r\nHTTP/1.1: 404\r\n\r\n")),
    "a bad chunk": lambda c, s, b, r: c.sendall(chunked(s, b, b"zz\r\n\r\n")),
    "until it closes": lambda c, s, b, r: hang_up(c, b"HTTP/1.1 %s\r\n\r\n%s" % (s, b)),
    "no HTTP": lambda c, s, b, r: c.sendall(b"\r\n" + framed(s, b)),
    "closed at once": lambda c, s, b, r: hang_up(c, b""),
    "a web page": lambda c, s, b, r: c.sendall(framed(s, b"<html>sorry</html>")),
    "another interface": lambda c, s, b, r: c.sendall(framed(b"200 OK", b'{"port":{"id":"another"}}')),
}


@dataclass(repr=False)  # Hypothesis would print all that it remembers, and complain of the length
class Misframing:
    """The server's plan for the next request, and what it has said odd things on."""

    kind: str = "framed"
    chance: random.Random = field(default_factory=random.Random)
    said: threading.Event = field(default_factory=threading.Event)
    spoiled: set[object] = field(default_factory=set)
    asked_again: list[str] = field(default_factory=list)

    def serve(self, head: bytes) -> Callable[[socket.socket], None]:
        interface_id = head.split(b" ")[1].split(b"/")[-1].decode()
        kind, chance, said = self.kind, self.chance, self.said

        def write(connection: socket.socket) -> None:
            peer = connection.getpeername()
            if peer in self.spoiled:
                self.asked_again.append(kind)
            if kind in ODD:
                self.spoiled.add(peer)
            body = b'{"port":{"id":"%s"}}' % interface_id.encode()
            status, body = (b"200 OK", body) if exists(interface_id) else (b"404 Not Found", GONE)
            try:
                {**RIGHT, **ODD}[kind](connection, status, body, chance)
            finally:
                said.set()

        return write


def exists(interface_id: str) -> bool:
    return int(interface_id) % 2 == 0


@pytest.fixture(scope="module", params=["plain", "TLS"])
def misframing(request: pytest.FixtureRequest) -> Iterator[tuple[Misframing, Wire, VpcApi]]:
    with ExitStack() as closing_:
        context = None
        if request.param == "TLS":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
        plan = Misframing()
        served = closing_.enter_context(wire(plan.serve, context))
        clock = Clock()
        chain = CredentialChain.from_env(VARIABLES, clock=clock)
        client = VpcClient(served.url, chain, environ={"REQUESTS_CA_BUNDLE": CERTIFICATE}, clock=clock)
        closing_.callback(client.close)
        yield plan, served, client.api(PROJECT)


STEPS = st.lists(st.tuples(st.sampled_from([*RIGHT, *ODD]), st.integers(0, 999), st.integers(0, 9)), max_size=20)


@given(STEPS)
@example([(kind, 0, n % 2) for n, kind in enumerate(ODD)])
@example([step for kind in ODD for step in ((kind, 1, 1), ("framed", 0, 0))])
def test_no_answer_is_taken_for_that_to_another_question(
    misframing: tuple[Misframing, Wire, VpcApi], steps: list[tuple[str, int, int]]
) -> None:
    plan, _, api = misframing
    for at, (kind, seed, number) in enumerate(steps):
        plan.kind, plan.chance, plan.said = kind, random.Random(seed), threading.Event()  # noqa: S311 - to be repeated
        has_no_end = kind in ("silent before its end", "a bad chunk")
        seconds = 0.1 if has_no_end else 30.0
        try:
            presence = api.find_interface(str(number), Deadline.within(seconds, time.monotonic))
        except ApiUnavailable:
            assert kind in ODD
        else:
            assert presence.exists == exists(str(number)), steps[: at + 1]
        assert plan.said.wait(1 if has_no_end else 30) or has_no_end  # in 0.1 s perhaps nothing could be asked
    assert plan.asked_again == []


def test_right_answers_keep_their_connection(misframing: tuple[Misframing, Wire, VpcApi]) -> None:
    plan, served, api = misframing
    plan.kind = "framed"
    api.find_interface("0", Deadline.within(30, time.monotonic))
    before = served.connections
    for kind in RIGHT.keys() - {"chunked, in pieces"}:  # whether something follows its end cannot be told
        plan.kind = kind
        for number in range(4):
            assert api.find_interface(str(number), Deadline.within(30, time.monotonic)).exists == exists(str(number))
    assert served.connections == before
