"""Peer: the least that functions-framework can serve."""

from __future__ import annotations

import flask
import functions_framework


@functions_framework.http
def on_event(request: flask.Request) -> str:
    """Read the body and say ok."""
    request.get_data()
    return "ok"
