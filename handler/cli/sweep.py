"""`unmirror sweep`: every source of every session of all projects, with its progress, for people and for tickets."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from handler.cli import show, tickets
from handler.cli.interruption import carry_out
from handler.cli.options import DONE, FAILED, STOPPED, Common, common, complain, example, fail, setting
from handler.errors import UnmirrorError
from handler.mirror.clearing import Progress
from handler.mirror.sweep import Sweep

_STAGES = {
    "look": "looking at the sessions",
    "list": "looking up the interfaces",
    "confirm": "asking for the missing ones",
    "detach": "clearing sessions",
}


@click.command(epilog=example("unmirror sweep --dry-run", "unmirror sweep --format csv > findings.csv"))
@click.option(
    "--limit",
    metavar="COUNT|PERCENT",
    callback=setting("UNMIRROR_SWEEP_LIMIT"),
    help="Stop if more would be detached: a count (50) or a percentage (20%).",
)
@click.option(
    "--format", "form", type=click.Choice(sorted(tickets.FORMS)), help="Print findings for a ticket or a spreadsheet."
)
@common("dry_run", "project", "region", "endpoint", "deadline", "as_json", "quiet")
def sweep(chosen: Common, limit: str | None, form: str | None) -> None:
    """Detach every source that is gone.

    Looks at every source of every session, in all configured projects, one
    after another; one that fails does not stop the rest. Ctrl-C ends it
    cleanly: what is done stays done and is reported. Exits with 3 when it
    stopped because more than the limit would be detached.
    """
    if form and chosen.as_json:
        raise click.UsageError("--json and --format: take one of them")
    event = {"type": "io.unmirror.sweep.due.v1", "id": f"cli-{uuid.uuid4()}", "data": {}}
    try:
        service = chosen.service(UNMIRROR_SWEEP_LIMIT=limit)
        with _bar(chosen.progress(), len(service.settings.projects)) as tell:
            told = Sweep(service.detach, service.settings.sweep_limit.allows, tell=tell)
            report, interruption = carry_out(replace(service, sweep=told), event)
    except UnmirrorError as error:
        fail(error, chosen)
    chosen.print_json(report.to_json())
    if form:
        click.echo(tickets.FORMS[form](report.to_json()), nl=False)
    else:
        show.swept(chosen.console(), report.to_json())
    parts = report.parts or (report,)
    for part in parts:
        if part.error or part.outcome == "stopped":
            complain(part.error or part.reason, about=f"project {part.project_id}: " if report.parts else "")
    stopped = any(part.outcome == "stopped" for part in parts)
    sys.exit(interruption.exit_code(FAILED if report.error else STOPPED if stopped else DONE))


@contextmanager
def _bar(console: Console, projects: int) -> Iterator[Callable[[Progress], None]]:
    """Show how far the sweep has come; it goes away when the sweep has ended."""
    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True, disable=console.quiet) as bar:
        task = bar.add_task("", total=None)
        begun = 0

        def tell(progress: Progress) -> None:
            nonlocal begun
            begun += progress.stage == "look"
            which = f"project {begun} of {projects}: " if projects > 1 else ""
            words = which + _STAGES[progress.stage]
            bar.update(task, description=words, completed=progress.done, total=progress.total or None)

        yield tell
