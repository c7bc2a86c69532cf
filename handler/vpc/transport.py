"""One request, one answer read whole, by `requests`' adapter: bounded in size, nothing followed and nothing remembered.

Nothing in HTTP/1.1 ties an answer to its question but its place on the connection. So a connection is used again only
if its last exchange was complete and understood, and left nothing behind: neither in the buffers here nor, when it is
taken again, on the socket (urllib3 looks). What arrives only after the next request was sent no client can tell.
"""

import http.client
import ssl
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests import exceptions
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies

from handler.deadline import Clock, Deadline, Instant
from handler.errors import ApiUnavailable, BadReply, NotConfigured, OutcomeUnknown
from handler.vpc.replies import Reply

# Slightly over TCP's first retransmission after 3 s, as `requests`' documents advise.
CONNECT_SECONDS = 3.05
# For which a reused connection may say nothing to a read, or twice what its last answer took, as TCP's retransmission
# time-out follows the round trips. A healthy API answers within 1 s, and a call of 5 s has time left for a second try.
SILENCE_SECONDS = 2.0
# Of a connection. Shorter than the patience of NATs and load balancers, which is 60 s and more.
IDLE_SECONDS = 30.0
# Connections: the calls of two workers at once.
MAX_IDLE = 64
# Bytes. A page of 2,000 sessions is about 2 MiB.
MAX_BODY = 64 * 1024 * 1024
_CHUNK = 256 * 1024
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class StaleConnection(OutcomeUnknown):
    """The answer to a read was lost on a connection that had been idle; on a new one it may come."""


class _Idle(NamedTuple):
    """A connection between two exchanges. It has an adapter of its own, so that its end is ours to decide."""

    adapter: HTTPAdapter
    since: Instant
    took: float
    """Seconds of its last answer."""


class Transport:
    """The connections to one endpoint, for all threads of a process.

    It is no `requests.Session`, which reads `.netrc`, keeps cookies and costs half a millisecond a call.
    """

    def __init__(self, endpoint: str, environ: Mapping[str, str], clock: Clock) -> None:
        self.host = urlsplit(endpoint).netloc
        self._endpoint, self._clock = endpoint, clock
        self._idle: deque[_Idle] = deque()
        self._proxies, self._verify = proxies_for(endpoint, environ), _authorities(environ)

    @contextmanager
    def exchange(
        self, method: str, target: str, headers: dict[str, str], body: bytes, deadline: Deadline, *, reuse: bool = True
    ) -> Iterator[Reply]:
        """Send once and give the answer; its connection is closed if the block, which reads it, raises.

        `target` is path and query as signed; without `reuse` the connection is new. Raises ApiUnavailable when the
        request surely never arrived, OutcomeUnknown when the answer was lost or cut off, StaleConnection for that where
        a read may be sent again on a new connection, BadReply when it is too large.
        """
        request = requests.PreparedRequest()
        request.method, request.url, request.body = method, self._endpoint + target, body or None
        length = {"Content-Length": str(len(body))} if body else {}
        request.headers = headers | length  # type: ignore[assignment]  # a dict does, and costs 15 us a call less
        idle = self._take() if reuse else None
        adapter = idle.adapter if idle else HTTPAdapter(pool_connections=1, pool_maxsize=1)
        patience = max(SILENCE_SECONDS, 2 * idle.took) if idle and method == "GET" else inf
        clean = False
        try:
            reply, whole = self._send(adapter, request, deadline, patience)
            yield reply
            clean = whole
        except OutcomeUnknown as error:
            if idle is None:
                raise
            self.close()  # what made this connection vanish may have taken the other idle ones along
            if method != "GET":
                raise
            raise StaleConnection(str(error)) from error
        finally:
            if clean and len(self._idle) < MAX_IDLE:
                self._idle.append(_Idle(adapter, self._clock.instant(), reply.seconds))
            else:
                adapter.close()

    def close(self) -> None:
        """Close the idle connections."""
        with suppress(IndexError):
            while True:
                self._idle.pop().adapter.close()

    def _take(self) -> _Idle | None:
        """Return the connection that was used last; close those that have been idle for too long."""
        with suppress(IndexError):
            while self._clock.age((idle := self._idle.pop()).since) >= IDLE_SECONDS:
                idle.adapter.close()
            return idle
        return None

    def _send(
        self, adapter: HTTPAdapter, request: requests.PreparedRequest, deadline: Deadline, patience: float
    ) -> tuple[Reply, bool]:
        """Return the answer, and whether it left its connection clean.

        Each arrival of data is bounded, in the head by `patience`. The resolver, and a head that drips byte by byte,
        are not: whoever waits for the call leaves its thread behind.
        """
        left = deadline.require("a call of the VPC API")
        sent, timeout = self._clock.instant(), (min(CONNECT_SECONDS, left), min(patience, left))
        try:
            response = adapter.send(request, stream=True, timeout=timeout, verify=self._verify, proxies=self._proxies)
        except (exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _failure(error) from error
        try:
            body, clean = _read(response, deadline)
        except OutcomeUnknown:
            if response.status_code != 401:
                raise
            body, clean = b"", False  # asking again would bring the key nearer to its lock
        finally:
            response.close()
        seconds = self._clock.monotonic() - sent.monotonic
        return Reply(response.status_code, response.headers, body, sent, seconds), clean


def _read(response: requests.Response, deadline: Deadline) -> tuple[bytes, bool]:
    """Return the body, and whether its end is known and nothing came after it."""
    if response.status_code < 200:  # http.client (3.11 to 3.13) skips 100 alone and takes the others as final
        raise OutcomeUnknown(f"the VPC API's answer was lost behind an interim one (status {response.status_code})")
    raw: Any = response.raw
    original, sock = raw._original_response, getattr(raw.connection, "sock", None)
    chunks, size, ahead, left = [], 0, b"", None
    try:
        while True:
            if not original.isclosed() and raw.length_remaining != 0:
                seconds = deadline.at - deadline.clock()  # a cancellation breaks no call off: what it did is reported
                if seconds <= 0:
                    raise OutcomeUnknown("the VPC API's answer was not read to its end in time")
                if sock is not None:
                    sock.settimeout(seconds)
                ahead, left = original.fp.peek(), raw.length_remaining  # http.client drops it when the answer ends
            if not (chunk := raw.read1(_CHUNK, decode_content=True)):
                break
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY:
                raise BadReply(f"the VPC API's answer is over {MAX_BODY} bytes")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise OutcomeUnknown(f"the VPC API's answer broke off: {type(error).__name__}") from error
    ends_there = len(ahead) <= left if left is not None else ahead == _LAST_CHUNK
    unread = sock.pending() if isinstance(sock, ssl.SSLSocket) else 0  # decrypted, so that urllib3's look misses it
    return b"".join(chunks), ends_there and sock is not None and not unread


_BAD_URL = (exceptions.InvalidURL, exceptions.InvalidSchema, urllib3.exceptions.LocationParseError)
_CHECK = "check UNMIRROR_REGION or the endpoint"
_TRUST = "check the endpoint, or REQUESTS_CA_BUNDLE"
# What becomes of a request without an answer: the first row that fits the error or one of its causes decides. All but
# OutcomeUnknown happen before it is sent. In urllib3 2.8 errors of names and connections are subclasses of time-outs.
_FAILURES: tuple[tuple[Any, type[ApiUnavailable | NotConfigured], str], ...] = (
    (_BAD_URL, NotConfigured, "has no usable URL: check the endpoint, and HTTPS_PROXY or ALL_PROXY"),
    (exceptions.ProxyError, ApiUnavailable, "its proxy does not let us through; check HTTPS_PROXY"),
    (urllib3.exceptions.NameResolutionError, ApiUnavailable, f"its host is not known here; {_CHECK}, and the resolver"),
    (ConnectionRefusedError, ApiUnavailable, f"the connection is refused; {_CHECK}, and its port"),
    (urllib3.exceptions.NewConnectionError, ApiUnavailable, f"no way to its host; check the network; {_CHECK}"),
    (urllib3.exceptions.ConnectTimeoutError, ApiUnavailable, f"no connection in time; check the network; {_CHECK}"),
    (ssl.SSLCertVerificationError, ApiUnavailable, f"its certificate is not trusted; {_TRUST}"),
    (urllib3.exceptions.SSLError, OutcomeUnknown, "does not speak TLS with us; check the endpoint, its port above all"),
    (exceptions.ReadTimeout, OutcomeUnknown, "gave no answer in time"),
    (http.client.RemoteDisconnected, OutcomeUnknown, "closed the connection without an answer"),
    (http.client.BadStatusLine, OutcomeUnknown, "does not speak HTTP; check the endpoint, its port above all"),
    (BaseException, OutcomeUnknown, "gave no whole answer"),
)


def _failure(error: Exception) -> ApiUnavailable | NotConfigured:
    causes: list[BaseException] = [error]
    for cause in causes:  # requests has urllib3's errors as arguments, which have theirs as reasons and causes
        inner = [*cause.args, getattr(cause, "reason", None), cause.__cause__]
        causes += [each for each in inner if isinstance(each, BaseException) and each not in causes]
    becomes, text = next(row[1:] for row in _FAILURES if any(isinstance(cause, row[0]) for cause in causes))
    prefix = "cannot be reached: " if becomes is ApiUnavailable else ""
    return becomes(f"the VPC API {prefix}{text} ({type(causes[-1]).__name__})")


def proxies_for(endpoint: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies by scheme that the usual variables name, as `requests` reads them; none for this machine."""
    https, http, every, none = (
        (environ.get(name) or environ.get(name.upper()) or "").strip()
        for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy")
    )
    if any(should_bypass_proxies(endpoint, no_proxy=hosts) for hosts in (none, "localhost,127.0.0.0/8,::1")):
        return {}
    return {scheme: proxy for scheme, proxy in (("https", https), ("http", http), ("all", every)) if proxy}


def _authorities(environ: Mapping[str, str]) -> str | bool:
    """Return the certificates that the usual variables name, True for those that come with `requests`."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if path := environ.get(name):
            if not Path(path).exists():
                raise NotConfigured(f"{name} names no file or directory of certificates")
            return path
    return True
