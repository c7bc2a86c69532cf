"""Build the code package of FunctionGraph's own Python runtime, for Linux x86-64, the same bytes every time.

    python deploy/functiongraph/build_zip.py [--python 3.12] [--interpreter PATH] [--otel] [--out unmirror.zip]

It holds index.py, the project's wheel without its command line, the wheels that the lock names, unpacked at the top,
and the bytecode of all of it. It needs `pip install hatchling`, what pip is configured to fetch from, and a Python of
the runtime's version for the bytecode.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
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

CODE_ROOT = "/opt/function/code"
"""Where the runtime unpacks the package; tracebacks name it."""

LEFT_OUT = ("handler/cli", "handler/emulator", "handler/schemas/cli")
"""What only the command line uses."""


NO_BYTECODE = (
    "No Python {} was found: without its bytecode each cold start compiles every line. Name one by --interpreter."
)


def main(arguments: list[str] | None = None) -> None:
    """Build the package; print its path, size and SHA-256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="3.12", help="the runtime's version (default 3.12)")
    parser.add_argument("--interpreter", help="a Python of that version (default: the one on the PATH)")
    parser.add_argument("--otel", action="store_true", help="with what sends metrics and traces")
    parser.add_argument("--out", type=Path, default=HERE / "unmirror.zip")
    options = parser.parse_args(arguments)
    if options.interpreter and _version(options.interpreter) != options.python:
        parser.error(f"{options.interpreter} is no Python {options.python}: the runtime reads no other's bytecode")
    lock = HERE / ("requirements-otel.txt" if options.otel else "requirements.txt")
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "code")
        _gather(code, Path(folder), lock, options.python)
        if interpreter := options.interpreter or _find(options.python):
            _compile(code, interpreter)
        else:
            _say(NO_BYTECODE.format(options.python), err=True)
        _write(code, options.out)
    content = options.out.read_bytes()
    _say(f"{options.out} {len(content)} bytes sha256:{hashlib.sha256(content).hexdigest()}")


def _gather(code: Path, work: Path, lock: Path, python: str) -> None:
    """Unpack all wheels into one folder; raise CalledProcessError when pip cannot get one."""
    locked = work / "locked.txt"
    locked.write_text("".join(_locked(lock.read_text("utf-8"), python)), "utf-8")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(work), str(TOP))
    _pip(
        *("download", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(work)),
        *("--implementation", "cp", "--python-version", python, "--platform", PLATFORM, "-r", str(locked)),
    )
    for wheel in sorted(work.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            if any(".data/" in name for name in archive.namelist()):
                raise SystemExit(f"{wheel.name} wants a file outside of the import path, which a package has not")
            archive.extractall(code)
    for name in LEFT_OUT:
        shutil.rmtree(code / name)
    shutil.copy(HERE / "index.py", code)


def _locked(lock: str, python: str) -> Iterator[str]:
    """Yield the lock's entries for that version of Python: pip asks markers about the Python that it runs on."""
    target = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    for entry in re.findall(r"^[a-z].*(?:\n +--hash.*)*\n", lock, re.MULTILINE):
        pin, _, hashes = entry.partition("\\\n")
        requirement = Requirement(pin)
        if requirement.marker is None or requirement.marker.evaluate(target):
            yield f"{requirement.name}{requirement.specifier} \\\n{hashes}"


def _find(python: str) -> str | None:
    """Return a Python of that version: the one that runs this, or the one on the PATH that is more than a name."""
    candidates = (sys.executable, shutil.which(f"python{python}"))
    return next((each for each in candidates if each and _version(each) == python), None)


def _version(interpreter: str) -> str:
    asked = [interpreter, "-c", "import sys; print('{}.{}'.format(*sys.version_info))"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - our own words


def _compile(code: Path, interpreter: str) -> None:
    """Write bytecode that is never compared with its source: the package is only ever replaced as a whole."""
    command = [interpreter, "-m", "compileall", "-q", "-s", str(code), "-p", CODE_ROOT]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}  # sets among the constants are written in the order of hashes
    subprocess.run([*command, "--invalidation-mode", "unchecked-hash", str(code)], check=True, env=environment)  # noqa: S603


def _write(code: Path, out: Path) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for path in sorted(path for path in code.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(code).as_posix(), EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is built: the next line is its permissions
            entry.external_attr = 0o100644 << 16
            package.writestr(entry, path.read_bytes())


def _pip(*words: str) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *words], check=True, env=environment)  # noqa: S603 - our own words


def _say(line: str, *, err: bool = False) -> None:
    print(line, file=sys.stderr if err else sys.stdout)


if __name__ == "__main__":
    main()
