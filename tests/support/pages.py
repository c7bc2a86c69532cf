"""The documents as data: links, headings, tables, commands and outputs, read as Markdown and not by pattern."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
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


def promised(page: Path) -> list[tuple[Path, str]]:
    """Return the tests that the page's links lead to: their files, and their names, which are the links' titles."""
    inline = (child for token in _tokens(page) for child in token.children or () if child.type == "link_open")
    titled = [(str(each.attrGet("href")), str(each.attrGet("title"))) for each in inline if each.attrGet("title")]
    return [((page.parent / link).resolve(), name) for link, name in titled]


@cache
def names_in(file: Path) -> set[str]:
    """Return the names of a file's tests, with their class and without, and do not import it."""
    found: set[str] = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        names = [each.name for each in getattr(node, "body", ()) if isinstance(each, ast.FunctionDef)]
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {*names, *(f"{node.name}::{name}" for name in names)}
    return found


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
        yield from (re.split("[#|]", line)[0].split() for line in shown if line.startswith("unmirror "))


def outputs(page: Path) -> list[str]:
    """Return the blocks of text that the page shows as printed."""
    return [token.content for token in _tokens(page) if token.type == "fence" and token.info == "text"]


def table(page: Path, *headings: str) -> list[tuple[str, ...]]:
    """Return the rows of all tables of the page with these headings, without markup."""
    return [tuple(row) for header, *rows in _tables(page) if tuple(header) == headings for row in rows]


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
