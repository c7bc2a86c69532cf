"""`unmirror check`: whether it can work here, step by step, changing nothing."""

import click

from handler.cli.options import Exit, example, own_event, with_service
from handler.cli.output import Output, print_error
from handler.deadline import Deadline
from handler.events.readers import CHECK_DUE
from handler.model import CheckStep
from handler.service import Service

# For all of it, unless another deadline is asked for: six calls of at most 5 to 10 s each.
SECONDS = 60.0


@click.command(
    epilog=example("unmirror check --region eu-west-101", exits="1 where something has to be fixed"),
    context_settings={"default_map": {"deadline": SECONDS}},
)
@with_service
def check(output: Output, service: Service, deadline: Deadline) -> int:
    """Say whether it can work here, and what to fix.

    Tries the settings, the credentials, the endpoint, the clock, and each call
    that changes nothing, in every configured project. Its deadline is 60
    seconds, where no other is asked for.
    """
    report = service.deliver(own_event(CHECK_DUE), deadline=deadline)
    parts, failed = list(report.leaves()), report.failed_steps
    projects = [{"project_id": part.project_id, "steps": part.as_json["check"] or []} for part in parts]
    output.json({"ok": not failed and not report.error, "projects": projects})
    for part in parts:
        if len(parts) > 1:
            output.line("project", part.project_id or "")
        for step in part.check or ():
            output.line(step.status, f"{step.step}: {step.detail}", step.fix, _request(step))
    if failed:
        names = ", ".join(dict.fromkeys(step.step for step in failed))
        hint = failed[0].fix or "correct the first that failed, and run this again"
        print_error(f"it cannot work here: {names}; {failed[0].detail} {_request(failed[0])}".rstrip(), hint=hint)
    for part in parts:
        if part.error:
            print_error(part.error, f"project {part.project_id}: ")
    return Exit.FAILED if failed or report.error else Exit.DONE


def _request(step: CheckStep) -> str:
    return f"(request {step.request_id})" if step.request_id and step.status == "failed" else ""
