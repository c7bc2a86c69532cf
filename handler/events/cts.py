"""What a trace of the Cloud Trace Service (CTS) says: which operation, in which phase, on which interfaces.

Sources: the trace structure, https://support.huaweicloud.com/intl/en-us/usermanual-cts/cts_03_0010.html; the
operations of each service on the pages that OPERATIONS names. No capture of a trace of one of these operations is
public, so ids are looked for wherever the documents let them be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from handler.errors import BadEvent, Violation
from handler.events.fields import interface_id, said, select, time, unfolded
from handler.model import Event, InterfacesDeleted, NothingForUs, Origin, SweepDue, TargetDeleted


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that can leave a dead interface in a session, or take a session's target away."""

    service: str
    resource_type: str
    name: str
    means: Callable[[Operation, dict[str, Any], Origin], Event]
    ids: tuple[str, ...] = ()
    """Paths at which ids may stand."""

    def __str__(self) -> str:
        return f"{self.service} {self.name}"


def read_trace(trace: dict[str, Any], origin: Origin) -> Iterator[Event]:
    """Yield the one event of a trace that its schema has found valid.

    Success is read from `trace_rating`, `trace_status` and the response, never from `code`: a failed operation can
    have 200, and a successful one 0. Raises BadEvent when a completed operation does not say which id it deleted.
    """
    response = unfolded(trace.get("response"))
    user = unfolded(trace.get("user"))
    origin = replace(
        origin,
        **said(
            id=trace.get("trace_id"),
            project_id=trace.get("project_id") or trace.get("tenant_id"),
            time=time(trace.get("record_time")) or time(trace.get("time")),
            actor=user.get("name") or user.get("user_name"),
        ),
    )
    operation = _OPERATIONS.get(_key(trace["service_type"], trace["resource_type"], trace["trace_name"]))
    if operation is None:
        yield NothingForUs(origin, "ignored", f"{_name(trace)} deletes no interface and no mirror target")
    elif _failed(trace, response):
        yield NothingForUs(origin, "ignored", f"{operation} failed")
    elif _requested(response):
        yield NothingForUs(origin, "not_yet", f"{operation} was requested; its result follows in another trace")
    else:
        yield operation.means(operation, trace, replace(origin, operation=str(operation)))


def _port(operation: Operation, trace: dict[str, Any], origin: Origin) -> Event:
    ids = _usable(operation, trace) or _in_urls(trace)
    if not ids:
        raise _unusable(operation, trace)
    return InterfacesDeleted(origin, ids[:1])


def _nics(operation: Operation, trace: dict[str, Any], origin: Origin) -> Event:
    if ids := _usable(operation, trace):
        return InterfacesDeleted(origin, ids)
    if _found(operation, trace):
        raise _unusable(operation, trace)
    return _server(operation, trace, origin)  # whether the result repeats the ids of the request is not documented


def _server(operation: Operation, _: dict[str, Any], origin: Origin) -> Event:
    return SweepDue(origin, f"{operation} names no interface")


def _target(operation: Operation, trace: dict[str, Any], origin: Origin) -> Event:
    ids = _usable(operation, trace)
    if not ids:
        raise _unusable(operation, trace)
    return TargetDeleted(origin, ids[0])


def _found(operation: Operation, trace: dict[str, Any]) -> list[tuple[str, object]]:
    return [item for path in operation.ids for item in select(trace, path)]


def _usable(operation: Operation, trace: dict[str, Any]) -> tuple[str, ...]:
    """Return the distinct ids at the operation's paths, in the order of the paths."""
    return tuple(dict.fromkeys(known for _, value in _found(operation, trace) if (known := interface_id(value))))


def _in_urls(trace: dict[str, Any]) -> tuple[str, ...]:
    """Return the ids in what a trace may repeat of the request line: `DELETE /v1/{project_id}/ports/{port_id}`."""
    texts = (trace.get("message"), trace.get("resource_url"))
    return tuple(match[1].lower() for text in texts if isinstance(text, str) and (match := _PORT_URL.search(text)))


def _unusable(operation: Operation, trace: dict[str, Any]) -> BadEvent:
    broken = tuple(Violation(f"${path}", "format: uuid") for path, _ in _found(operation, trace))
    absent = (Violation("$", f"required: {operation.ids[0]}"),)
    return BadEvent(f"{operation} does not say which id it deleted", broken or absent)


_PORT_URL = re.compile(r"/ports/([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})(?![0-9A-Za-z-])")

_ECS = "ECS", "ecs"
_NIC_IDS = ("request.nics[].id", "response.entities.nic_id", "response.entities.sub_jobs[].entities.nic_id")

OPERATIONS = (
    # https://support.huaweicloud.com/usermanual-vpc/vpc010016.html
    Operation("VPC", "ports", "deletePort", _port, ("resource_id", "response.port.id", "request.port_id")),
    # https://support.huaweicloud.com/intl/en-us/usermanual-ecs/ecs_03_1101.html
    Operation(*_ECS, "deleteNic", _nics, _NIC_IDS),
    Operation(*_ECS, "delNic", _nics, _NIC_IDS),
    Operation(*_ECS, "deleteServer", _server),
    Operation(*_ECS, "deleteServerV2", _server),
    Operation(*_ECS, "deleteServerV21", _server),
    Operation(*_ECS, "deleteVmByNative", _server),
    Operation(*_ECS, "deleteSingleServer", _server),
    # Bare Metal Server user guide, operations recorded by CTS
    Operation("BMS", "bms", "deleteBareMetalServers", _server),
    # https://support.huaweicloud.com/eu/usermanual-elb/elb_ug_sj_0001.html
    Operation("ELB", "loadbalancer", "deleteLoadbalancer", _target, ("resource_id", "response.loadbalancer.id")),
)
"""All operations that are acted upon. One more is one more row; names are compared without regard to case."""


def _name(trace: dict[str, Any]) -> str:
    """Return the operation's name if it is one: it goes into logs."""
    return trace["trace_name"] if _NAME.fullmatch(trace["trace_name"]) else "an operation without a name"


_NAME = re.compile(r"[A-Za-z][0-9A-Za-z_.-]{0,63}")  # as the API reference has it


def _key(*names: str) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


_OPERATIONS = {_key(row.service, row.resource_type, row.name): row for row in OPERATIONS}

SERVICES = frozenset(row.service.lower() for row in OPERATIONS)
"""The services that the operations belong to, in lower case."""

_ERROR_KEYS = ("error", "errors", "error_code", "error_msg", "errorCode", "fail_reason", "NeutronError", "badRequest")
_VPC_CODE = re.compile(r"[A-Za-z]+\.[0-9]+")
_UNDER_WAY = ("INIT", "RUNNING", "PENDING")
_FAILED = ("FAIL", "FAILED", "ERROR")


def _failed(trace: dict[str, Any], response: dict[str, Any]) -> bool:
    ratings = (trace.get("trace_rating"), trace.get("trace_status"))
    if any(str(rating).lower() != "normal" for rating in ratings if rating):
        return True
    if any(response.get(key) for key in _ERROR_KEYS) or _VPC_CODE.fullmatch(str(response.get("code", ""))):
        return True
    return _status(response) in _FAILED


def _requested(response: dict[str, Any]) -> bool:
    """Tell the request of a job from its result: it has the job's id and not yet an end."""
    return _status(response) in _UNDER_WAY or ("job_id" in response and not _status(response))


def _status(response: dict[str, Any]) -> str:
    return str(response.get("status") or "").upper()
