"""What can be said of the files of deploy/ by reading them: linters, headings, and no address of a package index."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import run

INDEX_WORDS = ("py" + "pi.org", "python" + "hosted", "--index" + "-url", "--extra-index" + "-url", "/sim" + "ple/")
"""In two parts each, so that this file names none."""


def _tracked() -> list[Path]:
    """Return the files of the repository: those that git knows, or all of a source archive."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=False)  # noqa: S607
    names = listed.stdout.split("\0") if listed.returncode == 0 else map(str, Path().rglob("*"))
    return [path for path in map(Path, filter(None, names)) if path.is_file() and "peers" not in path.parts]


LINTED = {
    "hadolint": lambda _: ["deploy/container/Dockerfile"],
    "yamllint": lambda files: ["--strict", *(path for path in files if path.suffix in (".yaml", ".yml"))],
    "shellcheck": lambda files: [
        "--exclude=SC1091",  # a file that is not there yet
        *(path for path in files if re.match(rb"#!.*\b(ba)?sh\b", path.read_bytes()[:40])),
    ],
}


@pytest.mark.parametrize("linter", LINTED)
def test_it_is_clean(linter: str) -> None:
    tool = Path(sys.executable).with_name(linter)
    if not tool.exists():
        pytest.skip(f"no {linter} for this platform")
    linted = run(str(tool), *map(str, LINTED[linter](_tracked())))
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_no_file_names_a_package_index() -> None:
    texts = {path: path.read_text("utf-8", errors="replace").lower() for path in _tracked()}
    assert [(path, word) for path, text in texts.items() for word in INDEX_WORDS if word in text] == []


@pytest.mark.parametrize("platform", ["functiongraph", "host", "knative"])
def test_a_platforms_page_answers_what_its_user_asks(platform: str) -> None:
    text = Path("deploy", platform, "README.md").read_text("utf-8")
    headings = set(re.findall(r"^## (.*)", text, re.MULTILINE))
    assert headings >= {"What you need", "See that it works", "Cost and quotas", "Remove it"}
