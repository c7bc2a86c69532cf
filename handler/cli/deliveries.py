"""What a file holds to be sent again: JSON lines, an array, or one event, in whatever envelope each came."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from handler.errors import BadEvent
from handler.events import decode


@dataclass(frozen=True)
class Delivery:
    """One event of the file."""

    place: str
    """`line 7`, `item 7`."""
    payload: object = None
    fault: BadEvent | None = None
    """Why it is no JSON; then there is no payload."""

    @cached_property
    def body(self) -> bytes:
        """The payload as JSON."""
        return json.dumps(self.payload, separators=(",", ":")).encode("ascii")

    @cached_property
    def key(self) -> str:
        """Names the payload, wherever in whichever file it stands; tells nothing of it."""
        return hashlib.sha256(json.dumps(self.payload, sort_keys=True).encode()).hexdigest()[:32]


def deliveries(content: bytes) -> tuple[Delivery, ...]:
    """Return what the file holds, in its order. A line that is no JSON is one with a fault; raises nothing."""
    try:
        value = decode(content)
    except BadEvent as error:
        lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
        if len(lines) == 1:
            return (Delivery(f"line {lines[0][0]}", fault=error),)
        return tuple(_line(number, line) for number, line in lines)
    if isinstance(value, list):
        return tuple(Delivery(f"item {number}", item) for number, item in enumerate(value, 1))
    return (Delivery("line 1", value),)


def _line(number: int, line: bytes) -> Delivery:
    try:
        return Delivery(f"line {number}", decode(line))
    except BadEvent as error:
        return Delivery(f"line {number}", fault=error)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a delivery ended."""

    delivery: Delivery
    outcome: str
    """The report's, or `answered`, `unreadable`, `refused`, `unanswered`, `not_sent`."""
    status: int
    """HTTP's; 0 where there was no answer."""
    detail: str = ""
    report: Mapping[str, Any] | None = None

    @property
    def settled(self) -> bool:
        """Whether it never has to be sent again: it was done, or can never be read. A plan is not yet done."""
        return (self.status == 200 and self.outcome != "planned") or self.status in (204, 400, 413)

    @property
    def well(self) -> bool:
        """Whether there is nothing to see to."""
        return self.status in (200, 204)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "place": self.delivery.place,
            "outcome": self.outcome,
            "status": self.status,
            "detail": self.detail,
            "report": self.report,
        }


class Ledger:
    """What was answered, in a file that outlives us: one line each, written as soon as it is so."""

    def __init__(self, path: Path | None) -> None:
        """Take None for one that remembers nothing; a file that is not there yet is made. Raises OSError."""
        self._path = path
        self.answered: frozenset[str] = frozenset()
        if path is not None:
            path.touch()
            self.answered = frozenset(_keys(path.read_text("utf-8", "replace").splitlines()))

    def enter(self, endings: Iterable[Ending]) -> Iterator[Ending]:
        """Pass the endings on, each once it is written down."""
        if self._path is None:
            yield from endings
            return
        with self._path.open("a", encoding="utf-8") as file:
            for ending in endings:
                if ending.settled and ending.delivery.fault is None:
                    line = {"delivery": ending.delivery.key, "outcome": ending.outcome}
                    file.write(f"\n{json.dumps(line)}")  # a line that broke off stays by itself
                    file.flush()
                yield ending
            file.write("\n")


def _keys(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        try:
            yield str(json.loads(line)["delivery"])
        except (ValueError, KeyError, TypeError):
            continue
