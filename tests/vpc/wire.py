"""A server that says exactly these bytes: for what no well-behaved server can be made to send."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Answer = bytes | Callable[[socket.socket], None]
"""What is written, or what is done with the connection, for one request."""


@dataclass
class Wire:
    """Where it listens, and the heads of the requests that came."""

    url: str
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0


def said(status: str, body: bytes, *headers: str) -> bytes:
    """Return an answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def dripping(data: bytes, every: float) -> Callable[[socket.socket], None]:
    """Return what writes a byte at a time."""

    def write(connection: socket.socket) -> None:
        for at in range(len(data)):
            connection.sendall(data[at : at + 1])
            time.sleep(every)

    return write


def closing(connection: socket.socket) -> None:
    """Say nothing and close."""
    connection.shutdown(socket.SHUT_RDWR)


def secured(context: ssl.SSLContext, connection: socket.socket) -> ssl.SSLSocket:
    """Shake hands as the server; raises what a client does that has gone, whose socket Python would leave open."""
    connection.recv(1, socket.MSG_PEEK)
    return context.wrap_socket(connection, server_side=True)


@contextmanager
def wire(answers: Sequence[Answer], tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """Serve each request the next answer, the last one for ever."""
    listening = socket.create_server(("127.0.0.1", 0))
    served = Wire(f"{'https' if tls else 'http'}://127.0.0.1:{listening.getsockname()[1]}")
    left = list(answers)
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), secured(tls, connection) if tls else connection as connection:
            while head := _head(connection):
                served.heads.append(head)
                answer = left.pop(0) if len(left) > 1 else left[0]
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)

    def listen() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                served.connections += 1
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=listen, daemon=True)
    accepting.start()
    try:
        yield served
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join(5)


def _head(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return b""
        data += more
    return data
