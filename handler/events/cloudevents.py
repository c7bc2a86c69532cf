"""The HTTP binding of CloudEvents 1.0, and of everything that is posted as plain JSON.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote

from handler.errors import BadEvent, UnsupportedMedia, Violation
from handler.events.strict_json import decode_parts

# No type, and the type for "of no known type", say the same (RFC 9110, §8.3). SMN posts its JSON as text/plain.
_JSON = (
    r"|text/plain|application/(?:json|octet-stream|cloudevents(?:-batch)?\+json)|(?!application/cloudevents).*\+json"
)
_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii"})
_ATTRIBUTE = r"ce-(?!data(?:contenttype)?$)[a-z0-9]+"  # neither may come as a header of this kind
_BINARY_MARKS = frozenset({"ce-specversion", "ce-id", "ce-source", "ce-type"})


def from_http(headers: Mapping[str, str], body: bytes, at: str = "$") -> object:
    """Return what a request carries, as `parse` takes it: a CloudEvent of any mode in its structured form.

    The data of a binary CloudEvent are its bytes as they came, whatever their type: only who knows the event's type
    knows whether they are needed. Raises BadEvent for any other body that is not JSON, with its path `at`, and
    UnsupportedMedia for a content type that is not JSON in UTF-8.
    """
    known = {name.lower(): value for name, value in headers.items()}
    content_type = known.get("content-type", "")
    media, *parameters = (part.strip() for part in content_type.lower().split(";"))
    is_event = media.startswith("application/cloudevents")
    if _BINARY_MARKS & known.keys() and not is_event:
        if "," in known.get("ce-type", ""):  # as servers join a header that came twice
            raise BadEvent("a CloudEvent has one type", (Violation(f"{at}.type", "one value"),))
        event = {name[3:]: _attribute(value) for name, value in known.items() if re.fullmatch(_ATTRIBUTE, name)}
        members = {"datacontenttype": content_type, "data": body}
        return event | {name: value for name, value in members.items() if value}
    charsets = {each.removeprefix("charset=").strip('"') for each in parameters if each.startswith("charset=")}
    if not (re.fullmatch(_JSON, media) and charsets <= _CHARSETS):
        raise UnsupportedMedia(
            "send JSON in UTF-8: application/json, any +json, text/plain, or CloudEvents in any mode"
        )
    value = decode_parts(body, at)
    kind = "array" if "batch" in media else "object"
    if is_event and not isinstance(value, list if kind == "array" else dict):
        raise BadEvent(f"a body of {media} is an {kind}", (Violation(at, f"type: {kind}"),))
    return value


def _attribute(value: str) -> str:
    """Undo a quoted string, then the percent encoding, once each (§3.1.3.2).

    What is not percent-encoded UTF-8 stays as it is: sdk-go and sdk-java send a `%` unencoded (cloudevents/spec#1397).
    """
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        return value
