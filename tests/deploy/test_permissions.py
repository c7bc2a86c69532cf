"""The agency's permissions and what the client calls: neither is more than the other."""

from __future__ import annotations

import re

from handler.emulator.operations import Behaviour, Fault
from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from tests.support.deploy_terraform import MODULE
from tests.support.function import Function
from tests.support.tenant import delete, deleted, operations, server_deleted, timer

ACTIONS = {
    "list_sessions": "vpc:trafficMirrorSessions:list",
    "show_session": "vpc:trafficMirrorSessions:get",
    "remove_sources": "vpc:trafficMirrorSessions:removeSource",
    "list_ports": "vpc:ports:list",  # to version 1.1, vpc:ports:get
    "show_port": "vpc:ports:get",
}
"""The action that an operation of the API asks for. Source: VPC API reference, permissions and actions."""


def test_the_agency_may_do_what_the_client_calls_and_nothing_else(
    function: Function, tenant: Tenant, emulator: Emulator
) -> None:
    function.post(deleted(delete(tenant, "api-3")))  # list, verify, remove
    emulator.behaviour = Behaviour(stale_removals=True)
    function.post(deleted(delete(tenant, "web-1")))  # an answer that proves nothing: the session is read again
    emulator.faults.append(Fault("remove_sources", "lost"))
    function.post(deleted(delete(tenant, "db-1")))
    delete(tenant, "mail-1")
    function.post(server_deleted("0b8e5a7c-94d1-4f36-a2c7-5de813f0694b"))
    function.post(timer())
    function.post({"type": "io.unmirror.check.due.v1", "id": "by-hand", "data": {}})

    granted = set(re.findall(r'"(vpc:\w+:\w+)"', (MODULE / "modules/agency/main.tf").read_text("utf-8")))
    called = set(operations(emulator)) - {"unknown"}  # the check asks first whether anybody answers at all
    assert granted == {ACTIONS[operation] for operation in called}
