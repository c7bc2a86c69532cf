"""The small fields that envelopes have in common: ids, times, metadata, base64, and JSON within JSON."""

import base64
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from handler.errors import BadEvent, Violation
from handler.events.strict_json import decode, decode_parts
from handler.model import EventMetadata

# Characters of a text that is repeated in reports and logs; the schemas have it as `maxLength` of ids.
MAX_TEXT = 512
UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_DATE, _CLOCK = r"(\d{4})[-/](\d\d)[-/](\d\d)", r"(\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)"
_TIME = rf"{_DATE}[T ]{_CLOCK} ?(?:Z|z|GMT|UTC|(?:GMT|UTC)?([+-]\d\d:?\d\d))"
_EMPTY: tuple[object, ...] = (None, "", {})
_FIRST_MILLISECONDS = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973


def canonical_id(value: object) -> str | None:
    """Return a UUID in lower case, None for anything else."""
    return value.lower() if isinstance(value, str) and re.fullmatch(UUID, value) else None


def canonical_ids(values: Iterable[object]) -> tuple[str, ...]:
    """Return those of the values that are UUIDs, distinct, in lower case, in their order."""
    return tuple(dict.fromkeys(known for value in values if (known := canonical_id(value))))


def time(value: object) -> datetime | None:
    """Return a time in UTC; None for what is absent, absurd, or of a zone that it does not say.

    Milliseconds or seconds since 1970, as numbers or digits; ISO 8601 with up to nine digits of a second; and the
    console's `2022/02/14 11:58:03 GMT+08:00`.
    """
    try:
        if isinstance(value, str) and (match := re.fullmatch(_TIME, value, re.ASCII)):
            year, month, day, clock, zone = match.groups()
            return datetime.fromisoformat(f"{year}-{month}-{day}T{clock}{zone or 'Z'}").astimezone(UTC)
        if isinstance(value, str):
            value = int(value) if re.fullmatch(r"[0-9]{1,19}", value) else None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            return None
        return datetime.fromtimestamp(value / 1000 if value >= _FIRST_MILLISECONDS else value, UTC)
    except (OverflowError, ValueError):
        return None


def enrich(metadata: EventMetadata, **members: Any) -> EventMetadata:
    """Return the metadata with those members that say something: times, and printable texts, not empty nor too long.

    A project or a region that is no such text becomes `?`: it is another than ours, and not none.
    """
    for name, value in members.items():
        if isinstance(value, str) and not (len(value) <= MAX_TEXT and value.isprintable()):
            members[name] = "?" if name in ("project_id", "region") else None
        elif not isinstance(value, str | datetime):
            members[name] = None
    return metadata._replace(**{name: value for name, value in members.items() if value})


def as_object(value: object) -> dict[str, Any]:
    """Return an object that may come as JSON text; an empty one for whatever is not an object."""
    if isinstance(value, (str, bytes)):
        try:
            value = decode(value)
        except BadEvent:
            return {}
    return value if isinstance(value, dict) else {}


def from_base64(value: object, path: str) -> bytes:
    """Return the bytes; raise BadEvent that names the path."""
    try:
        return base64.b64decode(value, validate=True)  # type: ignore[arg-type]  # TypeError is one of the answers
    except (ValueError, TypeError) as error:
        raise BadEvent("a part is not base64", (Violation(path, "contentEncoding: base64"),)) from error


def decoded(value: object, at: str) -> object:
    """Return what JSON text stands for, and any other value as it is; raise BadEvent that names the path."""
    return decode_parts(value, at) if isinstance(value, (str, bytes)) else value


def select(value: object, path: str, at: str = "$") -> list[tuple[str, object]]:
    """Return what stands at a path such as `request.nics[].id`, each with its JSON path; the value's own is `at`.

    Objects on the way may come as JSON text. What is absent, null, an empty string or an empty object is left out.
    """
    found = [(at, value)]
    for step in path.split("."):
        name = step.removesuffix("[]")
        found = [(f"{at}.{name}", inner) for at, each in found if (inner := as_object(each).get(name)) not in _EMPTY]
        if name != step:
            lists = [(at, each) for at, each in found if isinstance(each, list)]
            found = [(f"{at}[{index}]", item) for at, items in lists for index, item in enumerate(items)]
    return [(at, each) for at, each in found if each not in _EMPTY]
