"""tests/at_once.py, but that its pages come from the `tests.smn_topic` that listens on SMN_PORT of this machine."""

from __future__ import annotations

import os

from handler import telemetry
from handler.fetch import Fetch
from handler.web import WebEdge, functions

address = os.environ["SMN_ADDRESS"]
telemetry.configure()
fetch = Fetch(
    resolve=lambda _: [address],
    allows=lambda address: address.is_loopback,
    port=int(os.environ["SMN_PORT"]),
    authorities=os.environ["SMN_AUTHORITIES"],
)
on_event, on_cloud_event = functions(WebEdge.from_env(dict(os.environ), sleep=lambda _: None, fetch=fetch))
