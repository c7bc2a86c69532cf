"""The edge for functions-framework: `--source handler/main.py --target on_event` (HTTP) or `on_cloud_event`.

The framework loads this file by its path, as a module of its own: so it imports everything as `handler...`.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

import click

from handler import __version__
from handler.deadline import Cancellation
from handler.errors import NotConfigured
from handler.observability import logs
from handler.web.app import WebEdge, register


def cancel_on_sigterm(cancellation: Cancellation) -> None:
    """End every deadline at SIGTERM, and then do what the server does at SIGTERM.

    gunicorn sets its handlers before it loads an app, unless the app was loaded before its workers were forked, as
    the command functions-framework does: those workers finish their deliveries, within gunicorn's grace of 30 s.
    """
    before = signal.getsignal(signal.SIGTERM)

    def handle(number: int, _: FrameType | None) -> None:
        cancellation.cancel()
        signal.signal(number, before)
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, handle)


def log_start(missing: Sequence[str]) -> None:
    """Log what starts, where it listens as far as the framework's own command knows, and which settings are missing."""
    context = click.get_current_context(silent=True)
    address = " at http://{host}:{port}".format_map(context.params) if context and "port" in context.params else ""
    state = f"missing: {'; '.join(missing)}" if missing else "no setting is missing"
    logs.log_event(logging.INFO, "function.started", f"unmirror {__version__} starts{address}; {state}")


logs.configure()
cancellation = Cancellation()
try:
    edge = WebEdge.from_env(dict(os.environ), cancellation=cancellation)
except NotConfigured as error:
    logs.log_event(logging.CRITICAL, "config.invalid", str(error))
    sys.exit(3)  # gunicorn does not start another worker after this one: WORKER_BOOT_ERROR
if threading.current_thread() is threading.main_thread():  # only there may a handler be set
    cancel_on_sigterm(cancellation)
on_event, on_cloud_event = register(edge)
log_start(edge.service.settings.missing)
