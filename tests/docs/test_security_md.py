"""SECURITY.md names kinds of attacks that are tried, and limits that are kept."""

from __future__ import annotations

import re

import pytest

from handler.events import parser, strict_json
from handler.mirror.retry import STILL_EXISTS_SECONDS
from handler.mirror.worker import MAX_CALLS, SWEEP_CALLS
from handler.settings import Settings
from handler.vpc import replies, transport
from handler.web import app, smn
from tests.hostile.attacks.table import TABLE
from tests.support.pages import ROOT, table

FILE = ROOT / "SECURITY.md"
PAGE = FILE.read_text("utf-8")


def test_every_kind_of_attack_is_named_and_no_other() -> None:
    assert sorted(TABLE) == sorted(set(re.findall(r"`attacks: ([^`X]+)`", PAGE)))


def test_every_attack_names_what_shows_that_it_is_stopped() -> None:
    rows = table(FILE, "attack", "what stops it", "shown by")
    assert len(rows) > 15
    assert [attack for attack, _, shown in rows if not re.search(r"tests/\S+::\w+|attacks: \w", shown)] == []


@pytest.mark.parametrize(
    "limit",
    [
        f"{app.MAX_BODY // 1024} KiB; a CloudEvents batch {app.MAX_BATCH // 2**20} MiB",
        f"| path and query | {app.MAX_URI // 1024} KiB |",
        f"`UNMIRROR_DEADLINE`, {Settings().deadline:g} s",
        f"| nesting of JSON | {strict_json.MAX_NESTING} |",
        f"| {parser.MAX_DEPTH}; {parser.MAX_EVENTS:,}; {parser.MAX_IDS:,} a delivery |",
        f"| {len(STILL_EXISTS_SECONDS) + 1} within {round(sum(STILL_EXISTS_SECONDS) + 0.5)} s |",
        f"| 5 minutes; {smn.MAX_AGE.seconds // 3600} hour |",
        f"| {smn.MAX_PAGE // 1024} KiB, {smn.PAGE_SECONDS} |",
        f"| {transport.MAX_BODY // 2**20} MiB; {replies.MAX_RETRY_AFTER:g} |",
        f"up to {MAX_CALLS} of a project's worker and {SWEEP_CALLS} of its sweep",
        f"`UNMIRROR_SWEEP_LIMIT`, {Settings().sweep_limit.number:g} % of the sources",
    ],
)
def test_each_limit_is_the_one_that_is_kept(limit: str) -> None:
    assert limit in PAGE
