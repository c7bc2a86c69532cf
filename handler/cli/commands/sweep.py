"""`unmirror sweep`: every source of every session of all projects."""

import click

from handler.cli.options import Exit, dry_run, example, limit, own_event, with_service
from handler.cli.output import Output, print_error, progress_line
from handler.cli.reports import print_report, warn_of_no_session
from handler.deadline import Deadline
from handler.events.readers import SWEEP_DUE
from handler.service import Service

_STAGES = {
    "list": "listing the sessions",
    "look_up": "looking up the sources",
    "verify": "verifying those that no list shows",
    "remove": "removing what is gone",
}

_STOPPED_HINT = "`unmirror sweep --dry-run` shows what it would detach, and `unmirror check` what the credentials see"


@click.command(
    epilog=example(
        "unmirror sweep --dry-run",
        "unmirror sweep --limit 40%",
        exits="3 where a safety limit stopped it",
    )
)
@dry_run
@limit
@with_service
def sweep(output: Output, service: Service, deadline: Deadline) -> int:
    """Detach every source that is gone.

    Looks at every source of every session, in all configured projects; one
    that fails does not stop the rest. Ctrl-C ends it cleanly: what is done
    stays done and is reported.
    """
    with progress_line() as show:
        report = service.deliver(
            own_event(SWEEP_DUE), deadline=deadline, progress=lambda stage, *far: show(_STAGES[stage], *far)
        )
    parts = report.parts or (report,)
    output.json(report.as_json)
    for part in parts:
        print_report(output, part)
    for part in parts:
        about = f"project {part.project_id}: " if report.parts else ""
        if part.error:
            print_error(part.error, about)
        elif part.outcome == "stopped":
            print_error(part.reason, about, hint=_STOPPED_HINT)
        elif part.sweep and not part.sweep.sessions and part.project_id:
            warn_of_no_session(service.settings, part.project_id)
    if report.error:
        return Exit.FAILED
    return Exit.STOPPED if any(part.outcome == "stopped" for part in parts) else Exit.DONE
