"""The code package: the same bytes each time, for the right platform, and it runs without anything beside it.

It is run by the Python that runs the tests, or by the one that FUNCTIONGRAPH_PYTHON names.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator, Fault
from handler.events.cts import OPERATIONS
from tests.deploy.terraform import Configuration, constants
from tests.support.function import Answer, check, check_report, settings_for
from tests.web.test_on_event import cloud_event, delete, deleted, sources, through_gateway, trace, without

RUNTIME = os.environ.get("FUNCTIONGRAPH_PYTHON", sys.executable)
KEYS = ("TEMPORARY", "temporary-secret", "temporary-token")
UNOBTAINABLE = ("No matching distribution found", "Could not find a version", "Connection", "Max retries")

Build = Callable[[str], Path]
Invoke = Callable[[object], dict[str, Any]]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return the build script, which is skipped where pip cannot get the wheels of another platform."""

    def build(python: str) -> Path:
        out = tmp_path_factory.mktemp("zip") / "unmirror.zip"
        command = [sys.executable, "deploy/functiongraph/build_zip.py", "--python", python, "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
        if done.returncode and any(reason in done.stderr for reason in UNOBTAINABLE):
            pytest.skip(f"pip cannot get the locked wheels for Python {python}")
        assert done.returncode == 0, done.stderr
        return out

    return build


def _version() -> str:
    asked = [RUNTIME, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


@pytest.fixture(scope="module")
def package(build: Build) -> Path:
    """The package for the Python that is to run it."""
    return build(_version())


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
    assert emulator.door is not None
    emulator.door.keys[KEYS[0]] = KEYS[1:]
    settings = settings_for(emulator, UNMIRROR_TRUST="", HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    command = [RUNTIME, "-I", "-S", "tests/deploy/functiongraph_runtime.py", str(code)]
    with subprocess.Popen(  # noqa: S603 - our own words
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"NO_PROXY": "*"}
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def call(event: object) -> dict[str, Any]:
            stdin.write(json.dumps({"event": event, "user_data": settings, "keys": KEYS}) + "\n")
            stdin.flush()
            return dict(json.loads(stdout.readline()))

        yield call
        stdin.close()
    assert process.returncode == 0


def test_it_is_the_same_bytes_again(build: Build, package: Path) -> None:
    assert build(_version()).read_bytes() == package.read_bytes()


@pytest.mark.parametrize("python", ["3.12"])
def test_its_native_parts_are_of_the_runtimes_version_and_platform(build: Build, python: str) -> None:
    with zipfile.ZipFile(build(python)) as archive:
        names = archive.namelist()
        native = [name for name in names if name.endswith(".so")]
        libraries = {archive.read(name)[:20] for name in native}
    tag = f"cpython-{python.replace('.', '')}-x86_64-linux-gnu.so"
    assert native
    assert all(name.endswith((tag, ".abi3.so")) for name in native)
    assert {(header[:4], header[18]) for header in libraries} == {(b"\x7fELF", 62)}, "62 is x86-64"
    assert {"index.py", "handler/functiongraph.py", "handler/schemas/cts.json"} <= set(names)
    assert not [name for name in names if name.startswith(("flask", "functions_framework", "pip"))]


def test_it_stays_small_enough_for_the_console(package: Path) -> None:
    assert package.stat().st_size < 4_000_000


# --- every trigger of the Terraform ---------------------------------------------------------------------------


def _server(service: str, resource_type: str, name: str) -> dict[str, Any]:
    members = {"resource_id": "0b8e5a7c-94d1-4f36-a2c7-5de813f0694b", "resource_name": "ecs-1", "response": {}}
    return {"cts": trace("unused", service_type=service, resource_type=resource_type, trace_name=name, **members)}


TRACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "deletePort": lambda gone: {"cts": trace(gone)},
    **{
        name: lambda gone, name=name: {  # type: ignore[misc]
            "cts": trace(
                gone,
                service_type="ECS",
                resource_type="ecs",
                trace_name=name,
                request={"nics": [{"id": gone}]},
                response={},
            )
        }
        for name in ("deleteNic", "delNic")
    },
    **{
        row.name: lambda _, row=row: _server(row.service, row.resource_type, row.name)  # type: ignore[misc]
        for row in OPERATIONS
        if row.name.startswith("delete") and row.name not in ("deletePort", "deleteNic", "deleteLoadbalancer")
    },
}


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return Configuration.of(Path("deploy/functiongraph"))


def test_every_operation_of_the_cts_triggers_is_acted_upon(
    invoke: Invoke, tenant: Tenant, emulator: Emulator, configuration: Configuration
) -> None:
    names = [name for service in configuration.locals["operations"].values() for name in service["names"]]
    before = sources(tenant)
    for name, interface in zip(sorted(set(names) - {"deleteLoadbalancer"}), tenant.interfaces, strict=False):
        gone = delete(tenant, interface)
        report = invoke(TRACES[name](gone))["result"]
        check_report(report)
        assert report["outcome"] == "detached", name
        before = without(before, gone)
        assert sources(tenant) == before, name
    assert {call.access_key for call in emulator.calls} == {KEYS[0]}


def test_a_deleted_load_balancer_is_reported_and_nothing_touched(invoke: Invoke, tenant: Tenant) -> None:
    before = sources(tenant)
    members = {"service_type": "ELB", "resource_type": "loadbalancer", "trace_name": "deleteLoadbalancer"}
    report = invoke({"cts": trace("6d0f4c1e-2b7a-4953-8e60-f1c3a59d7b24", **members)})["result"]
    check_report(report)
    assert sources(tenant) == before


def test_the_timer_sweeps_with_the_text_that_the_terraform_gives_it(
    invoke: Invoke, tenant: Tenant, configuration: Configuration
) -> None:
    said = constants(configuration.resource("huaweicloud_fgs_function_trigger.sweep")["event_data"])
    text = constants("${" + said["user_event"].strip("${}") + "}")
    assert set(text) == {"project_id"}
    before, gone = sources(tenant), delete(tenant)
    event = {
        "version": "v1.0",
        "time": "2026-01-01T00:00:00Z",
        "trigger_type": "TIMER",
        "trigger_name": said["name"],
        "user_event": json.dumps({"project_id": PROJECT_ID}),
    }
    assert invoke(event)["result"]["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)


def test_eventgrid_brings_the_same_trace(invoke: Invoke, tenant: Tenant) -> None:
    before, gone = sources(tenant), delete(tenant)
    assert invoke(cloud_event(trace(gone)))["result"]["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)


def test_the_webhook_is_answered_in_the_gateways_envelope(invoke: Invoke, tenant: Tenant) -> None:
    before, gone = sources(tenant), delete(tenant)
    answer = invoke(through_gateway(deleted(gone)))["result"]
    check(Answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode()))
    assert answer["statusCode"] == 200
    assert sources(tenant) == without(before, gone)


def test_the_message_of_a_failure_can_be_sent_again_as_it_is(invoke: Invoke, tenant: Tenant) -> None:
    before, gone = sources(tenant), delete(tenant)
    failure = {
        "timestamp": "2026-01-01T00:00:00Z",
        "request_context": {
            "request_id": "b2f7c480-91ed-4a53-8d06-3e5fa1c79d64",
            "function_urn": f"urn:fss:eu-west-101:{PROJECT_ID}:function:default:unmirror:latest",
            "condition": "UnhandledInvocationError",
            "approximate_invoke_count": 4,
        },
        "request_payload": json.dumps({"cts": trace(gone)}),
        "response_context": {"status_code": 500, "function_error": "Unhandled"},
        "response_payload": "",
    }
    assert invoke(failure)["result"]["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)


def test_an_error_that_a_redelivery_can_mend_is_raised(invoke: Invoke, tenant: Tenant, emulator: Emulator) -> None:
    emulator.faults.append(Fault(status=403, body=b'{"error_code":"VPC.0009","error_msg":"denied","request_id":"r"}'))
    event = {"cts": trace(delete(tenant))}
    assert invoke(event)["error"] == "ApiRefused"
    assert emulator.changes() == []
    assert invoke(event)["result"]["outcome"] == "detached", "as soon as the permission is there"


def test_the_archive_opens_everywhere(package: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(package.read_bytes())) as archive:
        assert archive.testzip() is None
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}
