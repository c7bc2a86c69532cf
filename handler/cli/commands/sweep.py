"""`unmirror sweep`: every source of every session of all projects, with its progress, for people and for tickets."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from dataclasses import replace

import click

from handler.cli import output as show
from handler.cli import tickets
from handler.cli.interruption import carry_out, interruptible
from handler.cli.options import DONE, FAILED, STOPPED, Common, common, complain, example, fail, setting
from handler.cli.progress import Tell, bar
from handler.errors import UnmirrorError
from handler.mirror.clearing import Progress
from handler.mirror.sweep import Sweep

_THEN = "`unmirror sweep --dry-run` shows what it would detach, and `unmirror check` what the credentials see"

_STAGES = {
    "look": "looking at the sessions",
    "list": "looking up the interfaces",
    "confirm": "asking for the missing ones",
    "detach": "clearing sessions",
}


@click.command(
    epilog=example(
        "unmirror sweep --dry-run",
        "unmirror sweep --format csv > findings.csv",
        exits="3 where it stopped, because more than the limit would be detached",
    )
)
@click.option(
    "--limit",
    metavar="COUNT|PERCENT",
    callback=setting("UNMIRROR_SWEEP_LIMIT"),
    help="Stop if more would be detached: a count (50) or a percentage (20%).",
)
@click.option(
    "--format", "form", type=click.Choice(sorted(tickets.FORMS)), help="Print findings for a ticket or a spreadsheet."
)
@common("dry_run", "project", "region", "endpoint", "profile", "deadline", "as_json", "quiet")
def sweep(chosen: Common, limit: str | None, form: str | None) -> None:
    """Detach every source that is gone.

    Looks at every source of every session, in all configured projects, one
    after another; one that fails does not stop the rest. Ctrl-C ends it
    cleanly: what is done stays done and is reported.
    """
    if form and chosen.as_json:
        raise click.UsageError("--json and --format: take one of them")
    event = {"type": "io.unmirror.sweep.due.v1", "id": f"cli-{uuid.uuid4()}", "data": {}}
    with interruptible() as interruption:
        try:
            service = chosen.ready(UNMIRROR_SWEEP_LIMIT=limit)
            with bar(chosen.progress()) as tell:
                telling = _telling(tell, len(service.settings.projects))
                told = Sweep(service.detach, service.settings.sweep_limit.allows, tell=telling)
                report = carry_out(replace(service, sweep=told), event, interruption)
        except UnmirrorError as error:
            fail(error, chosen)
        chosen.print_json(report.to_json())
        if form:
            click.echo(tickets.FORMS[form](report.to_json()), nl=False)
        else:
            chosen.print_result(show.result(report.to_json()))
            show.swept(chosen.console(), report.to_json())
        parts = report.parts or (report,)
        for part in parts:
            if part.error or part.outcome == "stopped":
                about = f"project {part.project_id}: " if report.parts else ""
                complain(part.error or part.reason, about, service.settings.endpoint, None if part.error else _THEN)
        stopped = any(part.outcome == "stopped" for part in parts)
        sys.exit(interruption.exit_code(FAILED if report.error else STOPPED if stopped else DONE))


def _telling(tell: Tell, projects: int) -> Callable[[Progress], None]:
    """Return what says how far the sweep has come, and in which of several projects."""
    begun = 0

    def telling(progress: Progress) -> None:
        nonlocal begun
        begun += progress.stage == "look"
        which = f"project {begun} of {projects}: " if projects > 1 else ""
        tell(which + _STAGES[progress.stage], progress.done, progress.total)

    return telling
