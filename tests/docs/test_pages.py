"""What the documents say is so: links lead somewhere, tables name what the code has, and the picture is of the demo."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from docs.picture import PICTURE, letters
from handler.cli import options
from handler.cli.app import COMMANDS
from handler.errors import UnmirrorError
from handler.events.schemas import schema
from handler.report import Kept, Outcome, SweepFigures
from handler.settings import NAMES
from handler.vpc import credentials
from tests.cli.golden import GOLDEN
from tests.docs.pages import PAGES, ROOT, anchors, commands, links, table

README, OPERATIONS = ROOT / "README.md", ROOT / "docs" / "operations.md"


# --- links ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if re.match(r"https?:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


class Loads(HTMLParser):
    """What a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        wanted = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}.get(tag)
        if wanted and (url := named.get(wanted)) and named.get("rel") not in ("search", "next", "prev", "index"):
            self.urls.append(url)


def test_the_site_is_built_without_a_broken_link_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-c", "docs", "-W", "--keep-going", "-q", ".", str(site)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)  # noqa: S603 - ours
    assert (built.returncode, built.stderr) == (0, "")
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()
    pages = sorted(site.rglob("*.html"))
    assert {"operations.html", "faq.html", "how-it-works.html", "events.html"} <= {page.name for page in pages}
    loaded = {url for page in pages for url in _loads(page)}
    assert loaded
    assert [url for url in loaded if re.match(r"(\w+:)?//", url)] == []
    for sheet in [*site.rglob("*.css"), *site.rglob("*.svg")]:
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text("utf-8")), sheet


def _loads(page: Path) -> Iterator[str]:
    reader = Loads()
    reader.feed(page.read_text("utf-8"))
    yield from reader.urls


# --- commands -------------------------------------------------------------------------------------------------


def test_every_command_that_is_shown_is_one_with_these_options() -> None:
    shown = [(page.name, words) for page in PAGES for words in commands(page)]
    assert {words[1] for _, words in shown} == COMMANDS.keys()
    for page, (_, name, *more) in shown:
        command = import_module(f"handler.cli.commands.{name}")
        known = {option for parameter in getattr(command, name).params for option in parameter.opts}
        assert [word for word in more if word.startswith("-") and word != "-" and word not in known] == [], (page, name)


# --- the README -------------------------------------------------------------------------------------------------


def test_the_readme_has_the_settings_that_are_read_and_no_others() -> None:
    rows = table(README, "name", "meaning", "default")
    said = {name for row in rows for cell in (row[0], row[2]) for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", cell)}
    assert said == {*NAMES, *(name for name in credentials.NAMES if name.startswith("HUAWEICLOUD_SDK_"))}


def test_each_promise_is_shown_by_tests_that_exist() -> None:
    text = README.read_text("utf-8").split("## What it promises")[1].split("\n## ")[0]
    promises = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert promises
    for promise in promises:
        shown_by = re.findall(r"\[`(test_\w+)`\]\((tests/[\w/]+\.py)\)", promise)
        assert shown_by, promise
        for name, file in shown_by:
            assert re.search(rf"^def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE), name


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len(README.read_text("utf-8").splitlines()) < 250


def test_the_picture_is_of_the_demo_as_it_is() -> None:
    """Drawn anew by `python -m docs.picture`; the command's own tests keep that output in step with the demo."""
    printed = re.sub(r"\d+ ms", "0 ms", (GOLDEN / "demo.txt").read_text("utf-8"))
    drawn = re.sub(r"\d+ms", "0ms", letters(PICTURE.read_text("utf-8")))
    assert drawn == "".join(f"unmirror demo $ unmirror demo {printed}".split())


# --- the runbook ------------------------------------------------------------------------------------------------


def test_the_runbook_has_every_outcome_and_every_reason_to_keep_an_interface() -> None:
    assert [row[0] for row in table(OPERATIONS, "outcome", "level", "means", "do")] == list(get_args(Outcome))
    assert [row[0] for row in table(OPERATIONS, "why", "means", "do")] == list(get_args(get_type_hints(Kept)["why"]))


def test_the_runbook_has_every_problem_with_its_status() -> None:
    rows = table(OPERATIONS, "problem", "status", "sent again", "do")
    kinds = {(kind.slug, str(kind.status), "yes" if kind.retry else "no") for kind in _tree(UnmirrorError)}
    assert {row[:3] for row in rows} == kinds
    assert len(rows) == len(kinds)


def _tree(kind: type[UnmirrorError]) -> Iterator[type[UnmirrorError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _tree(each)


def test_the_runbook_has_every_safety_limit_and_every_exit_code() -> None:
    limits = {row[0] for row in table(OPERATIONS, "sweep.stop", "means", "do")}
    (stops,) = (each for each in get_args(get_type_hints(SweepFigures)["stop"]) if each is not type(None))
    assert limits == set(get_args(stops))
    codes = {code for row in table(OPERATIONS, "code", "means", "do") for code in row[0].split(", ")}
    assert codes == {str(code) for code in (options.DONE, options.FAILED, 2, options.STOPPED, 130, 143)}


def test_the_runbook_has_every_log_event_with_its_level() -> None:
    said = {event: level for event, level, _, _ in table(OPERATIONS, "event", "level", "means", "do")}
    said |= {f"delivery.{row[0]}": row[1] for row in table(OPERATIONS, "outcome", "level", "means", "do")}
    problems = {f"delivery.{row[0]}" for row in table(OPERATIONS, "problem", "status", "sent again", "do")}
    described = {each["const"]: each["title"] for each in schema("log")["properties"]["event"]["oneOf"]}
    sources = "".join(file.read_text("utf-8") for file in (ROOT / "handler").rglob("*.py"))
    written = set(re.findall(r"\blogging\.[A-Z]+, \"([a-z]+(?:\.[a-z_]+)?)\",", sources))
    assert described.keys() | written == said.keys() | (problems & described.keys())
    assert {event: level for event, level in described.items() if event not in problems}.items() <= said.items()
