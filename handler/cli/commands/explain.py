"""`unmirror explain`: what an event means, or which rule it breaks."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from handler.cli.options import Exit, as_json, example
from handler.cli.output import Output, print_error
from handler.cli.payloads import EventFile, read_file
from handler.cli.reports import words
from handler.events.explain import explain as explain_payload


@click.command(epilog=example("unmirror explain event.json", exits="1 where an event cannot be read"))
@click.argument("file", type=click.File("rb"), callback=read_file)
@as_json
def explain(output: Output, file: EventFile) -> int:
    """Say what an event means.

    FILE holds one event as JSON, an array of them, JSON lines, or what CTS
    stores (.json.gz); - is standard input. Needs no credentials and calls
    nothing.
    """
    if not file.payloads:
        print_error("the file holds no event")
    explained = [(place, explain_payload(payload)) for place, payload in file.payloads]
    faults = [(place, fault) for place, each in explained for fault in _faults(each)]
    several = len(explained) != 1
    items = [{"place": place, "explanation": each} for place, each in explained]
    output.json({"readable": not faults, "items": items} if several else explained[0][1])
    for place, each in explained:
        if several:
            output.text(place)
        _print_explanation(output, each)
    hint = "the nearest envelopes say what is missing" if any(each["nearest"] for _, each in explained) else ""
    for place, fault in faults:
        print_error(fault, f"{place}: " if several else "", hint=hint or "correct it where it is made")
    if file.too_large:
        text = "the function would refuse this as one delivery: it is over 256 KiB"
        print_error(text, hint="send it in parts, or work it off here: `unmirror replay FILE`")
    return Exit.FAILED if faults or file.too_large else Exit.DONE


def _faults(explained: Mapping[str, Any]) -> list[str]:
    """Return why the payload, or a part of it, cannot be read."""
    parts = [event["fault"] for event in explained["events"] if event["event"] == "unreadable"]
    return parts if explained["fault"] is None else [explained["fault"], *parts]


def _print_explanation(output: Output, explained: Mapping[str, Any]) -> None:
    """Print how a payload is read, or which rule fails where."""
    for each in explained["envelopes"]:
        output.line("envelope", each["envelope"], each["schema"])
    for event in explained["events"]:
        output.line("event", words(event["event"]))
        for name, value in event.items():
            if name not in ("event", "violations") and value:
                output.line(words(name), ", ".join(value) if isinstance(value, list) else str(value))
        _print_rules(output, event.get("violations", ()))
    if explained["fault"]:
        output.line("fault", explained["fault"])
    _print_rules(output, explained["violations"])
    for near in explained["nearest"]:
        output.line("nearest", near["envelope"], "but for:")
        _print_rules(output, near["mismatches"])


def _print_rules(output: Output, violations: Sequence[Mapping[str, str]]) -> None:
    for each in violations:
        output.line("rule", f"{each['path']}: {each['rule']}")
