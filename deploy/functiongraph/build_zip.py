"""Build the code package of FunctionGraph's own Python runtime, for Linux x86-64, the same bytes every time.

    python deploy/functiongraph/build_zip.py [--python 3.12] [--out deploy/functiongraph/unmirror.zip]

It holds index.py, the project's wheel, and the wheels that requirements.txt locks, unpacked at the top. It needs
`pip install hatchling`, and what pip is configured to fetch from.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member: the earliest that a zip can say."""

PLATFORM = "manylinux2014_x86_64"
"""The oldest C library that wheels are still built for: which one the runtime has is not documented."""


def main(arguments: list[str] | None = None) -> None:
    """Build the package; print its path, size and SHA-256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="3.12", help="the runtime's version: 3.12 or 3.10 (default 3.12)")
    parser.add_argument("--out", type=Path, default=HERE / "unmirror.zip")
    options = parser.parse_args(arguments)
    build(options.python, options.out)
    content = options.out.read_bytes()
    print(f"{options.out} {len(content)} bytes sha256:{hashlib.sha256(content).hexdigest()}")  # noqa: T201 - a command


def build(python: str, out: Path) -> None:
    """Write the package for that version of Python; raise CalledProcessError when pip cannot get a part."""
    with tempfile.TemporaryDirectory() as folder:
        wheels, locked = Path(folder), Path(folder, "locked.txt")
        locked.write_text("".join(_locked((HERE / "requirements.txt").read_text("utf-8"), python)), "utf-8")
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, str(TOP))
        _pip(
            *("download", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", folder),
            *("--implementation", "cp", "--python-version", python, "--platform", PLATFORM, "-r", str(locked)),
        )
        members = {"index.py": (HERE / "index.py").read_bytes()}
        for wheel in sorted(wheels.glob("*.whl")):
            members |= _unpacked(wheel)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is built: the next line is its permissions
            entry.external_attr = 0o100644 << 16
            package.writestr(entry, members[name])


def _unpacked(wheel: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if ".data/" in name:
                raise SystemExit(f"{wheel.name} wants {name} outside of the import path, which a package has not")
            if not name.endswith("/"):
                yield name, archive.read(name)


def _locked(lock: str, python: str) -> Iterator[str]:
    """Yield the lock's entries for that version of Python: pip asks markers about the Python that it runs on."""
    target = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    for entry in re.findall(r"^[a-z].*(?:\n +--hash.*)*\n", lock, re.MULTILINE):
        pin, _, hashes = entry.partition("\\\n")
        requirement = Requirement(pin)
        if requirement.marker is None or requirement.marker.evaluate(target):
            yield f"{requirement.name}{requirement.specifier} \\\n{hashes}"


def _pip(*words: str) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *words], check=True, env=environment)  # noqa: S603 - our own words


if __name__ == "__main__":
    main()
