"""`unmirror check`: whether it can work here, step by step, changing nothing."""

import click

from handler.cli.options import CONNECTION, Exit, deliver, example, with_options
from handler.cli.output import Output, print_error
from handler.deadline import Deadline
from handler.events.readers import CHECK_DUE
from handler.model import CheckStep
from handler.service import Service

# For all of it, unless another deadline is asked for: six calls of at most 5 to 10 s each.
SECONDS = 60.0


@click.command(epilog=example("unmirror check --region eu-west-101", exits="1 where something has to be fixed"))
@with_options(*CONNECTION, service=True, seconds=SECONDS)
def check(output: Output, service: Service, deadline: Deadline) -> int:
    """Say whether it can work here, and what to fix.

    Tries the settings, the credentials, the endpoint, the clock, and each call
    that changes nothing, in every configured project. Its deadline is 60
    seconds, where no other is asked for.
    """
    report = deliver(service, CHECK_DUE, deadline)
    if report.error:
        raise report.error
    by_project = {str(part.project_id): part.check or () for part in report.parts or (report,)}
    failed = [step for steps in by_project.values() for step in steps if step.status == "failed"]
    projects = [{"project_id": each, "steps": [step._asdict() for step in steps]} for each, steps in by_project.items()]
    output.json({"ok": not failed, "projects": projects})
    for project_id, steps in by_project.items():
        if len(by_project) > 1:
            output.line("project", project_id)
        for step in steps:
            output.line(step.status, f"{step.step}: {step.detail}", step.fix, _request(step))
    if failed:
        names = ", ".join(dict.fromkeys(step.step for step in failed))
        hint = failed[0].fix or "correct the first that failed, and run this again"
        print_error(f"it cannot work here: {names}; {failed[0].detail} {_request(failed[0])}".rstrip(), hint=hint)
    return Exit.FAILED if failed else Exit.DONE


def _request(step: CheckStep) -> str:
    return f"(request {step.request_id})" if step.request_id and step.status == "failed" else ""
