"""What the command prints: columns on a terminal, one record a line in a pipe, errors with the next step on stderr."""

import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import NamedTuple

import click

from handler.errors import (
    ApiRefused,
    ApiUnavailable,
    BadEvent,
    DeadlineExceeded,
    Forbidden,
    Interrupted,
    KeyCoolingDown,
    NotConfigured,
    UnmirrorError,
)

# Columns: the longest labels are `nothing to do` and `would detach`, indented.
LABEL_WIDTH = 15
# Rows on a terminal, about three screens; JSON and pipes have all.
MAX_ROWS = 100
# Between two updates of the progress line, as tqdm has it: nobody reads faster.
PROGRESS_SECONDS = 0.1
# Takes a progress line off the terminal.
_CLEAR_LINE = "\r\x1b[K"

_COLOURS: Mapping[str, str] = {
    **dict.fromkeys(("ok", "detached", "nothing to do", "200"), "green"),
    **dict.fromkeys(("planned", "would detach", "would free"), "cyan"),
    **dict.fromkeys(("warning", "still exists", "exists", "lost target", "lost", "not tried", "503"), "yellow"),
    **dict.fromkeys(("failed", "stopped", "partial", "gone", "undecided", "unreadable", "not so"), "red"),
}


class Row(NamedTuple):
    """An interface, a session or an event, and what is to be said of it."""

    label: str
    id: str
    note: str = ""
    session_id: str = ""
    session_name: str = ""


class Output:
    """Standard output, for people and for pipes.

    On a terminal records are wrapped into columns. In a pipe each is one line, with a tab between its cells, as in
    `gh`: for grep, cut and awk.
    """

    def __init__(self, *, as_json: bool) -> None:
        """Take whether JSON was asked for, and nothing else is printed.

        FORCE_COLOR makes standard output a terminal (force-color.org), NO_COLOR takes its colours.
        """
        self.as_json = as_json
        self.terminal = sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR"))
        self.colour = self.terminal and not os.environ.get("NO_COLOR")

    def json(self, value: object) -> None:
        """Print the value where JSON was asked for: letters beyond ASCII are escaped, and so move no cursor."""
        if self.as_json:
            _echo(json.dumps(value, indent=2))

    def line(self, label: str, *cells: str) -> None:
        """Print a label and what belongs to it, without the empty cells; a last cell that has a colour gives it."""
        texts = [printable(cell) for cell in cells if cell]
        if not self.terminal:
            self.text("\t".join((printable(label), *texts)))
            return
        colour = _COLOURS.get(texts[-1]) if len(texts) > 1 else None
        room = max(shutil.get_terminal_size().columns - LABEL_WIDTH, 36)  # an id stays whole
        lines = textwrap.wrap("  ".join(texts), room, break_long_words=False, break_on_hyphens=False) or [""]
        margin = self.styled(f"{printable(label).ljust(LABEL_WIDTH - 1)} ", _COLOURS.get(label.strip()))
        for line in lines:
            self.text(f"{margin}{self.styled(line, colour)}".rstrip())
            margin = " " * LABEL_WIDTH

    def rows(self, rows: Sequence[Row]) -> None:
        """Print rows; on a terminal at most MAX_ROWS, neighbours of one session below its id and name.

        In a pipe each has its cells at their places: label, id, note, session id, session name.
        """
        if not self.terminal:
            for row in rows:
                self.text("\t".join(map(printable, row)).rstrip("\t"))
            return
        for (session_id, session_name), group in groupby(rows[:MAX_ROWS], key=lambda row: row[3:]):
            if session_id:
                self.line("session", session_id, session_name)
            for row in group:
                self.line(f"  {row.label}" if session_id else row.label, row.id, row.note)
        if len(rows) > MAX_ROWS:
            self.line("", f"and {len(rows) - MAX_ROWS:,} more: --json has all")

    def text(self, text: str = "") -> None:
        """Print a text as it is; a pipe gets no empty lines."""
        if not self.as_json and (text or self.terminal):
            _echo(text)

    def styled(self, text: str, colour: str | None = None, *, bold: bool = False) -> str:
        """Return the text in a colour, where there are colours."""
        return click.style(text, fg=colour, bold=bold or None) if self.colour and (colour or bold) else text


def printable(text: str) -> str:
    """Return one line that moves no cursor: names come from the cloud, and may hold anything."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _echo(text: str) -> None:
    """Print to standard output; a reader who has read enough, as `head` does, changes nothing."""
    try:
        click.echo(text, color=True)  # whoever styled it has decided
    except BrokenPipeError:
        discard_output()


def discard_output() -> None:
    """Let standard output lead nowhere, so that its buffer is not written once more when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def count(number: int, what: str) -> str:
    """Return how many there are of what: `1 session`, `2 sessions`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# Takes what is being done, how much of it is done, and of how much; 0 where that is not known.
Progress = Callable[[str, int, int], None]


@contextmanager
def progress_line() -> Iterator[Progress]:
    """Give what shows how far the work has come, on stderr where that is a terminal.

    Any thread may call it; two at once may show a line twice.
    """
    shown, last = sys.stderr.isatty(), 0.0

    def show(words: str, done: int, total: int) -> None:
        nonlocal last
        if shown and (time.monotonic() - last >= PROGRESS_SECONDS or done == total):
            last = time.monotonic()
            far = f" {done:,} of {total:,}" if total else ""
            click.echo(f"{_CLEAR_LINE}{printable(words)}{far}", nl=False, err=True)

    try:
        yield show
    finally:
        if last:
            click.echo(_CLEAR_LINE, nl=False, err=True)


_HINTS: tuple[tuple[type[UnmirrorError], str], ...] = (
    (BadEvent, "correct what the rules name; `unmirror explain FILE` shows how an event is read"),
    (Forbidden, "add the project to UNMIRROR_PROJECTS, or act in it alone: --project; the region is UNMIRROR_REGION"),
    (NotConfigured, "set what is named, or say --region, --project, --profile; `unmirror check` tries all of it"),
    (Interrupted, "run it again to go on from here: what is done is not done twice"),
    (DeadlineExceeded, "run it again to go on from here, or give it longer with --deadline"),
    (KeyCoolingDown, "correct the key before you run this again: each run is one more failure, and the API locks it"),
    (ApiRefused, "correct permission, region or project (--project, UNMIRROR_PROJECTS); `unmirror check` tries each"),
    (ApiUnavailable, "run it again: what is done is not done twice; `unmirror check` says what can be reached"),
)


def hint_for(error: UnmirrorError | None) -> str:
    """Return the next step after an error, empty where there is none."""
    return next((hint for kind, hint in _HINTS if isinstance(error, kind)), "")


def print_error(error: UnmirrorError | str, about: str = "", hint: str = "") -> None:
    """Print on stderr what is wrong, with what, and the next step: the hint, or the error's own."""
    lines = [f"unmirror: {about}{error}"]
    if isinstance(error, UnmirrorError):
        lines += [f"  {each.path}: {each.rule}" for each in getattr(error, "violations", ())]
        lines += [f"request: {error.request_id}"] if error.request_id else []
        hint = hint or hint_for(error)
    lines += [f"next: {hint}"] if hint else []
    progress = _CLEAR_LINE if sys.stderr.isatty() else ""
    click.echo(progress + "\n".join(map(printable, lines)), err=True)
