"""The edge for Huawei FunctionGraph's own runtime: `handler.functiongraph.handler`, with `initializer`.

The platform is the caller, so there is no door here. It needs no web framework.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Protocol

from handler import events
from handler.errors import UnmirrorError
from handler.observability import logs as telemetry
from handler.observability.instrumentation import NAMES as SIGNAL_NAMES
from handler.report import Report, problem
from handler.service import Service, utc_now
from handler.settings import NAMES
from handler.vpc.credentials import NAMES as CREDENTIAL_NAMES
from handler.vpc.credentials import AccessKey
from handler.web import responses as answers

MARGIN = 2.0
"""Seconds of FunctionGraph's time that are left for the answer."""


class Context(Protocol):
    """What the runtime gives with each event. Source: FunctionGraph developer guide, Python, "context"."""

    def getUserData(self, key: str) -> str | None: ...  # noqa: N802, D102 - the platform's name
    def getSecurityAccessKey(self) -> str | None: ...  # noqa: N802, D102
    def getSecuritySecretKey(self) -> str | None: ...  # noqa: N802, D102
    def getSecurityToken(self) -> str | None: ...  # noqa: N802, D102
    def getRemainingTimeInMilliSeconds(self) -> int: ...  # noqa: N802, D102


def initializer(context: Context) -> None:
    """Read the settings before the first event; raises NotConfigured that names every wrong one."""
    telemetry.configure()
    _service(_user_data(context))


def handler(event: object, context: Context) -> dict[str, Any]:
    """Return the report of one event; raise exactly when sending it again can help.

    `event` is the decoded JSON of any trigger. What can never be read is answered with problem details. Behind
    an API gateway trigger the answer is the envelope that the gateway asks for, and nothing is raised.
    """
    telemetry.configure()
    with telemetry.traced(None):
        return _answered(event, context)


def _answered(event: object, context: Context) -> dict[str, Any]:
    to_gateway = events.is_gateway_request(event)
    try:
        report = _handle(event, context)
    except UnmirrorError as refusal:
        telemetry.refused(refusal)
        if to_gateway:
            return answers.for_gateway(answers.of_error(refusal))
        if refusal.retry:
            raise
        return problem(refusal)
    telemetry.delivered(report)
    if to_gateway:
        return answers.for_gateway(answers.of_report(report, utc_now()))
    if report.error is not None and report.retry:
        raise report.error from None  # the runtime prints what is chained, and that may quote a URL
    return report.to_json()


def _handle(event: object, context: Context) -> Report:
    try:
        return _read(_service(_user_data(context)), event, context)
    except UnmirrorError:
        raise
    except Exception as bug:  # noqa: BLE001 - the last door: the runtime would print what a bug was raised with
        raise telemetry.defect(bug) from None


def _read(service: Service, event: object, context: Context) -> Report:
    try:
        return service.handle(
            events.decode(event) if isinstance(event, (str, bytes)) else event,
            credentials=AccessKey.of(
                context.getSecurityAccessKey(), context.getSecuritySecretKey(), context.getSecurityToken()
            ),
            seconds=context.getRemainingTimeInMilliSeconds() / 1000 - MARGIN,
        )
    except UnmirrorError as known:
        refusal = known
    except Exception as bug:  # noqa: BLE001 - as above
        refusal = telemetry.defect(bug)
    service.signals.refused(refusal)
    raise refusal from None  # the runtime prints what is chained


def _user_data(context: Context) -> tuple[tuple[str, str], ...]:
    """Return the settings that event functions get from the context, and not from the environment."""
    return tuple(
        (name, value) for name in (*NAMES, *CREDENTIAL_NAMES, *SIGNAL_NAMES) if (value := context.getUserData(name))
    )


@lru_cache(maxsize=1)
def _service(user_data: tuple[tuple[str, str], ...]) -> Service:
    return Service.from_env(os.environ | dict(user_data))
