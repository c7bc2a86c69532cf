"""Attacks by who answers: in the API's place, or where a message says that its certificate is."""

from __future__ import annotations

import gzip

from handler.emulator.operations import Fault
from tests.hostile.attacks.made import (
    EVER,
    GONE,
    LIVING,
    PATIENT_PROJECT,
    SWEEP,
    Rows,
    about,
    code,
    lists,
    port,
    says,
    session,
    smn,
)
from tests.hostile.attacks.wire import post
from tests.support.smn_topic import CERTIFICATE, HOST, REGION, URN

BOMB = gzip.compress(b'{"traffic_mirror_sessions":[' + b" " * (65 * 1024 * 1024) + b"]}", 9)
OTHERS = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(99)]
NO_PORTS = says(b'{"ports":[],"page_info":{}}', 200, "list_ports")
EVIL = CERTIFICATE.replace(HOST, "evil.example")
THIRTY_YEARS = says(b"{}", 429, "*", **{"Retry-After": "999999999"})
MARKUP = "<script>marked</script>\r\nSet-Cookie: marked=1"

TABLE: dict[str, Rows] = {
    "hostile list": (
        ("a page of HTML", post(about(GONE)), 503, says(b"<html>sign in</html>")),
        ("a way elsewhere", post(about(GONE)), 503, says(b"", 302, Location="http://127.0.0.1:9/")),
        ("a small page that unpacks to 65 MiB", post(about(GONE)), 503, says(BOMB, **{"Content-Encoding": "gzip"})),
        ("half of one", post(about(GONE)), 503, (Fault("list_sessions", "truncate", times=EVER),)),
        ("a list that is not found", post(about(GONE)), 503, says(b'{"error_code":"VPC.2803"}', 404)),
        ("100,000 arrays", post(about(GONE)), 503, says(b"[" * 100_000)),
        ("a path for a session", post(about(GONE)), 200, lists(session("../../v1/x", GONE))),
        ("a line's end in a session", post(about(GONE)), 200, lists(session("1\r\nX-Odd: 1", GONE))),
        ("a session without an id", post(about(GONE)), 200, lists(session(None, GONE))),
        ("sources that are text", post(about(GONE)), 200, lists({**session("1"), "traffic_mirror_sources": GONE})),
        ("pages in a circle", post(about(GONE)), 503, lists(session("1"), next_marker="1")),
        ("a marker with a query", post(about(GONE)), 503, lists(session("1", GONE), next_marker="x&limit=0#\r\n")),
        ("a session that mirrors elastic IPs", post(about(GONE)), 200, lists(session("1", GONE, type="eip"))),
        ("paths for sources, in a sweep", post(SWEEP), 200, lists(session("1", "../../v1", "x\r\ny"))),
        ("only sources of others, in a sweep", post(SWEEP), 200, (*lists(session("1", *OTHERS)), *NO_PORTS)),
    ),
    "slow": (
        ("a list that never comes", post(about(GONE)), 503, (Fault("list_sessions", "hang", times=EVER),)),
        ("a list that drips", post(about(GONE)), 503, (Fault("list_sessions", "drip", times=EVER),)),
        ("an interface that never comes", post(about(LIVING)), 503, (Fault("show_port", "hang", times=EVER),)),
    ),
    "hostile interface": (
        *(
            (name, post(about(LIVING)), status, api)
            for name, status, api in (
                ("another interface", 503, port({"port": {"id": GONE}})),
                ("HTML that is not found", 503, port(b"<h1>404</h1>", 404)),
                ("gone, says a proxy", 503, port(b"", 410)),
                ("not found, or not allowed", 502, port(code("VPC.2204"), 404)),
                ("not found by the gateway", 502, port(code("APIGW.0101"), 404)),
                ("not found, with another service's code", 503, port(code("ECS.0114"), 404)),
                ("not found, with a line's end in the code", 503, port(code("VPC.2502\r\n"), 404)),
                ("not found, in wide digits", 503, port(code("VPC.２５０２"), 404)),  # noqa: RUF001 - look-alikes
                ("not found, but 200", 503, port(code("VPC.2502"))),
                ("forbidden, with markup", 502, port(code("VPC.2201", MARKUP), 403)),
                ("forbidden, with control characters", 502, port(code("VPC.2201", "", "1\r\nSet-Cookie: a\x1b"), 403)),
                ("elsewhere", 503, port(b"", 301, Location="https://evil.example/")),
            )
        ),
        ("after thirty years", post(about(LIVING, project_id=PATIENT_PROJECT)), 503, THIRTY_YEARS),
    ),
    "hostile certificate": (
        ("another host", smn(EVIL), 401),
        ("another region", smn(CERTIFICATE.replace(REGION, "cn-north-4")), 401),
        ("a name before the host", smn(CERTIFICATE.replace(HOST, f"{HOST}@evil.example")), 401),
        ("an IPv4 address as IPv6", smn(CERTIFICATE.replace(HOST, "[::ffff:127.0.0.1]")), 401),
        ("the metadata service", smn("http://169.254.169.254/openstack/latest/securitykey"), 401),
        ("a file", smn("file:///etc/passwd"), 401),
        ("a line's end", smn(CERTIFICATE.replace(HOST, f"{HOST}\r\nX-Odd: 1")), 401),
        ("100,000 letters", smn(f"https://{HOST}/{'x' * 100_000}.pem"), 401),
        ("a confirmation", smn(EVIL, type="SubscriptionConfirmation", subscribe_url="https://127.0.0.1/"), 401),
        ("another topic", smn(EVIL, topic_urn=f"{URN}-of-another"), 401),
    ),
}
