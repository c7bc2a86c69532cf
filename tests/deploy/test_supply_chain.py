"""What is installed beside our own code: locked whole, by what the project asks for, and listed where it is shipped.

These tests ask no index: they follow the requirements of the locked packages as far as the same versions are
installed here. `deploy/lock --check` asks the index, and follows all of them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
IMAGE, EXTRAS = (Path("deploy/container") / name for name in ("requirements.txt", "requirements-extras.txt"))
LOCKS = {
    IMAGE: PROJECT["dependencies"],
    EXTRAS: [
        *PROJECT["dependencies"],
        *(each for name in ("otel", "smn") for each in PROJECT["optional-dependencies"][name]),
    ],
    Path("deploy/container/build-requirements.txt"): ["hatchling"],
    Path("deploy/functiongraph/requirements.txt"): [
        each for each in PROJECT["dependencies"] if not each.startswith("functions-framework")
    ],
}
"""What is asked for, by lock."""
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def entries(lock: Path) -> dict[str, tuple[list[Requirement], set[str]]]:
    """Return the versions that a lock has, by name, and the hashes of each name's files."""
    found: dict[str, tuple[list[Requirement], set[str]]] = {}
    for entry in re.split(r"\n(?=\S)", lock.read_text("utf-8")):
        if entry.startswith("#"):
            continue
        requirement = Requirement(entry.partition(" \\\n")[0])
        versions, hashes = found.setdefault(canonicalize_name(requirement.name), ([], set()))
        versions.append(requirement)
        hashes.update(re.findall(r"sha256:([0-9a-f]{64})", entry))
    return found


def environment(python: str) -> dict[str, str]:
    """Return the environment that a Python on Linux has, as markers see it."""
    here = {name: str(value) for name, value in default_environment().items()}
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    return {**here, **linux, "python_version": python, "python_full_version": f"{python}.1"}


def pins(lock: Path, python: str) -> dict[str, Version]:
    """Return the version of each package that a Python gets."""
    there = environment(python)
    return {
        name: Version(str(version.specifier).removeprefix("=="))
        for name, (versions, _) in entries(lock).items()
        for version in versions
        if version.marker is None or version.marker.evaluate(there)
    }


def requirements(name: str, version: Version) -> list[Requirement]:
    """Return what a package asks for, nothing where that version is not installed here."""
    try:
        installed = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return []
    return [Requirement(each) for each in installed.requires or []] if Version(installed.version) == version else []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_a_lock_satisfies_what_is_asked_for_and_what_that_asks_for(lock: Path, python: str) -> None:
    locked, there = pins(lock, python), environment(python)
    todo = [("the project", Requirement(each)) for each in LOCKS[lock]]
    passed: set[tuple[str, str]] = set()
    wrong = []
    while todo:
        by, asked = todo.pop()
        name = canonicalize_name(asked.name)
        if (by, str(asked)) in passed:
            continue
        passed.add((by, str(asked)))
        if name not in locked or not asked.specifier.contains(locked[name], prereleases=True):
            wrong.append(f"{by} asks for {asked}, locked is {locked.get(name)}")
            continue
        for each in requirements(name, locked[name]):
            extras = ("", *asked.extras)
            if each.marker is None or any(each.marker.evaluate({**there, "extra": extra}) for extra in extras):
                todo.append((name, each))
    assert wrong == []
    assert len(passed) >= len(LOCKS[lock])


@pytest.mark.parametrize("lock", [IMAGE, EXTRAS], ids=lambda lock: lock.name)
def test_the_bill_of_materials_lists_every_locked_package_with_its_hashes(lock: Path, tmp_path: Path) -> None:
    bill = tmp_path / "sbom.json"
    command = [sys.executable, "deploy/container/sbom.py", str(bill), lock.name]
    made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert made.returncode == 0, made.stderr
    told = json.loads(bill.read_text("utf-8"))
    assert (told["bomFormat"], told["metadata"]["component"]["name"]) == ("CycloneDX", "unmirror")
    listed: dict[str, tuple[set[str], set[str]]] = {}
    for component in told["components"]:
        versions, hashes = listed.setdefault(canonicalize_name(component["name"]), (set(), set()))
        versions.add(f"=={component['version']}")
        hashes.update(each["content"] for found in component["externalReferences"] for each in found["hashes"])
    assert listed == {
        name: ({str(version.specifier) for version in versions}, hashes)
        for name, (versions, hashes) in entries(lock).items()
    }
