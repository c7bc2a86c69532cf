"""What happened: from the JSON that a delivery brings to the events it stands for. Pure."""

from handler.events.cloudevents import from_http
from handler.events.envelopes import is_gateway_request
from handler.events.parser import Parsed, parse
from handler.events.schemas import identifier, validate
from handler.events.strict_json import decode, decode_parts

__all__ = ["Parsed", "decode", "decode_parts", "from_http", "identifier", "is_gateway_request", "parse", "validate"]
