"""`unmirror detach`: named interfaces leave their sessions, if they are gone."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from handler.cli import output as show
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
            service = chosen.ready()
            report = _report(service, interface_ids, interruption)
        except UnmirrorError as error:
            fail(error, chosen)
        parts = report.parts or (report,)
        chosen.print_json(report.to_json())
        chosen.print_result(show.result(report.to_json()))
        console = chosen.console()
        for number, part in enumerate([part for part in parts if _concerns(part)] or [_nowhere(report)]):
            if number:
                console.print()
            show.report(console, part.to_json())
        for part in parts:
            about = f"project {part.project_id}: " if report.parts else ""
            for wrong in _errors(part):
                complain(wrong, about, service.settings.endpoint)
            _complain_of_protection(part, about)
        protected = any(_kept(part, "protected") for part in parts)
        sys.exit(interruption.exit_code(FAILED if report.error else STOPPED if protected else DONE))


def _report(service: Service, interface_ids: tuple[str, ...], interruption: Interruption) -> Report:
    """Tell each project of the deletions: which one an interface was in, its id does not say."""
    event: dict[str, Any] = {"type": "io.unmirror.interface.deleted.v1", "id": f"cli-{uuid.uuid4()}"}
    deadline = interruption.deadline(service.settings.deadline)
    parts = []
    for project_id in sorted(service.settings.projects):
        data = {"interface_ids": list(interface_ids), "project_id": project_id}
        parts.append(carry_out(service, {**event, "data": data}, interruption, deadline.remaining()))
    if len(parts) == 1:
        return parts[0]
    report = gather(event["id"], parts[0].envelope, parts, what="projects")
    return replace(report, seconds=sum(part.seconds for part in parts))


def _concerns(part: Report) -> bool:
    """Tell whether the project has anything to do with the interfaces."""
    return bool(part.detachments or part.lost_targets) or any(each.why != "not_mirrored" for each in part.kept)


def _nowhere(report: Report) -> Report:
    """Return one report for all projects that could be looked in, where none has anything to do with the interfaces."""
    idle = [part for part in report.parts if not part.error]
    if not idle:
        return next(iter(report.parts), report)
    projects = ", ".join(part.project_id or "" for part in idle)
    return replace(idle[0], project_id=projects, api_calls=report.api_calls, seconds=report.seconds)


def _errors(part: Report) -> Iterator[UnmirrorError]:
    """Yield what lives, in the words of somebody who asked and was not told by an event, and the worst of the rest."""
    if living := _ids(_kept(part, "still_exists")):
        yield StillExists(f"{living} lives: the VPC API still shows it, so it stays where it is")
    errors = [each.error for each in part.detachments] + [each.error for each in part.kept]
    others = [error for error in errors or [part.error] if error and not isinstance(error, StillExists)]
    if others:
        yield max(others, key=lambda error: error.status)


def _complain_of_protection(part: Report, about: str) -> None:
    if protected := _kept(part, "protected"):
        names = ", ".join(sorted({name for each in protected for name in show.names_of(each)}))
        then = "if it shall leave, call this again with another UNMIRROR_PROTECT"
        complain(f"{_ids(protected)}: in {names}, which UNMIRROR_PROTECT names: not touched there", about, then=then)


def _kept(part: Report, why: str) -> list[dict[str, Any]]:
    return [each for each in part.to_json()["kept"] if each["why"] == why]


def _ids(kept: list[dict[str, Any]]) -> str:
    return ", ".join(each["interface_id"] for each in kept)
