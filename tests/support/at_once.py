"""handler/main.py for functions-framework, but that nobody waits: what would sleep goes on at once."""

from __future__ import annotations

import os

from handler.deadline import Clock
from handler.observability import logs
from handler.web.app import WebEdge, register

logs.configure()
on_event, on_cloud_event = register(WebEdge.from_env(dict(os.environ), clock=Clock(sleep=lambda _: None)))
