"""handler/main.py for functions-framework, but that nobody waits: whatever would sleep goes on at once."""

from __future__ import annotations

import os

from handler.observability import logs as telemetry
from handler.web.app import WebEdge, functions

telemetry.configure()
on_event, on_cloud_event = functions(WebEdge.from_env(dict(os.environ), sleep=lambda _: None))
