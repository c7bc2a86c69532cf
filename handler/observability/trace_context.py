"""W3C Trace Context: where a delivery stands in a distributed trace, and the one that log lines name."""

import re
from contextvars import ContextVar
from typing import NamedTuple, Self

_TRACEPARENT = r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})"


class TraceContext(NamedTuple):
    """A span of a distributed trace."""

    trace_id: str
    """32 lower-case hexadecimal digits, not all zero."""
    span_id: str
    """16 of them: of the sender's span, or of ours where traces are exported."""
    sampled: bool = False

    @classmethod
    def parse(cls, traceparent: object) -> Self | None:
        """Read a `traceparent` of version 00; None for anything else.

        Source: https://www.w3.org/TR/trace-context/#version-format.
        """
        match = re.fullmatch(_TRACEPARENT, traceparent) if isinstance(traceparent, str) else None
        if match is None or not match[1].strip("0") or not match[2].strip("0"):
            return None
        return cls(match[1], match[2], bool(int(match[3], 16) & 1))

    @classmethod
    def of_event(cls, payload: object) -> Self | None:
        """Read the extension `traceparent` of a decoded CloudEvent, or the header that an API gateway hands on."""
        if not isinstance(payload, dict):
            return None
        if "specversion" in payload:
            return cls.parse(payload.get("traceparent"))
        headers = payload.get("headers") if "requestContext" in payload else None
        if not isinstance(headers, dict):
            return None
        return cls.parse(next((text for name, text in headers.items() if name.lower() == "traceparent"), None))


# The trace that log lines of this thread name. An edge sets it whenever a delivery arrives, so nothing has to reset it;
# the service sets it to the delivery's own span, where one is made.
current_trace: ContextVar[TraceContext | None] = ContextVar("trace", default=None)
