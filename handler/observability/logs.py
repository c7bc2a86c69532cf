"""Log lines: one JSON object a line on stdout, as `schemas/log.json` describes it.

No payload, no header and no secret: of an event only its id, its time, its operation and who did it.
"""

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any, TextIO

from handler.errors import UnmirrorError
from handler.model import Detachment
from handler.observability.trace_context import current_trace
from handler.report import Report, problem, rfc3339

log = logging.getLogger("unmirror")

# Characters of a line whose lists are whole: Docker's log drivers split a line there.
MAX_LINE = 16 * 1024
# Entries of each list of a longer line; the answer has them all. A sweep's report can be megabytes.
MAX_LISTED = 100


class StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stdout` is when a line is written."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record."""
        self.stream = sys.stdout
        super().emit(record)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of ASCII JSON, so that nothing in it can begin another line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without members that are None or an empty text; lists of a long line are cut."""
        line: dict[str, Any] = {
            "time": rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "message": record.getMessage(),
        }
        if (trace := current_trace.get()) is not None:
            line |= {"trace_id": trace.trace_id, "span_id": trace.span_id}
        members = getattr(record, "members", {}).items()
        line |= {name: value for name, value in members if value is not None and value != ""}
        if len(text := _encode(line)) > MAX_LINE:
            left_out: dict[str, int] = {}
            line = {name: _cut(value, name, left_out) for name, value in line.items()}
            text = _encode({**line, "left_out": left_out})
        return text


_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


def _cut(value: Any, path: str, left_out: dict[str, int]) -> Any:
    """Return the value with each list in it cut, and count in `left_out` by how many entries, by the list's path."""
    if isinstance(value, dict):
        return {name: _cut(each, f"{path}.{name}", left_out) for name, each in value.items()}
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) > MAX_LISTED:
        left_out[path] = left_out.get(path, 0) + len(value) - MAX_LISTED
    return [_cut(each, path, left_out) for each in value[:MAX_LISTED]]


def configure() -> None:
    """Send our log lines to stdout, and leave everybody else's logging alone. Calling it again changes nothing."""
    if not any(isinstance(handler, StdoutHandler) for handler in log.handlers):
        handler = StdoutHandler()
        handler.setFormatter(JsonFormatter())
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False


def log_event(level: int, event: str, message: str, **members: Any) -> None:
    """Write one line: a stable event name, a sentence, and members of `schemas/log.json`."""
    if log.isEnabledFor(level):  # not log.log(): that walks the stack for a caller which no line names
        extra = {"event": event, "members": members}
        log.handle(log.makeRecord(log.name, level, "", 0, message, (), None, extra=extra))


def log_report(report: Report) -> None:
    """Write what became of a delivery, then each detachment, then each session that somebody should look at."""
    level = max(map(_level, report.leaves()))
    log_event(level, f"delivery.{report.outcome}", report.reason, **_delivery(report))
    for leaf in report.leaves():
        if leaf.coalesced:  # the delivery that the sweep was begun for logs it
            continue
        about = {"delivery_id": leaf.delivery_id, "project_id": leaf.project_id}
        for detachment in leaf.detachments:
            if not detachment.coalesced:
                _log_detachment(leaf, detachment, about)
        _log_sessions(leaf, about)


def _level(report: Report) -> int:
    """Return the level of one event: an error waits for somebody to act, a warning may pass."""
    if report.outcome == "stopped":
        return logging.ERROR
    if report.failed_steps:
        return logging.WARNING
    return level_of(report.error)


def level_of(error: UnmirrorError | None) -> int:
    """Return the level of what went wrong, if anything did."""
    if error is None:
        return logging.INFO
    return logging.ERROR if error.status in (500, 502) else logging.WARNING


def _delivery(report: Report) -> dict[str, Any]:
    leaves = list(report.leaves())
    detachments = [each for leaf in leaves for each in leaf.detachments]
    kept = [each for leaf in leaves for each in leaf.kept]
    members: dict[str, Any] = {
        "delivery_id": report.delivery_id,
        "envelope": report.envelope,
        "project_id": report.project_id,
        "interface_ids": _distinct(*(each.interface_ids for each in detachments), (each.interface_id for each in kept)),
        "request_ids": _distinct(
            *(leaf.snapshot.request_ids for leaf in leaves if leaf.snapshot),
            (each.request_id for leaf in leaves for each in leaf.gone),
            *(each.request_ids for each in detachments),
            (each.request_id for each in kept),
        ),
        "snapshot_time": report.snapshot and rfc3339(report.snapshot.time),
        "api_calls": report.api_calls,
        "seconds": round(report.seconds, 3),
    }
    if report.error or report.parts or report.sweep or report.check:
        members["report"] = report.as_json
    elif kept:  # detachments have lines of their own
        members["kept"] = [{"interface_id": each.interface_id, "reason": each.reason} for each in kept]
    return members


def _distinct(*ids: Iterable[str]) -> list[str] | None:
    return list(dict.fromkeys(filter(None, chain.from_iterable(ids)))) or None


def _log_detachment(report: Report, detachment: Detachment, about: Mapping[str, Any]) -> None:
    """Write all of a detachment: why, what, the proof, and how long after the deletion."""
    names = ("session_id", "session_name", "interface_ids", "sources_before", "sources_after")
    gone, snapshot = {each.interface_id: each.request_id for each in report.gone}, report.snapshot
    members: dict[str, Any] = {
        **about,
        "envelope": report.envelope,
        "by": report.by,
        **{name: getattr(detachment, name) for name in names},
        "proof": {
            "snapshot": snapshot.request_ids if snapshot else (),
            "gone": _distinct(gone.get(each, "") for each in detachment.interface_ids) or [],
            "removal": detachment.request_ids,
        },
        "snapshot_time": snapshot and rfc3339(snapshot.time),
        "problem": detachment.error and problem(detachment.error),
    }
    if (cause := report.cause) is not None:
        seconds = None if cause.seconds is None else round(cause.seconds, 3)
        members |= {"operation": cause.operation, "actor": cause.actor, "event_time": rfc3339(cause.time)}
        members["seconds_after_deletion"] = seconds
    message = _DETACHMENTS[detachment.status].format(len(detachment.interface_ids))
    log_event(level_of(detachment.error), f"interface.{detachment.status}", message, **members)


_DETACHMENTS = {
    "detached": "{} deleted interface(s) left the session",
    "already_absent": "{} deleted interface(s) had left the session before",
    "planned": "dry run: {} deleted interface(s) would leave the session",
    "failed": "{} deleted interface(s) could not leave the session",
    "not_tried": "{} deleted interface(s) stay in the session: the removal was not tried",
}


def _log_sessions(report: Report, about: Mapping[str, Any]) -> None:
    for lost in report.lost_targets:
        message = "the target of the session is gone" if lost.confirmed else "the target is said to be deleted"
        names = {name: getattr(lost, name) for name in ("session_id", "session_name", "target_id", "confirmed")}
        log_event(logging.WARNING, "session.lost_target", message, **about, **names)
    for session in report.unreadable_sessions:
        message = f"the API shows a session in a form that cannot be read: {session.reason}"
        log_event(logging.ERROR, "session.unreadable", message, **about, session_id=session.session_id)
    if report.sweep is not None and report.sweep.detached:
        for session_id in report.sweep.emptied:
            message = "the session is enabled and mirrors nothing any more: give it sources, or delete it"
            log_event(logging.WARNING, "session.emptied", message, **about, session_id=session_id)
