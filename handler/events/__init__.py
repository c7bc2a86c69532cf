"""What happened: from the JSON that a delivery brings to the events it stands for. Pure."""

from handler.events.cloudevents import from_http
from handler.events.envelopes import is_gateway_request
from handler.events.parser import MAX_DEPTH, MAX_EVENTS, MAX_INTERFACES, Reading, read
from handler.events.schemas import identifier, validate
from handler.events.strict_json import decode

__all__ = [
    "MAX_DEPTH",
    "MAX_EVENTS",
    "MAX_INTERFACES",
    "Reading",
    "decode",
    "from_http",
    "identifier",
    "is_gateway_request",
    "read",
    "validate",
]
