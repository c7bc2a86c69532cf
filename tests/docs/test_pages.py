"""What the documents say is so: links lead somewhere, tables name what the code has, outputs are as printed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from docs.picture import PICTURE, first_act, letters
from handler.cli.app import COMMANDS
from handler.cli.options import Exit
from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from handler.errors import UnmirrorError
from handler.events.schemas import schema
from handler.model import Kept, SweepFigures
from handler.report import Outcome
from handler.settings import NAMES
from handler.vpc import credentials
from tests.support.cli import Run
from tests.support.function import Function, settings_for
from tests.support.golden import GOLDEN
from tests.support.pages import PAGES, ROOT, commands, outputs, table
from tests.support.processes import run

README, DOCS = ROOT / "README.md", ROOT / "docs"
OPERATIONS = DOCS / "operations.md"


# --- links and names ------------------------------------------------------------------------------------------


def test_the_site_has_every_page_without_a_broken_link_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    built = run(sys.executable, "-m", "sphinx", "-c", "docs", "-W", "--keep-going", "-q", ".", str(tmp_path))
    assert (built.returncode, built.stderr) == (0, "")
    assert (tmp_path / "index.html").read_bytes() == (tmp_path / "README.html").read_bytes()
    assert [page for page in PAGES if not (tmp_path / page.relative_to(ROOT)).with_suffix(".html").exists()] == []
    loads = re.compile(r"""<(?:link|script|img|iframe|source)\b[^>]*(?:src|href)="(?:\w+:)?//|(?:@import|url\()\W*//""")
    shown = [file for file in tmp_path.rglob("*") if file.suffix in (".html", ".css", ".svg")]
    assert [file for file in shown if loads.search(file.read_text("utf-8"))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    """Its files, and its tests: as the title of a link to their file, as pytest spells them, or alone."""
    text = page.read_text("utf-8")
    files = set(re.findall(r"(?<![\w/.-])(?:deploy|handler|tests)/[\w./-]*[\w/]", text)) - {
        "deploy/functiongraph/unmirror.zip"
    }
    assert [name for name in files if not (ROOT / name).exists()] == []
    in_files = {(path, name) for path, name in re.findall(r'(tests/[\w/]+\.py)(?:::| ")((?:\w+::)?test_\w+)', text)}
    assert [name for path, name in in_files if not _defines((ROOT / path).read_text("utf-8"), name)] == []
    alone = set(re.findall(r"`(test_\w{20,})`", text))
    tests = "".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py") if alone)
    assert [name for name in alone if not _defines(tests, name)] == []


def _defines(text: str, name: str) -> bool:
    return all(re.search(rf"^ *(?:class|def) {part}\b", text, re.MULTILINE) for part in name.split("::"))


# --- the commands ---------------------------------------------------------------------------------------------


def test_every_command_that_is_shown_is_one_with_these_options() -> None:
    shown = [(page.name, words) for page in PAGES for words in commands(page)]
    assert {words[1] for _, words in shown} == COMMANDS.keys() - {"help"}
    for page, (_, name, *more) in shown:
        command = import_module(f"handler.cli.commands.{name}")
        known = {option for parameter in getattr(command, name).params for option in parameter.opts}
        assert [word for word in more if word.startswith("-") and word != "-" and word not in known] == [], (page, name)


# --- the README -----------------------------------------------------------------------------------------------


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len(README.read_text("utf-8").split()) <= 1300


def test_each_promise_is_shown_by_a_test() -> None:
    promises = README.read_text("utf-8").split("## What it promises")[1].split("\n## ")[0].split("\n- ")[1:]
    assert len(promises) > 10
    assert [promise for promise in promises if not re.search(r'\]\(tests/[\w/]+\.py "test_\w+"\)', promise)] == []


def test_the_readme_shows_what_is_really_printed(
    function: Function, emulator: Emulator, tenant: Tenant, tmp_path: Path
) -> None:
    tenant.cloud.delete_port(tenant.interfaces["api-3"])
    run = Run(tmp_path, settings_for(emulator, UNMIRROR_REGION="eu-west-101", UNMIRROR_TRUST=""))
    shown = [run.shown("check"), run.shown("sweep", "--dry-run")]
    (event,) = re.findall(r"-d '(.*?)'", README.read_text("utf-8"), re.DOTALL)
    answer = json.dumps(function.post(json.loads(event)).json, indent=4).splitlines()[:6]
    shown.append("".join(f"{line}\n" for line in answer))
    varying = re.compile(r"127\.0\.0\.1:\d+|\d+ ms|\d\.\d s|[ \n]+")  # lines break elsewhere after a longer port
    assert [varying.sub(" ", each) for each in outputs(README)] == [varying.sub(" ", each) for each in shown]


def test_the_picture_is_of_the_demo_as_it_is() -> None:
    """Drawn anew by `python -m docs.picture`; the command's own tests keep that output in step with the demo."""
    printed, drawn = first_act((GOLDEN / "demo.txt").read_text("utf-8")), letters(PICTURE.read_text("utf-8"))
    assert drawn.partition("took")[0] == "".join(f"$ unmirror demo {printed.partition('took')[0]}".split())


# --- settings and answers -------------------------------------------------------------------------------------


def test_the_settings_are_those_that_are_read_and_no_others() -> None:
    rows = table(DOCS / "settings.md", "name", "meaning", "default")
    said = {name for row in rows for cell in (row[0], row[2]) for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", cell)}
    assert said == {*NAMES, *(name for name in credentials.NAMES if name.startswith("HUAWEICLOUD_SDK_"))}


def test_the_answers_are_those_that_are_given() -> None:
    said = {row[0]: row[2] for row in table(DOCS / "answers.md", "status", "when", "sent again")}
    errors = {str(kind.status): "yes" if kind("").retry else "no" for kind in _tree(UnmirrorError)}
    assert said == {"200": "no", "204": "no"} | errors


# --- the runbook ------------------------------------------------------------------------------------------------


def test_the_runbook_has_every_outcome_and_every_reason_to_keep_an_interface() -> None:
    assert [row[0] for row in table(OPERATIONS, "outcome", "level", "means", "do")] == list(get_args(Outcome))
    assert [row[0] for row in table(OPERATIONS, "reason", "means", "do")] == list(
        get_args(get_type_hints(Kept)["reason"])
    )


def test_the_runbook_has_every_problem_with_its_status() -> None:
    rows = table(OPERATIONS, "problem", "status", "sent again", "do")
    kinds = {(kind.slug, str(kind.status), "yes" if kind("").retry else "no") for kind in _tree(UnmirrorError)}
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
    assert codes == {str(int(code)) for code in (*Exit, 2, 130, 143)}


def test_the_runbook_has_every_log_event_with_its_level() -> None:
    said = {event: level for event, level, _, _ in table(OPERATIONS, "event", "level", "means", "do")}
    said |= {f"delivery.{row[0]}": row[1] for row in table(OPERATIONS, "outcome", "level", "means", "do")}
    problems = {f"delivery.{row[0]}" for row in table(OPERATIONS, "problem", "status", "sent again", "do")}
    described = {each["const"]: each["title"] for each in schema("log")["properties"]["event"]["oneOf"]}
    sources = "".join(file.read_text("utf-8") for file in (ROOT / "handler").rglob("*.py"))
    written = set(re.findall(r"\blogging\.[A-Z]+, \"([a-z]+(?:\.[a-z_]+)?)\",", sources))
    assert described.keys() | written == said.keys() | (problems & described.keys())
    assert {event: level for event, level in described.items() if event not in problems}.items() <= said.items()
