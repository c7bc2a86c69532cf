"""The demo: the real function, served by functions-framework, against the emulator, over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import requests

from handler.cli import output as show
from handler.cli.options import Common, common, example, fail
from handler.emulator import sample as tenant
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY, Tenant
from handler.emulator.server import Emulator

START_SECONDS = 10.0
NOT_OURS = ("UNMIRROR_", "HUAWEICLOUD_", "RUNTIME_", "HC_", "HTTP_PROXY", "ALL_PROXY")
"""Variables of the surroundings that would lead the demo's function elsewhere."""
VICTIM, SURVIVOR = "api-3", "db-1"


class DemoFailed(Exception):
    """The demo could not show what it claims; the message says what was not so."""


@click.command(epilog=example("unmirror demo", exits="1 where the emulator's state is not as claimed"))
@common("as_json", "quiet")
def demo(chosen: Common) -> None:
    """Watch an event detach a deleted interface.

    Needs no cloud: starts the emulator and the real function, deletes an
    interface, and sends the event over HTTP.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the function's process ends with us
    console = chosen.console()
    console.print("[bold]unmirror[/]: an emulated project with 8 traffic mirror sessions and 30 interfaces,")
    console.print("and the real function, served by functions-framework over HTTP.")
    company = tenant.seed()
    acts = []
    try:
        with closing(play(company)) as played:
            for number, act in enumerate(played, 1):
                acts.append(act)
                show.act(console, number, act, company)
                if act.wrong:
                    break
    except DemoFailed as error:
        fail(str(error), then="see to what it says; `unmirror emulate` serves the emulator alone")
    wrong = [claim for act in acts for claim in act.wrong]
    chosen.print_json({"as_claimed": not wrong, "acts": [asdict(act) for act in acts]})
    chosen.print_result("not as claimed" if wrong else "as claimed")
    console.print()
    if wrong:
        words = "the emulator's state is not as claimed, it is not so that " + "; ".join(wrong)
        fail(words, then="run it again with --json, and please report what it prints")
    console.print("[green]The emulator's state is as claimed.[/] Next: unmirror emulate, and the README.")


@dataclass(frozen=True, slots=True)
class Act:
    """One delivery of the demo: what was sent, what came back, what it cost."""

    title: str
    told: str
    status: int
    report: Mapping[str, Any]
    seconds: float
    calls: Mapping[str, int]
    """API calls by operation, as the emulator counted them."""
    before: Mapping[str, tuple[str, ...]]
    after: Mapping[str, tuple[str, ...]]
    """The sources of each session, as the emulator has them."""
    wrong: tuple[str, ...]
    """What is not as claimed."""


def play(tenant: Tenant) -> Generator[Act, None, None]:
    """Yield the acts one by one; raises DemoFailed when the function does not start."""
    keys = {ACCESS_KEY: SECRET_KEY}
    with (
        Emulator(tenant.cloud, keys=keys) as emulator,
        _direct() as http,
        _function(emulator.url, http) as url,
    ):
        stage = _Stage(tenant, emulator, http, url)
        victim, survivor = tenant.interfaces[VICTIM], tenant.interfaces[SURVIVOR]
        tenant.cloud.delete_port(victim)
        yield stage.act(
            f"The interface of {VICTIM} is deleted",
            "CTS tells of it: VPC, ports, deletePort. Three sessions list the dead interface.",
            cts_event(victim, trace=1),
            expected=(200, "detached"),
            leaving=victim,
        )
        yield stage.act(
            f"Somebody forges the same event about {SURVIVOR}, which lives",
            "The API still shows the interface: refused. The sender may try again later.",
            cts_event(survivor, trace=2),
            expected=(503, "still_exists"),
        )
        yield stage.act(
            "The first event is delivered once more",
            "Delivery is at least once. There is nothing left to do, and that is a success.",
            cts_event(victim, trace=1),
            expected=(200, "nothing_to_do"),
        )


def cts_event(interface_id: str, *, trace: int) -> dict[str, Any]:
    """Return what FunctionGraph's CTS trigger hands on for a deleted interface (constructed)."""
    now = int(time.time() * 1000)
    return {
        "cts": {
            "time": now,
            "user": {"name": "terraform", "id": "0" * 32, "domain": {"name": "example", "id": "1" * 32}},
            "request": "",
            "response": "",
            "code": 204,
            "service_type": "VPC",
            "resource_type": "ports",
            "resource_name": "",
            "resource_id": interface_id,
            "trace_name": "deletePort",
            "trace_type": "ApiCall",
            "trace_rating": "normal",
            "record_time": now,
            "trace_id": f"00000000-0000-4000-8000-{trace:012d}",
            "project_id": PROJECT_ID,
        }
    }


@dataclass(frozen=True, slots=True)
class _Stage:
    tenant: Tenant
    emulator: Emulator
    http: requests.Session
    url: str

    def act(
        self, title: str, told: str, event: Mapping[str, Any], *, expected: tuple[int, str], leaving: str = ""
    ) -> Act:
        before, counts = self._sources(), dict(self.emulator.counts)
        began = time.monotonic()
        answer = self.http.post(self.url, json=event, timeout=30)
        seconds = time.monotonic() - began
        after = self._sources()
        calls = {name: count - counts.get(name, 0) for name, count in self.emulator.counts.items()}
        calls = {name: count for name, count in calls.items() if count}
        report = answer.json()
        should_be = {name: tuple(id_ for id_ in sources if id_ != leaving) for name, sources in before.items()}
        claims = {
            f"the answer is {expected[0]}": answer.status_code == expected[0],
            f"the outcome is {expected[1]}": report.get("outcome") == expected[1],
            "every session has exactly the sources that it should": after == should_be,
            "what should change nothing asked for no change": bool(leaving) == bool(calls.get("remove_sources")),
        }
        wrong = tuple(claim for claim, holds in claims.items() if not holds)
        return Act(title, told, answer.status_code, report, seconds, calls, before, after, wrong)

    def _sources(self) -> dict[str, tuple[str, ...]]:
        sources = self.tenant.cloud.sources(PROJECT_ID)
        return {name: sources[id_] for name, id_ in self.tenant.sessions.items()}


def _direct() -> requests.Session:
    """Return a session that no proxy stands in."""
    session = requests.Session()
    session.trust_env = False
    return session


@contextmanager
def _function(endpoint: str, http: requests.Session) -> Iterator[str]:
    """Serve the function as a process of its own; yield its URL."""
    package = Path(__file__).parents[2]
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="unmirror-") as scratch:
        log = Path(scratch) / "log"
        environ = {
            **{name: value for name, value in os.environ.items() if not name.upper().startswith(NOT_OURS)},
            "UNMIRROR_VPC_ENDPOINT": endpoint,
            "UNMIRROR_TRUST": "platform",
            "HUAWEICLOUD_SDK_AK": ACCESS_KEY,
            "HUAWEICLOUD_SDK_SK": SECRET_KEY,
            "HUAWEICLOUD_SDK_PROJECT_ID": PROJECT_ID,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(package.parent), os.environ.get("PYTHONPATH")))),
            "XDG_RUNTIME_DIR": scratch,  # gunicorn keeps a control socket there
        }
        command = [sys.executable, "-m", "functions_framework", "--source", str(package / "main.py")]
        command += ["--target", "on_event", "--host", "127.0.0.1", "--port", str(port)]
        with log.open("wb") as out:
            child = subprocess.Popen(command, env=environ, stdout=out, stderr=subprocess.STDOUT)  # noqa: S603 - ours
        try:
            url = f"http://127.0.0.1:{port}/"
            _wait(child, http, url, log)
            yield url
        finally:
            child.terminate()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait(child: subprocess.Popen[bytes], http: requests.Session, url: str, log: Path) -> None:
    """Return when the function answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and child.poll() is None:
        try:
            if http.get(url, timeout=1).ok:
                return
        except requests.RequestException:
            time.sleep(0.05)
    last = log.read_text("utf-8", "replace").strip().splitlines()[-5:]
    raise DemoFailed("the function did not start:\n" + "\n".join(last))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
