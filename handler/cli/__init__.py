"""The edge for people: the command `unmirror`. The function never imports it."""

import sys

_EXTRA = ("aiohttp", "click")


def main() -> None:
    """Run the command; say how to install it where its extra is missing."""
    try:
        from handler.cli.app import unmirror

        unmirror(prog_name="unmirror")
    except ModuleNotFoundError as missing:
        library = (missing.name or "").partition(".")[0]
        if library not in _EXTRA:
            raise
        sys.exit(f"unmirror: the command needs {library}: pip install 'unmirror[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
