"""What a sweep found, for a spreadsheet or a ticket: one row each, whatever the project."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a sweep found."""

    project_id: str
    what: str
    session_id: str
    session_name: str = ""
    interface_id: str = ""
    detail: str = ""
    request_ids: str = ""


HEADINGS = tuple(field.name for field in fields(Finding))


def findings(told: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what a report, as JSON, says: removals first, then what was kept, then what is to be looked at."""
    for part in told["parts"]:
        yield from findings(part)
    project_id = told["project_id"] or ""
    if told["error"] and not told["parts"]:
        detail, request_id = told["error"]["detail"], told["error"].get("request_id", "")
        yield Finding(project_id, "failed", "", detail=detail, request_ids=request_id)
    for each in told["detachments"]:
        for id_ in each["interface_ids"]:
            detail = each["error"]["detail"] if each["error"] else ""
            requests = " ".join(each["request_ids"])
            yield Finding(project_id, each["status"], each["session_id"], each["session_name"], id_, detail, requests)
    for each in told["kept"]:
        detail = each["error"]["detail"] if each["error"] else ""
        for session in zip(each["session_ids"] or [""], each["session_names"] or [""], strict=True):
            yield Finding(project_id, each["why"], *session, each["interface_id"], detail, each["request_id"])
    for each in told["lost_targets"]:
        yield Finding(project_id, "no_target", each["session_id"], each["session_name"], each["target_id"])
    figures = told["sweep"] or {}
    if figures.get("stop"):
        yield Finding(project_id, "stopped", "", detail=told["reason"])
    for what in ("emptied", "near_quota"):
        for session_id in figures.get(what, {}).get("session_ids", ()):
            yield Finding(project_id, what, session_id)


def as_csv(told: Mapping[str, Any]) -> str:
    """Return CSV with headings; a name that a spreadsheet would take for a formula is quoted with an apostrophe."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(HEADINGS)
    for finding in findings(told):
        rows.writerow([f"'{cell}" if cell[:1] in "=+-@\t\r" and cell else cell for cell in astuple(finding)])
    return text.getvalue()


def as_markdown(told: Mapping[str, Any]) -> str:
    """Return Markdown: what came of it, and a table."""
    lines = [f"**{told['outcome'].replace('_', ' ')}**: {_cell(told['reason'])}"]
    rows = [astuple(finding) for finding in findings(told)]
    if rows:
        lines += ["", _row(HEADINGS), _row(["---"] * len(HEADINGS)), *map(_row, rows)]
    return "\n".join([*lines, ""])


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """Escape what Markdown would read: names come from the cloud, and may hold anything."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"([\\`*<>|\[\]])", r"\\\1", line) if text != "---" else text


FORMS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {"csv": as_csv, "markdown": as_markdown}
