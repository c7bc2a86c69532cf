"""What one delivery imports: what is not asked for costs no cold start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from tests.support.function import settings_for
from tests.support.processes import environment, run
from tests.support.tenant import delete, deleted

NEVER = (
    *("handler.cli", "handler.observability.otel", "handler.web.smn"),
    *("rich", "aiohttp", "opentelemetry", "cryptography"),
)
NOT_IN_THE_ZIP = ("functions_framework", "flask", "werkzeug", "click", "cloudevents", "gunicorn")
"""Of what FunctionGraph's own runtime is given."""

BY_FRAMEWORK = """
from functions_framework import create_app
function = create_app("on_event", "handler/main.py", "http").test_client()
assert function.post("/", json=%r).json["outcome"] == "detached"
"""
BY_FUNCTIONGRAPH = """
from handler import functiongraph
from tests.support.functiongraph import Context
assert functiongraph.handler(%r, Context({}, (None, None, None)))["outcome"] == "detached"
"""


@pytest.mark.parametrize(("entry", "never"), [(BY_FRAMEWORK, NEVER), (BY_FUNCTIONGRAPH, NEVER + NOT_IN_THE_ZIP)])
def test_a_delivery_imports_nothing_that_was_not_asked_for(
    entry: str, never: tuple[str, ...], tenant: Tenant, emulator: Emulator, tmp_path: Path
) -> None:
    environ = environment(tmp_path, **settings_for(emulator))
    done = run(sys.executable, "-X", "importtime", "-c", entry % deleted(delete(tenant)), env=environ)
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line}
    assert {"handler.service", "requests"} <= imported
    assert {name for name in imported if name.startswith(never)} == set()
