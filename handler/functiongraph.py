"""The edge for FunctionGraph's own Python runtime: `handler.functiongraph.handler`, with `initializer`.

The platform authenticates every caller. No web framework is imported.
"""

import os
from functools import lru_cache
from typing import Any, Protocol

from handler import events
from handler.observability import logs
from handler.observability import settings as observability_settings
from handler.observability.instrumentation import Instrumentation
from handler.observability.trace_context import TraceContext, current_trace
from handler.service import Service
from handler.settings import NAMES
from handler.vpc.credentials import NAMES as CREDENTIAL_NAMES
from handler.vpc.credentials import AccessKey
from handler.web import responses

# Of FunctionGraph's time that are left for the log and the answer.
MARGIN_SECONDS = 2.0


class Context(Protocol):
    """What the runtime gives with each event. Source: FunctionGraph developer guide, Python, "context"."""

    def getUserData(self, key: str) -> str | None: ...  # noqa: N802, D102 - the platform's name
    def getSecurityAccessKey(self) -> str | None: ...  # noqa: N802, D102
    def getSecuritySecretKey(self) -> str | None: ...  # noqa: N802, D102
    def getSecurityToken(self) -> str | None: ...  # noqa: N802, D102
    def getRemainingTimeInMilliSeconds(self) -> int: ...  # noqa: N802, D102


def initializer(context: Context) -> None:
    """Read the settings before the first event; raise NotConfigured that names every wrong one."""
    logs.configure()
    try:
        _service(_user_data(context))
    except Exception as error:  # noqa: BLE001 - the runtime prints what is raised and all that it is chained to
        raise Instrumentation().on_rejected(error) from None


def handler(event: object, context: Context) -> dict[str, Any]:
    """Return the report of one event, or problem details; raise exactly when sending it again can help.

    `event` is the decoded JSON of any trigger, or its text. A request of an API gateway trigger is answered in the
    form that the gateway asks for, and nothing is raised.
    """
    logs.configure()
    current_trace.set(None)
    observing, from_gateway = Instrumentation(), False
    try:
        payload = events.decode_parts(event) if isinstance(event, (str, bytes)) else event
        from_gateway = events.is_gateway_request(payload)
        trace = TraceContext.of_event(payload)
        current_trace.set(trace)
        service = _service(_user_data(context))
        observing = service.instrumentation
        report = service.deliver(
            payload,
            deadline=service.deadline(context.getRemainingTimeInMilliSeconds() / 1000 - MARGIN_SECONDS),
            key=AccessKey.of(
                context.getSecurityAccessKey(), context.getSecuritySecretKey(), context.getSecurityToken()
            ),
            trace=trace,
        )
        logs.log_report(report)
        error, response = report.error, responses.of_report(report)
    except Exception as raised:  # noqa: BLE001 - the runtime prints what is raised and all that it is chained to
        error = observing.on_rejected(raised)
        response = responses.of_error(error)
    if from_gateway:
        return responses.for_gateway(response)
    if error is not None and error.retry:
        raise error from None
    return response.value or {}


def _user_data(context: Context) -> tuple[tuple[str, str], ...]:
    """Return the settings that event functions get from the context, and not from the environment."""
    names = (*NAMES, *CREDENTIAL_NAMES, *observability_settings.NAMES)
    return tuple((name, value) for name in names if (value := context.getUserData(name)))


@lru_cache(maxsize=1)
def _service(user_data: tuple[tuple[str, str], ...]) -> Service:
    return Service(os.environ | dict(user_data))
