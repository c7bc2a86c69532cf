"""The web edge: an HTTP request in, an answer out. It answers everything itself, so that no framework does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import flask
import functions_framework
from werkzeug.exceptions import HTTPException

from handler import __version__, answers, events, telemetry
from handler.admission import HOW_TO_OPEN, Admission
from handler.answers import Answer
from handler.errors import BadEvent, MethodNotAllowed, TooLarge, UnmirrorError, UnsupportedMedia
from handler.service import Service, utc_now
from handler.vpc.credentials import AccessKey

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

MAX_BODY = 256 * 1024
"""Bytes; also what FunctionGraph hands on for an asynchronous invocation."""

MOST_PASSED_OVER = 32 * MAX_BODY
"""Bytes of an unwanted body that are read and dropped."""

ALLOWED = "GET, HEAD, OPTIONS, POST"


@dataclass(frozen=True, slots=True)
class WebEdge:
    """Both functions of functions-framework, around one service."""

    service: Service
    admission: Admission

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep) -> WebEdge:
        """Wire the edge from settings; raise NotConfigured that names every wrong one. Calls nothing."""
        service = Service.from_env(environ, sleep=sleep)
        admission = Admission(service.settings)
        if admission.closed:
            telemetry.say(logging.WARNING, "admission.closed", HOW_TO_OPEN)
        return cls(service, admission)

    def on_event(self, request: flask.Request) -> flask.Response:
        """Answer any HTTP request: a delivery, FunctionGraph's `/init` and `/invoke`, the handshake, readiness."""
        with telemetry.traced(request.headers.get("traceparent")):
            answer = self._guarded(lambda: self._answer(request))
        _pass_over(request)
        return _response(answer)

    def on_cloud_event(self, event: CloudEvent) -> None:
        """Take one CloudEvent that the framework has parsed; raise when it was not done, with the status that says why.

        For platforms that insist on this signature. The framework answers `OK` to all that is done, which a Knative
        broker takes for a failure. There is no handshake, no batch, no report of what was done. It takes JSON that
        two readers could read differently. Use `on_event` wherever you can.
        """
        traceparent = flask.request.headers.get("traceparent") if flask.has_request_context() else None
        with telemetry.traced(traceparent):
            answer = self._guarded(lambda: self._taken(event))
        if answer.status >= 400:
            flask.abort(_response(answer))

    def on_failure(self, failure: Exception) -> flask.Response | HTTPException:
        """Answer for the framework where it does not come to call a function.

        It has no such path or method, which it may say itself; or it cannot parse a CloudEvent, and would answer
        with the request, all its headers included, or ask for a redelivery with a 500.
        """
        if isinstance(failure, HTTPException) and (failure.response is not None or failure.code in (404, 405)):
            return failure
        return _response(self._guarded(self._unparsed))

    def _answer(self, request: flask.Request) -> Answer:
        match request.method:
            case "GET" | "HEAD":
                return self._readiness()
            case "OPTIONS":
                return _handshake(request)
            case "POST" if request.path == "/init":
                return self._readiness()
            case "POST":
                return self._delivery(request)
            case _:
                return answers.of_error(MethodNotAllowed(f"one of {ALLOWED}"), {"Allow": ALLOWED})

    def _delivery(self, request: flask.Request) -> Answer:
        headers, body = _headers(request), _body(request)
        self.admission.admit(headers, body)
        if headers.get("content-encoding", "").lower() not in ("", "identity"):
            raise UnsupportedMedia("send the body without a content encoding")
        payload = events.from_http(headers, body)
        if request.path != "/invoke":
            return self._handled(payload, headers, to_sender=True)
        if not events.is_gateway_request(payload):
            return self._handled(payload, headers)
        return answers.of_json(200, answers.for_gateway(self._guarded(lambda: self._handled(payload, headers))))

    def _handled(self, payload: object, headers: Mapping[str, str], *, to_sender: bool = False) -> Answer:
        """`to_sender`: a CloudEvent's sender itself reads the answer, and wants a CloudEvent."""
        report = self.service.handle(payload, credentials=self._credentials(headers))
        telemetry.delivered(report)
        return answers.of_report(report, utc_now(), as_cloudevent=to_sender and report.envelope == "cloudevent")

    def _taken(self, event: CloudEvent) -> Answer:
        """Read the event in structured mode, as every other delivery is read."""
        if flask.has_request_context():
            self.admission.admit(_headers(flask.request), flask.request.get_data())
        else:  # another server of the framework's: there is nothing that a caller could show
            self.admission.admit({}, b"")
        return self._handled({**event.get_attributes(), "data": event.get_data()}, {})

    def _unparsed(self) -> Answer:
        self.admission.admit(_headers(flask.request), flask.request.get_data())
        raise BadEvent("the framework cannot read it: on_cloud_event takes one CloudEvent, structured or binary")

    def _credentials(self, headers: Mapping[str, str]) -> AccessKey | None:
        """Return the keys that FunctionGraph gives with a request, where nobody else can set its headers."""
        return AccessKey.from_headers(headers) if self.service.settings.trust_platform else None

    def _guarded(self, do: Callable[[], Answer]) -> Answer:
        try:
            return do()
        except UnmirrorError as refusal:
            telemetry.refused(refusal)
            self.service.signals.refused(refusal)
            return answers.of_error(refusal)
        except Exception as bug:  # noqa: BLE001 - the last door: whatever it is, the sender gets one line and no trace
            return answers.of_error(telemetry.defect(bug))

    def _readiness(self) -> Answer:
        missing = [*self.service.settings.missing, *([HOW_TO_OPEN] if self.admission.closed else [])]
        return answers.of_json(
            200, {"name": "unmirror", "version": __version__, "ready": not missing, "missing": missing}
        )


def functions(edge: WebEdge) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Register the edge with the framework; return `on_event` and `on_cloud_event`."""
    functions_framework.errorhandler(Exception)(edge.on_failure)
    return functions_framework.http(edge.on_event), functions_framework.cloud_event(edge.on_cloud_event)


def _headers(request: flask.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _body(request: flask.Request) -> bytes:
    """Read the body whole, but never keep more than the limit: the framework itself knows none."""
    promised = request.content_length
    body = bytearray()
    if promised is None or promised <= MAX_BODY:
        for chunk in _chunks(request, MAX_BODY + 1):
            body += chunk
    if (promised or len(body)) > MAX_BODY:
        raise TooLarge(f"the body is over {MAX_BODY} bytes")
    if promised not in (None, len(body)):
        raise BadEvent("the body broke off")
    return bytes(body)


def _chunks(request: flask.Request, most: int) -> Iterator[bytes]:
    """Yield what is left of the body, up to so many bytes; raise BadEvent where it is not framed as HTTP asks."""
    try:
        while most > 0 and (chunk := request.stream.read(min(most, MAX_BODY))):
            most -= len(chunk)
            yield chunk
    except Exception:  # noqa: BLE001 - each server has errors of its own for that, and for a sender who is gone
        raise BadEvent("the body broke off") from None


def _pass_over(request: flask.Request) -> None:
    """Drop what is left of the body: who is still writing does not read the answer."""
    with suppress(BadEvent):
        for _ in _chunks(request, MOST_PASSED_OVER):
            pass


def _handshake(request: flask.Request) -> Answer:
    """Consent to being sent to: CloudEvents HTTP 1.1 Web Hooks, §4. Who may send is decided at each delivery."""
    headers = {"Allow": ALLOWED}
    if "WebHook-Request-Origin" in request.headers:
        headers |= {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "*"}
    return Answer(204, headers)


def _response(answer: Answer) -> flask.Response:
    # An iterator, because after any other response the framework reads the request to its end, however long.
    response = flask.Response(iter((answer.body,)), answer.status)
    response.headers.clear()
    response.headers.update(answer.headers)
    if answer.status != 204:
        response.headers["Content-Length"] = str(len(answer.body))
    return response
