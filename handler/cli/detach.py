"""`unmirror detach`: named interfaces leave their sessions, if they are gone."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from typing import Any

import click

from handler.cli import show
from handler.cli.interruption import Interruption, carry_out, interruptible
from handler.cli.options import DONE, FAILED, STOPPED, Common, common, complain, example, fail, interface
from handler.errors import StillExists, UnmirrorError
from handler.report import Report, gather
from handler.service import Service


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

    Looks in all configured projects. An interface that the VPC API still
    shows is left alone, and so is a protected session. The settings are
    those of the function.
    """
    with interruptible() as interruption:
        try:
            service = chosen.service()
            report = _report(service, interface_ids, interruption)
        except UnmirrorError as error:
            fail(error, chosen)
        parts = report.parts or (report,)
        told = report.to_json()
        chosen.print_json(told)
        chosen.print_result(show.result(told))
        for part in [part for part in parts if _concerns(part)] or [report]:
            show.report(chosen.console(), part.to_json())
            if part.error:
                complain(_living(part.to_json(), part.error), endpoint=service.settings.endpoint)
        protected = [id_ for part in parts for id_ in _kept(part.to_json(), "protected")]
        if protected:
            then = "if it shall leave, call this again with another UNMIRROR_PROTECT"
            complain("in a session that UNMIRROR_PROTECT names, so not touched", f"{', '.join(protected)}: ", then=then)
        sys.exit(interruption.exit_code(FAILED if report.error else STOPPED if protected else DONE))


def _report(service: Service, interface_ids: tuple[str, ...], interruption: Interruption) -> Report:
    """Tell each project of the deletions: which one an interface was in, its id does not say."""
    event: dict[str, Any] = {"type": "io.unmirror.interface.deleted.v1", "id": f"cli-{uuid.uuid4()}"}
    projects: list[str | None] = [*sorted(service.settings.projects)]
    parts = []
    for project_id in projects or [None]:
        data = {"interface_ids": list(interface_ids), "project_id": project_id}
        parts.append(carry_out(service, {**event, "data": data}, interruption))
    return parts[0] if len(parts) == 1 else gather(event["id"], parts[0].envelope, parts, what="projects")


def _concerns(part: Report) -> bool:
    """Tell whether the project has anything to do with the interfaces."""
    return part.outcome != "nothing_to_do" or any(each.why != "not_mirrored" for each in part.kept)


def _kept(told: Mapping[str, Any], why: str) -> list[str]:
    return [each["interface_id"] for each in told["kept"] if each["why"] == why]


def _living(told: Mapping[str, Any], error: UnmirrorError) -> UnmirrorError:
    """Return the error in the words of somebody who asked, and was not told by an event."""
    living = _kept(told, "still_exists")
    if not isinstance(error, StillExists) or not living:
        return error
    return StillExists(f"{', '.join(living)} lives: the VPC API still shows it, so it stays in its sessions")
