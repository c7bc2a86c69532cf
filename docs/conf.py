"""The site: the documents of this repository, from where they stand, with every link between them checked.

Build it with `sphinx-build -c docs -W --keep-going -q . build/site` from the top, and open build/site/index.html.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from pygments.lexers import find_lexer_class_for_filename
from sphinx.addnodes import download_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

project = "unmirror"
author = "The authors of unmirror"
copyright = author  # noqa: A001 - Sphinx's name for it
html_title = "unmirror"
html_theme = "furo"  # wide tables scroll by themselves, light and dark, and nothing comes from another host
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_show_sphinx = html_use_index = False
html_permalinks_icon = "#"
extensions = ["myst_parser"]
myst_heading_anchors = 4
root_doc = "README"

TOP = Path(__file__).parents[1]


def _pages(*patterns: str) -> tuple[str, ...]:
    """Return the documents there are, each once, in the order of the patterns."""
    found = (page.relative_to(TOP).with_suffix("").as_posix() for each in patterns for page in sorted(TOP.glob(each)))
    return tuple(dict.fromkeys(found))


PAGES = {
    "Documents": _pages(
        *(f"docs/{page}.md" for page in ("how-it-works", "settings", "events", "answers", "operations", "faq")),
        "docs/*.md",
        "schemas/README.md",
    ),
    "Deploy": _pages("deploy/*/README.md", "deploy/*.md"),
    "Project": tuple(page for page in _pages("*.md") if page != root_doc),
}
"""What is in the menu, under which heading."""

include_patterns = [f"{page}.md" for page in (root_doc, *(page for pages in PAGES.values() for page in pages))]
exclude_patterns = [".*", "build", "dist", "handler", "tests"]


def setup(app: Sphinx) -> None:
    """Add what the documents cannot hold themselves, because they are read in other places, too."""
    app.connect("source-read", _menu)
    app.connect("doctree-read", _labels)
    sources: set[str] = set()
    app.connect("doctree-read", partial(_open_sources, sources), priority=400)  # before Sphinx notes a download, at 500
    app.connect("html-collect-pages", partial(_source_pages, sources))
    app.connect("build-finished", _home)


def _menu(_: Sphinx, page: str, source: list[str]) -> None:
    """Give the README the menu."""
    if page == root_doc:
        for heading, pages in PAGES.items():
            listed = "\n".join(f"/{each}" for each in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{listed}\n```\n"


def _labels(_: Sphinx, page: nodes.document) -> None:
    """Give each cell of a table its column's heading, which shows where a phone is too narrow for columns."""
    for table in page.findall(nodes.table):
        head, *rows = table.findall(nodes.row)
        table["classes"].append("rows")
        for row in rows:
            for heading, cell in zip(head, row, strict=True):
                if cell.astext() and heading is not head[0]:
                    cell[0].insert(0, nodes.inline("", f"{heading.astext()}: ", classes=["label"]))


def _open_sources(sources: set[str], app: Sphinx, page: nodes.document) -> None:
    """Let each link to a source lead to a page that shows it, and note the source; Sphinx would have it downloaded."""
    for link in list(page.findall(download_reference)):
        path, _ = app.env.relfn2path(link["reftarget"])
        sources.add(path)
        uri = app.builder.get_relative_uri(app.env.docname, f"source/{path}")
        link.replace_self(nodes.reference("", "", *link.children, refuri=uri, reftitle=path))


def _source_pages(sources: set[str], app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield a page for each source."""
    for path in sorted(sources):
        text, lexer = (TOP / path).read_text("utf-8"), find_lexer_class_for_filename(path)
        shown = app.builder.highlighter.highlight_block(text, lexer.aliases[0] if lexer else "text", force=True)
        yield f"source/{path}", {"title": path, "body": f"<h1>{path}</h1>{shown}"}, "page.html"


def _home(app: Sphinx, failure: Exception | None) -> None:
    """Let the site begin with the README."""
    if not failure and app.builder.format == "html":
        shutil.copyfile(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")
