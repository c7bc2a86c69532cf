"""Peer F+: the same as F, with the two libraries that unmirror has to import."""

from __future__ import annotations

import flask
import functions_framework
import jsonschema  # noqa: F401 - its import time is what is compared
import requests  # noqa: F401 - the same


@functions_framework.http
def on_event(request: flask.Request) -> str:
    """Read the body and say ok."""
    request.get_data()
    return "ok"
