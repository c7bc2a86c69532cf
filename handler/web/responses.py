"""What became of a delivery, as HTTP: a report renders as a report, a raised error as RFC 9457 problem details.

Senders read the status: Knative sends again after 404, 408, 409, 429 and 5xx, SMN after 5xx only. So what can never
succeed is another 4xx, and what can is a 5xx. A body is one line of ASCII JSON.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from math import ceil
from typing import Any, NamedTuple
from urllib.parse import quote

from handler.errors import RETRY_AFTER_SECONDS, UnmirrorError
from handler.report import NO_OP, Report, problem, rfc3339

JSON: Mapping[str, str] = {"Content-Type": "application/json"}
ALLOW = "GET, HEAD, OPTIONS, POST"
# Headers that RFC 9110 asks for with a status (§15.5.2, §15.5.6).
_REQUIRED: Mapping[int, Mapping[str, str]] = {401: {"WWW-Authenticate": "Bearer"}, 405: {"Allow": ALLOW}}
_encode = json.JSONEncoder(separators=(",", ":")).encode  # made once: `json.dumps` makes an encoder at every call


class HttpResponse(NamedTuple):
    """An HTTP response, free of any framework."""

    status: int
    headers: Mapping[str, str]
    value: dict[str, Any] | None = None
    """What the body says; None for an empty one."""

    @property
    def body(self) -> bytes:
        """The value as one line of JSON."""
        return b"" if self.value is None else f"{_encode(self.value)}\n".encode("ascii")


def of_report(report: Report, cloudevent_time: datetime | None = None) -> HttpResponse:
    """Render a report; as a CloudEvent of that time, where it is given and a sender of CloudEvents reads the answer.

    A Knative broker takes an empty body or a CloudEvent as a success, and any other body as a failed delivery.
    """
    if report.error is not None:
        return HttpResponse(report.status, {**JSON, **_retry_after(report.error)}, report.as_json)
    if cloudevent_time is None:
        return HttpResponse(200, JSON, report.as_json)
    if not any(part.outcome not in NO_OP or part.lost_targets or part.unreadable_sessions for part in report.leaves()):
        return HttpResponse(204, {})
    headers = {
        **JSON,
        "ce-specversion": "1.0",
        "ce-type": "io.unmirror.report.v1",
        "ce-source": "unmirror",
        # As the CloudEvents HTTP binding asks (§3.1.3.2): nothing but visible ASCII remains.
        "ce-id": quote(report.delivery_id, safe="!#$&'()*+,/:;<=>?@[\\]^`{|}") or "none",
        "ce-time": rfc3339(cloudevent_time) or "",
    }
    return HttpResponse(200, headers, report.as_json)


def of_error(error: UnmirrorError) -> HttpResponse:
    """Render a raised error as problem details."""
    headers = {"Content-Type": "application/problem+json", **_retry_after(error), **_REQUIRED.get(error.status, {})}
    return HttpResponse(error.status, headers, problem(error))


def for_gateway(response: HttpResponse) -> dict[str, Any]:
    """Return the response as FunctionGraph has a function answer a request of its API gateway."""
    return {
        "isBase64Encoded": False,
        "statusCode": response.status,
        "headers": dict(response.headers),
        "body": response.body.decode("ascii"),
    }


def for_invoke(response: HttpResponse, *, from_gateway: bool) -> HttpResponse:
    """Return the response as FunctionGraph asks of an image's `/invoke`: in that form, whatever the event came from.

    Source: https://support.huaweicloud.com/usermanual-functiongraph/functiongraph_01_1047.html (2026-01-12).
    """
    # The page does not say what makes an asynchronous invocation fail, and so be tried again or reach the failure
    # destination. A gateway reads statusCode; to everything else HTTP says the same, so that no failure counts as done.
    status = 200 if from_gateway else response.status
    return HttpResponse(status, {**response.headers, **JSON}, for_gateway(response))


def _retry_after(error: UnmirrorError) -> dict[str, str]:
    return {"Retry-After": str(ceil(error.retry_after or RETRY_AFTER_SECONDS))} if error.status == 503 else {}
