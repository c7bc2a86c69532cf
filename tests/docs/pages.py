"""The documents as data: their links, headings and tables, read as Markdown and not by pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for folder in ("docs", "schemas", "deploy", "tests") for page in ROOT.glob(f"{folder}/**/*.md")),
    ]
)
"""All documents of the repository, in the site or not."""

_MARKDOWN = MarkdownIt("commonmark").enable("table")


def links(page: Path) -> list[str]:
    """Return where the page's links lead and where its pictures are."""
    inline = (child for token in _tokens(page) for child in token.children or ())
    found = [each.attrGet("href") or each.attrGet("src") for each in inline if each.type in ("link_open", "image")]
    return [str(link) for link in found if link]


def anchors(page: Path) -> set[str]:
    """Return what a link into the page may name: its headings, spelled as code hosts do."""
    tokens = _tokens(page)
    headings = (text for opening, text in pairwise(tokens) if opening.type == "heading_open")
    return {re.sub(r"[^\w\- ]", "", plain(each).lower()).replace(" ", "-") for each in headings}


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each call of `unmirror` that the page shows, in a text or in a block of code."""
    for token in _tokens(page):
        if token.type == "fence" and token.info == "sh":
            shown = token.content.splitlines()
        else:
            shown = [child.content for child in token.children or () if child.type == "code_inline"]
        yield from (line.partition("#")[0].split() for line in shown if line.startswith("unmirror "))


def table(page: Path, *headings: str) -> list[tuple[str, ...]]:
    """Return the rows of the page's one table with these headings, as Markdown without its emphasis of code."""
    (found,) = (rows for header, *rows in _tables(page) if tuple(header) == headings)
    return [tuple(row) for row in found]


def plain(inline: Token) -> str:
    """Return a text without its markup."""
    return "".join(child.content for child in inline.children or ())


def _tables(page: Path) -> Iterator[list[list[str]]]:
    rows: list[list[str]] = []
    for token in _tokens(page):
        match token.type:
            case "table_open":
                rows = []
            case "tr_open":
                rows.append([])
            case "inline" if rows and token.level > 3:
                rows[-1].append(plain(token))
            case "table_close":
                yield rows
                rows = []


def _tokens(page: Path) -> list[Token]:
    return _MARKDOWN.parse(page.read_text("utf-8"))
