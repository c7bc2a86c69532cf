"""handler/main.py for functions-framework, but that nobody waits: whatever would sleep goes on at once."""

from __future__ import annotations

import os

import functions_framework

from handler import telemetry
from handler.web import WebEdge

telemetry.configure()
_edge = WebEdge.from_env(dict(os.environ), sleep=lambda _: None)

on_event = functions_framework.http(_edge.on_event)
on_cloud_event = functions_framework.cloud_event(_edge.on_cloud_event)
