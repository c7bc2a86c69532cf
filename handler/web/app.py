"""The web edge: an HTTP request in, a response out, for both signatures of functions-framework."""

import io
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Self

import flask
import functions_framework
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from handler import __version__, events
from handler.bulkhead import serving_threads
from handler.deadline import Cancellation, Clock, Deadline
from handler.errors import (
    BadEvent,
    Interrupted,
    MethodNotAllowed,
    RequestTimeout,
    TooLarge,
    UnmirrorError,
    UnsupportedMedia,
    UriTooLong,
)
from handler.observability import logs
from handler.observability.trace_context import TraceContext, current_trace
from handler.service import Service
from handler.vpc.credentials import AccessKey
from handler.web import responses
from handler.web.auth import HOW_TO_OPEN, TRUSTING, Authenticator
from handler.web.responses import ALLOW, HttpResponse

# Bytes; FunctionGraph hands on as many for an asynchronous invocation.
# Source: https://support.huaweicloud.com/intl/en-us/productdesc-functiongraph/functiongraph_01_0150.html
MAX_BODY = 256 * 1024
# Bytes of a CloudEvents batch: four times one event's, about a thousand traces.
MAX_BATCH = 1024 * 1024
# Bytes of path and query: nginx has 8k (large_client_header_buffers), gunicorn 8190; functions-framework unsets it.
MAX_URI = 8 * 1024
# Bytes that are read of a refused body, and dropped: many clients read the response only after they have sent all.
MAX_DRAINED = 8 * 1024 * 1024
# Bytes of a body that are read between two looks at the deadline.
CHUNK = 64 * 1024
# Where FunctionGraph posts events to an image.
INVOKE = "/invoke"


class WebEdge(NamedTuple):
    """Both functions of functions-framework, around one service."""

    service: Service
    authenticator: Authenticator

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str], *, clock: Clock | None = None, cancellation: Cancellation | None = None
    ) -> Self:
        """Wire the edge from settings; raise NotConfigured that names every wrong one. Calls nothing."""
        service = Service(environ, clock=clock, threads=serving_threads(environ), cancellation=cancellation)
        authenticator = Authenticator.from_settings(service.settings, service.clock)
        if authenticator.accepts_nobody:
            logs.log_event(logging.WARNING, "authentication.closed", HOW_TO_OPEN)
        if service.settings.trust_platform and not environ.get("RUNTIME_FUNC_NAME"):
            logs.log_event(logging.WARNING, "authentication.trusting", TRUSTING)
        return cls(service, authenticator)

    def on_event(self, request: flask.Request) -> flask.Response:
        """Answer any HTTP request: a delivery, FunctionGraph's `/init` and `/invoke`, the handshake, readiness."""
        match request.method:
            case "POST" if request.path != "/init":
                response = _enclosed(self._handle(request))
            case "POST" | "GET" | "HEAD":
                response = self._readiness()
            case "OPTIONS":
                response = _handshake(request.headers.get("WebHook-Request-Origin", ""))
            case _:
                raise MethodNotAllowed(f"send one of {ALLOW}")
        return _to_flask(response)

    def on_cloud_event(self, _: object) -> None:
        """Handle the request that the framework takes for this event; abort with the status of whatever is no success.

        For platforms that insist on this signature: the framework answers `OK` to every success, which a Knative
        broker takes for a failure. Its own parser accepts JSON that two readers could read differently, so that the
        request is read once more.
        """
        response = self._handle(flask.request)
        if response.status >= 400:
            flask.abort(_to_flask(response))

    def _handle(self, request: flask.Request) -> HttpResponse:
        """Handle a delivery, within the deadline that began with its request."""
        headers, body = {name.lower(): value for name, value in request.headers.items()}, request.get_data()
        deadline: Deadline = flask.g.deadline.sooner(self.authenticator.seconds(body))
        try:
            signed_by_smn = self.authenticator.authenticate(headers, body, deadline)
            payload = _parse(headers, body, signed_by_smn=signed_by_smn)
            flask.g.from_gateway = events.is_gateway_request(payload)
            trace = current_trace.get() or TraceContext.of_event(payload)
            # FunctionGraph's key of the request; elsewhere anybody can set headers.
            key = AccessKey.from_headers(headers) if self.service.settings.trust_platform else None
            report = self.service.deliver(payload, deadline=deadline, key=key, trace=trace)
            logs.log_report(report)
            is_cloudevent = report.envelope == "cloudevent" and request.path != INVOKE
            return responses.of_report(report, self.service.clock.now() if is_cloudevent else None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender gets one line and no traceback
            return responses.of_error(self.service.instrumentation.on_rejected(error))

    def _readiness(self) -> HttpResponse:
        missing = [*self.service.settings.missing, *([HOW_TO_OPEN] if self.authenticator.accepts_nobody else [])]
        state = {"name": "unmirror", "version": __version__, "ready": not missing, "missing": missing}
        return HttpResponse(200, responses.JSON, state)

    def limit_request(self) -> None:
        """Read the body of the request that begins, within its bound; raise where the request is over one.

        The framework bounds neither body nor URL, and reads the whole body whatever the function does.
        """
        request = flask.request
        current_trace.set(TraceContext.parse(request.headers.get("traceparent")))
        flask.g.deadline = self.service.deadline()
        request.stream = io.BytesIO(_read_body(request, flask.g.deadline))
        if len(request.environ.get("RAW_URI") or request.full_path) > MAX_URI:
            raise UriTooLong(f"path and query are over {MAX_URI} bytes")

    def on_framework_error(self, error: Exception) -> flask.Response | HTTPException:
        """Answer what is refused before it is handled, and, for `on_cloud_event`, what the framework cannot parse.

        The framework would answer that with the request, all its headers included, or with a 500.
        """
        if isinstance(error, UnmirrorError):
            return _to_flask(_enclosed(responses.of_error(self.service.instrumentation.on_rejected(error))))
        if isinstance(error, HTTPException) and (error.response is not None or error.code in (404, 405)):
            return error
        return self.on_event(flask.request)


def register(edge: WebEdge) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Register the edge with the framework; return `on_event` and `on_cloud_event`."""
    functions_framework.errorhandler(Exception)(edge.on_framework_error)
    if flask.has_app_context():  # the framework loads its source within one; a plain import serves no requests
        flask.current_app.before_request(edge.limit_request)
    return functions_framework.http(edge.on_event), functions_framework.cloud_event(edge.on_cloud_event)


def _parse(headers: Mapping[str, str], body: bytes, *, signed_by_smn: bool) -> object:
    """Return what the delivery says. SMN signs no header, so none may say what its message is: a CloudEvent, say."""
    if headers.get("content-encoding", "").lower() not in ("", "identity"):
        raise UnsupportedMedia("send the body without a content encoding")
    return events.from_http({} if signed_by_smn else headers, body)


def _read_body(request: flask.Request, deadline: Deadline) -> bytes:
    """Read the body whole; raise TooLarge beyond the bound, BadEvent where it breaks off, RequestTimeout too late."""
    limit = MAX_BATCH if request.mimetype == "application/cloudevents-batch+json" else MAX_BODY
    promised, size, whole, body = request.content_length or 0, 0, False, bytearray()
    with suppress(Exception):  # each server has errors of its own for a broken frame or a sender that is gone
        while size < MAX_DRAINED and (chunk := request.stream.read(CHUNK)):
            size += len(chunk)
            body += chunk if size <= limit else b""
            deadline.require("reading the body")
        whole = size >= promised
    if max(size, promised) > limit:
        raise TooLarge(f"the body is over {limit} bytes")
    if not whole and deadline.cancellation.cancelled:
        raise Interrupted("interrupted while the body was read")
    if not whole:
        raise BadEvent("the body broke off") if deadline.remaining() else RequestTimeout("the body took too long")
    return bytes(body)


def _handshake(origin: str) -> HttpResponse:
    """Consent to be sent to: CloudEvents HTTP 1.1 Web Hooks, §4. Each delivery is authenticated by itself."""
    headers = {"Allow": ALLOW}
    if re.fullmatch(r"[!-~]{1,255}", origin):
        headers |= {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}
    return HttpResponse(204, headers)


def _enclosed(response: HttpResponse) -> HttpResponse:
    """Return the answer to a delivery, in the form that FunctionGraph asks for where an image is invoked."""
    if flask.request.path != INVOKE:
        return response
    return responses.for_invoke(response, from_gateway=flask.g.get("from_gateway", False))


def _to_flask(response: HttpResponse) -> flask.Response:
    # An iterator, because after any other response the framework reads the request to its end, however long.
    body, headers = response.body, Headers(response.headers)
    if response.status != 204:
        headers["Content-Length"] = str(len(body))
    answer = flask.Response(iter((body,)), response.status)
    answer.headers = headers
    return answer
