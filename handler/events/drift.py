"""Drift: what a valid payload has that its schema was not written for. Seen before it breaks anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Literal, TypeAlias

from handler.events import schemas

Drift: TypeAlias = tuple[str, Literal["member", "version"]]
"""An envelope, and whether a member or a version of it is new. Never a name or a value of the payload."""

_OPEN = frozenset({"cloudevent", "interface-deleted", "sweep-due"})
"""Envelopes that their senders may extend."""

_DOCUMENTED: Mapping[str, frozenset[str]] = {
    # https://support.huaweicloud.com/intl/en-us/usermanual-cts/cts_03_0010.html, and the CTS API, v3
    "trace": frozenset(
        {
            *("api_version", "code", "content_length", "domain_id", "endpoint", "enterprise_project_id", "event_type"),
            *("location_info", "operation_id", "read_only", "request_id", "resource_account_id", "resource_name"),
            *("source_ip", "total_time", "tracker_name", "trace_type", "user_agent"),
        }
    ),
    # https://support.huaweicloud.com/intl/en-us/usermanual-smn, "HTTP/HTTPS message format"
    "smn-http": frozenset({"subscribe_url"}),
}
"""Members that are documented and that no decision needs, beyond those of the schemas and their examples."""

_HOLDS: Mapping[str, tuple[str, str]] = {"cts": ("cts", "trace")}
"""What an envelope's own schema refers to, so that it is no part that is read in turn."""

_VERSIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "kafka-trigger": ("event_version", ("v1.0",)),
    "smn-http": ("signature_version", ("v1",)),
    "timer": ("version", ("v1.0", "v2.0")),
}
"""The member that tells a version, and those that are documented."""


def drift(name: str, value: object) -> Iterator[Drift]:
    """Yield what is new in a value that the schema has found valid."""
    if not isinstance(value, dict):
        return
    if name not in _OPEN and not value.keys() <= _members(name):
        yield name, "member"
    if name in _HOLDS:
        member, held = _HOLDS[name]
        yield from drift(held, value[member])
    if name in _VERSIONS:
        member, known = _VERSIONS[name]
        if value.get(member) not in (None, *known):
            yield name, "version"


@cache
def _members(name: str) -> frozenset[str]:
    schema = schemas.schema(name)
    shown = (member for example in schema["examples"] for member in example)
    return frozenset([*schema["properties"], *shown, *_DOCUMENTED.get(name, ())])
