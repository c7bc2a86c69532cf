"""N instances behind nginx against one throttled cloud: `python -m tests.bench.instances [EVENTS]`.

Real processes, served as the image serves them; nginx spreads the deliveries by turns, or by the project that they are
about. A sender repeats as a broker does. Prints a table of Markdown for deploy/SCALING.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.cloud import ACCESS_KEY, SECRET_KEY
from tests.bench.processes import ROOT, event

PROJECTS = [f"{number:032x}" for number in range(1, 9)]
SESSIONS, SOURCES = 400, 10
RATE = 40.0
"""Calls a second that the emulated cloud bears, for all projects together."""
LATENCY = 0.02
SENDERS = 64
ATTEMPTS = 12


@dataclass(frozen=True)
class Run:
    """One storm, measured."""

    instances: int
    keyed: bool
    events: int
    seconds: float
    calls: int
    refused: int
    """Calls that the cloud answered with 429."""
    listings: int
    removals: int
    redeliveries: int
    left: int
    """Events that were never done."""
    still_mirrored: int

    def row(self) -> str:
        """Return a row of the table."""
        return (
            f"| {self.instances} | {'project' if self.keyed else 'none'} | {self.seconds:.0f} | {self.calls} | "
            f"{self.calls / self.events:.2f} | {self.listings} | {self.refused} | {self.redeliveries} | {self.left} |"
        )


HEAD = (
    "| instances | key | seconds | calls | calls an event | listings | 429 | redeliveries | left |\n"
    "|--:|---|--:|--:|--:|--:|--:|--:|--:|"
)


def measure(instances: int, keyed: bool, events: int) -> Run:
    """Delete `events` interfaces of eight projects at once, and see what it takes until they are detached."""
    with ExitStack() as stack:
        cloud = stack.enter_context(_cloud(events))
        ports = [stack.enter_context(_instance(cloud.url)) for _ in range(instances)]
        url = stack.enter_context(_nginx(ports, keyed))
        began = time.monotonic()
        redeliveries, left = asyncio.run(_send(url, cloud.gone))
        seconds = time.monotonic() - began
        state = cloud.state()
        counts = state["counts"]
        return Run(
            *(instances, keyed, events, seconds, sum(counts.values()), state["refused"]),
            *(counts.get("list_sessions", 0), counts.get("remove_sources", 0), redeliveries, left),
            state["still_mirrored"],
        )


@dataclass(frozen=True)
class _Cloud:
    process: subprocess.Popen[str]
    url: str
    gone: list[tuple[str, str]]

    def state(self) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))


@contextmanager
def _cloud(deleted: int) -> Iterator[_Cloud]:
    command = [sys.executable, "-m", "tests.bench.instances", "cloud", str(deleted)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        told = json.loads(process.stdout.readline())
        yield _Cloud(process, told["url"], told["gone"])
        process.kill()


def _serve_cloud(deleted: int) -> None:
    """Serve the emulated cloud until standard input ends."""
    from handler.emulator.server import Emulator
    from handler.emulator.state import Cloud

    cloud, gone = Cloud(1), []
    for project_id in PROJECTS:
        left = [cloud.new_id() for _ in range(deleted // len(PROJECTS))]
        gone += [(project_id, id_) for id_ in left]
        for number in range(SESSIONS // len(PROJECTS)):
            dead, left = left[:2], left[2:]
            alive = [cloud.new_id() for _ in range(SOURCES - len(dead))]
            cloud.add_session(project_id, name=f"s-{number}", sources=dead + alive, target_id=cloud.new_id())
    emulator = Emulator(cloud, keys={ACCESS_KEY: SECRET_KEY}, latency=LATENCY, rate_limit=RATE)
    with emulator:
        print(json.dumps({"url": emulator.url, "gone": gone}), flush=True)
        for _ in sys.stdin:
            mirrored = [id_ for project_id in PROJECTS for ids in cloud.sources(project_id).values() for id_ in ids]
            still = len(set(mirrored) & {id_ for _, id_ in gone})
            refused = sum(1 for call in emulator.calls if call.status == 429)
            print(json.dumps({"counts": emulator.counts, "refused": refused, "still_mirrored": still}), flush=True)


@contextmanager
def _instance(endpoint: str) -> Iterator[str]:
    """Serve the function as the image does; yield the address of its socket."""
    with tempfile.TemporaryDirectory() as folder:
        for source in ("handler/main.py", "deploy/container/gunicorn.conf.py"):
            shutil.copy(ROOT / source, folder)
        socket = f"unix:{folder}/socket"
        settings = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "UNMIRROR_VPC_ENDPOINT": endpoint,
            "UNMIRROR_TRUST": "platform",
            "UNMIRROR_PROJECTS": ",".join(PROJECTS),
            "HUAWEICLOUD_SDK_AK": ACCESS_KEY,
            "HUAWEICLOUD_SDK_SK": SECRET_KEY,
        }
        command = [sys.executable, "-m", "gunicorn", "--config", f"{folder}/gunicorn.conf.py", "--bind", socket]
        with subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL, cwd=folder) as process:
            while not Path(folder, "socket").exists():
                time.sleep(0.01)
            yield socket
            process.terminate()


@contextmanager
def _nginx(sockets: list[str], keyed: bool) -> Iterator[str]:
    """Spread deliveries by turns, or by the header that names the project; yield the front's address."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert nginx, "this measurement needs nginx"
    with tempfile.TemporaryDirectory() as folder:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{kind}_temp_path {folder};" for kind in kinds)
        servers = " ".join(f"server {socket};" for socket in sockets)
        Path(folder, "nginx.conf").write_text(
            f"daemon off; user root; pid {folder}/pid; error_log {folder}/log; worker_processes 1;\n"
            f"events {{ worker_connections 4096; }}\nhttp {{ access_log off; {temporary}\n"
            f"upstream function {{ {'hash $http_ce_partitionkey consistent;' if keyed else ''} {servers} }}\n"
            f"server {{ listen unix:{folder}/socket; location / {{ proxy_pass http://function;\n"
            "proxy_read_timeout 60s; proxy_next_upstream off; } } }\n",
            "utf-8",
        )
        with subprocess.Popen(
            [nginx, "-p", folder, "-c", f"{folder}/nginx.conf"], stderr=subprocess.DEVNULL
        ) as process:
            while not Path(folder, "socket").exists():
                time.sleep(0.01)
            yield f"{folder}/socket"
            process.terminate()


async def _send(path: str, gone: list[tuple[str, str]]) -> tuple[int, int]:
    """Send all, repeating as a broker does; return how often it had to, and how many were never done."""
    waiting = list(reversed(gone))
    redeliveries = left = 0
    async with aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(path, limit=SENDERS), timeout=aiohttp.ClientTimeout(120)
    ) as session:

        async def sender() -> None:
            nonlocal redeliveries, left
            while waiting:
                project_id, interface_id = waiting.pop()
                body = event(interface_id)
                body["cts"]["project_id"] = project_id
                for attempt in range(ATTEMPTS):
                    async with session.post(
                        "http://function/", json=body, headers={"ce-partitionkey": project_id}
                    ) as answer:
                        await answer.read()
                        if answer.status < 300:
                            break
                    redeliveries += 1
                    await asyncio.sleep(min(30.0, 0.5 * 2**attempt))
                else:
                    left += 1

        await asyncio.gather(*(sender() for _ in range(SENDERS)))
    return redeliveries, left


def main(events: int) -> None:
    """Measure 1, 2, 4 and 8 instances, without a key and keyed by project."""
    print(HEAD, flush=True)
    for instances in (1, 2, 4, 8):
        for keyed in (False, True) if instances > 1 else (False,):
            run = measure(instances, keyed, events)
            print(run.row(), flush=True)
            assert run.left == run.still_mirrored == 0, run


if __name__ == "__main__":
    if sys.argv[1:2] == ["cloud"]:
        _serve_cloud(int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
