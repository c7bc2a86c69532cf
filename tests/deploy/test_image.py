"""What the image starts, and the image: uid 1003, nothing to write to but /tmp, `/init` and `/invoke`, SIGTERM.

The server is always run, as a process; the image only where BASE_IMAGE names an image that buildah has, on which it
can be built: `tests/deploy/base-image` makes one.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from handler.bulkhead import serving_threads
from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from tests.support.function import Answer, check, settings_for
from tests.support.processes import AS_THE_IMAGE, environment, run, serving
from tests.support.tenant import cts, delete, sources, without

BASE = os.environ.get("BASE_IMAGE", "")
IMAGE = "localhost/unmirror-under-test"
PYTHON = "3.13"
"""Of the base image."""

Served = tuple[subprocess.Popen[Any], str]

pytestmark = pytest.mark.timeout(300)  # for the image, where it is built


def _buildah(*words: str) -> str:
    done = run("buildah", *words, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build the image from a folder of wheels, and return where its files are."""
    if not BASE:
        pytest.skip("builds an image: BASE_IMAGE names the one to build on")
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("needs buildah, and root to mount the image")
    wheels = tmp_path_factory.mktemp("wheels")
    pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    pip += ["--python-version", PYTHON, "--platform", "manylinux2014_x86_64", "--dest"]
    for lock in Path("deploy/container").glob("*requirements.txt"):
        if run(sys.executable, *pip, str(wheels), "-r", str(lock)).returncode:
            pytest.skip("pip cannot get the locked wheels")
    arguments = {"BASE": BASE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    _buildah(
        *("bud", "--quiet", "--pull-never", "--isolation=chroot", f"--volume={wheels}:/wheels:ro", f"--tag={IMAGE}"),
        *(f"--build-arg={name}={value}" for name, value in arguments.items()),
        *("--file=deploy/container/Dockerfile", "."),
    )
    container = _buildah("from", IMAGE)
    yield Path(_buildah("mount", container))
    _buildah("rm", container)
    _buildah("rmi", IMAGE)


@pytest.fixture(scope="module")
def configuration(image: Path) -> dict[str, Any]:
    return dict(json.loads(_buildah("inspect", "--type", "image", IMAGE))["OCIv1"])


ENTER = """
set -eu
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
exec /usr/sbin/chroot --userspec "$user" "$root" "$@"
"""
"""What a container runtime does, as far as it matters here; the process that is started becomes the image's own."""


@dataclass(frozen=True)
class Start:
    """How the server is started, and in which environment."""

    command: Sequence[str]
    environment: Mapping[str, str]
    user: int


@pytest.fixture(params=["process", "image"])
def start(request: pytest.FixtureRequest) -> Start:
    """The server by itself, and in the image: its files read-only but for a /tmp of its own, as the image's user."""
    if request.param == "process":
        return Start(AS_THE_IMAGE, {}, os.geteuid())
    image, configuration = request.getfixturevalue("image"), request.getfixturevalue("configuration")["config"]
    enter = ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(image), configuration["User"]]
    given = dict(entry.split("=", 1) for entry in configuration["Env"])
    return Start([*enter, *configuration["Entrypoint"]], {**given, "PORT": "0", "HOST": "127.0.0.1"}, 1003)


@pytest.fixture
def served(start: Start, emulator: Emulator, tmp_path: Path) -> Iterator[Served]:
    """Start it, and wait until it listens; yield the process and the URL."""
    with serving(start.command, tmp_path, {**start.environment, **settings_for(emulator)}) as served:
        yield served


def _invoke(url: str, event: object) -> dict[str, Any]:
    """Hand an event over as FunctionGraph does; return the report in the envelope that its page asks for."""
    response = requests.post(f"{url}invoke", json=event, timeout=30)
    answer = Answer(response.status_code, response.headers, response.content)
    check(answer)
    assert answer.status == 200
    return answer.enclosed.report


def test_it_is_the_image_that_the_platforms_ask_for(image: Path, configuration: dict[str, Any]) -> None:
    assert (configuration["os"], configuration["architecture"]) == ("linux", "amd64")
    configuration = configuration["config"]
    assert configuration["User"] == "1003:1003"
    assert configuration["Entrypoint"][0].startswith("/"), "the exec form, without a shell"
    assert configuration["StopSignal"] == "SIGTERM"
    assert "PORT=8000" in configuration["Env"]
    assert not list(image.glob("opt/venv/**/pip*")), "nothing to install with"
    writable = [path for top in ("opt", "app") for path in (image / top).rglob("*") if path.stat().st_uid == 1003]
    assert writable == []


@pytest.mark.parametrize("asked", ["", "12"])
def test_the_function_knows_how_many_threads_serve_it(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    """Several projects share them by that number."""
    monkeypatch.setenv("THREADS", asked)
    configured = runpy.run_path("deploy/container/gunicorn.conf.py")
    served = configured["threads"]
    assert configured["limit_request_line"] == 8190, "the most that gunicorn takes"
    assert served == serving_threads(os.environ) == int(asked or 32)


def test_functiongraph_can_call_it(served: Served, start: Start, tenant: Tenant) -> None:
    child, url = served
    before, gone = sources(tenant), delete(tenant)
    assert Path(f"/proc/{child.pid}").stat().st_uid == start.user
    assert requests.post(f"{url}init", json={}, timeout=30).status_code == 200
    assert _invoke(url, cts(gone))["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)


def test_a_removal_under_way_at_sigterm_is_awaited_and_reported_before_it_ends(
    served: Served, tenant: Tenant, emulator: Emulator
) -> None:
    """The signal comes while the function waits for the API, and ends every deadline."""
    child, url = served
    before, gone = sources(tenant), delete(tenant, "web-1")

    async def stop(operation: str) -> None:
        if operation == "remove_sources" and child.poll() is None:
            child.send_signal(signal.SIGTERM)

    emulator.hold = stop
    assert _invoke(url, cts(gone))["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)
    assert child.wait(10) == 0, "GRACE is 8 s"


def test_wrong_settings_stop_the_start(start: Start, tmp_path: Path) -> None:
    ended = run(*start.command, env=environment(tmp_path, **start.environment, UNMIRROR_DRY_RUN="yes"))
    assert ended.returncode != 0
    assert "UNMIRROR_DRY_RUN" in ended.stdout + ended.stderr
