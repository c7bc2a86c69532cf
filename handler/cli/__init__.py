"""The edge for people: the command `unmirror`. The function never imports it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; say how to install it where its extra is missing."""
    try:
        from handler.cli.commands import unmirror
    except ModuleNotFoundError as missing:
        sys.exit(f"unmirror: the command needs {missing.name}: pip install 'unmirror[cli]'")
    unmirror(prog_name="unmirror")
