"""The commands. Exit codes: 0 done, 1 failed, 2 usage, 3 stopped by a safety limit."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import uuid
from contextlib import closing
from dataclasses import asdict
from typing import Any

import click

from handler import __version__, events
from handler.cli import demo as demo_
from handler.cli import show, tenant
from handler.cli.check import check
from handler.cli.interruption import carry_out
from handler.cli.options import DONE, FAILED, Common, common, complain, example, fail, interface
from handler.cli.replay import replay
from handler.cli.sessions import sessions
from handler.cli.sweep import sweep
from handler.errors import BadEvent, UnmirrorError
from handler.vpc.emulator import Behaviour, Emulator


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog=example(
        "unmirror demo              see it work, without a cloud",
        "unmirror check             can it work here?",
        "unmirror sweep --dry-run   what is there to clean up?",
    )
    + """\n\n\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 stopped by a safety limit;
130 and 143 when Ctrl-C or SIGTERM ended it.
Shell completion, for bash in ~/.bashrc, for zsh with zsh_source in ~/.zshrc:
eval "$(_UNMIRROR_COMPLETE=bash_source unmirror)"
and for fish: _UNMIRROR_COMPLETE=fish_source unmirror | source""",
)
@click.version_option(__version__, prog_name="unmirror")
def unmirror() -> None:
    """Take deleted network interfaces out of Huawei Cloud traffic mirror sessions."""


@unmirror.command(epilog=example("unmirror demo"))
@common("as_json", "quiet")
def demo(chosen: Common) -> None:
    """Watch an event detach a deleted interface.

    Needs no cloud: starts the emulator and the real function, deletes an
    interface, and sends the event over HTTP. Exits with 1 when the
    emulator's state is not as claimed.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the function's process ends with us
    console = chosen.console()
    console.print("[bold]unmirror[/]: an emulated project with 8 traffic mirror sessions and 30 interfaces,")
    console.print("and the real function, served by functions-framework over HTTP.")
    company = tenant.seed()
    acts = []
    try:
        with closing(demo_.play(company)) as play:
            for number, played in enumerate(play, 1):
                acts.append(played)
                show.act(console, number, played, company)
                if played.wrong:
                    break
    except demo_.DemoFailed as error:
        fail(str(error))
    except KeyboardInterrupt:
        complain("stopped")
        sys.exit(130)
    wrong = [claim for played in acts for claim in played.wrong]
    chosen.print_json({"as_claimed": not wrong, "acts": [asdict(played) for played in acts]})
    console.print()
    if wrong:
        fail("the emulator's state is not as claimed, it is not so that " + "; ".join(wrong))
    console.print("[green]The emulator's state is as claimed.[/] Next: unmirror emulate, and the README.")


@unmirror.command(epilog=example("unmirror emulate --port 8099 --latency 0.02"))
@click.option("--port", type=click.IntRange(0, 65_535), default=8099, show_default=True, help="0 takes a free one.")
@click.option("--latency", default=0.0, metavar="SECONDS", help="That each answer takes.")
@click.option("--page-cap", default=2000, show_default=True, help="Most sessions or interfaces a page.")
@click.option("--rate-limit", type=float, help="Requests a second; more get a 429.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same ids.")
@click.option("--unsigned", is_flag=True, help="Ask for no signatures.")
@click.option(
    "--absent-source",
    type=click.Choice(["reject", "ignore"]),
    default="reject",
    show_default=True,
    help="What remove-sources does with an id that the session does not list.",
)
def emulate(
    port: int, latency: float, page_cap: int, rate_limit: float | None, seed: int, unsigned: bool, absent_source: str
) -> None:
    """Serve an emulated VPC API until Ctrl-C.

    Prints the variables that point the function and the other commands at
    it, and an interface that is deleted already.
    """
    if not _is_free(port):
        fail(f"port {port} is taken\nnext: take another, or any that is free: unmirror emulate --port 0")
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
    emulator.__enter__()
    click.echo(f"export UNMIRROR_VPC_ENDPOINT={emulator.url}")
    click.echo(f"export HUAWEICLOUD_SDK_AK={tenant.ACCESS_KEY}")
    click.echo(f"export HUAWEICLOUD_SDK_SK={tenant.SECRET_KEY}")
    click.echo(f"export HUAWEICLOUD_SDK_PROJECT_ID={tenant.PROJECT_ID}")
    click.echo("# deleted already, and still in three sessions:")
    click.echo(f"# {deleted}")
    click.echo("# alive, and in one session:")
    click.echo(f"# {company.interfaces[demo_.SURVIVOR]}")
    while not stop.wait(3600):
        pass
    emulator.__exit__()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@unmirror.command(epilog=example("unmirror detach 6134900d-31a6-4b71-8453-dbca7f26982a --dry-run"))
@click.argument("interface_ids", nargs=-1, required=True, metavar="ID...", type=interface)
@common("dry_run", "project", "region", "endpoint", "deadline", "as_json", "quiet")
def detach(chosen: Common, interface_ids: tuple[str, ...]) -> None:
    """Detach interfaces from their sessions, if they are gone.

    An interface that the VPC API still shows is left alone, and the exit code
    is 1. The settings are those of the function.
    """
    event = {
        "type": "io.unmirror.interface.deleted.v1",
        "id": f"cli-{uuid.uuid4()}",
        "data": {"interface_ids": list(interface_ids)},
    }
    try:
        report, interruption = carry_out(chosen.service(), event)
    except UnmirrorError as error:
        fail(error, chosen)
    chosen.print_json(report.to_json())
    show.report(chosen.console(), report.to_json())
    if report.error:
        complain(report.error)
    sys.exit(interruption.exit_code(FAILED if report.error else DONE))


@unmirror.command(epilog=example("unmirror explain event.json"))
@click.argument("file", type=click.File("rb"))
@common("as_json")
def explain(chosen: Common, file: Any) -> None:
    """Say what an event means.

    FILE holds one event as JSON; - is standard input. Needs no credentials
    and calls nothing. Exits with 1 when the event cannot be read.
    """
    try:
        told = events.explain(events.decode(file.read())).to_json()
    except BadEvent as error:
        fail(error, chosen)
    chosen.print_json(told)
    show.explanation(chosen.console(), told)
    sys.exit(DONE if told["readable"] else FAILED)


for each in (sweep, check, replay, sessions):
    unmirror.add_command(each)
