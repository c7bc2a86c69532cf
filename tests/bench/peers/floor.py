"""Peer: the same calls by the same libraries, and nothing else. What it cannot reach, no function here can.

It checks an event by jsonschema, lists the sessions, asks for the interface and removes it. It has no threads, no
limits, no retries, no log and no proof. Storms share the listing; REMOVE_AT interfaces leave a session together, and
the events of those that wait for that are answered before it is done.
"""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import UTC, datetime
from typing import Any

import flask
import functions_framework
import requests
from jsonschema import Draft202012Validator
from requests.adapters import HTTPAdapter

from handler.vpc.credentials import AccessKey
from handler.vpc.signing import signed

ENDPOINT = os.environ["UNMIRROR_VPC_ENDPOINT"]
HOST = ENDPOINT.split("//")[1]
KEY = AccessKey(os.environ["HUAWEICLOUD_SDK_AK"], os.environ["HUAWEICLOUD_SDK_SK"])
PROJECT = os.environ["HUAWEICLOUD_SDK_PROJECT_ID"]
SESSIONS = f"/v3/{PROJECT}/vpc/traffic-mirror-sessions"
REMOVE_AT = int(os.environ.get("REMOVE_AT", "1"))
MARGIN = 2.0
"""Seconds between an event and the snapshots that answer for it, as in the function."""

text = {"type": "string"}
trace = {"type": "object", "required": ["time", "trace_name", "resource_id"], "properties": {"resource_id": text}}
validator = Draft202012Validator({"type": "object", "required": ["cts"], "properties": {"cts": trace}})
adapter = HTTPAdapter(pool_maxsize=64)
listing = threading.Lock()
snapshot: dict[str, str] = {}
"""The session of each source."""
taken_at = [0.0]
gone: dict[str, list[str]] = {}
"""By session those that have not left it yet."""


@functions_framework.http
def on_event(request: flask.Request) -> str:
    """Detach the interface of one CTS event."""
    event = json.loads(request.get_data() or b"{}")
    if not validator.is_valid(event) or event["cts"]["trace_name"] != "deletePort":
        return "ignored"
    interface_id = event["cts"]["resource_id"]
    with listing:
        if taken_at[0] < event["cts"]["time"] / 1000 + MARGIN:
            list_sessions()
    session_id = snapshot.get(interface_id)
    if session_id is None:
        return "not mirrored"
    call("GET", f"/v3/{PROJECT}/ports/{interface_id}")
    leaving = gone.setdefault(session_id, [])
    leaving.append(interface_id)
    if len(leaving) >= REMOVE_AT and gone.pop(session_id, None) is leaving:
        body = {"traffic_mirror_session": {"traffic_mirror_sources": leaving}}
        call("PUT", f"{SESSIONS}/{session_id}/remove-sources", body=json.dumps(body).encode())
    return "detached"


def list_sessions() -> None:
    """Read all pages."""
    taken_at[0], marker = time.time(), ""
    while True:
        page = call("GET", SESSIONS, "limit=2000" + (f"&marker={marker}" if marker else ""))
        for session in page["traffic_mirror_sessions"]:
            snapshot.update(dict.fromkeys(session["traffic_mirror_sources"], session["id"]))
        marker = page["page_info"].get("next_marker")
        if not marker:
            return


def call(method: str, path: str, query: str = "", body: bytes = b"") -> Any:
    """Make one signed call; return the answer's JSON."""
    headers = {"Host": HOST, "Content-Type": "application/json", "X-Project-Id": PROJECT}
    sent = requests.PreparedRequest()
    sent.method, sent.body = method, body or None
    sent.url = f"{ENDPOINT}{path}" + (f"?{query}" if query else "")
    sent.headers = signed(method, path, query, headers, body, KEY, datetime.now(UTC))  # type: ignore[assignment]
    if body:
        sent.headers["Content-Length"] = str(len(body))
    return json.loads(adapter.send(sent, timeout=10).content)
