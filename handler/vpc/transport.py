"""One request, one answer read whole: pooled, bounded in time and size, nothing followed and nothing remembered."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from handler.errors import ApiUnavailable, BadReply, DeadlineExceeded, NotConfigured, OutcomeUnknown
from handler.model import Deadline
from handler.vpc.connections import Adapter
from handler.vpc.replies import Reply

CONNECT_SECONDS = 3.05
READ_SECONDS = 10.0
"""Between two arrivals of data; the deadline bounds the whole."""

MAX_BODY = 64 * 1024 * 1024
"""Bytes. A page of 2,000 sessions is about 2 MiB."""

_CHUNK = 256 * 1024


class Transport:
    """A pool of connections to one endpoint, for all threads of a process.

    `requests`' adapter without its session: no cookies, no `.netrc`, no redirects, and the environment is asked for
    proxies and certificates once, not at every call.
    """

    def __init__(
        self,
        endpoint: str,
        environ: Mapping[str, str],
        *,
        pool_size: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint
        self.host = urlsplit(endpoint).netloc
        self._clock = clock
        self._adapter = Adapter(pool_connections=4, pool_maxsize=pool_size, max_retries=0)
        self._proxies = proxies_for(endpoint, environ)
        self._verify = _authorities(environ)

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> Reply:
        """Send once. `target` is path and query as signed.

        Raises ApiUnavailable when the request surely never arrived, OutcomeUnknown when the answer was lost or cut
        off, BadReply when it is too large, DeadlineExceeded when no time is left to begin.
        """
        left = deadline.require("a call of the VPC API")
        request = requests.PreparedRequest()
        request.method, request.url, request.body = method, self.endpoint + target, body or None
        request.headers = CaseInsensitiveDict(headers)
        if body:
            request.headers["Content-Length"] = str(len(body))
        began = self._clock()
        try:
            response = self._adapter.send(
                request,
                stream=True,
                timeout=(min(CONNECT_SECONDS, left), min(READ_SECONDS, left)),
                verify=self._verify,
                proxies=self._proxies,
            )
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise NotConfigured("no usable URL: check the endpoint, and HTTPS_PROXY or ALL_PROXY") from error
        except requests.RequestException as error:
            if (trouble := _before_sending(error)) is not None:
                raise ApiUnavailable(f"the VPC API cannot be reached: {trouble}") from error
            raise OutcomeUnknown(f"the VPC API's answer was lost: {type(error).__name__}") from error
        try:
            content = self._read(response, deadline)
        except OutcomeUnknown:
            if response.status_code != HTTPStatus.UNAUTHORIZED:
                raise
            content = b""  # a refusal without its text is one: asking again would bring the key nearer to its lock
        finally:
            response.close()
        sent_headers = {name.lower(): value for name, value in response.raw.headers.items()}
        return Reply(response.status_code, sent_headers, content, self._clock() - began)

    def close(self) -> None:
        """Close the idle connections."""
        self._adapter.close()

    def _read(self, response: requests.Response, deadline: Deadline) -> bytes:
        raw: urllib3.HTTPResponse = response.raw
        chunks, size = [], 0
        try:
            while chunk := raw.read1(_CHUNK, decode_content=True):
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BODY:
                    raise BadReply(f"the VPC API's answer is over {MAX_BODY} bytes")
                if raw.length_remaining != 0:
                    _shrink_timeout(raw, deadline.require("reading the VPC API's answer"))
        except DeadlineExceeded as error:
            raise OutcomeUnknown(f"the VPC API's answer was not read to its end; {error}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise OutcomeUnknown(f"the VPC API's answer broke off: {type(error).__name__}") from error
        promised = raw.headers.get("Content-Length", "")
        if promised.isdigit() and "Content-Encoding" not in raw.headers and int(promised) != size:
            raise OutcomeUnknown("the VPC API's answer broke off")
        return b"".join(chunks)


def _shrink_timeout(raw: urllib3.HTTPResponse, left: float) -> None:
    """Let an answer that drips byte by byte meet the deadline."""
    sock = getattr(raw.connection, "sock", None)
    if sock is not None:
        sock.settimeout(min(READ_SECONDS, left))


def _before_sending(error: requests.RequestException) -> str | None:
    """Return what kept the request from being sent, and what to check; None if it may have been sent."""
    reason: BaseException | None = error
    if error.args and isinstance(error.args[0], BaseException):
        reason = getattr(error.args[0], "reason", None) or error.args[0]
    if isinstance(error, requests.exceptions.ProxyError):
        return "its proxy does not let us through; check HTTPS_PROXY"
    if isinstance(reason, urllib3.exceptions.ConnectTimeoutError):
        return "no connection in time; check the network, and UNMIRROR_REGION or the endpoint"
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return "check UNMIRROR_REGION or the endpoint"
    if isinstance(reason, urllib3.exceptions.SSLError) and isinstance(reason.args[0], ssl.SSLCertVerificationError):
        return "its certificate is not trusted; check the endpoint, or REQUESTS_CA_BUNDLE"
    return None


def proxies_for(endpoint: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy by scheme that the usual variables name, in either case; none for this machine."""
    url = urlsplit(endpoint)
    named = {
        name.lower().removesuffix("_proxy"): environ[name].strip()
        for name in sorted(environ)  # a name in lower case comes later, and wins
        if name.lower().endswith("_proxy")
    }
    proxy = named.get(url.scheme) or named.get("all")
    host = url.hostname or ""
    excepted = (each.strip().lstrip(".").lower() for each in named.get("no", "").split(",") if each.strip())
    if not proxy or _is_loopback(host) or any(each == "*" or f".{host}".endswith(f".{each}") for each in excepted):
        return {}
    return {url.scheme: proxy}


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _authorities(environ: Mapping[str, str]) -> str | bool:
    """Return the certificates that the usual variables name, True for those that come with `requests`."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if path := environ.get(name):
            if not Path(path).exists():
                raise NotConfigured(f"{name} names no file or directory of certificates")
            return path
    return True
