"""Peer: the event function that a user would write for FunctionGraph with the official SDK; the same job as sdk.py."""

from __future__ import annotations

from typing import Any

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkvpc.v3 import (
    ListTrafficMirrorSessionsRequest,
    RemoveSourcesFromTrafficMirrorSessionRequest,
    RemoveSourcesFromTrafficMirrorSessionRequestBody,
    TrafficMirrorSourcesOption,
    VpcClient,
)

clients: list[VpcClient] = []


def initializer(context: Any) -> None:
    """Make the client."""
    names = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_PROJECT_ID")
    credentials = BasicCredentials(*(context.getUserData(name) for name in names))
    endpoint = context.getUserData("UNMIRROR_VPC_ENDPOINT")
    clients.append(VpcClient.new_builder().with_credentials(credentials).with_endpoint(endpoint).build())


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Detach the interface of one CTS event."""
    interface_id = event["cts"]["resource_id"]
    (client,), detached, marker = clients, [], None
    while True:
        reply = client.list_traffic_mirror_sessions(ListTrafficMirrorSessionsRequest(limit=2000, marker=marker))
        for session in reply.traffic_mirror_sessions:
            if interface_id in session.traffic_mirror_sources:
                body = RemoveSourcesFromTrafficMirrorSessionRequestBody(TrafficMirrorSourcesOption([interface_id]))
                client.remove_sources_from_traffic_mirror_session(
                    RemoveSourcesFromTrafficMirrorSessionRequest(session.id, body)
                )
                detached.append(session.id)
        marker = reply.page_info.next_marker
        if not marker:
            return {"detached": detached}
