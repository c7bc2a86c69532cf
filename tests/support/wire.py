"""A server that says exactly these bytes: for what no well-behaved server can be made to send."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Answer = bytes | Callable[[socket.socket], None]
"""What is written, or what is done with the connection, for one request."""


@dataclass(repr=False)  # Hypothesis would print all heads, and complain of their length
class Wire:
    """Where it listens, and what came."""

    url: str
    heads: list[bytes] = field(default_factory=list)
    """Of the requests."""
    connections: int = 0

    def header(self, name: str, at: int = -1) -> str | None:
        """Return a header of one of the requests."""
        for line in self.heads[at].split(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name.encode():
                return value.decode().strip()
        return None


def said(status: str, body: bytes, *headers: str) -> bytes:
    """Return an answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def closing(connection: socket.socket) -> None:
    """Say nothing and close."""
    connection.shutdown(socket.SHUT_RDWR)


def silent(connection: socket.socket) -> None:
    """Say nothing until the client has gone."""
    with suppress(OSError):
        connection.recv(1)


def _secured(context: ssl.SSLContext, connection: socket.socket) -> ssl.SSLSocket:
    """Shake hands as the server; raises what a client does that has gone, whose socket Python would leave open."""
    connection.recv(1, socket.MSG_PEEK)
    return context.wrap_socket(connection, server_side=True)


@contextmanager
def wire(answers: Sequence[Answer] | Callable[[bytes], Answer], tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """Serve each request the next answer, the last one for ever; or what a function makes of the request's head."""
    listening = socket.create_server(("127.0.0.1", 0))
    served = Wire(f"{'https' if tls else 'http'}://127.0.0.1:{listening.getsockname()[1]}")
    left = [] if callable(answers) else list(answers)

    def answer_to(head: bytes) -> Answer:
        if callable(answers):
            return answers(head)
        return left.pop(0) if len(left) > 1 else left[0]

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), _secured(tls, connection) if tls else connection as connection:
            while head := _head(connection):
                served.heads.append(head)
                answer = answer_to(head)
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)

    def listen() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is written is sent at once
                served.connections += 1
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    accepting = threading.Thread(target=listen, daemon=True)
    accepting.start()
    try:
        yield served
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join(30)


def _head(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return b""
        data += more
    return data
