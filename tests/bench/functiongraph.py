"""Cold starts of FunctionGraph's event functions: our package as it is delivered, and a function with the official SDK.

Both are unpacked in a folder of their own and run by the runtime's Python, from bytecode: FUNCTIONGRAPH_PYTHON, else a
Python 3.12 that is found, else the Python that measures.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from tests.bench import processes
from tests.bench.cloud import Region
from tests.bench.processes import DEPLOYED, PEERS, ROOT

RUNTIME = ROOT / "tests/support/deploy_runtime.py"
CANDIDATES = (
    *(Path(found) for found in [os.environ.get("FUNCTIONGRAPH_PYTHON"), shutil.which("python3.12")] if found),
    *sorted(Path.home().glob(".pyenv/versions/3.12*/bin/python")),
    Path(sys.executable),
)


def first_detachments(starts: int) -> tuple[str, float, float]:
    """Return the runtime's version, and the median seconds from start to the first detachment, ours and the SDK's.

    The peers take turns, and one start of each before them fills the caches.
    """
    python, runtime = next((path, found) for path in CANDIDATES if (found := _version(path)))
    with tempfile.TemporaryDirectory() as folder:
        code = {"unmirror": Path(folder, "unmirror"), "SDK": Path(folder, "sdk")}
        _unpack(code["unmirror"], runtime, python)
        _install_sdk(code["SDK"], python)
        took: dict[str, list[float]] = {peer: [] for peer in code}
        with processes.cloud(Region(sessions=100, deleted=len(code) * (starts + 1))) as cloud:
            gone = iter(cloud.gone)
            settings = {**DEPLOYED, "UNMIRROR_VPC_ENDPOINT": cloud.url}
            for _ in range(starts + 1):
                for peer, path in code.items():
                    took[peer].append(_first_event(python, path, next(gone), settings))
            assert cloud.state()["still_mirrored"] == 0, "each was done"
    ours, theirs = (statistics.median(each[1:]) for each in took.values())
    return runtime, ours, theirs


def _first_event(python: Path, code: Path, interface_id: str, settings: Mapping[str, str]) -> float:
    invocation = {"event": processes.event(interface_id), "user_data": settings, "keys": ("", "", "")}
    began = time.monotonic()
    with subprocess.Popen(
        [python, "-B", "-I", "-S", RUNTIME, code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"NO_PROXY": "*"},
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(invocation) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        seconds = time.monotonic() - began
        process.stdin.close()
    assert "result" in answer, answer
    return seconds


def _unpack(folder: Path, runtime: str, python: Path) -> None:
    """Build our package and unpack it."""
    package = folder.with_suffix(".zip")
    build = ROOT / "deploy" / "functiongraph" / "build_zip.py"
    options = ["--python", runtime, "--interpreter", python, "--out", package]
    subprocess.run([sys.executable, build, *options], check=True, stdout=subprocess.DEVNULL)
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)


def _install_sdk(folder: Path, python: Path) -> None:
    sdk = f"huaweicloudsdkvpc=={version('huaweicloudsdkvpc')}"
    subprocess.run([python, "-m", "pip", "--quiet", "install", "--compile", "--target", folder, sdk], check=True)
    shutil.copy(PEERS / "functiongraph_sdk.py", folder / "index.py")
    subprocess.run([python, "-m", "compileall", "-q", folder / "index.py"], check=True)


def _version(python: Path) -> str:
    """Return `3.12` or the like; empty where that is no Python, such as pyenv's shim for one that is not chosen."""
    asked = [str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
