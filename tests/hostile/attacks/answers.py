"""Attacks by who answers: in the API's place, or where a message says that its certificate is."""

from __future__ import annotations

import gzip

from handler.emulator.operations import Fault
from tests.hostile.attacks.made import (
    EVER,
    GONE,
    LIVING,
    PATIENT_PROJECT,
    REGION,
    SWEEP,
    TOPIC,
    Rows,
    about,
    code,
    lists,
    says,
    session,
    smn,
    text,
)
from tests.hostile.attacks.wire import post

BOMB = gzip.compress(b'{"traffic_mirror_sessions":[' + b" " * (65 * 1024 * 1024) + b"]}", 9)
CERTIFICATE = f"/smn/SMN_{REGION}_0123456789abcdef0123456789abcdef.pem"
HOST = f"smn.{REGION}.myhuaweicloud.com"

TABLE: dict[str, Rows] = {
    "hostile list": (
        ("a page of HTML", post(about(GONE)), 503, says(b"<html>sign in</html>")),
        ("a way elsewhere", post(about(GONE)), 503, says(b"", 302, Location="http://127.0.0.1:9/")),
        ("for ever elsewhere", post(about(GONE)), 503, says(b"", 308, Location="https://evil.example/")),
        ("a small page that unpacks to 65 MiB", post(about(GONE)), 503, says(BOMB, **{"Content-Encoding": "gzip"})),
        ("something that does not unpack", post(about(GONE)), 503, says(b"x" * 99, **{"Content-Encoding": "gzip"})),
        ("half of one", post(about(GONE)), 503, (Fault("list_sessions", "truncate", times=EVER),)),
        ("a list that is not found", post(about(GONE)), 503, code(404, "VPC.2803", "list_sessions")),
        ("null", post(about(GONE)), 503, says(b"null")),
        ("an object for a list", post(about(GONE)), 503, says(b'{"traffic_mirror_sessions":{},"page_info":{}}')),
        ("100,000 arrays", post(about(GONE)), 503, says(b"[" * 100_000)),
        ("a path for a session", post(about(GONE)), 200, lists(session("../../v1/x", GONE))),
        ("a line's end in a session", post(about(GONE)), 200, lists(session("1\r\nX-Odd: 1", GONE))),
        ("a session without an id", post(about(GONE)), 200, lists(session(None, GONE))),
        ("sources that are text", post(about(GONE)), 200, lists({**session("1"), "traffic_mirror_sources": GONE})),
        ("pages in a circle", post(about(GONE)), 503, lists(session("1"), next_marker="1")),
        ("a marker with a query", post(about(GONE)), 503, lists(session("1", GONE), next_marker="x&limit=0#\r\n")),
        ("a session that mirrors elastic IPs", post(about(GONE)), 200, lists(session("1", GONE, type="eip"))),
        ("paths for sources, in a sweep", post(SWEEP), 502, lists(session("1", "../../v1", "x\r\ny"))),
        (
            "only sources of others, in a sweep",
            post(SWEEP),
            200,
            (
                *lists(session("1", *(f"{n:08x}-0000-4000-8000-000000000000" for n in range(99)))),
                *says(b'{"ports":[],"page_info":{}}', 200, "list_ports"),
            ),
        ),
    ),
    "slow": (
        ("a list that never comes", post(about(GONE)), 503, (Fault("list_sessions", "hang", times=EVER),)),
        ("a list that drips", post(about(GONE)), 503, (Fault("list_sessions", "drip", times=EVER),)),
        ("an interface that never comes", post(about(LIVING)), 503, (Fault("show_port", "hang", times=EVER),)),
    ),
    "hostile interface": (
        ("another interface", post(about(LIVING)), 503, says(text({"port": {"id": GONE}}).encode(), 200, "show_port")),
        ("null", post(about(LIVING)), 503, says(b'{"port":null}', 200, "show_port")),
        ("HTML that is not found", post(about(LIVING)), 503, says(b"<h1>404</h1>", 404, "show_port")),
        ("nothing that is not found", post(about(LIVING)), 503, says(b"", 404, "show_port")),
        ("gone, says a proxy", post(about(LIVING)), 503, says(b"", 410, "show_port")),
        ("no content", post(about(LIVING)), 503, says(b"", 204, "show_port")),
        ("not found, or not allowed", post(about(LIVING)), 502, code(404, "VPC.2204")),
        ("not found by the gateway", post(about(LIVING)), 502, code(404, "APIGW.0101")),
        ("not found, with another service's code", post(about(LIVING)), 503, code(404, "ECS.0114")),
        ("not found, with a line's end in the code", post(about(LIVING)), 503, code(404, "VPC.2502\r\n")),
        ("not found, in wide digits", post(about(LIVING)), 503, code(404, "VPC.２５０２")),  # noqa: RUF001 - look-alikes
        ("not found, but 200", post(about(LIVING)), 503, code(200, "VPC.2502")),
        ("not found, but 500", post(about(LIVING)), 503, code(500, "VPC.2502")),
        (
            "forbidden, with markup",
            post(about(LIVING)),
            502,
            code(403, "VPC.2201", message="<script>marked</script>\r\nSet-Cookie: marked=1"),
        ),
        (
            "forbidden, by a request with control characters",
            post(about(LIVING)),
            502,
            says(
                text({"error_code": "VPC.2201", "request_id": "1\r\nSet-Cookie: a=b\x1b\u202e"}).encode(),
                403,
                "show_port",
            ),
        ),
        ("elsewhere", post(about(LIVING)), 503, says(b"", 301, "show_port", Location="https://evil.example/")),
        (
            "after thirty years",
            post(about(LIVING, project_id=PATIENT_PROJECT)),
            503,
            says(b"{}", 429, "*", **{"Retry-After": "999999999"}),
        ),
    ),
    "hostile certificate": (
        *(
            (name, smn(url), 401)
            for name, url in (
                ("none", None),
                ("another host", f"https://evil.example{CERTIFICATE}"),
                ("a host that begins alike", f"https://{HOST}.evil.example{CERTIFICATE}"),
                ("another service", f"https://obs.{REGION}.myhuaweicloud.com{CERTIFICATE}"),
                ("another region", f"https://smn.cn-north-4.myhuaweicloud.com{CERTIFICATE}"),
                ("a name before the host", f"https://{HOST}@evil.example{CERTIFICATE}"),
                ("an address", f"https://127.0.0.1{CERTIFICATE}"),
                ("an IPv4 address as IPv6", f"https://[::ffff:127.0.0.1]{CERTIFICATE}"),
                ("the metadata service", "http://169.254.169.254/openstack/latest/securitykey"),
                ("a file", "file:///etc/passwd"),
                ("a way elsewhere", f"https://{HOST}/redirect?to=https://evil.example/x.pem"),
                ("a line's end", f"https://{HOST}\r\nX-Odd: 1{CERTIFICATE}"),
                ("100,000 letters", f"https://{HOST}/{'x' * 100_000}.pem"),
            )
        ),
        (
            "a confirmation that leads elsewhere",
            smn(
                f"https://evil.example{CERTIFICATE}",
                type="SubscriptionConfirmation",
                subscribe_url="https://127.0.0.1/confirm",
            ),
            401,
        ),
        ("another topic", smn(f"https://evil.example{CERTIFICATE}", topic_urn=f"{TOPIC}-of-another"), 401),
        ("another version", smn(f"https://evil.example{CERTIFICATE}", signature_version="v0"), 401),
    ),
}
