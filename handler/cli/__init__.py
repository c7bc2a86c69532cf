"""The edge for people: the command `unmirror`. The function never imports it."""

import os
import sys
from pathlib import Path

_EXTRA = ("aiohttp", "click")


def main() -> None:
    """Run the command. Say how to install it where its extra is missing, and what fails of a file, a pipe or a disk."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started us has closed it
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w"))  # noqa: SIM115
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
    except OSError as error:  # not a closed pipe: click ends the command then
        from handler.cli.output import discard_output, print_error

        hint = "see to that, and run it again: what is done is not done twice"
        print_error(f"what it reads or writes here fails: {error.strerror or type(error).__name__}", hint=hint)
        discard_output()
        sys.exit(1)
