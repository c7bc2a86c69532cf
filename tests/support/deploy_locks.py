"""What the locks of deploy/ hold, and what the project asks for."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))
CONTAINER, FUNCTIONGRAPH = Path("deploy/container"), Path("deploy/functiongraph")


def asked(*extras: str) -> list[str]:
    """Return what the project asks for when it runs, with those extras."""
    project = PROJECT["project"]
    return [*project["dependencies"], *(each for name in extras for each in project["optional-dependencies"][name])]


def without_framework(requirements: list[str]) -> list[str]:
    """Return what FunctionGraph's own runtime needs: the web framework is not imported there."""
    return [each for each in requirements if not each.startswith("functions-framework")]


LOCKS = {
    CONTAINER / "requirements.txt": asked(),
    CONTAINER / "requirements-extras.txt": asked("cli", "otel", "smn"),
    CONTAINER / "build-requirements.txt": PROJECT["build-system"]["requires"],
    FUNCTIONGRAPH / "requirements.txt": without_framework(asked()),
    FUNCTIONGRAPH / "requirements-otel.txt": without_framework(asked("otel")),
}
"""What is asked for, by lock."""


@dataclass(frozen=True)
class Entry:
    """One version of a package in a lock: several where they depend on the Python."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> Version:
        return Version(str(self.requirement.specifier).removeprefix("=="))


def entries(lock: Path) -> list[Entry]:
    """Return what a lock holds."""
    texts = [each for each in re.split(r"\n(?=\S)", lock.read_text("utf-8")) if not each.startswith("#")]
    return [
        Entry(Requirement(text.partition(" \\\n")[0]), frozenset(re.findall(r"sha256:([0-9a-f]{64})", text)))
        for text in texts
    ]


def pins(lock: Path, python: str) -> dict[str, Version]:
    """Return the version of each package that a Python on Linux gets."""
    there = environment(python)
    markers = [(each, each.requirement.marker) for each in entries(lock)]
    return {each.name: each.version for each, marker in markers if marker is None or marker.evaluate(there)}


def environment(python: str) -> dict[str, str]:
    """Return the environment that a Python on Linux has, as markers see it."""
    here = {name: str(value) for name, value in default_environment().items()}
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    return {**here, **linux, "python_version": python, "python_full_version": f"{python}.1"}
