"""SECURITY.md names tests that there are, kinds of attacks that are tried, and limits that are kept."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from handler.events import parser as reading
from handler.events import strict_json as strict
from handler.mirror.detach import STILL_THERE_PAUSES
from handler.settings import MOST_BATCH_BYTES, Settings
from handler.vpc import client, replies, transport
from handler.web import app as web
from handler.web import auth as admission
from handler.web import fetch, smn
from tests.hostile.attacks.table import TABLE

PAGE = Path("SECURITY.md").read_text("utf-8")
NODES = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
KINDS = sorted(set(re.findall(r"`attacks: ([^`X]+)`", PAGE)))


@cache
def functions_in(path: str) -> set[str]:
    """Return the names of a file's tests, without importing it."""
    tree = ast.parse(Path(path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("path", "name"), NODES)
def test_each_test_that_is_named_is_there(path: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in functions_in(path)


def test_every_kind_of_attack_is_named_and_no_other() -> None:
    assert sorted(TABLE) == KINDS


def test_every_attack_names_what_shows_that_it_is_stopped() -> None:
    rows = re.search(r"\n\| attack \|.*?\n\n", PAGE, re.DOTALL)
    assert rows is not None
    shown = [row.split(" | ")[2] for row in rows[0].strip().splitlines()[2:]]
    assert len(shown) > 15
    assert [each for each in shown if not re.search(r"`(tests/\S+::\w+|attacks: [\w -]+)`", each)] == []


@pytest.mark.parametrize(
    "limit",
    [
        f"{web.MAX_BODY // 1024} KiB; of a batch of CloudEvents up to {MOST_BATCH_BYTES // 2**20} MiB",
        f"| path and query | {web.MAX_TARGET // 1024} KiB |",
        f"`UNMIRROR_DEADLINE`, {Settings().deadline:g} s",
        f"digits of an integer | {strict.MAX_NESTING}; 4,300 |",
        f"| {reading.MAX_DEPTH}; {reading.MAX_EVENTS:,}; {reading.MAX_INTERFACES:,} a delivery |",
        f"| {len(STILL_THERE_PAUSES) + 1} within {round(sum(STILL_THERE_PAUSES) + 0.5)} s |",
        f"| {admission.WEBHOOK_TOLERANCE.seconds // 60} minutes; {smn.OLDEST.seconds // 3600} hour |",
        f"| {fetch.PAGE_BYTES // 1024} KiB, {fetch.PAGE_SECONDS}, {smn.MOST_CERTIFICATES}, {smn.MOST_FAILURES} |",
        f"| {transport.MAX_BODY // 2**20} MiB, {transport.READ_SECONDS:g}, {client.MAX_TRIES}, {replies.MOST_REST:g} |",
        f"`UNMIRROR_SWEEP_LIMIT`, {Settings().sweep_limit.number:g} % of the sources",
    ],
)
def test_each_limit_is_the_one_that_is_kept(limit: str) -> None:
    assert limit in PAGE
