"""What can be said of the files of deploy/ by reading them: linters, links, and no address of a package index."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INDEX_WORDS = ("py" + "pi.org", "python" + "hosted", "--index" + "-url", "--extra-index" + "-url", "/sim" + "ple/")
"""In two parts each, so that this file names none."""

PAGES = sorted(Path("deploy").rglob("*.md"))


def _run(tool: str, *arguments: str) -> None:
    """Fail with what the tool says, unless it is content."""
    path = shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)
    if path is None:
        pytest.skip(f"no {tool} for this platform")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert done.returncode == 0, done.stdout + done.stderr


def _tracked() -> list[Path]:
    """Return the files of the repository: those that git knows, or all of a source archive."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=False)  # noqa: S607
    names = listed.stdout.split("\0") if listed.returncode == 0 else map(str, Path().rglob("*"))
    return [path for path in map(Path, filter(None, names)) if path.is_file() and "peers" not in path.parts]


def test_the_dockerfile_is_clean() -> None:
    _run("hadolint", "deploy/container/Dockerfile")


def test_the_yaml_is_clean() -> None:
    _run("yamllint", "--strict", *(str(path) for path in _tracked() if path.suffix in (".yaml", ".yml")))


def test_the_scripts_are_clean() -> None:
    scripts = [path for path in _tracked() if re.match(rb"#!.*\b(ba)?sh\b", path.read_bytes()[:40])]
    assert scripts
    _run("shellcheck", "--exclude=SC1091", *map(str, scripts))  # SC1091: a file that is not there yet


def test_no_file_names_a_package_index() -> None:
    found = {
        f"{path}: {word}"
        for path in _tracked()
        for word in INDEX_WORDS
        if word in path.read_text("utf-8", errors="replace").lower()
    }
    assert found == set()


@pytest.mark.parametrize("platform", ["functiongraph", "host", "knative"])
def test_a_platforms_page_answers_what_its_user_asks(platform: str) -> None:
    text = Path("deploy", platform, "README.md").read_text("utf-8")
    headings = set(re.findall(r"^## (.*)", text, re.MULTILINE))
    assert headings >= {"What you need", "See that it works", "Cost and quotas", "Remove it"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_points_to_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    named = re.findall(r"(?<![\w/.])(?:deploy|handler|tests)/[\w./-]*[\w/]", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert [name for name in named if name != "deploy/functiongraph/unmirror.zip" and not Path(name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_test_that_a_page_names_is_there(page: Path) -> None:
    tests = "\n".join(path.read_text("utf-8") for path in Path("tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w{20,})`", page.read_text("utf-8")))
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []
