"""`at_once.py`, but that its pages come from the `smn_topic` that listens on SMN_PORT of this machine."""

from __future__ import annotations

import os

from handler.observability import logs as telemetry
from handler.web.app import WebEdge, functions
from handler.web.fetch import Fetch

address = os.environ["SMN_ADDRESS"]
telemetry.configure()
fetch = Fetch(
    resolve=lambda _: [address],
    allows=lambda address: address.is_loopback,
    port=int(os.environ["SMN_PORT"]),
    authorities=os.environ["SMN_AUTHORITIES"],
)
on_event, on_cloud_event = functions(WebEdge.from_env(dict(os.environ), sleep=lambda _: None, fetch=fetch))
