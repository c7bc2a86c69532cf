"""Log lines: on stdout, JSON or on a terminal a line for people, each as `schemas/log.json` has it.

No payload, no header, no secret: of an event only its id, its time, its operation and who did it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, TextIO, TypeAlias

from handler.errors import UnmirrorError
from handler.report import IDLE, Detachment, Kept, Outcome, Report, problem, rfc3339

log = logging.getLogger("unmirror")

MOST_LOGGED = 100
"""Entries of each list in a log line; the answer has them all."""


# --- where a delivery stands in a distributed trace ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trace:
    """A place in a distributed trace, as W3C Trace Context has it."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 of them: of the caller's span, or of ours where traces are exported."""
    sampled: bool = False

    @classmethod
    def of(cls, traceparent: object) -> Trace | None:
        """Read a `traceparent`, strictly; None for what is none. https://www.w3.org/TR/trace-context/#version-format."""
        match = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
        if match is None or not match[1].strip("0") or not match[2].strip("0"):
            return None
        return cls(match[1], match[2], bool(int(match[3], 16) & 1))

    @classmethod
    def of_event(cls, payload: object) -> Trace | None:
        """Read the extension `traceparent` of a CloudEvent."""
        is_event = isinstance(payload, dict) and "specversion" in payload
        return cls.of(payload.get("traceparent")) if is_event and isinstance(payload, dict) else None


_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(slots=True)
class _Scope:
    """One delivery, from the door to its last line."""

    trace: Trace | None


_scope: ContextVar[_Scope | None] = ContextVar("delivery", default=None)


@contextmanager
def traced(traceparent: str | None) -> Iterator[None]:
    """Name the caller's trace in all lines that are written within, in this thread."""
    token = _scope.set(_Scope(Trace.of(traceparent)))
    try:
        yield
    finally:
        _scope.reset(token)


def trace() -> Trace | None:
    """Return the trace that lines name here; None outside of `traced`."""
    scope = _scope.get()
    return scope.trace if scope else None


def follow(trace: Trace | None) -> None:
    """Name another trace from here on, until `traced` ends; without effect outside of it."""
    if (scope := _scope.get()) is not None:
        scope.trace = trace


# --- writing -------------------------------------------------------------------------------------------------


class _Stdout(logging.Handler):
    """Writes to what `sys.stdout` is when a line is written: whole lines, and all of a delivery at once.

    Nobody waits for anybody: whoever writes, writes what others have left meanwhile, too.
    """

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours
        self._left: deque[str] = deque()
        self._writing = threading.Lock()

    def handle(self, record: logging.LogRecord) -> bool:
        """Take the lines of a record; they are written by this thread, or by the one that is writing."""
        lines = getattr(record, "lines", None) or [_line(record.levelno, "log", record.getMessage())]
        self._left.append("".join(map(self._text if _is_terminal(sys.stdout) else _json, lines)))
        while self._left and self._writing.acquire(blocking=False):
            try:
                self._write()
            except (OSError, ValueError):  # nobody reads it, or it is closed: no reason to fail a delivery
                self.handleError(record)
            finally:
                self._writing.release()
        return True

    def _write(self) -> None:
        text = ""
        while self._left:
            text += self._left.popleft()
        sys.stdout.write(text)
        sys.stdout.flush()

    def _text(self, line: Mapping[str, Any]) -> str:
        """Return a short line for somebody who watches."""
        level = f"{line['level']:8}"
        if self._colours:
            level = f"\x1b[{_COLOURS[line['level']]}m{level}\x1b[0m"
        told = "".join(f"  {name}={_plain(line[name])}" for name in _TOLD if line.get(name))
        return f"{line['time'][11:19]} {level} {line['event']:20} {_plain(line['message'])}{told}\n"


_COLOURS = {"info": "32", "warning": "33", "error": "31", "critical": "1;31"}
_TOLD = ("session_name", "session_id", "interface_ids", "delivery_id", "trace_id")
_ENCODE = json.JSONEncoder(separators=(",", ":"), default=str).encode


def _json(line: Mapping[str, Any]) -> str:
    """Return a line of ASCII, so that nothing in it can start another line."""
    return f"{_ENCODE(line)}\n"


def _plain(value: object) -> str:
    """Return a value so that it cannot move a terminal's cursor, and as one word unless it is a sentence."""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if text.isprintable() else ascii(text)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def configure(environ: Mapping[str, str] = os.environ) -> None:
    """Send our log lines to stdout; leave everybody else's logging alone. Once is enough."""
    if not any(isinstance(handler, _Stdout) for handler in log.handlers):
        log.addHandler(_Stdout(colours=not environ.get("NO_COLOR")))
        log.setLevel(logging.INFO)
        log.propagate = False


def say(level: int, event: str, message: str, **fields: Any) -> None:
    """Write one line: a stable event name, a sentence, and what a machine may want to search for."""
    _write([(level, event, message, fields)])


_Line: TypeAlias = tuple[int, str, str, Mapping[str, Any]]
"""A level, an event name, a sentence, and what a machine may want to search for."""


def _write(lines: Iterable[_Line]) -> None:
    """Write lines that belong together, in one go."""
    wanted = [line for line in lines if log.isEnabledFor(line[0])]
    if wanted:
        level, _, message, _ = max(wanted, key=lambda line: line[0])
        record = logging.LogRecord(log.name, level, "", 0, message, None, None)
        record.lines = [_line(level, event, message, fields) for level, event, message, fields in wanted]
        log.handle(record)


_NAMES = {level: logging.getLevelName(level).lower() for level in (20, 30, 40, 50)}


def _line(level: int, event: str, message: str, fields: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Return a line as an object, without what is None or an empty text, and with no list that is too long."""
    line: dict[str, Any] = {
        "time": rfc3339(datetime.now(timezone.utc)),
        "level": _NAMES.get(level, "info"),
        "event": event,
        "message": message,
    }
    if (place := trace()) is not None:
        line |= {"trace_id": place.trace_id, "span_id": place.span_id}
    left_out = {}
    for name, value in fields.items():
        if value is None or value == "":
            continue
        if isinstance(value, list) and len(value) > MOST_LOGGED:
            left_out[name] = len(value) - MOST_LOGGED
            line[name] = value[:MOST_LOGGED]
        else:
            line[name] = value
    if left_out:
        line["left_out"] = {**line.get("left_out", {}), **left_out}
    return line


# --- what is said --------------------------------------------------------------------------------------------


def delivered(report: Report) -> None:
    """Say what became of a delivery, then of each detachment, then what somebody should look at: a line for each."""
    lines: list[_Line] = [
        (_level(report.outcome, report.error), f"delivery.{report.outcome}", report.reason, _delivery(report))
    ]
    for part in report.leaves():
        if not part.shared:  # else the delivery whose sweep it was has said it
            lines += [_of_detachment(part, detachment) for detachment in part.detachments]
            lines += _worth_a_look(part)
    _write(lines)


def _level(outcome: Outcome | None, error: UnmirrorError | None) -> int:
    """Return a warning for what is to be looked at, an error for what is to be acted on: it does not mend itself."""
    if outcome in _LEVELS:
        return _LEVELS[outcome]
    if error is None:
        return logging.INFO
    return logging.ERROR if error.status in (500, 502) else logging.WARNING


_LEVELS: Mapping[Outcome | None, int] = {"still_exists": logging.WARNING, "stopped": logging.ERROR}


def _delivery(report: Report) -> dict[str, Any]:
    ids: list[str] = []
    request_ids: list[str] = []
    kept: list[Kept] = []
    for leaf in report.leaves():
        kept += leaf.kept
        request_ids += leaf.look.request_ids if leaf.look else ()
        request_ids += leaf.gone_request_ids.values()
        for detachment in leaf.detachments:
            ids += detachment.interface_ids
            request_ids += detachment.request_ids
    for each in kept:
        ids.append(each.interface_id)
        request_ids.append(each.request_id)
    fields: dict[str, Any] = {
        "delivery_id": report.delivery_id,
        "envelope": report.envelope,
        "project_id": report.project_id,
        "interface_ids": _distinct(ids),
        "request_ids": _distinct(request_ids),
        "snapshot_time": rfc3339(report.snapshot_time),
        "api_calls": report.api_calls,
        "seconds": round(report.seconds, 3),
    }
    if report.outcome not in IDLE or report.parts:
        fields |= _bounded(report.to_json())
    elif kept:
        fields["kept"] = [{"interface_id": each.interface_id, "why": each.why} for each in kept]
    return fields


def _distinct(ids: Iterable[str]) -> list[str] | None:
    return list(dict.fromkeys(filter(None, ids))) or None


def _bounded(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report with its long lists cut: a sweep's can be megabytes, and a log line must not."""
    long = {name: value for name, value in report.items() if isinstance(value, list) and len(value) > MOST_LOGGED}
    if not long:
        return {"report": report}
    cut = {name: value[:MOST_LOGGED] for name, value in long.items()}
    left_out = {f"report.{name}": len(value) - MOST_LOGGED for name, value in long.items()}
    return {"report": {**report, **cut}, "left_out": left_out}


def _of_detachment(report: Report, detachment: Detachment) -> _Line:
    """Return the line that says all of a detachment: why, what, the proof, and how long after the deletion."""
    gone = report.gone_request_ids
    proof = {
        "look": report.look.request_ids[:MOST_LOGGED] if report.look else (),
        "gone": [gone[id_] for id_ in detachment.interface_ids if gone.get(id_)],
        "removal": detachment.request_ids,
    }
    fields: dict[str, Any] = {
        "delivery_id": report.delivery_id,
        "envelope": report.envelope,
        "project_id": report.project_id,
        "session_id": detachment.session_id,
        "session_name": detachment.session_name,
        "interface_ids": list(detachment.interface_ids),
        "sources_before": _listed(detachment.sources_before),
        "sources_after": _listed(detachment.sources_after),
        "request_ids": _distinct(id_ for ids in proof.values() for id_ in ids),
        "proof": {what: _distinct(ids) or [] for what, ids in proof.items()},
        "snapshot_time": rfc3339(report.snapshot_time),
    }
    if (cause := report.cause) is not None:
        seconds = None if cause.seconds is None else round(cause.seconds, 3)
        fields |= {"operation": cause.operation, "actor": cause.actor, "event_time": rfc3339(cause.time)}
        fields["seconds_after_deletion"] = seconds
    if detachment.error is not None:
        fields["problem"] = problem(detachment.error)
    said = _DETACHMENTS[detachment.status].format(len(detachment.interface_ids))
    return _level(None, detachment.error), f"interface.{detachment.status}", said, fields


_DETACHMENTS = {
    "detached": "{} deleted interface(s) left the session",
    "already_absent": "{} deleted interface(s) had left the session before",
    "planned": "dry run: {} deleted interface(s) would leave the session",
    "failed": "{} deleted interface(s) could not leave the session",
}


def _listed(ids: tuple[str, ...] | None) -> list[str] | None:
    return None if ids is None else list(ids)


def _worth_a_look(report: Report) -> Iterator[_Line]:
    about = {"delivery_id": report.delivery_id, "project_id": report.project_id}
    for lost in report.lost_targets:
        which = {"session_id": lost.session_id, "session_name": lost.session_name, "target_id": lost.target_id}
        said = "its target is gone: it mirrors to nowhere until it is given another"
        yield logging.WARNING, "session.target_lost", said, {**about, **which}
    if report.sweep is None:
        return
    for session_id in report.sweep.emptied.session_ids:
        said = "enabled, and mirrors nothing any more: give it sources or delete it"
        yield logging.WARNING, "session.emptied", said, {**about, "session_id": session_id}
    for back in report.sweep.put_back:
        where: dict[str, Any] = {"session_id": back.session_id, "interface_ids": [back.interface_id]}
        said = "somebody puts a deleted interface back: look for an old Terraform state"
        yield logging.WARNING, "source.put_back", said, {**about, **where}


def refused(error: UnmirrorError) -> None:
    """Say why a delivery was not read or not admitted: the places and the rules, none of the values."""
    if type(error) is not UnmirrorError:  # that is a defect, which has its line
        envelope = getattr(error, "envelope", None)
        say(_level(None, error), f"delivery.{error.slug}", str(error), envelope=envelope, problem=problem(error))


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
