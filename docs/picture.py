"""The picture of the demo: its first act, as a terminal shows it. `python -m docs.picture` draws it anew."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path

PICTURE = Path(__file__).with_name("demo.svg")
COLUMNS = 64
"""As many as are still legible where the picture is as wide as a telephone: a letter is 9 px high there."""
LETTER, LINE, MARGIN = 10, 23, 12
"""Pixels that a letter is wide, a line is high, and that are left around the text."""

_FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t">
<title id="t">unmirror demo: a deleted interface leaves three sessions</title>
<style>
text {{ font: 17px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d5dae0; white-space: pre }}
rect {{ fill: #1b2027; stroke: #6e7781 }}
.sgr1 {{ font-weight: 700 }} .sgr32 {{ fill: #57c585 }} .sgr33 {{ fill: #e3b341 }} .gone {{ fill: #ff8f87 }}
</style>
<rect x=".5" y=".5" width="{right}" height="{bottom}" rx="8"/>
{texts}
</svg>
"""
"""A terminal's dark ground is legible on a white page and on a dark one."""


def shown() -> str:
    """Return what the demo prints on a terminal, colours and all."""
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    environ = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | terminal
    command = [sys.executable, "-m", "handler.cli", "demo"]
    return subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - ours


def first_act(output: str) -> str:
    """Return the part of the demo's output that tells of its first event."""
    return next(part for part in output.split("\n\n") if "1. " in part).rstrip()


def drawn(text: str) -> str:
    """Return a terminal's text as SVG."""
    lines = text.splitlines()
    width, height = COLUMNS * LETTER + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    texts = "\n".join(piece for number, line in enumerate(lines) for piece in _pieces(number, line))
    return _FRAME.format(width=width, height=height, right=width - 1, bottom=height - 1, texts=texts)


def letters(svg: str) -> str:
    """Return what is to be read in a picture, without blanks: each stretch of one colour stands for itself there."""
    return "".join(unescape("".join(re.findall(r"<text [^>]*>([^<]*)</text>", svg))).split())


def _pieces(number: int, line: str) -> Iterator[str]:
    """Yield a text for each stretch of one colour; what leaves a session stands in brackets, and has its own."""
    column, style = 0, ""
    for code, gone, text in re.findall(r"\x1b\[(\d+)m|(\[[\w-]+\])|([^\x1b\[]+)", line):
        if code:
            style = "" if code == "0" else f"sgr{code}"
            continue
        piece = gone or text
        if piece.strip():
            x, y = MARGIN + column * LETTER, MARGIN + (number + 0.75) * LINE
            length, colour = len(piece) * LETTER, "gone" if gone else style
            named = f' class="{colour}"' if colour else ""
            yield f'<text{named} x="{x}" y="{y:g}" textLength="{length}" xml:space="preserve">{escape(piece)}</text>'
        column += len(piece)


if __name__ == "__main__":
    PICTURE.write_text(drawn(f"$ unmirror demo\n\n{first_act(shown())}"), "utf-8")
