"""What can be said of the files of deploy/ by reading them: linters, locks, and no address of a package index."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONTAINER, FUNCTIONGRAPH = Path("deploy/container"), Path("deploy/functiongraph")
LOCKS = (CONTAINER / "requirements.txt", CONTAINER / "build-requirements.txt", FUNCTIONGRAPH / "requirements.txt")

INDEX_WORDS = ("py" + "pi.org", "python" + "hosted", "--index" + "-url", "--extra-index" + "-url", "/sim" + "ple/")
"""In two parts each, so that this file names none."""


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
    _run("hadolint", str(CONTAINER / "Dockerfile"))


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


# --- locks --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads(Path("pyproject.toml").read_text("utf-8"))


def _pins(lock: Path) -> dict[str, set[str]]:
    """Return the versions that a lock holds by name: several where they depend on the Python."""
    pins: dict[str, set[str]] = {}
    for entry in re.findall(r"^[a-z].*?(?= \\$)", lock.read_text("utf-8"), re.MULTILINE):
        requirement = Requirement(entry)
        pins.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier)[2:])
    return pins


def _asked(lines: list[str]) -> dict[str, Requirement]:
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def _in_file(name: Path) -> dict[str, Requirement]:
    return _asked(name.read_text("utf-8").splitlines())


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_every_line_of_a_lock_is_a_version_with_its_hashes(lock: Path) -> None:
    text = lock.read_text("utf-8")
    entries = re.findall(r"^[a-z].* \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", text, re.MULTILINE)
    comments = re.findall(r"^#.*\n", text, re.MULTILINE)
    assert "".join([*comments, *entries]) == text
    assert "://" not in text
    assert "file:" not in text


def test_the_image_locks_what_the_project_asks_for(project: dict[str, Any]) -> None:
    asked, pins = _asked(project["project"]["dependencies"]), _pins(LOCKS[0])
    assert asked.keys() <= pins.keys()
    assert [pin for name, wanted in asked.items() for pin in pins[name] if not wanted.specifier.contains(pin)] == []


def test_the_image_builds_with_what_the_project_asks_for(project: dict[str, Any]) -> None:
    asked = _in_file(CONTAINER / "build-requirements.in")
    assert asked == _asked(project["build-system"]["requires"])
    pins = _pins(LOCKS[1])
    assert all(wanted.specifier.contains(version) for name, wanted in asked.items() for version in pins[name])


def test_the_zip_leaves_out_the_web_framework_and_nothing_else(project: dict[str, Any]) -> None:
    asked = _asked(project["project"]["dependencies"])
    del asked["functions-framework"]
    assert _in_file(FUNCTIONGRAPH / "requirements.in") == asked
    pins = _pins(LOCKS[2])
    assert asked.keys() <= pins.keys()
    everything = _pins(LOCKS[0])
    assert {name: everything[name] for name in pins} == pins, "the image and the zip run the same versions"


# --- pages ----------------------------------------------------------------------------------------------------

PAGES = sorted(Path("deploy").rglob("*.md"))
PLATFORMS = ("cloudrun", "functiongraph", "host", "knative")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_platforms_page_answers_what_its_user_asks(platform: str) -> None:
    text = Path("deploy", platform, "README.md").read_text("utf-8")
    headings = set(re.findall(r"^## (.*)", text, re.MULTILINE))
    assert headings >= {"What you need", "See that it works", "Cost and quotas", "Remove it"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_points_to_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    named = re.findall(r"(?<![\w/.])(?:deploy|handler|tests)/[\w./-]*[\w/]", text)
    made = {"deploy/functiongraph/unmirror.zip"}
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert [name for name in named if name not in made and not Path(name).exists()] == []
