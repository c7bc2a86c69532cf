"""How a payload was read, or why it cannot be: for whoever connects a trigger and sees nothing happen."""

import re
from typing import Any

from handler.errors import BadEvent
from handler.events.envelopes import ENVELOPES, nearest
from handler.events.parser import Parser
from handler.events.schemas import identifier
from handler.model import Event, EventMetadata


def explain(payload: object) -> dict[str, Any]:
    """Return how the decoded JSON value is read, or which rule fails where. Raises nothing. Pure.

    As JSON values, in the members of `schemas/cli/explain.json`: the envelopes that were recognised, the outermost
    first; those that held others (`unwrapped`); the events; or why it cannot be read (`fault`), against which
    envelope (`faulty`), with all violations, and for an unknown payload what the nearest envelopes have that it has
    not. Unlike an error, it shows what the payload says.
    """
    parser = Parser()
    events: tuple[Event, ...] = ()
    fault: BadEvent | None = None
    try:
        events = parser.parse(payload).events
    except BadEvent as error:
        fault = error
    envelopes = [{"envelope": name, "schema": identifier(name)} for name in parser.passed]
    unknown = payload if isinstance(payload, dict) and not any(each.matches(payload) for each in ENVELOPES) else {}
    return {
        "readable": fault is None,
        **(envelopes[0] if envelopes else {"envelope": None, "schema": None}),
        "envelopes": envelopes,
        "unwrapped": [name for name, is_carrier in parser.passed.items() if is_carrier],
        "events": [_event(event) for event in events],
        "fault": str(fault) if fault else None,
        "faulty": fault.envelope if fault else None,
        "violations": [violation._asdict() for violation in fault.violations] if fault else [],
        "nearest": [
            {"envelope": name, "mismatches": [miss._asdict() for miss in misses]}
            for name, misses in nearest(unknown).items()
        ],
    }


def _event(event: Event) -> dict[str, Any]:
    """Return the event by its class's name, `interfaces_deleted`, with its own members and those of its metadata."""
    told: dict[str, Any] = {"event": re.sub(r"\B([A-Z])", r"_\1", type(event).__name__).lower()}
    for name in event.__match_args__:
        match getattr(event, name):
            case BadEvent() as error:
                told |= {"fault": str(error), "violations": [violation._asdict() for violation in error.violations]}
            case EventMetadata() as metadata:
                told |= {each: getattr(metadata, each) for each in ("id", "envelope", "project_id", "region", "actor")}
                told["time"] = metadata.time and metadata.time.isoformat()
            case value:
                told[name] = list(value) if isinstance(value, tuple) else value
    return told
