"""Log lines: one JSON object a line on stdout, with a stable `event` name. No payload, no header, no secret."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from handler.errors import UnmirrorError
from handler.report import Report, problem, rfc3339

log = logging.getLogger("unmirror")

MOST_LOGGED = 100
"""Entries of each list of a report in its log line; the answer has them all."""

_LEVELS = {
    "still_exists": logging.WARNING,
    "stopped": logging.ERROR,
    "partial": logging.ERROR,
    "failed": logging.ERROR,
}


class _JsonLine(logging.Formatter):
    """One line of ASCII JSON, so that nothing in it can start another line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": rfc3339(datetime.fromtimestamp(record.created, timezone.utc)),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line, separators=(",", ":"), default=str)


class _Stdout(logging.Handler):
    """Writes to what `sys.stdout` is when the line is written."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stdout.write(f"{self.format(record)}\n")
            sys.stdout.flush()
        except (OSError, ValueError):  # nobody reads it, or it is closed: no reason to fail a delivery
            self.handleError(record)


def configure() -> None:
    """Send our log lines to stdout; leave everybody else's logging alone. Once is enough."""
    if not log.handlers:
        stdout = _Stdout()
        stdout.setFormatter(_JsonLine())
        log.addHandler(stdout)
        log.setLevel(logging.INFO)
        log.propagate = False


def say(level: int, event: str, message: str, **fields: Any) -> None:
    """Write one line: a stable event name, a sentence, and what a machine may want to search for."""
    log.log(level, "%s", message, extra={"event": event, "fields": fields})


def delivered(report: Report) -> None:
    """Say what became of a delivery, then what somebody should look at: one line for each."""
    level = _LEVELS.get(report.outcome, logging.INFO)
    say(level, f"delivery.{report.outcome}", report.reason, report=_bounded(report.to_json()))
    for part in report.parts or (report,):
        for event, message, about in _worth_a_look(part):
            say(logging.WARNING, event, message, delivery_id=part.delivery_id, project_id=part.project_id, **about)


def _worth_a_look(report: Report) -> Iterator[tuple[str, str, dict[str, str]]]:
    for lost in report.lost_targets:
        about = {"session_id": lost.session_id, "target_id": lost.target_id}
        yield "session.target_lost", "its target is gone: it mirrors to nowhere until it is given another", about
    if report.sweep is None:
        return
    for session_id in report.sweep.emptied.session_ids:
        about = {"session_id": session_id}
        yield "session.emptied", "enabled, and mirrors nothing any more: give it sources or delete it", about
    for back in report.sweep.put_back:
        about = {"session_id": back.session_id, "interface_id": back.interface_id}
        yield "source.put_back", "somebody puts a deleted interface back: look for an old Terraform state", about


def _bounded(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report with its long lists cut: a sweep's can be megabytes, and a log line must not."""
    cut = {name: value[:MOST_LOGGED] for name, value in report.items() if isinstance(value, list)}
    left_out = {name: len(report[name]) - MOST_LOGGED for name in cut if len(report[name]) > MOST_LOGGED}
    return {**report, **cut, "left_out": left_out} if left_out else report


def refused(error: UnmirrorError) -> None:
    """Say why a delivery was not read or not admitted: the places and the rules, none of the values."""
    say(logging.WARNING, f"delivery.{error.slug}", str(error), problem=problem(error))


def refused_to_start(fault: UnmirrorError) -> None:
    """Say in one line which settings are wrong."""
    say(logging.CRITICAL, "start.refused", str(fault))


def defect(error: BaseException) -> UnmirrorError:
    """Say where a bug is: the kind of error and the places it went through, none of the values.

    Returns the error to answer with.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    say(logging.CRITICAL, "defect", f"a defect: {type(error).__name__}", places=places)
    return UnmirrorError("a defect in unmirror; its log has the place")
