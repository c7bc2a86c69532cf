"""`unmirror explain`: what an event means, or which rule it breaks."""

from __future__ import annotations

import sys
from typing import Any

import click

from handler import events
from handler.cli import output as show
from handler.cli.options import DONE, FAILED, Common, common, complain, example, fail
from handler.errors import BadEvent
from handler.events.explain import explain as explain_payload


@click.command(epilog=example("unmirror explain event.json", exits="1 where the event cannot be read"))
@click.argument("file", type=click.File("rb"))
@common("as_json", "quiet")
def explain(chosen: Common, file: Any) -> None:
    """Say what an event means.

    FILE holds one event as JSON; - is standard input. Needs no credentials
    and calls nothing.
    """
    try:
        told = explain_payload(events.decode(file.read())).to_json()
    except BadEvent as error:
        fail(error, chosen)
    chosen.print_json(told)
    chosen.print_result(told["fault"] or ", ".join(event["event"] for event in told["events"]) or "no event")
    show.explanation(chosen.console(), told)
    if told["readable"]:
        sys.exit(DONE)
    complain(BadEvent(told["fault"]))
    sys.exit(FAILED)
