"""The module deploy/functiongraph, and real Terraform, where it is found, with a stand-in for its provider."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import run

MODULE = Path("deploy/functiongraph")
PROVIDER = Path("tests/support/deploy_provider.py").resolve()

ADDRESS, VERSION = "registry.terraform.io/huaweicloud/huaweicloud", "1.97.1"
"""Where a filesystem mirror keeps the provider, and the version that the table was read from."""

SDK = "tf>=1.2,<2"
"""Speaks Terraform's plugin protocol; in a folder of its own, because it wants an old protobuf."""


def find_terraform() -> str:
    """Return the command; skip the test where there is none."""
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("no terraform")
    return found


def install_stand_in(folder: Path) -> Path:
    """Make a mirror with the stand-in provider; return Terraform's configuration that uses it alone."""
    done = run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(folder / "sdk"), SDK)
    if done.returncode:
        pytest.skip(f"uv cannot get {SDK}: {done.stderr.splitlines()[0]}")
    platform = json.loads(run(find_terraform(), "version", "-json").stdout)["platform"]
    program = folder / "mirror" / ADDRESS / VERSION / platform
    program.mkdir(parents=True)
    program /= "terraform-provider-huaweicloud"
    program.write_text(f"#!/bin/sh\nPYTHONPATH={folder}/sdk exec {sys.executable} -B -S {PROVIDER}\n", "utf-8")
    program.chmod(0o755)
    configuration = folder / "terraformrc"
    configuration.write_text(
        f'provider_installation {{\nfilesystem_mirror {{\npath = "{folder}/mirror"\n}}\n}}\n', "utf-8"
    )
    return configuration


class Terraform:
    """Real Terraform with the stand-in provider, in a root module: a folder of a copy of deploy/functiongraph."""

    def __init__(self, copy: Path, root: str, configuration: Path, recorded: object) -> None:
        """Take what CTS of the region records, as the provider's data source has it."""
        self.folder = copy / root
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(configuration.parent),
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_ARGS": "-no-color",
            "TF_CLI_CONFIG_FILE": str(configuration),
            "STAND_IN_OPERATIONS": json.dumps(recorded),
        }
        self.run("init", "-input=false")

    def run(self, command: str, *words: str, expect: int = 0, **variables: object) -> str:
        """Run a command of Terraform; return what it says, in one line."""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in variables.items()}
        given = (f"-var={name}={text}" for name, text in texts.items())
        done = run(find_terraform(), command, *words, *given, cwd=self.folder, env=self.environ)
        assert done.returncode == expect, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    def apply(self, *, expect: int = 0, **variables: object) -> str:
        """Apply without a question."""
        return self.run("apply", "-input=false", "-auto-approve", expect=expect, **variables)

    def has_no_change(self, **variables: object) -> bool:
        """Whether a plan finds nothing to do."""
        return "No changes." in self.run("plan", "-input=false", "-detailed-exitcode", **variables)

    def state(self) -> dict[str, Any]:
        """Return what `terraform show` has of the values."""
        return dict(json.loads(self.run("show", "-json"))["values"])

    def resources(self) -> dict[str, Mapping[str, Any]]:
        """Return the values of the state's resources by their addresses."""
        return dict(_resources(self.state()["root_module"]))


def _resources(module: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from ((each["address"], each["values"]) for each in module.get("resources", ()) if each["mode"] == "managed")
    for child in module.get("child_modules", ()):
        yield from _resources(child)
