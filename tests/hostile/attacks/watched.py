"""`at_once.py`, but that every address it connects to and every name it looks up is told to the file REACHED."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from handler.deadline import Clock
from handler.observability import logs
from handler.web.app import WebEdge, register

_REACHED = Path(os.environ["REACHED"])


def _tell(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        where = arguments[1] if event == "socket.connect" else arguments[0]
        with _REACHED.open("a", encoding="utf-8") as told:
            told.write(f"{event} {where!r}\n")


logs.configure()
on_event, on_cloud_event = register(WebEdge.from_env(dict(os.environ), clock=Clock(sleep=lambda _: None)))
sys.addaudithook(_tell)  # the interpreter's own: no library connects without it
