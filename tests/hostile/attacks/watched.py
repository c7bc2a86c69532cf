"""`at_once.py`, but that every address it connects to and every name it looks up is told to the file REACHED."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.at_once import on_cloud_event, on_event

__all__ = ["on_cloud_event", "on_event"]
_REACHED = Path(os.environ["REACHED"])


def _tell(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        where = arguments[1] if event == "socket.connect" else arguments[0]
        with _REACHED.open("a", encoding="utf-8") as told:
            told.write(f"{event} {where!r}\n")


sys.addaudithook(_tell)  # the interpreter's own: no library connects without it
