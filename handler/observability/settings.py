"""Which instrumentation the environment asks for."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping

from handler.observability import logs
from handler.observability.instrumentation import Instrumentation

_HEADERS = tuple(f"OTEL_EXPORTER_OTLP_{signal}HEADERS" for signal in ("", "TRACES_", "METRICS_"))

NAMES = (
    *("OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
    *("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES"),
)
"""The variables of OpenTelemetry's specification that are read here; its own SDK reads more of the environment."""

HOW_TO_INSTALL = "OTEL_ variables ask for metrics or traces, which needs the extra: pip install 'unmirror[otel]'"
HOW_TO_EXPORT = "metrics and traces are exported by OTLP over HTTP only: correct or unset "


def from_env(environ: Mapping[str, str]) -> Instrumentation:
    """Return OpenTelemetry's instrumentation where its variables ask for it and it is installed, else none.

    A log line tells what is asked for and cannot be had; nothing is raised.
    """
    traces, metrics = _wants(environ, "TRACES"), _wants(environ, "METRICS")
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or not (traces or metrics):
        return Instrumentation()
    if unusable := list(_unusable(environ)):
        logs.log_event(logging.WARNING, "instrumentation.unavailable", HOW_TO_EXPORT + ", ".join(unusable))
        return Instrumentation()
    try:
        from handler.observability.otel import exporting  # it takes longer to import than all else together
    except ModuleNotFoundError:
        logs.log_event(logging.WARNING, "instrumentation.unavailable", HOW_TO_INSTALL)
        return Instrumentation()
    return exporting(environ, traces=traces, metrics=metrics)


def _wants(environ: Mapping[str, str], signal: str) -> bool:
    exporter = environ.get(f"OTEL_{signal}_EXPORTER", "").strip()
    endpoints = (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return exporter != "none" if exporter else any(environ.get(name, "").strip() for name in endpoints)


_ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "OTEL_TRACES_EXPORTER": ("", "otlp", "none"),
    "OTEL_METRICS_EXPORTER": ("", "otlp", "none"),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("", "http/protobuf"),
}
_HEADER = r"[!#-'*+.0-9A-Z^-z|~-]+[ \t]*=[ !#-+\--:<-\[\]-~]*"


def _unusable(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of variables with a value that is not supported."""
    for name, values in _ACCEPTED.items():
        if environ.get(name, "").strip() not in values:
            yield name
    # OpenTelemetry's SDK logs a header that it cannot parse as a whole, and that may be a key.
    for name in _HEADERS:
        headers = (each.strip(" \t") for each in environ.get(name, "").split(","))
        if not all(re.fullmatch(_HEADER, each) for each in headers if each):
            yield name
