"""Peer: the handler that a user would write with the official SDK. Lists all pages, removes from each match.

It verifies nothing, shares nothing between events, and trusts the event.
"""

from __future__ import annotations

import os
from typing import Any

import flask
import functions_framework
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkvpc.v3 import (
    ListTrafficMirrorSessionsRequest,
    RemoveSourcesFromTrafficMirrorSessionRequest,
    RemoveSourcesFromTrafficMirrorSessionRequestBody,
    TrafficMirrorSourcesOption,
    VpcClient,
)

client = (
    VpcClient.new_builder()
    .with_http_config(HttpConfig.get_default_config())
    .with_credentials(
        BasicCredentials(
            os.environ["HUAWEICLOUD_SDK_AK"],
            os.environ["HUAWEICLOUD_SDK_SK"],
            os.environ["HUAWEICLOUD_SDK_PROJECT_ID"],
        )
    )
    .with_endpoint(os.environ["UNMIRROR_VPC_ENDPOINT"])
    .build()
)


@functions_framework.http
def on_event(request: flask.Request) -> dict[str, Any]:
    """Detach the interface of one CTS event."""
    interface_id = request.get_json()["cts"]["resource_id"]
    detached, marker = [], None
    while True:
        reply = client.list_traffic_mirror_sessions(ListTrafficMirrorSessionsRequest(limit=2000, marker=marker))
        for session in reply.traffic_mirror_sessions:
            if interface_id in session.traffic_mirror_sources:
                option = TrafficMirrorSourcesOption([interface_id])
                client.remove_sources_from_traffic_mirror_session(
                    RemoveSourcesFromTrafficMirrorSessionRequest(
                        session.id, RemoveSourcesFromTrafficMirrorSessionRequestBody(option)
                    )
                )
                detached.append(session.id)
        marker = reply.page_info.next_marker
        if not marker:
            return {"detached": detached}
