"""`unmirror emulate`: an API to try things on."""

import signal
import socket
import time
from contextlib import suppress
from functools import partial
from typing import Any

import click

from handler.cli.options import Exit, as_json, example, number
from handler.cli.output import Output, print_error
from handler.emulator import sample
from handler.emulator.operations import Behaviour
from handler.emulator.server import Call, Emulator

# Servers of the tenant: one whose interface is deleted, one whose is not, and one that is to be deleted itself.
DELETED, LIVING, SERVER = "api-3", "db-1", "web-5"

_option = partial(click.option, metavar="NUMBER", show_default=True)


@click.command(epilog=example("unmirror emulate --port 8099 --log", exits="0 when Ctrl-C or SIGTERM ended it"))
@_option("--port", type=click.IntRange(0, 65_535), default=8099, help="0 takes a free one.")
@click.option("--log", is_flag=True, help="Print a line on stderr for each request.")
@_option("--latency", type=number(0, 60), default=0.0, metavar="SECONDS", help="That each answer takes.")
@_option("--page-cap", type=click.IntRange(1, 2000), default=2000, help="Most sessions or interfaces a page.")
@_option("--rate-limit", type=click.IntRange(1), help="Requests a second; more get a 429.")
@_option("--seed", default=7, help="The same seed gives the same ids.")
@click.option("--unsigned", is_flag=True, help="Ask for no signatures.")
@_option(
    "--absent-source",
    type=click.Choice(["reject", "ignore"]),
    default="reject",
    metavar=None,
    help="What remove-sources does with an id that the session does not list.",
)
@as_json
def emulate(output: Output, port: int, log: bool, seed: int, unsigned: bool, absent_source: Any, **limits: Any) -> int:
    """Serve an emulated VPC API until Ctrl-C.

    Prints the variables that point the function and the other commands at it,
    an interface that is deleted already, and how to delete more.
    """
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        print_error(f"port {port} is taken", hint="take another, or any that is free: unmirror emulate --port 0")
        return Exit.FAILED
    tenant = sample.seed(seed)
    tenant.cloud.delete_port(tenant.interfaces[DELETED])
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    keys = None if unsigned else {sample.ACCESS_KEY: sample.SECRET_KEY}
    emulator = Emulator(tenant.cloud, keys=keys, behaviour=Behaviour(absent_source=absent_source), port=port, **limits)
    emulator.on_call = _log if log else None
    with suppress(KeyboardInterrupt), emulator:
        _print_start(output, emulator.url, tenant)
        while True:
            time.sleep(3600)
    return Exit.DONE


def _log(call: Call) -> None:
    with suppress(OSError):  # whoever has read enough changes nothing
        click.echo(f"{time.strftime('%H:%M:%S')} {call.status} {call.method} {call.path} {call.operation}", err=True)


def variables(url: str) -> dict[str, str]:
    """Return the settings of a function that is to work in the emulated project."""
    return {
        "UNMIRROR_VPC_ENDPOINT": url,
        "HUAWEICLOUD_SDK_AK": sample.ACCESS_KEY,
        "HUAWEICLOUD_SDK_SK": sample.SECRET_KEY,
        "HUAWEICLOUD_SDK_PROJECT_ID": sample.PROJECT_ID,
    }


def _print_start(output: Output, url: str, tenant: sample.Tenant) -> None:
    """Print how to point the function and the commands at the emulator, and how to delete things in it."""
    deleted, living, server = tenant.interfaces[DELETED], tenant.interfaces[LIVING], tenant.servers[SERVER]
    settings = variables(url)
    output.json({"variables": settings, "deleted": deleted, "living": living, "server": server})
    output.text("\n".join(f"export {name}={value}" for name, value in settings.items()))
    output.text(f"# deleted already, and still in three sessions: {deleted}")
    output.text("# deletes another interface, which is in one session:")
    output.text(f"curl -X DELETE {url}/emulator/ports/{living}")
    output.text("# deletes a server, the interface of which goes 2 seconds later:")
    output.text(f"curl -X DELETE '{url}/emulator/servers/{server}?after=2'")
