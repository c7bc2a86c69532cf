"""The module deploy/functiongraph: what its files say, and real Terraform, where it is found, with a stand-in."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MODULE = Path("deploy/functiongraph")

ADDRESS, VERSION = "registry.terraform.io/huaweicloud/huaweicloud", "1.97.1"
"""Where a filesystem mirror keeps the provider, and the version that the table was read from."""

SDK = "tf>=1.2,<2"
"""Speaks Terraform's plugin protocol; in an environment of its own, because it wants an old protobuf."""


def operations() -> set[tuple[str, str, str]]:
    """Return service, resource type and name of each operation that the CTS trigger asks for."""
    table = re.findall(r'"(\w+):(\w+)" += \[(.*?)\]', (MODULE / "triggers.tf").read_text("utf-8"), re.DOTALL)
    return {(service, kind, name) for service, kind, names in table for name in re.findall(r'"(\w+)"', names)}


def find_terraform() -> str:
    """Return the command; skip the test where there is none."""
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("no terraform")
    return found


def install_stand_in(folder: Path) -> Path:
    """Make a mirror with the stand-in provider; return Terraform's configuration that uses it alone."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        pytest.skip("no uv, which brings the provider's SDK")
    python = folder / "venv/bin/python"
    for words in (["venv", "--python", sys.executable, folder / "venv"], ["pip", "install", "--python", python, SDK]):
        done = subprocess.run([uv, "--quiet", *words], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            pytest.skip(f"uv cannot get {SDK}: {done.stderr.splitlines()[0]}")
    answer = subprocess.run([find_terraform(), "version", "-json"], capture_output=True, check=True)  # noqa: S603
    platform = json.loads(answer.stdout)["platform"]
    program = folder / "mirror" / ADDRESS / VERSION / platform / "terraform-provider-huaweicloud"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\nexec {python} -B {Path('tests/support/deploy_provider.py').resolve()}\n", "utf-8")
    program.chmod(0o755)
    configuration = folder / "terraformrc"
    configuration.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{folder}/mirror"\n  }}\n}}\n', "utf-8"
    )
    return configuration


@dataclass(frozen=True)
class Resource:
    """A resource of the state."""

    address: str
    type: str
    values: Mapping[str, Any]


class Terraform:
    """Real Terraform with the stand-in provider, in a root module: a folder of a copy of deploy/functiongraph."""

    def __init__(self, copy: Path, root: str, configuration: Path, recorded: object) -> None:
        """Take what CTS of the region records, as the provider's data source has it."""
        self.folder = copy / root
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(configuration.parent),
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": str(configuration),
            "STAND_IN_OPERATIONS": json.dumps(recorded),
        }
        self.run("init", "-input=false")

    def run(self, command: str, *words: str, expect: int = 0, **variables: object) -> str:
        """Run a command of Terraform; return what it says, in one line."""
        given = (
            f"-var={name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in variables.items()
        )
        done = subprocess.run(  # noqa: S603 - our own words
            [find_terraform(), command, "-no-color", *words, *given],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == expect, done.stdout
        return " ".join(done.stdout.split())

    def apply(self, *, expect: int = 0, **variables: object) -> str:
        """Apply without a question."""
        return self.run("apply", "-input=false", "-auto-approve", expect=expect, **variables)

    def has_no_change(self, **variables: object) -> bool:
        """Whether a plan finds nothing to do."""
        return "No changes." in self.run("plan", "-input=false", "-detailed-exitcode", **variables)

    def resources(self) -> list[Resource]:
        """Return the state."""
        shown = subprocess.run(  # noqa: S603
            [find_terraform(), "show", "-json"], cwd=self.folder, env=self.environ, capture_output=True, check=True
        )
        return list(_resources(json.loads(shown.stdout)["values"]["root_module"]))

    def outputs(self) -> dict[str, Any]:
        """Return the outputs' values by name."""
        shown = subprocess.run(  # noqa: S603
            [find_terraform(), "output", "-json"], cwd=self.folder, env=self.environ, capture_output=True, check=True
        )
        return {name: output["value"] for name, output in json.loads(shown.stdout).items()}


def _resources(module: Mapping[str, Any]) -> Iterator[Resource]:
    for each in module.get("resources", ()):
        if each["mode"] == "managed":
            yield Resource(each["address"], each["type"], each["values"])
    for child in module.get("child_modules", ()):
        yield from _resources(child)
