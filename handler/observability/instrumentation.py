"""Signals: what hears of each delivery while it is worked on, to measure and to trace it. By default nobody does."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from handler.errors import UnmirrorError
from handler.events import Reading
from handler.observability import logs as telemetry
from handler.observability.logs import Trace
from handler.report import Report
from handler.vpc.client import Call

NAMES = (
    *("OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
    *("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_PROTOCOL"),
)
"""The variables of OpenTelemetry's specification that are read here; its own SDK reads more of the environment."""

HOW_TO_INSTALL = "OTEL_ variables ask for metrics or traces, which needs the extra: pip install 'unmirror[otel]'"
HOW_TO_EXPORT = "metrics and traces go by OTLP over HTTP and no other way: correct or unset "


class Listener:
    """What hears of one delivery; this one hears nothing. Called from any thread."""

    def __init__(self, trace: Trace | None = None) -> None:
        self.trace = trace
        """Where the delivery stands in a distributed trace, for its log lines."""

    def called(self, call: Call) -> None:
        """Hear of a call of the VPC API that has ended."""

    def read(self, reading: Reading) -> None:
        """Hear what the delivery says."""

    def ended(self, report: Report) -> None:
        """Hear what became of it. Heard last, unless it raised."""


class Signals:
    """What hears of deliveries. Nothing that it does may fail one."""

    def delivery(self, parent: Trace | None) -> AbstractContextManager[Listener]:
        """Return what hears of a delivery; `parent` is the sender's place in a distributed trace."""
        return nullcontext(Listener(parent))

    def refused(self, error: UnmirrorError) -> None:
        """Hear of a delivery that was not admitted, or could not be read."""


def from_env(environ: Mapping[str, str]) -> Signals:
    """Return OpenTelemetry's signals where its variables ask for them and it is installed, else nobody's.

    What is asked for and cannot be had is said in a log line; it stops nothing.
    """
    wanted = {kind for kind in ("TRACES", "METRICS") if _wants(environ, kind)}
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or not wanted:
        return Signals()
    if wrong := _wrong(environ):
        telemetry.say(logging.WARNING, "signals.unavailable", HOW_TO_EXPORT + ", ".join(wrong))
        return Signals()
    try:
        from handler.observability.otel import exporting
    except ModuleNotFoundError:
        telemetry.say(logging.WARNING, "signals.unavailable", HOW_TO_INSTALL)
        return Signals()
    return exporting(environ, traces="TRACES" in wanted, metrics="METRICS" in wanted)


_KNOWN: Mapping[str, tuple[str, ...]] = {
    "OTEL_TRACES_EXPORTER": ("", "otlp", "none"),
    "OTEL_METRICS_EXPORTER": ("", "otlp", "none"),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("", "http/protobuf"),
}
_HEADERS = tuple(f"OTEL_EXPORTER_OTLP_{kind}HEADERS" for kind in ("", "TRACES_", "METRICS_"))
_HEADER = re.compile(r"[!#-'*+.0-9A-Z^-z|~-]+[ \t]*=[ !#-+\--:<-\[\]-~]*")
"""What OpenTelemetry's SDK takes for a header; anything else it logs whole, and that may be a key."""


def _wrong(environ: Mapping[str, str]) -> list[str]:
    unknown = [name for name, values in _KNOWN.items() if environ.get(name, "").strip() not in values]
    return unknown + [name for name in _HEADERS if not _are_headers(environ.get(name, ""))]


def _are_headers(text: str) -> bool:
    return all(_HEADER.fullmatch(each) for part in text.split(",") if (each := part.strip(" \t")))


def _wants(environ: Mapping[str, str], kind: str) -> bool:
    exporter = environ.get(f"OTEL_{kind}_EXPORTER", "").strip()
    endpoints = (f"OTEL_EXPORTER_OTLP_{kind}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return exporter != "none" if exporter else any(environ.get(name, "").strip() for name in endpoints)
