"""`unmirror sweep`: every source of every session of all projects."""

import click

from handler.cli.options import Exit, dry_run, example, limit, own_event, with_service
from handler.cli.output import Output, progress_line
from handler.cli.reports import print_report
from handler.deadline import Deadline
from handler.events.readers import SWEEP_DUE
from handler.service import Service

_STAGES = {
    "list": "listing the sessions",
    "look_up": "looking up the sources",
    "verify": "verifying those that no list shows",
    "remove": "removing what is gone",
}


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
    print_report(output, report, service.settings)
    return Exit.FAILED if report.error else Exit.STOPPED if report.outcome == "stopped" else Exit.DONE
