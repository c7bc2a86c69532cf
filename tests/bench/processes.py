"""Real processes to measure: the emulated region, and functions served by functions-framework, from bytecode."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from compileall import compile_dir
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import requests

from tests.bench.cloud import ACCESS_KEY, PROJECT_ID, SECRET_KEY, Region

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "tests" / "bench" / "peers"
FUNCTIONS = {
    "unmirror": ROOT / "handler" / "main.py",
    "SDK": PEERS / "sdk.py",
    "ok": PEERS / "ok.py",
    "floor": PEERS / "floor.py",
}
DEPLOYED = {
    "UNMIRROR_TRUST": "platform",
    "HUAWEICLOUD_SDK_AK": ACCESS_KEY,
    "HUAWEICLOUD_SDK_SK": SECRET_KEY,
    "HUAWEICLOUD_SDK_PROJECT_ID": PROJECT_ID,
}
"""The settings of every function, beside the endpoint."""
THREADS = 64
"""Of each function's server: as many as a storm has senders, so that none waits for a thread."""


@dataclass(frozen=True)
class CloudProcess:
    """The emulator's process."""

    process: subprocess.Popen[str]
    url: str
    gone: list[str]
    servers: list[str]

    def state(self) -> dict[str, Any]:
        """Return the call counts by operation, and how many places the deleted interfaces still take."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        state: dict[str, Any] = json.loads(self.process.stdout.readline())
        return state


@contextmanager
def cloud(region: Region) -> Iterator[CloudProcess]:
    """Run an emulated region."""
    command = [sys.executable, "-m", "tests.bench.cloud", json.dumps(asdict(region))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        try:
            told = json.loads(process.stdout.readline())
            yield CloudProcess(process, told["url"], told["gone"], told["servers"])
        finally:
            process.kill()


@dataclass(frozen=True)
class FunctionProcess:
    """A function's process."""

    process: subprocess.Popen[bytes]
    url: str
    started: float
    """Monotonic seconds, before the process was made."""

    def resident(self) -> float:
        """Return the resident memory of the processes that serve, MiB."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in children)
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@cache
def compile_once(folder: Path) -> None:
    """Write a folder's bytecode, as an installer does."""
    compile_dir(folder, quiet=1)


@contextmanager
def function(
    name: str, endpoint: str, environ: Mapping[str, str] | None = None, wait: bool = True
) -> Iterator[FunctionProcess]:
    """Serve a function; with `wait`, yield it when it answers."""
    compile_once(ROOT / "handler")
    compile_once(PEERS)
    port = free_port()
    settings = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "THREADS": str(THREADS),
        "UNMIRROR_VPC_ENDPOINT": endpoint,
        **DEPLOYED,
        **(environ or {}),
    }
    command = [sys.executable, "-m", "functions_framework", "--source", str(FUNCTIONS[name]), "--target", "on_event"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    started = time.monotonic()
    process = subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    served = FunctionProcess(process, f"http://127.0.0.1:{port}/", started)
    try:
        if wait:
            listening(served)
            requests.get(served.url, timeout=120)  # the port listens before there is a worker
        yield served
    finally:
        process.terminate()
        process.wait(20)


def listening(served: FunctionProcess, seconds: float = 30) -> None:
    """Return when the function's port takes connections."""
    port = int(served.url.rsplit(":", 1)[1].rstrip("/"))
    end = time.monotonic() + seconds
    while served.process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.002)
        else:
            return
    raise TimeoutError("the function did not start")


def event(resource_id: str, seconds_ago: float = 10, operation: str = "deletePort") -> dict[str, Any]:
    """Return the CTS trace of an operation that was recorded some seconds ago (constructed)."""
    moment = int((time.time() - seconds_ago) * 1000)
    service, resource = ("ECS", "ecs") if "Server" in operation else ("VPC", "ports")
    return {
        "cts": {
            "time": moment,
            "record_time": moment,
            "service_type": service,
            "resource_type": resource,
            "trace_name": operation,
            "trace_type": "ApiCall",
            "trace_rating": "normal",
            "trace_id": f"trace-{resource_id}",
            "resource_id": resource_id,
            "project_id": PROJECT_ID,
            "request": "",
            "response": "",
            "code": 204,
            "user": {"name": "bench"},
        }
    }


def post(url: str, resource_id: str, operation: str = "deletePort") -> requests.Response:
    """Send one event."""
    return requests.post(url, json=event(resource_id, operation=operation), timeout=120)


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
