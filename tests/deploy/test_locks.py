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

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.deploy_locks import CONTAINER, FUNCTIONGRAPH, LOCKS, entries, environment, pins

PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def _requirements(name: str, version: Version) -> list[Requirement]:
    """Return what a package asks for, nothing where that version is not installed here."""
    try:
        installed = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return []
    return [Requirement(each) for each in installed.requires or []] if Version(installed.version) == version else []


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_every_line_of_a_lock_is_a_version_with_its_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text("utf-8")
    lines = re.findall(r"^[a-z].* \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", text, re.MULTILINE)
    assert "".join([*re.findall(r"^#.*\n", text, re.MULTILINE), *lines]) == text
    assert "://" not in text
    assert "file:" not in text


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
        for each in _requirements(name, locked[name]):
            extras = ("", *asked.extras)
            if each.marker is None or any(each.marker.evaluate({**there, "extra": extra}) for extra in extras):
                todo.append((name, each))
    assert wrong == []
    assert len(passed) >= len(LOCKS[lock])


def test_the_image_and_the_zip_run_the_same_versions() -> None:
    image = pins(CONTAINER / "requirements-extras.txt", "3.12")
    for lock in (
        CONTAINER / "requirements.txt",
        FUNCTIONGRAPH / "requirements.txt",
        FUNCTIONGRAPH / "requirements-otel.txt",
    ):
        assert pins(lock, "3.12").items() <= image.items()


@pytest.mark.parametrize("lock", ["requirements", "requirements-otel", "build-requirements"])
def test_what_a_lock_is_written_from_is_what_the_project_asks_for(lock: str) -> None:
    (written_from,) = Path("deploy").glob(f"*/{lock}.in")
    base = (FUNCTIONGRAPH / "requirements.in").read_text("utf-8")
    lines = written_from.read_text("utf-8").replace("-r requirements.in\n", base).splitlines()
    assert sorted(line for line in lines if not line.startswith("#")) == sorted(LOCKS[written_from.with_suffix(".txt")])


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-extras.txt"])
def test_the_bill_of_materials_lists_every_locked_package_with_its_hashes(lock: str, tmp_path: Path) -> None:
    bill = tmp_path / "sbom.json"
    command = [sys.executable, "deploy/container/sbom.py", str(bill), lock]
    made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert made.returncode == 0, made.stderr
    told = json.loads(bill.read_text("utf-8"))
    assert (told["bomFormat"], told["metadata"]["component"]["name"]) == ("CycloneDX", "unmirror")
    listed = {
        (canonicalize_name(component["name"]), component["version"], each["content"])
        for component in told["components"]
        for found in component["externalReferences"]
        for each in found["hashes"]
    }
    there = entries(CONTAINER / lock)
    assert listed == {(each.name, str(each.version), hash_) for each in there for hash_ in each.hashes}
