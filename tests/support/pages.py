"""The documents as data: headings, tables, commands and outputs, read as Markdown and not by pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for top in ("docs", "schemas", "deploy") for page in ROOT.glob(f"{top}/**/*.md"))]
)
"""All documents of the repository."""

_MARKDOWN = MarkdownIt("commonmark").enable("table")


def anchors(page: Path) -> set[str]:
    """Return what a link into the page may name: its headings, spelled as code hosts do."""
    headings = (_plain(each) for each in _nodes(page) if each.type == "heading")
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each call of `unmirror` that the page shows, in a text or in a block of code."""
    for node in _nodes(page):
        if node.type == "code_inline" or (node.type == "fence" and node.info == "sh"):
            lines = node.content.splitlines()
            yield from (re.split("[#|]", line)[0].split() for line in lines if line.startswith("unmirror "))


def outputs(page: Path) -> list[str]:
    """Return the blocks of text that the page shows as printed."""
    return [node.content for node in _nodes(page) if node.type == "fence" and node.info == "text"]


def table(page: Path, *headings: str) -> list[tuple[str, ...]]:
    """Return the rows of all tables of the page with these headings, without markup."""
    found = []
    for node in _nodes(page):
        if node.type == "table":
            header, *rows = [tuple(map(_plain, row.children)) for part in node.children for row in part.children]
            found += rows if header == headings else []
    return found


def _plain(node: SyntaxTreeNode) -> str:
    return "".join(each.content for each in node.walk() if each.type in ("text", "code_inline"))


def _nodes(page: Path) -> Iterator[SyntaxTreeNode]:
    return SyntaxTreeNode(_MARKDOWN.parse(page.read_text("utf-8"))).walk()
