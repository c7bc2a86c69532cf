"""`unmirror detach`: named interfaces leave their sessions, if they are gone."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from typing import Any

import click

from handler.cli import show
from handler.cli.interruption import carry_out, interruptible
from handler.cli.options import DONE, FAILED, STOPPED, Common, common, complain, example, fail, interface
from handler.errors import StillExists, UnmirrorError


@click.command(
    epilog=example(
        "unmirror detach 6134900d-31a6-4b71-8453-dbca7f26982a --dry-run",
        exits="1 also where one lives, 3 where one stays in a protected session",
    )
)
@click.argument("interface_ids", nargs=-1, required=True, metavar="ID...", type=interface)
@common("dry_run", "project", "region", "endpoint", "profile", "deadline", "as_json", "quiet")
def detach(chosen: Common, interface_ids: tuple[str, ...]) -> None:
    """Detach interfaces from their sessions, if they are gone.

    An interface that the VPC API still shows is left alone, and so is a
    protected session. The settings are those of the function.
    """
    event = {
        "type": "io.unmirror.interface.deleted.v1",
        "id": f"cli-{uuid.uuid4()}",
        "data": {"interface_ids": list(interface_ids)},
    }
    with interruptible() as interruption:
        try:
            service = chosen.service()
            report = carry_out(service, event, interruption)
        except UnmirrorError as error:
            fail(error, chosen)
        told = report.to_json()
        chosen.print_json(told)
        chosen.print_result(show.result(told))
        show.report(chosen.console(), told)
        protected = _kept(told, "protected")
        if report.error:
            complain(_living(told, report.error), endpoint=service.settings.endpoint)
        elif protected:
            complain(f"{', '.join(protected)}: in a session that UNMIRROR_PROTECT names, so it was not touched")
            click.echo("next: if it shall leave, call this again with another UNMIRROR_PROTECT", err=True)
        sys.exit(interruption.exit_code(FAILED if report.error else STOPPED if protected else DONE))


def _kept(told: Mapping[str, Any], why: str) -> list[str]:
    return [each["interface_id"] for each in told["kept"] if each["why"] == why]


def _living(told: Mapping[str, Any], error: UnmirrorError) -> UnmirrorError:
    """Return the error in the words of somebody who asked, and was not told by an event."""
    living = _kept(told, "still_exists")
    if not isinstance(error, StillExists) or not living:
        return error
    return StillExists(f"{', '.join(living)} lives: the VPC API still shows it, so it stays in its sessions")
