"""The edge for functions-framework: `--source handler/main.py --target on_event` (HTTP) or `on_cloud_event`.

`on_event` takes every envelope and answers for itself; the framework only brings the request. The framework
loads this file by its path, as a module of its own: so it names everything as `handler...`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import flask
import functions_framework

from handler import __version__, answers, events, telemetry
from handler.admission import HOW_TO_OPEN, Admission
from handler.answers import Answer
from handler.errors import TooLarge, UnmirrorError, UnsupportedMedia
from handler.service import Service, utc_now
from handler.vpc.credentials import AccessKey

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

MAX_BODY = 256 * 1024
"""Bytes; also what FunctionGraph hands on for an asynchronous invocation."""

_METHODS = "GET, HEAD, OPTIONS, POST"

telemetry.configure()
_service = Service.from_env(os.environ)
_admission = Admission(_service.settings)
if _admission.closed:
    telemetry.say(logging.WARNING, "admission.closed", HOW_TO_OPEN)


@functions_framework.http
def on_event(request: flask.Request) -> flask.Response:
    """Answer any HTTP request: a delivery, FunctionGraph's `/init` and `/invoke`, the handshake, readiness."""
    return _response(_guarded(request))


@functions_framework.cloud_event
def on_cloud_event(event: CloudEvent) -> None:
    """Take one CloudEvent that the framework has parsed; raise when a redelivery can help.

    For platforms that insist on this signature. The framework answers for it: 200 `OK` to all that is done, 500
    to what is raised. It cannot answer a handshake, a batch or with a report; use `on_event` wherever you can.
    """
    try:
        if flask.has_request_context():
            _admit(flask.request, _body(flask.request))
        report = _service.handle(_parsed(event))
    except UnmirrorError as refusal:
        telemetry.refused(refusal)
        flask.abort(_response(answers.of_error(refusal)))
    telemetry.delivered(report)
    if report.error is not None:
        if report.retry:
            raise report.error
        flask.abort(_response(answers.of_error(report.error)))


def _guarded(request: flask.Request) -> Answer:
    try:
        return _answer(request)
    except UnmirrorError as refusal:
        telemetry.refused(refusal)
        return answers.of_error(refusal)
    except Exception as bug:  # noqa: BLE001 - the last door: whatever it is, the sender gets one line and no trace
        telemetry.defect(bug)
        return answers.of_error(UnmirrorError("a defect in unmirror; its log has the place"))


def _answer(request: flask.Request) -> Answer:
    match request.method:
        case "GET" | "HEAD":
            return _readiness()
        case "OPTIONS":
            return _handshake(request)
        case "POST" if request.path == "/init":
            return _readiness()
        case "POST":
            return _deliver(request)
        case _:
            return answers.of_json(405, {"title": "Method not allowed", "status": 405}, {"Allow": _METHODS})


def _deliver(request: flask.Request) -> Answer:
    body = _body(request)
    headers = _admit(request, body)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("send the body without a content encoding")
    payload = events.from_http(headers, body)
    report = _service.handle(payload, credentials=_credentials(headers))
    telemetry.delivered(report)
    is_cloudevent = report.envelope == "cloudevent" and request.path != "/invoke"
    return answers.of_report(report, utc_now(), as_cloudevent=is_cloudevent)


def _admit(request: flask.Request, body: bytes) -> dict[str, str]:
    headers = {name.lower(): value for name, value in request.headers.items()}
    _admission.admit(headers, body)
    return headers


def _body(request: flask.Request) -> bytes:
    """Read the body, but never more than the limit: the framework itself knows none."""
    if (request.content_length or 0) > MAX_BODY:
        raise TooLarge(f"the body is over {MAX_BODY} bytes")
    body = request.get_data(cache=True) if request.content_length is not None else request.stream.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise TooLarge(f"the body is over {MAX_BODY} bytes")
    return body


def _credentials(headers: Mapping[str, str]) -> AccessKey | None:
    """Return the keys that FunctionGraph gives with a request, where nobody else can set its headers."""
    if not _service.settings.trust_platform:
        return None
    return AccessKey.from_headers(headers)


def _readiness() -> Answer:
    missing = list(_service.settings.missing)
    if _admission.closed:
        missing.append(HOW_TO_OPEN)
    return answers.of_json(200, {"name": "unmirror", "version": __version__, "ready": not missing, "missing": missing})


def _handshake(request: flask.Request) -> Answer:
    """Consent to being sent to: CloudEvents HTTP 1.1 Web Hooks, §4. Who may send is decided at each delivery."""
    headers = {"Allow": _METHODS}
    if "WebHook-Request-Origin" in request.headers:
        headers |= {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "*"}
    return Answer(204, headers)


def _parsed(event: CloudEvent) -> dict[str, Any]:
    """Return the event in structured mode, as every other delivery is read."""
    return {**event.get_attributes(), "data": event.get_data()}


def _response(answer: Answer) -> flask.Response:
    response = flask.Response(answer.body, answer.status)
    response.headers.remove("Content-Type")
    response.headers.update(answer.headers)
    return response
