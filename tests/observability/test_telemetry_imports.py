"""What one delivery imports: what is not asked for costs no cold start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from tests.support.function import settings_for
from tests.support.processes import environment, run
from tests.web.test_on_event import delete

NEVER = (
    "handler.cli",
    "rich",
    "aiohttp",
    "opentelemetry",
    "cryptography",
    "handler.observability.otel",
    "handler.web.smn",
)

ONE_DELIVERY = """
from functions_framework import create_app
function = create_app("on_event", "handler/main.py", "http").test_client()
event = {"type": "io.unmirror.interface.deleted.v1", "id": "1", "data": {"interface_ids": [%r]}}
assert function.post("/", json=event).json["outcome"] == "detached"
"""
WITHOUT_FRAMEWORK = """
from handler import functiongraph
event = {"type": "io.unmirror.interface.deleted.v1", "id": "1", "data": {"interface_ids": [%r]}}
class Context:
    def getUserData(self, key): return None
    def getSecurityAccessKey(self): return None
    getSecuritySecretKey = getSecurityToken = getSecurityAccessKey
    def getRemainingTimeInMilliSeconds(self): return 30_000
assert functiongraph.handler(event, Context())["outcome"] == "detached"
"""


@pytest.mark.parametrize("entry", [ONE_DELIVERY, WITHOUT_FRAMEWORK])
def test_a_delivery_imports_nothing_that_was_not_asked_for(
    entry: str, tenant: Tenant, emulator: Emulator, tmp_path: Path
) -> None:
    code = entry % delete(tenant)
    environ = environment(tmp_path, **settings_for(emulator))
    done = run(sys.executable, "-X", "importtime", "-c", code, env=environ)
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line}
    assert {"handler.service", "requests", "jsonschema"} <= imported
    assert {name for name in imported if name.startswith(NEVER)} == set()
