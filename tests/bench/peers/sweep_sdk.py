"""Peer: the sweep that a user would write with the official SDK. Shows every source in turn, removes what is not found.

It has no limit, no deadline, no memory and one call in flight. Prints one line of JSON: seconds, calls, removed.
"""

from __future__ import annotations

import json
import os
import resource
import time

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkvpc.v3 import (
    ListTrafficMirrorSessionsRequest,
    RemoveSourcesFromTrafficMirrorSessionRequest,
    RemoveSourcesFromTrafficMirrorSessionRequestBody,
    ShowPortRequest,
    TrafficMirrorSourcesOption,
    VpcClient,
)

client = (
    VpcClient.new_builder()
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


def main() -> None:
    """Sweep once."""
    began, calls, removed, marker = time.monotonic(), 0, 0, None
    while True:
        reply = client.list_traffic_mirror_sessions(ListTrafficMirrorSessionsRequest(limit=2000, marker=marker))
        calls += 1
        for session in reply.traffic_mirror_sessions:
            for source in session.traffic_mirror_sources:
                calls += 1
                try:
                    client.show_port(ShowPortRequest(source))
                except ClientRequestException as error:
                    if error.status_code != 404:
                        raise
                    option = TrafficMirrorSourcesOption([source])
                    client.remove_sources_from_traffic_mirror_session(
                        RemoveSourcesFromTrafficMirrorSessionRequest(
                            session.id, RemoveSourcesFromTrafficMirrorSessionRequestBody(option)
                        )
                    )
                    calls += 1
                    removed += 1
        marker = reply.page_info.next_marker
        if not marker:
            break
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": time.monotonic() - began, "calls": calls, "removed": removed, "mebibytes": memory}))


if __name__ == "__main__":
    main()
