"""`unmirror detach`: named interfaces leave their sessions, if they are gone."""

from collections.abc import Sequence

import click

from handler.cli.lookup import identify, list_sessions, look_up, project_apis
from handler.cli.options import Exit, dry_run, example, own_event, resource_id, with_service
from handler.cli.output import Output, print_error
from handler.cli.reports import print_report
from handler.deadline import Deadline
from handler.errors import UnmirrorError
from handler.events.parser import MAX_IDS
from handler.events.readers import INTERFACE_DELETED
from handler.model import MirrorSession
from handler.service import Service

_EXISTS_HINT = "nothing, if it is to live; if it was deleted just now, run this again in a minute"
_UNKNOWN_HINT = "nothing, if it was detached before; `unmirror sessions` shows the ids of sources, targets and sessions"


@click.command(
    epilog=example(
        "unmirror detach 6134900d-31a6-4b71-8453-dbca7f26982a --dry-run",
        exits="1 also for an id that is mirrored and exists, or that is none,\n3 where a protected session keeps it",
    )
)
@click.argument("interface_ids", nargs=-1, required=True, metavar="ID...", type=resource_id)
@dry_run
@with_service
def detach(output: Output, service: Service, deadline: Deadline, interface_ids: tuple[str, ...]) -> int:
    """Detach interfaces from their sessions, if they are gone.

    Looks in all configured projects. An interface that the VPC API still
    shows is left alone, and so is a protected session. The settings are
    those of the function.
    """
    projects, ids = sorted(service.settings.projects), list(interface_ids)
    most = MAX_IDS // len(projects)
    if len(ids) > most:
        raise click.UsageError(f"at most {most:,} ids at a time, to look for in {len(projects)} project(s)")
    # In which project an interface was, no id says.
    events = [own_event(INTERFACE_DELETED, interface_ids=ids, project_id=each) for each in projects]
    report = service.deliver(events, deadline=deadline)
    failed = print_report(output, report, service.settings)
    parts = list(report.leaves())
    detached = {id_ for part in parts for each in part.detachments for id_ in each.interface_ids}
    protected = {each.interface_id for part in parts for each in part.kept if each.reason == "protected"}
    others = [each for each in interface_ids if each not in detached | protected]
    if others and not failed:
        try:
            failed = _identify(output, service, others, deadline)
        except UnmirrorError as error:
            print_error(error)
            failed = True
    return Exit.FAILED if failed or report.error else Exit.STOPPED if protected else Exit.DONE


def _identify(output: Output, service: Service, ids: Sequence[str], deadline: Deadline) -> bool:
    """Print what each id is that left no session; return whether any is more than an unmirrored interface."""
    sessions: list[MirrorSession] = []
    answers = []
    for api in project_apis(service):
        of_project = list_sessions(api, service.settings, deadline).sessions
        answers.append(look_up(api, ids, deadline))
        sessions += of_project
    wrong = False
    for each in ids:
        identity, words = identify(each, [answer[each] for answer in answers], sessions)
        if identity.state == "exists" and not (identity.mirrored_by or identity.target_of):
            output.line("not mirrored", each, words)
        else:
            wrong = True
            print_error(f"{each}: {words}", hint=_EXISTS_HINT if identity.mirrored_by else _UNKNOWN_HINT)
    return wrong
