"""The same faults, met by the official SDK's client and by ours: `python -m tests.bench.sdk_faults`.

Both list all sessions, or remove one source, once. The SDK's caller follows `next_marker` and, as its documents ask,
does nothing else; its read timeout, 120 s by default, is 2 s here, and so is our deadline.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import SdkException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkvpc import v3

from handler.emulator.server import LOCK_AFTER, Behaviour, Cloud, Emulator, Fault
from handler.errors import UnmirrorError
from handler.model import Deadline
from handler.vpc.client import VpcClient
from handler.vpc.credentials import Credentials

PROJECT, KEY, SECRET = "project", "KEY", "secret"
SECONDS = 2
PAGE = b'{"traffic_mirror_sessions":[],"page_info":{"current_count":0,"previous_marker":"","next_marker":"m"}}'
THROTTLED = b'{"error_code":"APIGW.0308","error_msg":"throttled","request_id":"request-7"}'
NOT_HERE = b'{"error_code":"APIGW.0101","error_msg":"not published","request_id":"request-8"}'

LIST = {
    "a redirect (302)": Fault(status=302, body=b"", headers={"Location": "/"}),
    "a proxy's page (200, HTML)": Fault(
        status=200, body=b"<html>sign in</html>", headers={"Content-Type": "text/html"}
    ),
    "`null` for the list (200)": Fault(status=200, body=b'{"traffic_mirror_sessions":null}'),
    "an empty body (200)": Fault(status=200, body=b""),
    "202": Fault(status=202, body=b"{}"),
    "500 once": Fault(),
    "503 for ever": Fault(status=503, times=-1),
    "429 once, `Retry-After: 1`": Fault(status=429, body=THROTTLED, headers={"Retry-After": "1"}),
    "429 for ever": Fault(status=429, body=THROTTLED, times=-1),
    "404 `APIGW.0101`": Fault(status=404, body=NOT_HERE),
    "reset once": Fault(kind="reset"),
    "cut off once": Fault(kind="truncate"),
    "hangs": Fault(kind="hang", times=-1),
    "drips": Fault(kind="drip", times=-1),
    "the same marker for ever": Fault(status=200, body=PAGE, times=-1),
}
REMOVE = {
    "reset before it is done": Fault("remove_sources", "reset"),
    "the answer is lost after it is done": Fault("remove_sources", "lost"),
    "409 `VPC.0103` (busy) once": Fault("remove_sources", status=409, body=b'{"error_code":"VPC.0103"}'),
    "202 and an empty object": Fault("remove_sources", status=202, body=b"{}"),
}
MOST_PAGES = 25
"""A caller who follows the markers has to be stopped somewhere."""


def ours(emulator: Emulator, secret: str = SECRET) -> tuple[Callable[[], str], Callable[[str, str], str]]:
    client = VpcClient(
        emulator.url, Credentials.from_env({"HUAWEICLOUD_SDK_AK": KEY, "HUAWEICLOUD_SDK_SK": secret}), environ={}
    )

    def api() -> Any:
        return client.project(PROJECT, Deadline.within(SECONDS, time.monotonic))

    def listed() -> str:
        return f"{len(api().list_sessions().sessions)} sessions"

    def removed(session: str, source: str) -> str:
        return f"left: {len(api().remove_sources(session, [source]).session.sources)}"

    return listed, removed


def theirs(emulator: Emulator, secret: str = SECRET) -> tuple[Callable[[], str], Callable[[str, str], str]]:
    config = HttpConfig.get_default_config()
    config.timeout = (SECONDS, SECONDS)
    client = (
        v3.VpcClient.new_builder()
        .with_http_config(config)
        .with_credentials(BasicCredentials(KEY, secret, PROJECT))
        .with_endpoint(emulator.url)
        .build()
    )

    def listed() -> str:
        sessions: list[Any] = []
        marker = None
        for _ in range(MOST_PAGES):
            reply = client.list_traffic_mirror_sessions(v3.ListTrafficMirrorSessionsRequest(limit=2000, marker=marker))
            if reply.traffic_mirror_sessions is None:
                return "**`traffic_mirror_sessions` is None, no error**"
            sessions += reply.traffic_mirror_sessions
            marker = reply.page_info.next_marker if reply.page_info else None
            if not marker:
                return f"{len(sessions)} sessions"
        return f"**no end: stopped after {MOST_PAGES} pages**"

    def removed(session: str, source: str) -> str:
        body = v3.RemoveSourcesFromTrafficMirrorSessionRequestBody(v3.TrafficMirrorSourcesOption([source]))
        reply = client.remove_sources_from_traffic_mirror_session(
            v3.RemoveSourcesFromTrafficMirrorSessionRequest(session, body)
        )
        shown = reply.traffic_mirror_session
        return "**no session shown, no error**" if shown is None else f"left: {len(shown.traffic_mirror_sources)}"

    return listed, removed


def told(emulator: Emulator, do: Callable[[], str]) -> str:
    """Return what came of it, how many calls it took, and how long."""
    before, began = len(emulator.calls), time.monotonic()
    try:
        result = do()
    except UnmirrorError as error:
        known = " ".join(filter(None, (getattr(error, "code", ""), getattr(error, "request_id", "")[-9:])))
        result = f"`{type(error).__name__}`" + (f" ({known})" if known else "")
    except SdkException as error:
        known = " ".join(str(getattr(error, name, None) or "-") for name in ("status_code", "error_code", "request_id"))
        result = f"`{type(error).__name__}`" + ("" if known == "- - -" else f" ({known})")
    except Exception as error:  # noqa: BLE001 - whatever the other client lets through is what is measured
        result = f"**`{type(error).__name__}`**"
    seconds = time.monotonic() - began
    return f"{result}; {len(emulator.calls) - before} calls" + (f", {seconds:.1f} s" if seconds >= 0.1 else "")


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    print("| fault | official SDK | unmirror |\n|---|---|---|")
    for side, faults in (("list", LIST), ("remove", REMOVE)):
        for name, fault in faults.items():
            cells = []
            for client in (theirs, ours):
                cloud = Cloud()
                session = cloud.add_session(PROJECT, sources=["source"])
                with Emulator(cloud, keys={KEY: SECRET}) as emulator:
                    listed, removed = client(emulator)
                    emulator.faults.append(replace(fault))
                    do = listed if side == "list" else lambda r=removed, s=session: r(s, "source")
                    cells.append(told(emulator, do))
                    emulator.clear_faults()
            print(f"| {side}: {name} | {cells[0]} | {cells[1]} |")
    vanished()
    wrong_key()


def vanished() -> None:
    """Delete the session at which the second page starts."""
    cells = []
    for client in (theirs, ours):
        cloud = Cloud()
        sessions = [cloud.add_session(PROJECT) for _ in range(4)]
        with Emulator(cloud, keys={KEY: SECRET}, page_cap=2, behaviour=Behaviour(vanished_marker=404)) as emulator:

            async def delete(_: str, emulator: Emulator = emulator, marker: str = sessions[1]) -> None:
                if len(emulator.calls) == 1:
                    emulator.cloud.delete_session(PROJECT, marker)

            emulator.hold = delete
            cells.append(told(emulator, client(emulator)[0]))
    print(f"| list: the marker's session is deleted between pages | {cells[0]} | {cells[1]} |")


def wrong_key() -> None:
    """List twenty times with a wrong key."""
    cells = []
    for client in (theirs, ours):
        with Emulator(Cloud(), keys={KEY: SECRET}) as emulator:
            listed, _ = client(emulator, "wrong")
            for _ in range(20):
                told(emulator, listed)
            failed = sum(call.status == 401 for call in emulator.calls)
            locked = "; **the key is locked for 5 minutes**" if failed > LOCK_AFTER else ""
            cells.append(f"{failed} failed authentications{locked}")
    print(f"| list: a wrong key, 20 times | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
