"""What is installed beside our own code: locked whole, by what the project asks for, and listed where it is shipped.

That each lock is what an index resolves to, and the image's versions are the package's, `deploy/lock --check` sees.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.processes import run

PROJECT: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))
ASKED, EXTRAS = PROJECT["project"]["dependencies"], PROJECT["project"]["optional-dependencies"]
CONTAINER, FUNCTIONGRAPH = Path("deploy/container"), Path("deploy/functiongraph")
WRITTEN_FROM = {
    CONTAINER / "build-requirements.in": PROJECT["build-system"]["requires"],
    FUNCTIONGRAPH / "requirements.in": ASKED,
    FUNCTIONGRAPH / "requirements-otel.in": EXTRAS["otel"],
}
"""What the project asks for where a lock is not written from pyproject.toml itself."""


@pytest.mark.parametrize("lock", sorted(Path("deploy").glob("*/*requirements*.txt")), ids=str)
def test_every_line_of_a_lock_is_a_version_with_its_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text("utf-8")
    lines = re.findall(r"^[a-z].* \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", text, re.MULTILINE)
    assert "".join([*re.findall(r"^#.*\n", text, re.MULTILINE), *lines]) == text
    assert "://" not in text
    assert "file:" not in text


@pytest.mark.parametrize("written_from", WRITTEN_FROM, ids=str)
def test_what_a_lock_is_written_from_is_what_the_project_asks_for(written_from: Path) -> None:
    """But for the web framework, which FunctionGraph's own runtime never imports."""
    lines = re.findall(r"^(?!#|-r requirements\.in$).+", written_from.read_text("utf-8"), re.MULTILINE)
    assert sorted(lines) == sorted(
        each for each in WRITTEN_FROM[written_from] if not each.startswith("functions-framework")
    )


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-extras.txt"])
def test_the_bill_of_materials_lists_every_locked_package_with_its_hashes(lock: str, tmp_path: Path) -> None:
    bill = tmp_path / "sbom.json"
    made = run(sys.executable, "deploy/container/sbom.py", str(bill), lock)
    assert made.returncode == 0, made.stderr
    told = json.loads(bill.read_text("utf-8"))
    assert (told["bomFormat"], told["metadata"]["component"]["name"]) == ("CycloneDX", "unmirror")
    listed = {
        (canonicalize_name(component["name"]), component["version"], each["content"])
        for component in told["components"]
        for found in component["externalReferences"]
        for each in found["hashes"]
    }
    assert listed == _locked(CONTAINER / lock)


def _locked(lock: Path) -> set[tuple[str, str, str]]:
    """Return name, version and hash of each file that a lock allows."""
    found = set()
    for text in re.split(r"\n(?=\S)", lock.read_text("utf-8")):
        if not text.startswith("#"):
            requirement = Requirement(text.partition(" \\\n")[0])
            name, version = canonicalize_name(requirement.name), str(requirement.specifier).removeprefix("==")
            found |= {(name, version, hash_) for hash_ in re.findall(r"sha256:([0-9a-f]{64})", text)}
    return found
