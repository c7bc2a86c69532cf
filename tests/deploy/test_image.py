"""What the image starts, and the image: uid 1003, nothing to write to but /tmp, `/init` and `/invoke`, SIGTERM.

The server is always run, as a process; the image only where BASE_IMAGE names an image that buildah has, on which it
can be built: `tests/deploy/base-image` makes one.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from handler.bulkhead import serving_threads
from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from tests.support.function import Answer, check, settings_for
from tests.support.tenant import cts, delete, sources, without

BASE = os.environ.get("BASE_IMAGE", "")
IMAGE = "localhost/unmirror-under-test"
PYTHON = "3.13"
"""Of the base image."""

pytestmark = pytest.mark.timeout(300)  # for the image, where it is built


def _buildah(*words: str) -> str:
    done = subprocess.run(["buildah", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
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
        done = subprocess.run([sys.executable, *pip, wheels, "-r", lock], capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            pytest.skip("pip cannot get the locked wheels")
    arguments = {"BASE": BASE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    _buildah(
        *(
            "bud",
            "--quiet",
            "--pull-never",
            "--isolation",
            "chroot",
            "--volume",
            f"{wheels}:/wheels:ro",
            "--tag",
            IMAGE,
        ),
        *(word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")),
        *("--file", "deploy/container/Dockerfile", "."),
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
class Container:
    """One running container."""

    process: subprocess.Popen[str]
    url: str

    def post(self, path: str, body: object) -> Answer:
        response = requests.post(self.url + path, json=body, timeout=30)
        answer = Answer(response.status_code, response.headers, response.content)
        check(answer)
        return answer


@dataclass(frozen=True)
class Start:
    """How the server is started, and in which environment."""

    command: list[str]
    environment: dict[str, str]
    user: int


@pytest.fixture(params=["process", "image"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """The server by itself, and in the image: its files read-only but for a /tmp of its own, as the image's user."""
    if request.param == "process":
        for source in ("handler/main.py", "deploy/container/gunicorn.conf.py"):
            shutil.copy(source, tmp_path)
        command = [sys.executable, "-m", "gunicorn", "--config", str(tmp_path / "gunicorn.conf.py")]
        return Start(command, {"PYTHONPATH": str(Path.cwd()), "HOME": str(tmp_path)}, os.geteuid())
    image, configuration = request.getfixturevalue("image"), request.getfixturevalue("configuration")["config"]
    enter = ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(image), configuration["User"]]
    given = dict(entry.split("=", 1) for entry in configuration["Env"])
    return Start([*enter, *configuration["Entrypoint"]], given, 1003)


@pytest.fixture
def container(start: Start, emulator: Emulator) -> Iterator[Container]:
    """Start it, and wait until it answers."""
    settings = {**settings_for(emulator), "PORT": "0", "HOST": "127.0.0.1", "GUNICORN_LOG_LEVEL": "info"}
    with subprocess.Popen(  # noqa: S603 - our own words
        start.command,
        env={**start.environment, **settings},
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        port = next(found[1] for line in process.stderr if (found := re.search(r"Listening at: \S+:(\d+)", line)))
        url = f"http://127.0.0.1:{port}"
        assert requests.get(url, timeout=30).json()["ready"]
        yield Container(process, url)
        process.kill()


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


def test_functiongraph_can_call_it(container: Container, tenant: Tenant) -> None:
    """Its page asks for an envelope: `isBase64Encoded`, `statusCode`, `headers`, `body`."""
    before, gone = sources(tenant), delete(tenant)
    assert container.post("/init", {}).status == 200
    answer = container.post("/invoke", cts(gone))
    assert (answer.status, answer.enclosed.report["outcome"]) == (200, "detached")
    assert sources(tenant) == without(before, gone)


def test_it_runs_as_its_user_and_ends_when_it_is_told_to(container: Container, start: Start) -> None:
    assert Path(f"/proc/{container.process.pid}").stat().st_uid == start.user
    container.process.send_signal(signal.SIGTERM)
    assert container.process.wait(10) == 0, "GRACE is 8 s"


def test_a_removal_under_way_is_awaited_and_reported_before_it_ends(
    container: Container, tenant: Tenant, emulator: Emulator
) -> None:
    """The signal comes while the function waits for the API, and ends every deadline."""
    before, gone = sources(tenant), delete(tenant, "web-1")

    async def stop(operation: str) -> None:
        if operation == "remove_sources" and container.process.poll() is None:
            container.process.send_signal(signal.SIGTERM)

    emulator.hold = stop
    assert container.post("/invoke", cts(gone)).enclosed.report["outcome"] == "detached"
    assert sources(tenant) == without(before, gone)
    assert container.process.wait(10) == 0


def test_wrong_settings_stop_the_start(start: Start) -> None:
    environment = {**start.environment, "PORT": "0", "HOST": "127.0.0.1", "UNMIRROR_DRY_RUN": "yes"}
    done = subprocess.run(start.command, env=environment, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    assert done.returncode != 0
    assert "UNMIRROR_DRY_RUN" in done.stdout + done.stderr
