"""The picture of the demo: what `unmirror demo` prints, as it prints it. `python -m docs.picture` draws it anew."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import unescape
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).with_name("demo.svg")
COLUMNS = 80

_FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>unmirror demo</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's frame without the fonts that it loads from elsewhere: each text says how long it is, so any font fits."""


def shown() -> str:
    """Return what the demo prints on a terminal, colours and all."""
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    without = ("NO_COLOR", "COLORTERM", "TTY_COMPATIBLE")
    environ = {name: value for name, value in os.environ.items() if name not in without} | terminal
    command = [sys.executable, "-m", "handler.cli", "demo"]
    return subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - ours


def drawn(output: str) -> str:
    """Return a terminal's output as SVG."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), legacy_windows=False)
    console.print(Text.from_ansi(f"$ unmirror demo\n{output.rstrip()}"))
    svg = console.export_svg(title="unmirror demo", code_format=_FRAME, unique_id="demo")
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines())


def letters(svg: str) -> str:
    """Return what is to be read in a picture, without blanks: each stretch of one colour stands for itself there."""
    return "".join(unescape("".join(re.findall(r"<text [^>]*>([^<]*)</text>", svg))).split())


if __name__ == "__main__":
    PICTURE.write_text(drawn(shown()), "utf-8")
