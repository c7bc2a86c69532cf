"""The edge for functions-framework: `--source handler/main.py --target on_event` (HTTP) or `on_cloud_event`.

The framework loads this file by its path, as a module of its own: so it names everything as `handler...`.
"""

from __future__ import annotations

import os
import sys

from handler.errors import NotConfigured
from handler.observability import logs as telemetry
from handler.web.app import WebEdge, functions

telemetry.configure()
try:
    on_event, on_cloud_event = functions(WebEdge.from_env(dict(os.environ)))
except NotConfigured as fault:
    telemetry.refused_to_start(fault)
    sys.exit(3)  # to gunicorn, a worker that can never start
