"""The code package: the same bytes each time, for the right platform, and it runs without anything beside it.

It is run by the Python that runs the tests, or by the one that FUNCTIONGRAPH_PYTHON names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handler.emulator.operations import Fault
from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator
from handler.events.cts import OPERATIONS
from tests.support.function import check_report, settings_for
from tests.support.functiongraph import TEMPORARY
from tests.support.processes import run
from tests.support.tenant import cloud_event, cts, delete, deleted, sources, through_gateway, timer, trace, without

RUNTIME = os.environ.get("FUNCTIONGRAPH_PYTHON", sys.executable)
TOLD = "import sys; print('{}.{}'.format(*sys.version_info), sys.implementation.cache_tag)"
VERSION, CACHE_TAG = run(RUNTIME, "-c", TOLD).stdout.split()

UNOBTAINABLE = ("No matching distribution found", "Could not find a version", "Connection", "Max retries")

Invoke = Callable[[object], dict[str, Any]]


def _build(folder: Path, *words: str, python: str = VERSION, expect: int = 0) -> str:
    """Build the package `unmirror.zip` in a folder; return what is said."""
    out = str(folder / "unmirror.zip")
    done = run(sys.executable, "deploy/functiongraph/build_zip.py", "--python", python, "--out", out, *words)
    if done.returncode and any(reason in done.stderr for reason in UNOBTAINABLE):
        pytest.skip("pip cannot get the locked wheels")
    assert done.returncode == expect, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package for the Python that is to run it."""
    folder = tmp_path_factory.mktemp("zip")
    _build(folder, "--interpreter", RUNTIME)
    return folder / "unmirror.zip"


@pytest.fixture(scope="module")
def code(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as the platform unpacks it."""
    folder = tmp_path_factory.mktemp("code")
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def invoke(code: Path, emulator: Emulator) -> Iterator[Invoke]:
    """Return an instance of the function: a process of its own, with the agency's temporary keys."""
    emulator.keys[TEMPORARY[0]] = TEMPORARY[1:]
    settings = settings_for(emulator, UNMIRROR_TRUST="", HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    command = [RUNTIME, "-I", "-S", "tests/support/deploy_runtime.py", str(code)]
    with subprocess.Popen(  # noqa: S603 - our own words
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"NO_PROXY": "*"}
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def call(event: object) -> dict[str, Any]:
            stdin.write(json.dumps({"event": event, "user_data": settings, "keys": TEMPORARY}) + "\n")
            stdin.flush()
            return dict(json.loads(stdout.readline()))

        yield call
        stdin.close()
    assert process.returncode == 0


# --- what is in it --------------------------------------------------------------------------------------------


def test_it_is_the_same_bytes_again_and_opens_everywhere(package: Path, tmp_path: Path) -> None:
    _build(tmp_path, "--interpreter", RUNTIME)
    assert (tmp_path / package.name).read_bytes() == package.read_bytes()
    assert package.stat().st_size < 4_000_000, "small enough for the console"
    with zipfile.ZipFile(package) as archive:
        assert archive.testzip() is None
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}


def test_every_module_has_the_runtimes_bytecode_which_is_never_compared_with_its_source(code: Path) -> None:
    modules = [path for path in code.rglob("*.py") if "__pycache__" not in path.parts]
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.{CACHE_TAG}.pyc"
        assert compiled.read_bytes()[4:8] == b"\x01\0\0\0", "PEP 552: by hash, unchecked"
    assert b"/opt/function/code/index.py" in (code / f"__pycache__/index.{CACHE_TAG}.pyc").read_bytes()


def test_bytecode_is_the_runtimes_own_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    another = "3.12" if VERSION != "3.12" else "3.13"
    assert "reads no other's bytecode" in _build(tmp_path, "--interpreter", RUNTIME, python=another, expect=2)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "No Python " in _build(tmp_path, python=another)
    with zipfile.ZipFile(tmp_path / "unmirror.zip") as archive:
        assert [name for name in archive.namelist() if name.endswith(".pyc")] == []


def test_its_native_parts_are_of_the_runtimes_version_and_platform(tmp_path: Path) -> None:
    _build(tmp_path, python="3.12")
    with zipfile.ZipFile(tmp_path / "unmirror.zip") as archive:
        names = archive.namelist()
        native = [name for name in names if name.endswith(".so")]
        libraries = {archive.read(name)[:20] for name in native}
    assert native
    assert all(name.endswith(("cpython-312-x86_64-linux-gnu.so", ".abi3.so")) for name in native)
    assert {(header[:4], header[18]) for header in libraries} == {(b"\x7fELF", 62)}, "62 is x86-64"
    assert {"index.py", "handler/functiongraph.py", "handler/schemas/cts.json"} <= set(names)
    left_out = ("flask", "functions_framework", "pip", "handler/cli", "handler/emulator", "handler/schemas/cli")
    assert [name for name in names if name.startswith(left_out)] == []


# --- every trigger of the Terraform ---------------------------------------------------------------------------


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_every_operation_of_the_cts_trigger_is_acted_upon(
    invoke: Invoke, tenant: Tenant, emulator: Emulator, row: Any
) -> None:
    """A trace names the interface, or causes a sweep; a load balancer is a target, and only reported."""
    before, gone = sources(tenant), delete(tenant)
    named = gone if row.name == "deletePort" else "0b8e5a7c-94d1-4f36-a2c7-5de813f0694b"
    event = cts(
        named,
        service_type=row.service,
        resource_type=row.resource_type,
        trace_name=row.name,
        **({"request": {"nics": [{"id": gone}]}} if "ic" in row.name else {}),
    )
    report = invoke(event)["result"]
    check_report(report)
    assert sources(tenant) == (before if row.service == "ELB" else without(before, gone))
    assert {call.access_key for call in emulator.calls} == {TEMPORARY[0]}


FAILURE = {
    "timestamp": "2026-01-01T00:00:00Z",
    "request_context": {
        "request_id": "b2f7c480-91ed-4a53-8d06-3e5fa1c79d64",
        "function_urn": f"urn:fss:eu-west-101:{PROJECT_ID}:function:default:unmirror:latest",
        "condition": "UnhandledInvocationError",
        "approximate_invoke_count": 4,
    },
    "response_context": {"status_code": 500, "function_error": "Unhandled"},
    "response_payload": "",
}
"""What FunctionGraph hands over when its retries are used up, but for the event."""

TRIGGERS: dict[str, Callable[[str], object]] = {
    "timer": lambda _: {**timer(), "user_event": "{}"},
    "EventGrid": lambda gone: cloud_event(trace(gone)),
    "used-up retries": lambda gone: {**FAILURE, "request_payload": json.dumps(cts(gone))},
    "gateway": lambda gone: through_gateway(deleted(gone)),
}


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_so_is_what_the_other_triggers_hand_over(invoke: Invoke, tenant: Tenant, trigger: str) -> None:
    before, gone = sources(tenant), delete(tenant)
    result = invoke(TRIGGERS[trigger](gone))["result"]
    report = json.loads(result["body"]) if trigger == "gateway" else result
    assert report["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)


def test_the_consoles_test_event_tells_what_works_and_changes_nothing(
    invoke: Invoke, tenant: Tenant, emulator: Emulator
) -> None:
    before = sources(tenant)
    delete(tenant)
    report = invoke({"type": "io.unmirror.check.due.v1", "id": "by-hand", "data": {}})["result"]
    check_report(report)
    assert report["error"] is None
    assert emulator.changes() == []
    assert sources(tenant) == before
    emulator.faults.append(Fault("list_sessions", status=403, body=b'{"error_code":"VPC.0009","error_msg":"denied"}'))
    assert "vpc:trafficMirrorSessions:list" in json.dumps(
        invoke({"type": "io.unmirror.check.due.v1", "id": "by-hand", "data": {}})
    )
