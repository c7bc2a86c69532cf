"""Events about the emulated tenant in one line each, the ways to send them, and what a test asks of the tenant."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator
from tests.support import events
from tests.support.function import Answer, Function

VICTIM = "api-3"
"""Mirrored by three sessions, each of which has other sources, too."""

DELETED = "io.unmirror.interface.deleted.v1"
BATCH = "application/cloudevents-batch+json"
CLOUDEVENT = "application/cloudevents+json"


def deleted(*interface_ids: str, **data: object) -> dict[str, Any]:
    """Return our own event, as a webhook posts it."""
    return {"type": DELETED, "id": "cleanup-4711", "data": {"interface_ids": list(interface_ids), **data}}


def trace(resource_id: str, /, *, number: int = 1, age: float = 0.0, **members: object) -> dict[str, Any]:
    """Return a CTS trace of an interface's deletion, recorded so many seconds ago; `members` replace its own."""
    at = int((time.time() - age) * 1000)
    own = {"time": at, "record_time": at, "trace_id": f"00000000-0000-4000-8000-{number:012d}"}
    return events.trace(**{"resource_id": resource_id, "project_id": PROJECT_ID, **own, **members})


def cts(resource_id: str, /, **members: Any) -> dict[str, Any]:
    """Return what FunctionGraph's CTS trigger hands on for a deleted interface (constructed)."""
    return {"cts": trace(resource_id, **members)}


def server_deleted(server_id: str, /, **members: Any) -> dict[str, Any]:
    """Return the CTS trigger's event for a deleted server."""
    return cts(server_id, **{"service_type": "ECS", "resource_type": "ecs", "trace_name": "deleteServer", **members})


def timer() -> dict[str, Any]:
    """Return what FunctionGraph's timer hands on."""
    return events.example("timer", user_event=...)  # type: ignore[no-any-return]


def cloud_event(data: object, kind: str = "VPC:CloudTrace:ApiCall", source: str = "HC.VPC") -> dict[str, Any]:
    """Return a CloudEvent with the oddities of EventGrid's."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}937Z"
    return events.example("cloudevent", source=source, type=kind, time=now, data=data)  # type: ignore[no-any-return]


def through_gateway(body: object) -> dict[str, Any]:
    """Return what an API gateway trigger hands on for a posted body (constructed)."""
    return events.apig(body if isinstance(body, bytes) else encoded(body), content_type="application/json")


def messages(*bodies: object) -> dict[str, Any]:
    """Return what a Kafka trigger hands on for messages, each a JSON value or a text as it stands."""
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return {"trigger_type": "KAFKA", "records": [{"messages": texts, "topic_id": "deletions"}]}


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def structured(function: Function, event: Mapping[str, Any]) -> Answer:
    """Send a CloudEvent in structured mode."""
    return function.post(encoded(event), {"Content-Type": f"{CLOUDEVENT}; charset=UTF-8"})


def binary(function: Function, event: dict[str, Any]) -> Answer:
    """Send a CloudEvent in binary mode."""
    headers, body = events.binary(event)
    return function.post(body, headers)


def batch(function: Function, *values: object) -> Answer:
    """Send a CloudEvents batch."""
    return function.post(encoded(values), {"Content-Type": BATCH})


# --- the tenant ------------------------------------------------------------------------------------------------


def delete(tenant: Tenant, name: str = VICTIM) -> str:
    """Delete an interface, which leaves it in its sessions, and return its id."""
    tenant.cloud.delete_port(tenant.interfaces[name])
    return tenant.interfaces[name]


def sources(tenant: Tenant) -> dict[str, tuple[str, ...]]:
    """Return the sources of each session by its name."""
    found = tenant.cloud.sources(PROJECT_ID)
    return {name: found[id_] for name, id_ in tenant.sessions.items()}


def without(before: Mapping[str, tuple[str, ...]], *gone: str) -> dict[str, tuple[str, ...]]:
    """Return the sources less those that are gone."""
    return {name: tuple(id_ for id_ in ids if id_ not in gone) for name, ids in before.items()}


def operations(emulator: Emulator) -> list[str]:
    return [call.operation for call in emulator.calls]
