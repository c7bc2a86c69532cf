"""The web edge: an HTTP request in, an answer out. It answers everything itself, so that no framework does."""

from __future__ import annotations

import io
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import flask
import functions_framework
from werkzeug.exceptions import HTTPException

from handler import __version__, events
from handler.bulkhead import serving_threads
from handler.errors import BadEvent, MethodNotAllowed, TooLarge, TooLong, TooSlow, UnmirrorError, UnsupportedMedia
from handler.model import Deadline
from handler.observability import logs as telemetry
from handler.service import Service, utc_now
from handler.vpc.credentials import AccessKey
from handler.web import responses as answers
from handler.web.auth import HOW_TO_OPEN, TRUSTING, Admission, Caller, Done
from handler.web.responses import Answer

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

    from handler.web.fetch import Fetch

MAX_BODY = 256 * 1024
"""Bytes; also what FunctionGraph hands on for an asynchronous invocation. A batch may have more, by a setting."""

MAX_TARGET = 8 * 1024
"""Bytes of path and query together; functions-framework tells its server to take any number."""

MOST_PASSED_OVER = 32 * MAX_BODY
"""Bytes of an unwanted body that are read and dropped."""

PASS_OVER_SECONDS = 5.0
"""For dropping them, within the time of the delivery."""

ALLOWED = "GET, HEAD, OPTIONS, POST"


class Watch:
    """Ends what senders write when their time is up, all of them by one thread that sleeps while there are none.

    A server waits for a sender as long as a byte comes now and then. A connection that is shut for reading gives it
    what has come and an end; the answer can still be written.
    """

    TICK = 0.1
    """Seconds that an end may be late."""

    def __init__(self) -> None:
        self._ends: dict[socket.socket, Deadline] = {}
        self._needed = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, request: flask.Request, deadline: Deadline) -> Iterator[None]:
        """Watch over what reads the request's body; nothing where the server does not say by which connection."""
        connection = _connection(request)
        if connection is None:
            yield
            return
        self._ends[connection] = deadline
        if not self._needed.is_set():  # most requests find it set, and wait for no lock
            self._begin()
        try:
            yield
        finally:
            self._ends.pop(connection, None)

    def _begin(self) -> None:
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()
        self._needed.set()

    def _run(self) -> None:
        while self._needed.wait():
            for connection, deadline in self._ends.copy().items():
                if deadline.remaining() <= 0 and self._ends.pop(connection, None) is deadline:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RD)
            time.sleep(self.TICK)
            self._needed.clear()
            if self._ends:
                self._needed.set()


@dataclass(frozen=True, slots=True)
class WebEdge:
    """Both functions of functions-framework, around one service."""

    service: Service
    admission: Admission
    done: Done = field(default_factory=Done)
    watch: Watch = field(default_factory=Watch)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str],
        *,
        sleep: Callable[[float], None] = time.sleep,
        fetch: Fetch | None = None,
    ) -> WebEdge:
        """Wire the edge from settings; raise NotConfigured that names every wrong one. Calls nothing."""
        service = Service.from_env(environ, sleep=sleep, threads=serving_threads(environ))
        admission = Admission.of(service.settings, fetch)
        if admission.closed:
            telemetry.say(logging.WARNING, "admission.closed", HOW_TO_OPEN)
        if service.settings.trust_platform and not environ.get("RUNTIME_FUNC_NAME"):
            telemetry.say(logging.WARNING, "admission.trusting", TRUSTING)
        return cls(service, admission)

    def on_event(self, request: flask.Request) -> flask.Response:
        """Answer any HTTP request: a delivery, FunctionGraph's `/init` and `/invoke`, the handshake, readiness."""
        deadline = self._deadline()
        with telemetry.traced(request.headers.get("traceparent")):
            answer = self._guarded(lambda: self._answer(request, deadline))
        self._pass_over(request, deadline)
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

    def before(self) -> flask.Response | None:
        """Bound what is sent, and read the body within its bounds for what the framework does itself, which knows none.

        That is all that is no `on_event`. Returns the refusal of a body that is not within them.
        """
        request = flask.request
        self._bound_sending(request)
        if request.endpoint == "run":
            return None
        deadline = self._deadline()
        try:
            _check_target(request)
            request.stream = io.BytesIO(self._body(request, deadline))
        except UnmirrorError as refusal:
            answer = self._refused(refusal)
            self._pass_over(request, deadline)
            return _response(answer)
        return None

    def on_failure(self, failure: Exception) -> flask.Response | HTTPException:
        """Answer for the framework where it does not come to call a function.

        It has no such path or method, which it may say itself; or it cannot parse a CloudEvent, and would answer
        with the request, all its headers included, or ask for a redelivery with a 500.
        """
        if isinstance(failure, HTTPException) and (failure.response is not None or failure.code in (404, 405)):
            return failure
        return _response(self._guarded(self._unparsed))

    def _answer(self, request: flask.Request, deadline: Deadline) -> Answer:
        _check_target(request)
        match request.method:
            case "GET" | "HEAD":
                return self._readiness()
            case "OPTIONS":
                return self._handshake(request)
            case "POST" if request.path == "/init":
                return self._readiness()
            case "POST":
                return self._delivery(request, deadline)
            case _:
                return answers.of_error(MethodNotAllowed(f"one of {ALLOWED}"), {"Allow": ALLOWED})

    def _delivery(self, request: flask.Request, deadline: Deadline) -> Answer:
        headers, body = _headers(request), self._body(request, deadline)
        caller = self._admitted(request, headers, body, deadline)

        def read() -> object:
            # SMN signs no header, so none may say what its message is: a CloudEvent, by `ce-` headers of a stranger's.
            return events.decode(body) if caller.message else events.from_http(headers, body)

        if request.path != "/invoke":
            return self._once(caller, read, headers, deadline, to_sender=True)
        payload = read()
        if not events.is_gateway_request(payload):
            return self._once(caller, lambda: payload, headers, deadline)
        answer = self._guarded(lambda: self._once(caller, lambda: payload, headers, deadline))
        return answers.of_json(200, answers.for_gateway(answer))

    def _once(
        self,
        caller: Caller,
        read: Callable[[], object],
        headers: Mapping[str, str],
        deadline: Deadline,
        *,
        to_sender: bool = False,
    ) -> Answer:
        """Handle a delivery, unless it was done before. `to_sender`: a CloudEvent's sender itself reads the answer."""
        report = self.done.before(caller)
        if report is None:
            left = deadline.remaining()
            seconds = min(left, caller.patience - (self.service.settings.deadline - left))
            self.admission.welcome(caller, seconds)
            report = self.service.handle(read(), credentials=self._credentials(headers), seconds=seconds)
            self.done.add(caller, report)
        telemetry.delivered(report)
        return answers.of_report(report, utc_now(), as_cloudevent=to_sender and report.envelope == "cloudevent")

    def _taken(self, event: CloudEvent) -> Answer:
        """Read the event in structured mode, as every other delivery is read."""
        deadline = self._deadline()
        if flask.has_request_context():
            caller = self._admitted(flask.request, _headers(flask.request), flask.request.get_data(), deadline)
            if caller.message:  # the framework has read it by headers that SMN has not signed
                raise UnsupportedMedia("on_cloud_event takes CloudEvents; send messages of SMN to on_event")
        else:  # another server of the framework's: there is nothing that a caller could show
            caller = self.admission.admit({}, b"")
        return self._once(caller, lambda: {**event.get_attributes(), "data": event.get_data()}, {}, deadline)

    def _unparsed(self) -> Answer:
        request = flask.request
        self._admitted(request, _headers(request), request.get_data(), self._deadline())
        raise BadEvent("the framework cannot read it: on_cloud_event takes one CloudEvent, structured or binary")

    def _bound_sending(self, request: flask.Request) -> None:
        """Let the server give up a connection that takes nothing of its answer for the time of a delivery."""
        if (connection := _connection(request)) is not None:
            seconds = max(1, int(self.service.settings.deadline))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", seconds, 0))

    def _deadline(self) -> Deadline:
        return Deadline.within(self.service.settings.deadline, self.service.clock)

    def _admitted(self, request: flask.Request, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> Caller:
        """Return who may call, of a delivery whose body is what it seems."""
        in_query = request.args.getlist("access_token") if request.query_string else ()
        caller = self.admission.admit(headers, body, in_query=in_query, seconds=deadline.remaining())
        if headers.get("content-encoding", "").lower() not in ("", "identity"):
            raise UnsupportedMedia("send the body without a content encoding")
        return caller

    def _body(self, request: flask.Request, deadline: Deadline) -> bytes:
        """Read the body whole, but never keep more than the limit: the framework itself knows none."""
        most, promised = MAX_BODY, request.content_length
        if (promised is None or promised > most) and _is_batch(request):
            most = self.service.settings.max_batch_bytes
        body = bytearray()
        if promised is None or promised <= most:
            with self.watch.over(request, deadline):
                for chunk in _chunks(request, most + 1, deadline):
                    body += chunk
        if (promised or len(body)) > most:
            raise TooLarge(f"the body is over {most} bytes")
        if promised not in (None, len(body)):
            raise _broken_off(deadline)
        return bytes(body)

    def _pass_over(self, request: flask.Request, deadline: Deadline) -> None:
        """Drop what is left of the body: who is still writing does not read the answer."""
        soon = Deadline.within(min(PASS_OVER_SECONDS, deadline.remaining()), deadline.clock)
        with suppress(BadEvent, TooSlow), self.watch.over(request, soon):
            for _ in _chunks(request, MOST_PASSED_OVER, soon):
                pass

    def _handshake(self, request: flask.Request) -> Answer:
        """Consent to being sent to, or not: CloudEvents HTTP 1.1 Web Hooks, §4. Each delivery is admitted by itself."""
        headers, origin = {"Allow": ALLOWED}, request.headers.get("WebHook-Request-Origin")
        if origin is not None and (consent := self.admission.consents_to(origin)) is not None:
            rate = self.service.settings.webhook_rate
            headers |= {"WebHook-Allowed-Origin": consent, "WebHook-Allowed-Rate": rate}
        return Answer(204, headers)

    def _credentials(self, headers: Mapping[str, str]) -> AccessKey | None:
        """Return the keys that FunctionGraph gives with a request, where nobody else can set its headers."""
        return AccessKey.from_headers(headers) if self.service.settings.trust_platform else None

    def _guarded(self, do: Callable[[], Answer]) -> Answer:
        try:
            return do()
        except UnmirrorError as refusal:
            return self._refused(refusal)
        except Exception as bug:  # noqa: BLE001 - the last door: whatever it is, the sender gets one line and no trace
            return self._refused(telemetry.defect(bug))

    def _refused(self, refusal: UnmirrorError) -> Answer:
        telemetry.refused(refusal)
        self.service.signals.refused(refusal)
        return answers.of_error(refusal)

    def _readiness(self) -> Answer:
        missing = [*self.service.settings.missing, *([HOW_TO_OPEN] if self.admission.closed else [])]
        return answers.of_json(
            200, {"name": "unmirror", "version": __version__, "ready": not missing, "missing": missing}
        )


def functions(edge: WebEdge) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Register the edge with the framework; return `on_event` and `on_cloud_event`."""
    functions_framework.errorhandler(Exception)(edge.on_failure)
    if flask.has_app_context():  # the framework loads its source within one; who just imports us has no requests
        flask.current_app.before_request(edge.before)
    return functions_framework.http(edge.on_event), functions_framework.cloud_event(edge.on_cloud_event)


def _connection(request: flask.Request) -> socket.socket | None:
    """Return the connection that a request came by, where the server tells."""
    connection = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
    return connection if isinstance(connection, socket.socket) else None


def _check_target(request: flask.Request) -> None:
    if len(request.environ.get("RAW_URI") or request.full_path) > MAX_TARGET:
        raise TooLong(f"path and query are over {MAX_TARGET} bytes")


def _headers(request: flask.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _is_batch(request: flask.Request) -> bool:
    return request.mimetype == "application/cloudevents-batch+json"


def _chunks(request: flask.Request, most: int, deadline: Deadline) -> Iterator[bytes]:
    """Yield what is left of the body, up to so many bytes.

    Raises BadEvent where it is not framed as HTTP asks or its sender is gone, TooSlow where its time is up.
    """
    try:
        while most > 0 and (chunk := request.stream.read(min(most, MAX_BODY))):
            most -= len(chunk)
            yield chunk
            deadline.require("reading the body")
    except Exception:  # noqa: BLE001 - each server has errors of its own for that, and for a sender who is gone
        raise _broken_off(deadline) from None


def _broken_off(deadline: Deadline) -> UnmirrorError:
    return BadEvent("the body broke off") if deadline.remaining() else TooSlow("the body took too long to arrive")


def _response(answer: Answer) -> flask.Response:
    # An iterator, because after any other response the framework reads the request to its end, however long.
    response = flask.Response(iter((answer.body,)), answer.status)
    response.headers.clear()
    response.headers.update(answer.headers)
    if answer.status != 204:
        response.headers["Content-Length"] = str(len(answer.body))
    return response
