"""Connections that grant a time to a whole answer's head; the standard library grants it to every byte of it."""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any

import urllib3
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection


class Adapter(HTTPAdapter):
    """`requests`' adapter for one endpoint, with these connections. `timeout` bounds the head of an answer as a whole.

    What follows from the endpoint, its proxy and its certificates is found once, not at every call.
    """

    _pool: Any = None

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """See the base class."""
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(*args, **kwargs)
        return self._pool

    def build_response(self, req: PreparedRequest, resp: urllib3.BaseHTTPResponse) -> Response:
        """Return the bare answer: nobody asks it for cookies, an encoding or its request."""
        response = Response()
        response.status_code, response.raw = resp.status, resp
        return response

    def close(self) -> None:
        """See the base class."""
        self._pool = None
        super().close()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """See the base class."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """See the base class."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Patience(io.RawIOBase):
    """What a socket says, until the time given is up; from then on, without end."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._seconds = sock.gettimeout()
        self._ends = None if self._seconds is None else time.monotonic() + self._seconds
        self._reads = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._ends is not None:
            self._reads += 1
            if self._reads > 1:  # most heads come at once, and it costs a system call
                left = self._ends - time.monotonic()
                if left <= 0:
                    raise TimeoutError("the head of the answer takes too long")
                self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def end(self) -> None:
        if self._reads > 1:
            self._sock.settimeout(self._seconds)
        self._ends = None

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._patience = _Patience(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._patience)

    def begin(self) -> None:
        super().begin()
        self._patience.end()


class _Connection(HTTPConnection):
    response_class = _Answer


class _TlsConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class TlsPool(urllib3.HTTPSConnectionPool):
    """Connections to one address by TLS."""

    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": TlsPool}
