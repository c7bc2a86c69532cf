"""Log lines, each checked by its schema."""

from __future__ import annotations

import json
from typing import Any

from tests.support.schemas import schema, violations

LEVELS: dict[str, list[str]] = {
    each["const"]: each["title"].split(" or ") for each in schema("log")["properties"]["event"]["oneOf"]
}
"""The levels that each log event can have."""


def check_line(text: str) -> dict[str, Any]:
    """Return a log line; fail unless it is as its schema says, and of a level that its event can have."""
    line: dict[str, Any] = json.loads(text)
    assert violations("log", line) == [], line
    assert line["level"] in LEVELS[line["event"]] or LEVELS[line["event"]] == ["any"], line
    return line
