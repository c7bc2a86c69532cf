"""The commands. Exit codes: 0 done, 1 failed, 2 usage, 3 stopped by a safety limit."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console

from handler import __version__, events
from handler.cli import demo as demo_
from handler.cli import show, tenant
from handler.errors import BadEvent, UnmirrorError
from handler.report import problem
from handler.service import Service
from handler.vpc.emulator import Behaviour, Emulator

A_DAY = 86_400.0

F = TypeVar("F", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="unmirror")
def unmirror() -> None:
    """Take deleted network interfaces out of Huawei Cloud traffic mirror sessions."""


def _as_json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")(command)


@unmirror.command()
@_as_json
def demo(as_json: bool) -> None:
    """Watch an event detach a deleted interface; needs no cloud.

    Starts the emulator and the real function, deletes an interface, and sends the event over HTTP. Exits with 1
    when the emulator's state is not as claimed.

    Example: unmirror demo
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the function's process ends with us
    console = Console(quiet=as_json, highlight=False)
    console.print("[bold]unmirror[/]: an emulated project with 8 traffic mirror sessions and 30 interfaces,")
    console.print("and the real function, served by functions-framework over HTTP.")
    company = tenant.seed()
    acts = []
    try:
        for number, played in enumerate(demo_.play(company), 1):
            acts.append(played)
            show.act(console, number, played, company)
    except demo_.DemoFailed as error:
        _fail(str(error))
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        sys.exit(130)
    wrong = [claim for played in acts for claim in played.wrong]
    if as_json:
        click.echo(json.dumps({"as_claimed": not wrong, "acts": [asdict(played) for played in acts]}, indent=2))
    console.print()
    if wrong:
        _fail("the emulator's state is not as claimed: " + "; ".join(wrong))
    console.print("[green]The emulator's state is as claimed.[/] Next: unmirror emulate, and the README.")


@unmirror.command()
@click.option("--port", default=8099, show_default=True, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--latency", default=0.0, help="Seconds that each answer takes.")
@click.option("--page-cap", default=2000, show_default=True, help="Most sessions or interfaces a page.")
@click.option("--rate-limit", type=float, help="Requests a second; more are answered with 429.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same ids.")
@click.option("--unsigned", is_flag=True, help="Ask for no signatures.")
@click.option(
    "--absent-source",
    type=click.Choice(["reject", "ignore"]),
    default="reject",
    show_default=True,
    help="What remove-sources says of an id that the session does not list.",
)
def emulate(
    port: int, latency: float, page_cap: int, rate_limit: float | None, seed: int, unsigned: bool, absent_source: str
) -> None:
    """Serve an emulated VPC API until Ctrl-C.

    Prints the variables that point the function at it, and an interface that is deleted already.

    Example: unmirror emulate --port 8099 --latency 0.02
    """
    company = tenant.seed(seed)
    deleted = company.interfaces[demo_.VICTIM]
    company.cloud.delete_port(deleted)
    emulator = Emulator(
        company.cloud,
        keys=None if unsigned else {tenant.ACCESS_KEY: tenant.SECRET_KEY},
        behaviour=Behaviour(absent_source="ignore" if absent_source == "ignore" else "reject"),
        latency=latency,
        page_cap=page_cap,
        rate_limit=rate_limit,
        port=port,
        keep_calls=False,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        emulator.__enter__()
    except RuntimeError as error:
        _fail(f"{error}: is port {port} taken?")
    click.echo(f"export UNMIRROR_VPC_ENDPOINT={emulator.url}")
    click.echo(f"export HUAWEICLOUD_SDK_AK={tenant.ACCESS_KEY} HUAWEICLOUD_SDK_SK={tenant.SECRET_KEY}")
    click.echo(f"export HUAWEICLOUD_SDK_PROJECT_ID={tenant.PROJECT_ID}")
    click.echo(f"# deleted already, and still in three sessions: {deleted}")
    click.echo(f"# alive, and in one session: {company.interfaces[demo_.SURVIVOR]}")
    while not stop.wait(3600):
        pass
    emulator.__exit__()


@unmirror.command()
@click.argument("interface_ids", nargs=-1, required=True, metavar="ID...")
@click.option("--project", help="Project id, instead of the configured one.")
@click.option("--dry-run", is_flag=True, help="Say what would be detached.")
@_as_json
def detach(interface_ids: tuple[str, ...], project: str | None, dry_run: bool, as_json: bool) -> None:
    """Detach interfaces from their sessions, if they are really gone.

    An interface that the VPC API still shows is refused. The settings are those of the function.

    Example: unmirror detach 6134900d-31a6-4b71-8453-dbca7f26982a --dry-run
    """
    event = {
        "type": "io.unmirror.interface.deleted.v1",
        "id": f"cli-{uuid.uuid4()}",
        "data": {"interface_ids": list(interface_ids)} | ({"project_id": project} if project else {}),
    }
    _handle(event, {"UNMIRROR_DRY_RUN": "1"} if dry_run else {}, as_json)


@unmirror.command()
@click.option("--project", help="Project id, instead of all that are configured.")
@click.option("--dry-run", is_flag=True, help="Say what would be detached.")
@click.option("--limit", help="Stop if more would be detached: a count (50) or a percentage (20%).")
@_as_json
def sweep(project: str | None, dry_run: bool, limit: str | None, as_json: bool) -> None:
    """Look at every source of every session, and detach those that are gone.

    Example: unmirror sweep --dry-run
    """
    overrides = {"UNMIRROR_DRY_RUN": "1"} if dry_run else {}
    if limit:
        overrides["UNMIRROR_SWEEP_LIMIT"] = limit
    event: dict[str, Any] = {"type": "io.unmirror.sweep.due.v1", "id": f"cli-{uuid.uuid4()}", "data": {}}
    if project:
        event["data"]["project_id"] = project
    _handle(event, overrides, as_json)


@unmirror.command()
@click.argument("file", type=click.File("rb"))
@_as_json
def explain(file: Any, as_json: bool) -> None:
    """Say what an event means, without credentials and without calling anything.

    FILE holds one event as JSON; - is standard input. Exits with 1 when the event cannot be read.

    Example: unmirror explain event.json
    """
    try:
        told = events.explain(events.decode(file.read())).to_json()
    except BadEvent as error:
        _fail(str(error), problem(error) if as_json else None)
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        show.explanation(Console(highlight=False), told)
    sys.exit(0 if told["readable"] else 1)


def _handle(event: dict[str, Any], overrides: dict[str, str], as_json: bool) -> None:
    """Let the service do what the event asks for, show the report, and exit with its code."""
    try:
        service = Service.from_env({**os.environ, **overrides})
        service = replace(service, settings=replace(service.settings, deadline=A_DAY))
        report = service.handle(event)
    except UnmirrorError as error:
        _fail(str(error), problem(error) if as_json else None)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        show.report(Console(highlight=False), report.to_json())
    sys.exit(3 if report.outcome == "stopped" else 1 if report.error else 0)


def _fail(message: str, as_json: dict[str, Any] | None = None) -> NoReturn:
    if as_json is not None:
        click.echo(json.dumps(as_json, indent=2))
    click.echo(f"unmirror: {message}", err=True)
    sys.exit(1)
