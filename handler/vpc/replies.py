"""What an answer of the API means, decided in one place.

A 404 has five meanings and only one of them is "gone"; so meanings follow from operation, status and code together,
and from nothing else: the texts of the messages may change. Sources: VPC API reference, "Error codes"
(https://support.huaweicloud.com/intl/en-us/api-vpc/vpc_api_0003.html); API gateway, "Error codes"
(https://support.huaweicloud.com/en-us/devg-apisign/api-sign-errorcode.html).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from typing import Any, Literal, TypeAlias

Operation: TypeAlias = Literal[
    "list_sessions", "next_sessions", "show_session", "remove_sources", "find_interface", "list_interfaces"
]
"""`next_sessions` is `list_sessions` with a marker."""

Meaning: TypeAlias = Literal[
    "gone",  # what was asked for does not exist, says the VPC API itself
    "marker_vanished",  # the session that a page starts after was deleted meanwhile
    "rejected",  # remove-sources as a whole; a look at the session tells why
    "not_published",  # the gateway of this region does not know the operation
    "unauthenticated",  # the signature, the key or the token
    "refused",  # permission, project, account, or a request that it does not accept
    "throttled",
    "again",  # trouble that may pass
    "unreadable",  # nothing that the API documents
]

ANY = r".*"
_GATEWAY = r"API(GW|G)\."
_OF_VPC = r"VPC\.(?!2204$)\d+|PortNotFound"

_TABLE: tuple[tuple[str, str, str, Meaning], ...] = (
    # operation            status         code                                meaning
    (ANY, "404", _GATEWAY + "0101", "not_published"),
    (ANY, ANY, _GATEWAY + "0308", "throttled"),
    (ANY, "429", ANY, "throttled"),
    (ANY, "401", r"VPC\.(0005|0009)", "refused"),  # arrears, real-name authentication
    (ANY, "401", ANY, "unauthenticated"),
    (ANY, "403", ANY, "refused"),
    (ANY, ANY, r"VPC\.(2204|0007|2201|2701|0010)", "refused"),  # 2204: no such resource, or no permission
    (ANY, "409", r"VPC\.0103", "again"),  # busy
    (ANY, "408|500|502|503|504", ANY, "again"),
    ("find_interface", "404", _OF_VPC, "gone"),
    ("list_interfaces", "404", _OF_VPC, "gone"),  # the v1 table has it for the list, too
    ("show_session", "404", r"VPC\.\d+", "gone"),
    ("next_sessions", "400|404", r"VPC\.\d+", "marker_vanished"),
    ("remove_sources", "400|404|409", r"VPC\.\d+", "rejected"),
    (ANY, "400|405|413|414", r"(VPC|APIGW|APIG)\.\d+", "refused"),
)
"""The first row that fits decides."""

_ROWS = tuple((re.compile(o), re.compile(s), re.compile(c), meaning) for o, s, c, meaning in _TABLE)


MOST_REST = 300.0
"""Seconds that an answer can make us wait: one that is mad must not silence a project for years."""


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    """With lower-case names."""
    body: bytes
    seconds: float
    """From before the connection to after the last byte."""

    @cached_property
    def json(self) -> Any:
        """The body's JSON value, None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def date(self) -> datetime | None:
        """The cloud's clock when it answered, UTC."""
        return _moment(self.headers.get("date", ""))

    @property
    def request_id(self) -> str:
        """What the cloud's support asks for; empty when the answer has none."""
        body = self.json if "x-request-id" not in self.headers else None
        found = self.headers.get("x-request-id") or (body.get("request_id") if isinstance(body, dict) else "")
        return re.sub(r"[^0-9A-Za-z_.:-]", "", found)[:128] if isinstance(found, str) else ""

    @cached_property
    def code(self) -> str:
        """The API's error code, from any of the shapes in which it comes; empty when there is none."""
        found = _code(self.json)
        return found if re.fullmatch(r"[0-9A-Za-z_.-]{1,64}", found) else ""

    def retry_after(self, now: datetime) -> float | None:
        """Return the seconds that the API asks to wait, from either form of the header; MOST_REST at most."""
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,9}", text):
            seconds = float(text)
        elif (moment := _moment(text)) is not None:
            seconds = max(0.0, (moment - (self.date or now)).total_seconds())
        else:
            return None
        return min(MOST_REST, seconds)


@lru_cache(1024)
def meaning(operation: Operation, status: int, code: str) -> Meaning:
    """Return what an answer other than the documented success means."""
    for of_operation, of_status, of_code, found in _ROWS:
        if of_operation.fullmatch(operation) and of_status.fullmatch(str(status)) and of_code.fullmatch(code):
            return found
    return "unreadable"


def _moment(text: str) -> datetime | None:
    """Read an HTTP date, in UTC."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _code(body: object) -> str:
    """Find the code: V3 and gateway `error_code`, V1 `code`, Neutron's type, IAM's nested `error`."""
    if not isinstance(body, dict):
        return ""
    for key in ("error_code", "errorCode", "code", "type"):
        if isinstance(code := body.get(key), (str, int)) and not isinstance(code, bool):
            return str(code)
    for key in ("NeutronError", "error"):
        if code := _code(body.get(key)):
            return code
    return ""
