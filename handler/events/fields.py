"""The small readings that envelopes have in common: times, ids, URNs, and JSON within JSON."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from handler.errors import BadEvent, Violation
from handler.events.strict_json import decode

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_URN = re.compile(r"urn:(?:smn|fss):([^:]+):([^:]+):.+", re.DOTALL)
_TIME = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r" ?(?:Z|z|GMT|UTC|(?:GMT|UTC)?([+-])(\d\d):?(\d\d))",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST_MILLISECONDS = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973


def interface_id(value: object) -> str | None:
    """Return a UUID in lower case, None for anything else."""
    if isinstance(value, str) and _UUID.fullmatch(lower := value.lower()):
        return lower
    return None


def time(value: object) -> datetime | None:
    """Return a time in UTC; None for what is absent, absurd, or of a zone that it does not say.

    Milliseconds or seconds since 1970, as numbers or digits; ISO 8601 with up to nine digits of a second; and the
    console's `2022/02/14 11:58:03 GMT+08:00`.
    """
    if isinstance(value, str):
        if match := _TIME.fullmatch(value):
            return _clock_time(*match.groups())
        value = int(value) if re.fullmatch(r"[0-9]{1,19}", value) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        seconds = value / 1000 if value >= _FIRST_MILLISECONDS else value
        return _EPOCH + timedelta(seconds=seconds) if seconds > 0 else None
    except (OverflowError, ValueError):
        return None


def urn_parts(urn: object) -> dict[str, Any]:
    """Return `region` and `project_id` of a topic's or function's URN; nothing for what is none."""
    match = _URN.fullmatch(urn) if isinstance(urn, str) else None
    return {"region": match[1], "project_id": match[2]} if match else {}


def said(**attributes: object) -> dict[str, Any]:
    """Return those attributes that the event says: texts that are not empty, and times."""
    return {name: value for name, value in attributes.items() if value and isinstance(value, (str, datetime))}


def unfolded(value: object) -> dict[str, Any]:
    """Return an object that may come as JSON text; an empty one for whatever is not an object."""
    if isinstance(value, str) and value[:1] == "{":
        try:
            value = decode(value)
        except BadEvent:
            return {}
    return value if isinstance(value, dict) else {}


def from_base64(value: str, path: str) -> bytes:
    """Return the bytes; raise BadEvent that names the path."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadEvent("a part is not base64", (Violation(path, "contentEncoding: base64"),)) from error


def select(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield what stands at a path such as `request.nics[].id`, each with its JSON path below the value.

    Objects on the way may come as JSON text. What is absent, null, an empty string or an empty object is not yielded.
    """
    yield from _select(value, path.split("."), "")


def _select(value: object, steps: list[str], at: str) -> Iterator[tuple[str, object]]:
    if not steps:
        if value not in (None, "", {}):
            yield at, value
        return
    name, many = steps[0].removesuffix("[]"), steps[0].endswith("[]")
    child = unfolded(value).get(name)
    if not many:
        yield from _select(child, steps[1:], f"{at}.{name}")
    elif isinstance(child, list):
        for index, item in enumerate(child):
            yield from _select(item, steps[1:], f"{at}.{name}[{index}]")


def _clock_time(*parts: str | None) -> datetime | None:
    year, month, day, hour, minute, second = (int(part or 0) for part in parts[:6])
    fraction, sign, zone_hours, zone_minutes = parts[6:]
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        moment += timedelta(microseconds=int((fraction or "")[:6].ljust(6, "0")))
        zone = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
        return moment + zone if sign == "-" else moment - zone
    except (OverflowError, ValueError):
        return None
