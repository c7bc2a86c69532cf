"""Answers: what became of a delivery, in the language of HTTP. Short bodies, one line, ASCII JSON.

Senders read the status: Knative sends again after 404, 408, 409, 429 and 5xx, SMN after 5xx only. So what can
never succeed is another 4xx, and what can is a 5xx.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handler.errors import UnmirrorError
from handler.report import IDLE, Report, problem, rfc3339

RETRY_AFTER = 10
"""Seconds, where the API asked for none: a deletion becomes visible, an outage may pass."""

REPORT_TYPE = "io.unmirror.report.v1"
SOURCE = "unmirror"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def of_report(report: Report, now: datetime, *, as_cloudevent: bool = False) -> Answer:
    """Answer with the report; with a problem where nothing was done because of an error of the caller's or ours.

    `as_cloudevent` is for a sender of CloudEvents: a broker takes an empty body or a CloudEvent as a success,
    and counts everything else as a failed delivery.
    """
    if (error := report.error) is not None:
        if error.status != 503 and not (report.detachments or report.parts):
            return of_error(error)
        return _json(error.status, report.to_json(), _retry_after(error))
    if not as_cloudevent:
        return _json(200, report.to_json())
    if report.outcome in IDLE and not report.lost_targets:
        return Answer(204, {})
    return _json(
        200,
        report.to_json(),
        {
            "ce-specversion": "1.0",
            "ce-type": REPORT_TYPE,
            "ce-source": SOURCE,
            "ce-id": _header_value(report.delivery_id),
            "ce-time": rfc3339(now) or "",
        },
    )


def of_error(error: UnmirrorError, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with RFC 9457 problem details."""
    headers = {**_retry_after(error), **(headers or {})}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _json(error.status, problem(error), headers, "application/problem+json")


def of_json(status: int, value: object, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with any JSON value."""
    return _json(status, value, headers)


def for_gateway(answer: Answer) -> dict[str, Any]:
    """Return the answer in the envelope that FunctionGraph's API gateway trigger asks for."""
    return {
        "statusCode": answer.status,
        "headers": dict(answer.headers),
        "body": answer.body.decode("ascii"),
        "isBase64Encoded": False,
    }


_ENCODE = json.JSONEncoder(separators=(",", ":")).encode  # made once: `json.dumps` makes one at every call


def _json(
    status: int, value: object, headers: Mapping[str, str] | None = None, media_type: str = "application/json"
) -> Answer:
    body = _ENCODE(value).encode("ascii")
    return Answer(status, {"Content-Type": media_type, **(headers or {})}, body)


def _retry_after(error: UnmirrorError) -> dict[str, str]:
    if error.status != 503:
        return {}
    asked: Any = getattr(error, "retry_after", None)
    return {"Retry-After": str(math.ceil(asked) if asked else RETRY_AFTER)}


def _header_value(text: str) -> str:
    """Percent-encode as the CloudEvents HTTP binding asks (§3.1.3.2): nothing but visible ASCII remains."""
    plain = "".join(c if "!" <= c <= "~" and c not in '"%' else "".join(f"%{b:02X}" for b in c.encode()) for c in text)
    return plain or "none"
