"""What an answer of the VPC API means, decided in one place.

A 404 has six meanings and only one of them is "gone"; so meanings follow from operation, status and code together,
and from nothing else: the texts of the messages may change. Sources, "Error codes" of the VPC API and of the gateway:
https://support.huaweicloud.com/intl/en-us/api-vpc/vpc_api_0003.html
https://support.huaweicloud.com/en-us/devg-apisign/api-sign-errorcode.html
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from handler.deadline import Instant
from handler.errors import ApiRefused, ApiThrottled, ApiUnavailable, BadReply, KeyCoolingDown, RemovalRejected
from handler.model import Operation


class NotPublished(ApiRefused):
    """The gateway of this region does not know the operation."""


class NotAccepted(ApiRefused):
    """The API does not take a request of this form."""


ANY = r".*"
_GATEWAY = r"API(GW|G)\."

# Three patterns, and the error that an answer is which fits them; None for an answer that is read. The first row that
# fits decides; an answer that fits none is a BadReply.
_MEANINGS: tuple[tuple[str, str, str, type[ApiRefused | ApiUnavailable] | None], ...] = (
    # operation            status         code                                meaning
    (ANY, "200", ANY, None),  # done
    (ANY, "404", _GATEWAY + "0101|ApiNotFound", NotPublished),
    (ANY, ANY, _GATEWAY + "0308", ApiThrottled),
    (ANY, "429", ANY, ApiThrottled),
    (ANY, "401", r"VPC\.(0005|0009)", ApiRefused),  # arrears, real-name authentication
    (ANY, "401", ANY, KeyCoolingDown),
    (ANY, "403", ANY, ApiRefused),
    (ANY, ANY, r"VPC\.(2204|0007|2201|2701|0010)", ApiRefused),  # 2204: no such resource, or no permission
    (ANY, "409", r"VPC\.0103", ApiUnavailable),  # busy
    (ANY, "408|500|502|503|504", ANY, ApiUnavailable),
    ("find_interface|list_interfaces", "404", r"VPC\.\d+|PortNotFound", None),  # gone; the v1 table is the list's, too
    ("show_session", "404", r"VPC\.\d+", None),  # gone
    ("next_sessions", "400|404", r"VPC\.\d+", None),  # the session that the page starts after was deleted meanwhile
    ("remove_sources", "400|404|409", r"VPC\.\d+", RemovalRejected),  # as a whole; reading the session tells why
    (ANY, "400|405|413|414", r"(VPC|APIGW|APIG)\.\d+", NotAccepted),
)

_LOCK = "{cause}; it is not tried again for 5 minutes: the API locks a key for as long after more than five failures"
_GRANT = "grant {permission} for the region's project, not for an enterprise project, and check the project id"
_ELSEWHERE = "check UNMIRROR_REGION or the endpoint; not every region has traffic mirroring"
_NO_JSON = "; it is no JSON, perhaps a web page: check the endpoint, and whether a proxy wants a login"
_FORM = "the API here differs from its documents, perhaps in the `limit` of a page; check the endpoint, or report it"

# What an operator reads.
_TEXTS: Mapping[type[ApiRefused | ApiUnavailable], str] = {
    KeyCoolingDown: "the access key or its signature is not accepted ({status}): " + _LOCK,
    ApiRefused: "{call} is refused ({status}): " + _GRANT,
    NotAccepted: "{call} is not accepted in this form ({status}): " + _FORM,
    NotPublished: "{call} is not offered here ({status}): " + _ELSEWHERE,
    RemovalRejected: "{call} was rejected ({status})",
    ApiThrottled: "{call} is throttled ({status})",
    ApiUnavailable: "{call} fails ({status})",
}

_PERMISSIONS: Mapping[Operation, str] = {
    "list_sessions": "vpc:trafficMirrorSessions:list",
    "next_sessions": "vpc:trafficMirrorSessions:list",
    "show_session": "vpc:trafficMirrorSessions:get",
    "remove_sources": "vpc:trafficMirrorSessions:removeSource",
    "find_interface": "vpc:ports:get",
    "list_interfaces": "vpc:ports:list",
}

# Seconds that an answer can make us wait: a mad one must not silence a project for years.
MAX_RETRY_AFTER = 300.0
# Beyond it a refusal is put down to our clock. The API accepts 15 minutes either way.
MAX_SKEW_SECONDS = 600.0
# Of a date that a clock can have; others overflow where seconds are added to them.
_YEARS = range(1970, 3000)
# How wrong our own clock may be, taken off where an answer has no date: beyond it no signature is accepted.
UNKNOWN_CLOCK = timedelta(minutes=15)


class Reply:
    """An HTTP answer, read whole."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, sent: Instant, seconds: float) -> None:
        """Take headers that are found in lower case, our clocks before it was asked, and the seconds to its end."""
        self.status, self.headers, self.body, self.sent, self.seconds = status, headers, body, sent, seconds
        self.json: Any = None
        """The body's JSON value, None when it is none."""
        with suppress(ValueError, RecursionError):
            self.json = json.loads(body)
        self.code = _code(self.json)
        """The API's error code, from any of the shapes in which it comes; empty when there is none."""

    @property
    def date(self) -> datetime | None:
        """The cloud's clock when it answered, UTC; None where the answer does not say."""
        return _http_date(self.headers.get("date", ""))

    @property
    def earliest(self) -> datetime:
        """A moment of the cloud's clock that is surely not after it was asked.

        A clock that is ahead, theirs or ours, must not make the answer look newer than it is.
        """
        if self.date is None:
            return self.sent.wall - UNKNOWN_CLOCK
        return min(self.date - timedelta(seconds=self.seconds), self.sent.wall)

    @property
    def request_id(self) -> str:
        """What the cloud's support asks for; empty when the answer has none."""
        found = self.headers.get("x-request-id") or (self.json.get("request_id") if isinstance(self.json, dict) else "")
        return re.sub(r"[^0-9A-Za-z_.:-]", "", found)[:128] if isinstance(found, str) else ""

    @property
    def retry_after(self) -> float | None:
        """The seconds that the API asks to wait, from either form of the header; MAX_RETRY_AFTER at most."""
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,9}", text):
            return min(MAX_RETRY_AFTER, float(text))
        moment, now = _http_date(text), self.date or self.sent.wall
        return None if moment is None else min(MAX_RETRY_AFTER, max(0.0, (moment - now).total_seconds()))


def is_skewed(ours: datetime, theirs: datetime | None) -> bool:
    """Tell whether our clock is so far from the cloud's that the API may refuse a signature for it."""
    return theirs is not None and abs((ours - theirs).total_seconds()) > MAX_SKEW_SECONDS


@lru_cache(1024)
def meaning(operation: Operation, status: int, code: str) -> type[ApiRefused | ApiUnavailable] | None:
    """Return the error that an answer is; None for one that is read, which with another status than 200 says "gone"."""
    asked = (operation, str(status), code)
    return next((found for *patterns, found in _MEANINGS if all(map(re.fullmatch, patterns, asked))), BadReply)


def error_for(operation: Operation, reply: Reply) -> ApiRefused | ApiUnavailable | None:
    """Return the error that an answer is, None for one that is read."""
    kind = meaning(operation, reply.status, reply.code)
    if kind is None:
        return None
    call, status = operation.replace("_", " "), f"status {reply.status} {reply.code}".rstrip()
    if kind is BadReply:
        return bad_reply(reply, f"to {call} is undocumented ({status})")
    cause, ours = "check the access key", reply.sent.wall
    if reply.date and is_skewed(ours, reply.date):
        cause = f"this machine's clock is {abs(ours - reply.date) // timedelta(minutes=1)} minutes off; set it"
    message = _TEXTS[kind].format(call=call, status=status, permission=_PERMISSIONS[operation], cause=cause)
    return kind(message, code=reply.code, request_id=reply.request_id, retry_after=reply.retry_after)


def bad_reply(reply: Reply, what: str) -> BadReply:
    """Return the error for an answer that the API does not document; `what` says what is wrong with it."""
    message = f"an answer of the VPC API {what}{_NO_JSON if reply.json is None else ''}"
    return BadReply(message, code=reply.code, request_id=reply.request_id, retry_after=reply.retry_after)


def _http_date(text: str) -> datetime | None:
    """Read an HTTP date, in UTC."""
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        moment = parsedate_to_datetime(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return moment if moment.year in _YEARS else None
    return None


def _code(body: object) -> str:
    """Find the code: V3 and gateway `error_code`, V1 `code`, Neutron's type, IAM's nested `error`."""
    if not isinstance(body, dict):
        return ""
    if body == {"message": "API not found"}:  # what Open Telekom Cloud's gateway says, without a code
        return "ApiNotFound"
    holders = [each for each in (body, body.get("NeutronError"), body.get("error")) if isinstance(each, dict)]
    codes = [each.get(key) for each in holders for key in ("error_code", "errorCode", "code", "type")]
    code = next((str(each) for each in codes if isinstance(each, str | int)), "")
    return code if re.fullmatch(r"[0-9A-Za-z_.-]{1,64}", code) else ""
