"""The HTTP binding of CloudEvents 1.0, and of everything that is posted as plain JSON.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import unquote

from handler.errors import BadEvent, UnsupportedMedia, Violation
from handler.events.strict_json import decode

_STRUCTURED, _BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
# No type, and the type for "of no known type", say the same (RFC 9110, §8.3). SMN posts its JSON as text/plain.
_PLAIN = frozenset({"", "application/json", "application/octet-stream", "text/plain"})
_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii"})
_ATTRIBUTE = re.compile(r"ce-([a-z0-9]+)")
_BINARY_MARKS = frozenset({"ce-specversion", "ce-id", "ce-source", "ce-type"})


def from_http(headers: Mapping[str, str], body: bytes) -> object:
    """Return what a request carries, as `read` takes it: a CloudEvent of any mode in its structured form.

    Raises BadEvent for a body or a header that cannot be read, UnsupportedMedia for a content type that is not
    JSON in UTF-8. A binary CloudEvent may have data of any type: it is kept as text, or as `data_base64`.
    """
    known = {name.lower(): value for name, value in headers.items()}
    media, charset = _content_type(known.get("content-type", ""))
    if media.startswith("application/cloudevents"):
        if media not in (_STRUCTURED, _BATCH) or charset not in _CHARSETS:
            raise UnsupportedMedia(f"a CloudEvent is read as {_STRUCTURED}, {_BATCH} or in binary mode, in UTF-8")
        value = decode(body)
        if not isinstance(value, list if media == _BATCH else dict):
            asked = "array" if media == _BATCH else "object"
            raise BadEvent(f"a body of {media} is an {asked}", (Violation("$", f"type: {asked}"),))
        return value
    if _BINARY_MARKS & known.keys():
        return _attributes(known) | _content(media, charset, body)
    if not (_is_json(media) or media in _PLAIN) or charset not in _CHARSETS:
        raise UnsupportedMedia("send JSON in UTF-8: application/json, any +json, or text/plain")
    value = decode(body)
    if not isinstance(value, dict):
        raise BadEvent(f"an event is a JSON object; several come as {_BATCH}", (Violation("$", "type: object"),))
    return value


def _attributes(headers: Mapping[str, str]) -> dict[str, object]:
    attributes: dict[str, object] = {
        match[1]: _attribute(value) for name, value in headers.items() if (match := _ATTRIBUTE.fullmatch(name))
    }
    for reserved in ("data", "datacontenttype"):  # neither may come as a header of this kind
        attributes.pop(reserved, None)
    if content_type := headers.get("content-type"):
        attributes["datacontenttype"] = content_type
    return attributes


def _attribute(value: str) -> str:
    """Undo a quoted string, then the percent encoding, once each (§3.1.3.2)."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise BadEvent("a ce- header is not percent-encoded UTF-8") from None


def _content(media: str, charset: str, body: bytes) -> dict[str, object]:
    if not body:
        return {}
    if (not media or _is_json(media)) and charset in _CHARSETS:
        return {"data": decode(body)}
    if media.startswith("text/") and charset in _CHARSETS:
        return {"data": body.decode("utf-8", "replace")}
    return {"data_base64": base64.b64encode(body).decode("ascii")}


def _is_json(media: str) -> bool:
    return media == "application/json" or media.endswith("+json")


def _content_type(header: str) -> tuple[str, str]:
    media, *parameters = (part.strip().lower() for part in header.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return media, value.strip(' "')
    return media, ""
