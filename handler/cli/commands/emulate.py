"""`unmirror emulate`: an API to try things on."""

from __future__ import annotations

import signal
import socket
import threading

import click

from handler.cli.commands.demo import SURVIVOR, VICTIM
from handler.cli.options import Common, common, example, fail, number
from handler.emulator import sample as tenant
from handler.emulator.server import Behaviour, Emulator


@click.command(epilog=example("unmirror emulate --port 8099 --latency 0.02", exits="0 when Ctrl-C or SIGTERM ended it"))
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="NUMBER",
    default=8099,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--latency", type=number(0, 60), default=0.0, metavar="SECONDS", help="That each answer takes.")
@click.option(
    "--page-cap",
    type=click.IntRange(1, 2000),
    metavar="NUMBER",
    default=2000,
    show_default=True,
    help="Most sessions or interfaces a page.",
)
@click.option("--rate-limit", type=click.IntRange(1), metavar="NUMBER", help="Requests a second; more get a 429.")
@click.option("--seed", metavar="NUMBER", default=7, show_default=True, help="The same seed gives the same ids.")
@click.option("--unsigned", is_flag=True, help="Ask for no signatures.")
@click.option(
    "--absent-source",
    type=click.Choice(["reject", "ignore"]),
    default="reject",
    show_default=True,
    help="What remove-sources does with an id that the session does not list.",
)
@common("as_json", "quiet")
def emulate(
    chosen: Common,
    port: int,
    latency: float,
    page_cap: int,
    rate_limit: int | None,
    seed: int,
    unsigned: bool,
    absent_source: str,
) -> None:
    """Serve an emulated VPC API until Ctrl-C.

    Prints the variables that point the function and the other commands at
    it, and an interface that is deleted already.
    """
    if not _is_free(port):
        fail(f"port {port} is taken", then="take another, or any that is free: unmirror emulate --port 0")
    company = tenant.seed(seed)
    deleted, living = company.interfaces[VICTIM], company.interfaces[SURVIVOR]
    company.cloud.delete_port(deleted)
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    with Emulator(
        company.cloud,
        keys=None if unsigned else {tenant.ACCESS_KEY: tenant.SECRET_KEY},
        behaviour=Behaviour(absent_source="ignore" if absent_source == "ignore" else "reject"),
        latency=latency,
        page_cap=page_cap,
        rate_limit=rate_limit,
        port=port,
        keep_calls=False,
    ) as emulator:
        variables = {
            "UNMIRROR_VPC_ENDPOINT": emulator.url,
            "HUAWEICLOUD_SDK_AK": tenant.ACCESS_KEY,
            "HUAWEICLOUD_SDK_SK": tenant.SECRET_KEY,
            "HUAWEICLOUD_SDK_PROJECT_ID": tenant.PROJECT_ID,
        }
        chosen.print_json({"variables": variables, "deleted": deleted, "living": living})
        exports = "\n".join(f"export {name}={value}" for name, value in variables.items())
        chosen.print_result(exports)
        if chosen.talks:
            click.echo(exports)
            click.echo(f"# deleted already, and still in three sessions:\n# {deleted}")
            click.echo(f"# alive, and in one session:\n# {living}")
        while not stop.wait(3600):
            pass


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
