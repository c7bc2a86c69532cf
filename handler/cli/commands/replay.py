"""`unmirror replay`: send again what was not answered, directly to the API or to a function's URL."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from handler.cli import output as show
from handler.cli.deliveries import Delivery, Ending, Ledger, deliveries
from handler.cli.interruption import interruptible
from handler.cli.options import A_DAY, DONE, FAILED, STOPPED, Common, common, complain, example, fail
from handler.cli.progress import bar
from handler.cli.sending import Send, patient, to_api, to_function
from handler.errors import UnmirrorError
from handler.mirror.abreast import abreast

MOST_NAMED = 20
"""Ways of not ending well that people are told of, each with its first delivery; JSON names all."""


def _from_env(_: click.Context, __: click.Parameter, name: str | None) -> str:
    """Return what the variable holds: nothing secret is ever an argument."""
    if name is not None and not os.environ.get(name, "").strip():
        raise click.BadParameter("this variable is not set")
    return os.environ[name].strip() if name else ""


@click.command(
    epilog=example(
        "unmirror replay dead-letters.jsonl --resume replay.state",
        "unmirror replay letters.jsonl --url https://f.example --token-env T",
        exits="1 where anything did not end well",
    )
)
@click.argument("file", type=click.File("rb"))
@click.option("--url", metavar="URL", help="Of a function, which is to do it instead of this command.")
@click.option("--secret-env", "secret", metavar="NAME", callback=_from_env, help="Variable with the secret to sign by.")
@click.option("--token-env", "token", metavar="NAME", callback=_from_env, help="Variable with the bearer token.")
@click.option(
    "--resume",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="STATEFILE",
    help="Note in this file what was answered, and do not send that again.",
)
@click.option(
    "--in-flight",
    metavar="NUMBER",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Deliveries at a time.",
)
@common("dry_run", "project", "region", "endpoint", "profile", "deadline", "as_json", "quiet")
def replay(
    chosen: Common, file: Any, url: str | None, secret: str, token: str, resume: Path | None, in_flight: int
) -> None:
    """Send deliveries again, from a file.

    FILE holds JSON lines, a JSON array, or one event; - is standard input.
    It may hold whatever the function reads, and so dead letters of Knative,
    failure notifications of FunctionGraph, and messages of SMN, too. Ctrl-C
    lets what is under way end.
    """
    if url and (chosen.dry_run or chosen.project or chosen.region or chosen.endpoint or chosen.profile):
        raise click.UsageError("with --url, the function has its own settings: --dry-run and the like are not for it")
    if not url and (secret or token):
        raise click.UsageError("--secret-env and --token-env are for --url")
    try:
        ledger = Ledger(resume)
    except OSError as error:
        fail(f"the state file cannot be used: {error.strerror}", then="give another by --resume")
    read = deliveries(file.read())
    with interruptible() as interruption:
        deadline = interruption.deadline(chosen.deadline or A_DAY)
        try:
            if url:
                with to_function(url, secret, token, in_flight, deadline) as send:
                    endings = _sent(chosen, read, ledger, patient(send, deadline), in_flight)
            else:
                endings = _sent(chosen, read, ledger, patient(to_api(chosen.ready(), deadline), deadline), in_flight)
        except UnmirrorError as error:
            fail(error, chosen)
        told = _told(read, ledger, endings)
        chosen.print_json(told)
        chosen.print_result(
            ", ".join(f"{many} {outcome}" for outcome, many in told["ended"].items()) or "nothing to do"
        )
        _show(chosen.console(), told)
        bad = [ending for ending in endings if not ending.well]
        if bad:
            left = sum(not ending.settled for ending in bad)
            then = f"run it again{'' if resume else ', with --resume FILE to send only these'}"
            if any(ending.status == 401 for ending in bad):
                then = "say how the function admits you, by --secret-env or --token-env"
            elif not left:
                then = "give one of them to `unmirror explain`, which says what it breaks"
            complain(f"{len(bad)} of {len(read)} did not end well; {left} can be sent again", then=then)
        stopped = any(ending.outcome == "stopped" for ending in endings)
        sys.exit(interruption.exit_code(FAILED if bad else STOPPED if stopped else DONE))


def _sent(chosen: Common, read: Sequence[Delivery], ledger: Ledger, send: Send, in_flight: int) -> list[Ending]:
    """Send each that was not answered, once; return how they ended, in the order of the file."""
    endings = [Ending(each, "unreadable", 400, str(each.fault)) for each in read if each.fault]
    todo = {each.key: each for each in reversed(read) if not each.fault and each.key not in ledger.answered}
    with bar(chosen.progress()) as tell, abreast(send, list(todo.values())[::-1], in_flight) as ended:
        tell("sending", 0, len(todo))
        for done, ending in enumerate(ledger.enter(ending for _, ending in ended), 1):
            tell("sending", done, len(todo))
            endings.append(ending)
    places = {id(each): place for place, each in enumerate(read)}
    return sorted(endings, key=lambda ending: places[id(ending.delivery)])


def _told(read: Sequence[Delivery], ledger: Ledger, endings: Sequence[Ending]) -> dict[str, Any]:
    before = sum(not each.fault and each.key in ledger.answered for each in read)
    return {
        "deliveries": len(read),
        "answered_before": before,
        "repeated": len(read) - before - len(endings),
        "ended": dict(sorted(Counter(ending.outcome for ending in endings).items())),
        "left": sum(not ending.settled for ending in endings),
        "endings": [ending.to_json() for ending in endings],
    }


def _show(console: Console, told: Mapping[str, Any]) -> None:
    lines = show.grid()
    more = {"answered before": told["answered_before"], "the same as another": told["repeated"]}
    besides = "".join(f"; {many:,} {what}" for what, many in more.items() if many)
    lines.add_row("read", show.count(told["deliveries"], "event") + besides)
    for outcome, many in told["ended"].items():
        lines.add_row(show.outcome(outcome), f"{many:,}")
    console.print(lines)
    ways: dict[tuple[str, str], list[str]] = {}
    for each in told["endings"]:
        if each["status"] not in (200, 204):
            ways.setdefault((each["outcome"], each["detail"]), []).append(each["place"])
    lines = show.grid()
    for (outcome, detail), places in list(ways.items())[:MOST_NAMED]:
        others = f" (and {len(places) - 1:,} more)" if len(places) > 1 else ""
        lines.add_row(places[0], f"{show.outcome(outcome)}: {show.plain(detail)}{others}")
    if len(ways) > MOST_NAMED:
        lines.add_row("", "and more; --json names all")
    if ways:
        console.print()
        console.print(lines)
