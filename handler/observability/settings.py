"""Which instrumentation the environment asks for."""

import logging
import os
import re
from collections.abc import Mapping

from handler.observability import logs
from handler.observability.instrumentation import Instrumentation

# The variables of OpenTelemetry's specification that event functions get as user data.
NAMES = (
    *("OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
    *("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES"),
)

HOW_TO_INSTALL = "OTEL_ variables ask for metrics or traces, which needs the extra: pip install 'unmirror[otel]'"
HOW_TO_SET = "OpenTelemetry's SDK does not accept the OTEL_ variables: correct or unset those of numbers and choices"
HOW_TO_EXPORT = "metrics and traces are exported by OTLP over HTTP only: correct or unset "


def from_env(environ: Mapping[str, str]) -> Instrumentation:
    """Return OpenTelemetry's instrumentation where its variables ask for it and it is installed, else none.

    A log line tells what is asked for and cannot be had; nothing is raised. The variables become those of the process:
    its environment is where OpenTelemetry's SDK reads them, and others such as OTEL_TRACES_SAMPLER.
    """
    signals = [each for each in ("TRACES", "METRICS") if _wants(environ, each)]
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or not signals:
        return Instrumentation()
    forms = {name.format(signal): form for signal in signals for name, form in _FORMS.items()}
    if unusable := [name for name, form in forms.items() if not re.fullmatch(form, environ.get(name, "").strip())]:
        logs.log_event(logging.WARNING, "instrumentation.unavailable", HOW_TO_EXPORT + ", ".join(unusable))
        return Instrumentation()
    try:
        from handler.observability.otel import exporting  # it takes longer to import than all else together
    except ModuleNotFoundError:
        logs.log_event(logging.WARNING, "instrumentation.unavailable", HOW_TO_INSTALL)
        return Instrumentation()
    for name in [*NAMES, *(name for name in os.environ if name.startswith("OTEL_"))]:
        if value := environ.get(name, "").strip():
            os.environ[name] = value
        else:  # the SDK takes a variable that is empty for one that says so
            os.environ.pop(name, None)
    try:
        return exporting(environ, signals)
    except ValueError:  # whose text may hold a value
        logs.log_event(logging.WARNING, "instrumentation.unavailable", HOW_TO_SET)
        return Instrumentation()


def _wants(environ: Mapping[str, str], signal: str) -> bool:
    exporter = environ.get(f"OTEL_{signal}_EXPORTER", "").strip()
    endpoints = (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return exporter != "none" if exporter else any(environ.get(name, "").strip() for name in endpoints)


_HEADER = r"[ \t]*+([!#-'*+.0-9A-Z^-z|~-]++[ \t]*+=[ !#-+\--:<-\[\]-~]*+[ \t]*+)?+"
# The SDK logs a header that it cannot parse or send as a whole, and that may be a key: no control character in it.
_HEADERS = rf"(?!.*%([01][0-9A-Fa-f]|7[Ff])){_HEADER}(,{_HEADER})*"
# What the values are like that are supported, by names that hold for each signal that is asked for.
_FORMS = {
    "OTEL_{}_EXPORTER": r"(otlp)?",
    "OTEL_EXPORTER_OTLP_PROTOCOL": r"(http/protobuf)?",
    "OTEL_EXPORTER_OTLP_{}_PROTOCOL": r"(http/protobuf)?",
    "OTEL_EXPORTER_OTLP_HEADERS": _HEADERS,
    "OTEL_EXPORTER_OTLP_{}_HEADERS": _HEADERS,
}
