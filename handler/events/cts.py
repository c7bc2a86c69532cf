"""What a trace of the Cloud Trace Service (CTS) says: which operation, in which phase, on which interfaces.

Sources: the trace structure, https://support.huaweicloud.com/intl/en-us/usermanual-cts/cts_03_0010.html; the
operations of each service on the pages that OPERATIONS names. No capture of a trace of one of these operations is
public, so ids are looked for wherever the documents let them be.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

from handler.errors import BadEvent, Violation
from handler.events.fields import UUID, as_object, canonical_ids, enrich, select, time
from handler.model import (
    Event,
    EventMetadata,
    Ignored,
    InterfacesDeleted,
    ServersDeleted,
    SweepRequested,
    TargetDeleted,
)

Kind: TypeAlias = Literal["interfaces", "servers", "target"]


class Operation(NamedTuple):
    """An operation that can leave a dead interface in a session, or take a session's target away."""

    service: str
    resource_type: str
    name: str
    deletes: Kind
    ids: tuple[str, ...] = ()
    """Paths at which ids of what it deletes may stand."""

    def __str__(self) -> str:
        return f"{self.service} {self.name}"


_ECS = "ECS", "ecs"
_SUB_JOB = "response.entities.sub_jobs[].entities"
_NIC_IDS = ("request.nics[].id", "response.entities.nic_id", f"{_SUB_JOB}.nic_id")
_SERVER_IDS = ("resource_id", "request.servers[].id", "response.entities.server_id", f"{_SUB_JOB}.server_id")

# All operations that are acted upon. The resource type is not compared: pages and regions differ in it.
OPERATIONS = (
    # https://support.huaweicloud.com/usermanual-vpc/vpc010016.html
    Operation("VPC", "ports", "deletePort", "interfaces", ("resource_id", "response.port.id", "request.port_id")),
    # https://support.huaweicloud.com/intl/en-us/usermanual-ecs/ecs_03_1101.html
    Operation(*_ECS, "deleteNic", "interfaces", _NIC_IDS),
    Operation(*_ECS, "delNic", "interfaces", _NIC_IDS),
    Operation(*_ECS, "changeVpc", "interfaces"),
    Operation(*_ECS, "deleteServer", "servers", _SERVER_IDS),
    Operation(*_ECS, "deleteServerV2", "servers", _SERVER_IDS),
    Operation(*_ECS, "deleteServerV21", "servers", _SERVER_IDS),
    Operation(*_ECS, "deleteVmByNative", "servers", _SERVER_IDS),
    Operation(*_ECS, "deleteSingleServer", "servers", _SERVER_IDS),
    Operation("ECS", "server", "interruptServer", "servers", _SERVER_IDS),
    # Bare Metal Server user guide, operations recorded by CTS
    Operation("BMS", "bms", "deleteBareMetalServers", "servers", _SERVER_IDS),
    # https://support.huaweicloud.com/eu/usermanual-elb/elb_ug_sj_0001.html
    Operation("ELB", "loadbalancer", "deleteLoadbalancer", "target", ("resource_id", "response.loadbalancer.id")),
)


def name_key(*names: str) -> tuple[str, ...]:
    """Return names without case and blanks: one region prints `delete loadbalancer`, others `deleteLoadbalancer`."""
    return tuple("".join(name.split()).lower() for name in names)


_OPERATIONS = {name_key(row.service, row.name): row for row in OPERATIONS}
# The services that the operations belong to, in lower case.
SERVICES = frozenset(row.service.lower() for row in OPERATIONS)
_ID = rf"({UUID})(?![0-9A-Za-z-])"
# What a trace may repeat of the request line: `DELETE /v1/{project_id}/ports/{port_id}`.
_URLS: dict[Kind, str] = {
    "interfaces": rf"/ports/{_ID}",
    "servers": rf"/(?:cloud|baremetal)?servers/{_ID}",
    "target": rf"/loadbalancers/{_ID}",
}


def parse_trace(trace: dict[str, Any], metadata: EventMetadata, at: str = "$") -> Iterator[Event]:
    """Yield the one event of a trace that its schema has found valid, and that stands at a path.

    The rating and the response tell success, never `code`: a failed operation can have 200, and a successful one 0.
    Raises BadEvent where ids have to stand and none of what stands there is one.
    """
    trace = trace | {name: as_object(trace.get(name)) for name in ("request", "response", "user")}
    name, operation = trace["trace_name"], _OPERATIONS.get(name_key(trace["service_type"], trace["trace_name"]))
    metadata = enrich(
        metadata,
        id=trace.get("trace_id"),
        project_id=trace.get("project_id") or trace.get("tenant_id"),
        time=time(trace.get("record_time")) or time(trace.get("time")),
        actor=trace["user"].get("name") or trace["user"].get("user_name"),
        operation=operation and str(operation),
    )
    if operation is None:
        # The form that the API reference gives a name: it goes into logs.
        is_name = re.fullmatch(r"[A-Za-z][0-9A-Za-z_.-]{0,63}", name)
        yield deletion(None, [], metadata, name if is_name else "an operation without a name")
        return
    found = [item for path in operation.ids for item in select(trace, path, at)]
    for member in ("message", "resource_url"):
        found += [(f"{at}.{member}", id_) for id_ in re.findall(_URLS[operation.deletes], trace.get(member) or "")[:1]]
    match _phase(trace, len(canonical_ids(value for _, value in found))):
        case "requested":
            yield Ignored(metadata, f"{operation} was requested; its result follows in another trace", pending=True)
        case "failed":
            yield Ignored(metadata, f"{operation} failed")
        case "completed":
            yield deletion(operation.deletes, found, metadata, str(operation))


def deletion(kind: Kind | None, found: list[tuple[str, object]], metadata: EventMetadata, source: str) -> Event:
    """Return the event of a deletion, from what stands where its ids may stand, each with its path.

    None is the kind of what deletes nothing of ours. Where nothing names an interface or a server, a sweep finds what
    is gone. An interface that is deleted from a server that lives on is swept for as well: the server's other
    interfaces say nothing of it.
    """
    match kind, canonical_ids(value for _, value in found):
        case None, _:
            return Ignored(metadata, f"{source} deletes no interface and no mirror target")
        case "interfaces", ids if ids:
            return InterfacesDeleted(metadata, ids)
        case "servers", ids if ids:
            return ServersDeleted(metadata, ids)
        case "target", (target_id, *_):
            return TargetDeleted(metadata, target_id)
        case "interfaces" | "target", _ if found:
            broken = (Violation(path, "format: uuid") for path, _ in found)
            raise BadEvent(f"{source} does not say which id it deleted", broken)
        case "target", _:
            return Ignored(metadata, f"{source} does not say which load balancer it deleted")
    return SweepRequested(metadata, f"{source} names no interface", by="server")


_ERROR_KEYS = ("error", "errors", "error_code", "error_msg", "errorCode", "fail_reason", "NeutronError", "badRequest")
_UNDER_WAY = ("INIT", "RUNNING", "PENDING")
_FAILED = ("FAIL", "FAILED", "ERROR")


def _phase(trace: dict[str, Any], named: int) -> Literal["requested", "failed", "completed"]:
    """Return what has become of the operation; `named` is how many ids its trace names.

    The request of a job has the job's id and not yet an end. A job that failed counts as completed if it can have
    deleted something all the same: a sub-job did not fail, or it is not told which of several did.
    """
    response = trace["response"]
    job_status, has_error = _status(response), _has_error(response)
    sub_jobs = [as_object(job) for _, job in select(response, "entities.sub_jobs[]")]
    is_open = "job_id" in response and not (job_status or has_error or any(map(_status, sub_jobs)))
    if is_open or job_status in _UNDER_WAY:
        return "requested"
    if not has_error and not any(is_warning(trace.get(name)) for name in ("trace_rating", "trace_status")):
        return "completed"
    if sub_jobs:
        return "failed" if all(map(_has_error, sub_jobs)) else "completed"
    return "completed" if job_status == "SUCCESS" or (job_status in _FAILED and named > 1) else "failed"


def is_warning(rating: object) -> bool:
    """Tell whether a rating says that the operation failed. `incident` says what came of it, not that it failed."""
    return isinstance(rating, str) and rating.lower() == "warning"


def _status(answer: dict[str, Any]) -> str:
    return str(answer.get("status") or "").upper()


def _has_error(answer: dict[str, Any]) -> bool:
    has_code = re.fullmatch(r"[A-Za-z]+\.[0-9]+", str(answer.get("code"))) is not None  # as in VPC.2204
    return has_code or _status(answer) in _FAILED or any(map(answer.get, _ERROR_KEYS))
