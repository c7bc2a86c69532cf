"""The agency's permissions and what the client calls: neither is more than the other."""

from __future__ import annotations

from pathlib import Path

from handler.emulator.sample import Tenant
from handler.emulator.server import Behaviour, Emulator, Fault
from tests.deploy.terraform import Configuration, constants
from tests.support.function import Function
from tests.web.test_on_event import delete, deleted, operations

ACTIONS = {
    "list_sessions": "vpc:trafficMirrorSessions:list",
    "show_session": "vpc:trafficMirrorSessions:get",
    "create_session": "vpc:trafficMirrorSessions:create",
    "update_session": "vpc:trafficMirrorSessions:update",
    "delete_session": "vpc:trafficMirrorSessions:delete",
    "add_sources": "vpc:trafficMirrorSessions:addSource",
    "remove_sources": "vpc:trafficMirrorSessions:removeSource",
    "list_ports": "vpc:ports:list",
    "show_port": "vpc:ports:get",
    "delete_port": "vpc:ports:delete",
}
"""The action that each operation of the API asks for. Source: VPC API reference, permissions and actions."""


def test_the_agency_may_do_what_the_client_calls_and_nothing_else(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    function.post(deleted(delete(tenant, "api-3")))  # look, verify, act
    emulator.behaviour = Behaviour(stale_removals=True)
    function.post(deleted(delete(tenant, "web-1")))  # an answer that proves nothing: the session is read again
    emulator.faults.append(Fault("remove_sources", "lost"))
    function.post(deleted(delete(tenant, "db-1")))
    delete(tenant, "mail-1")
    function.post({"version": "v1.0", "time": "2026-01-01T00:00:00Z", "trigger_type": "TIMER", "trigger_name": "sweep"})

    role = Configuration.of(Path("deploy/functiongraph")).resource("huaweicloud_identity_role.execution")
    (statement,) = constants(role["policy"])["Statement"]
    assert statement["Effect"] == "Allow"
    assert set(statement["Action"]) == {ACTIONS[operation] for operation in operations(emulator)}
