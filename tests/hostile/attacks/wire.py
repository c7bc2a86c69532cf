"""HTTP/1.1 as an attacker writes it: any bytes, and none of the care that a client library takes."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from http.client import HTTPException, HTTPResponse

from tests.support.function import Answer

TOKEN = "marked-token-of-the-attacks"
"""Admits: an attack that shows it comes from a sender that is let in, or from its stolen token."""
JSON = "application/json"

Headers = Mapping[str, str] | Sequence[tuple[str, str]]


def post(
    body: object = b"",
    headers: Headers = (),
    *,
    path: str = "/",
    method: str = "POST",
    media: str | None = JSON,
    admitted: bool = True,
    framing: str | None = None,
) -> bytes:
    """Return a request: bytes go as they are, any other value as JSON; `framing` replaces the Content-Length line."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    lines = [f"{method} {path} HTTP/1.1", "Host: function.test", "Connection: close"]
    lines += [f"Authorization: Bearer {TOKEN}"] if admitted else []
    lines += [f"Content-Type: {media}"] if media else []
    lines += [f"{name}: {value}" for name, value in pairs]
    lines += [f"Content-Length: {len(content)}" if framing is None else framing]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + content


stranger = partial(post, admitted=False)
"""The same, and nothing is shown that would admit."""


def chunked(*chunks: bytes) -> bytes:
    """Return a body in chunks, with its end."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def send(port: int, raw: bytes, *, seconds: float = 20) -> Answer:
    """Send the bytes and an end, and return the answer; status 0 where the server only closed the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with suppress(ConnectionError):  # it has answered before it read all
            connection.sendall(raw)
        with suppress(OSError):  # and perhaps closed
            connection.shutdown(socket.SHUT_WR)
        response = HTTPResponse(connection)
        try:
            response.begin()
            return Answer(response.status, dict(response.getheaders()), response.read())
        except TimeoutError:
            raise
        except (HTTPException, OSError):
            return Answer(0, {}, b"")
