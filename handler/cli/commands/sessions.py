"""`unmirror sessions`: which session mirrors what to where, what room is left, and what of it is gone."""

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import click

from handler.cli.lookup import Existence, Identity, identify, list_sessions, look_up, project_apis
from handler.cli.options import Exit, example, resource_id, with_service
from handler.cli.output import Output, Row, count, print_error, progress_line
from handler.deadline import Deadline
from handler.errors import UnmirrorError
from handler.mirror.rules import Rules
from handler.model import MirrorSession
from handler.report import problem
from handler.service import Service

# Sources that a session may have by the default quota; the API does not tell another.
MAX_SOURCES = 10


@click.command(
    epilog=example(
        "unmirror sessions --name 'ids-*'",
        "unmirror sessions --interface ID --json",
        exits="1 where a project cannot be listed",
    )
)
@click.option("--interface", metavar="ID", type=resource_id, help="Only those that mirror this one; what is this id?")
@click.option("--target", metavar="ID", type=resource_id, help="Only those that mirror to this target.")
@click.option("--name", metavar="GLOB", default="*", help="Only those of such a name.")
@with_service
def sessions(
    output: Output, service: Service, deadline: Deadline, interface: str | None, target: str | None, name: str
) -> int:
    """List the sessions, and mark what is gone.

    Sources, target and room left of each, in all configured projects. A source
    is marked as gone when the VPC API says so, asked for its id; a target is
    marked as lost. Changes nothing.
    """
    settings, rules = service.settings, Rules(service.settings.protect)
    found, listed, answers, failed = [], [], [], []
    with progress_line() as progress:
        for api in project_apis(service):
            try:
                progress(f"listing the sessions of {api.project_id}", 0, 0)
                listing = list_sessions(api, settings, deadline)
                of_project = sorted(listing.sessions, key=lambda each: (each.name, each.id))
                chosen = [
                    each
                    for each in of_project
                    if (interface is None or interface in each.sources)
                    and (target is None or target == each.target_id)
                    and fnmatchcase(each.name, name)
                ]
                known = look_up(api, _interfaces(chosen) | ({interface} if interface else set()), deadline, progress)
                found += [_as_json(api.project_id, each, known, protected=rules.protects(each)) for each in chosen]
                listed += of_project
                answers += [known[interface]] if interface else []
                for each in listing.unreadable:
                    print_error(f"session {each.session_id or 'without an id'} cannot be read: {each.reason}")
            except UnmirrorError as error:
                print_error(error, f"project {api.project_id}: ")
                failed.append({"project_id": api.project_id, "error": problem(error)})
                answers.append("undecided")
    asked, words = identify(interface, answers, listed) if interface else (None, "")
    output.json({"interface": asked and asked._asdict(), "sessions": found, "failed": failed})
    _print_sessions(output, found, complete=not failed)
    if asked:
        _print_identity(output, asked, words, {session.id: session.name for session in listed})
    return Exit.FAILED if failed else Exit.DONE


def _interfaces(found: Iterable[MirrorSession]) -> set[str]:
    """Return the sources and targets that are interfaces, not elastic IPs or load balancers."""
    sources = {each for session in found if session.type == "eni" for each in session.sources}
    return sources | {session.target_id for session in found if session.target_type == "eni" and session.target_id}


def _as_json(
    project_id: str, session: MirrorSession, known: Mapping[str, Existence], *, protected: bool
) -> dict[str, Any]:
    def state(interface_id: str, absent: str) -> str:
        found = known.get(interface_id)
        return "not_checked" if found is None else absent if found == "absent" else found

    target = {"id": session.target_id, "type": session.target_type, "state": state(session.target_id, "lost")}
    return {
        "project_id": project_id,
        "id": session.id,
        "name": session.name,
        "enabled": session.enabled,
        "protected": protected,
        "type": session.type,
        "target": target,
        "sources": [{"id": each, "state": state(each, "gone")} for each in session.sources],
        "room": max(0, MAX_SOURCES - len(session.sources)),
    }


def _print_sessions(output: Output, found: Collection[Mapping[str, Any]], *, complete: bool) -> None:
    """Print the sessions, and how many there are, unless none could be listed."""
    for each in found:
        session, marks = (each["id"], each["name"]), ["protected"] * each["protected"]
        marks += ["disabled"] * (not each["enabled"])
        output.rows(
            [
                Row("room", "", ", ".join([f"{each['room']} more", *marks]), *session),
                Row("target", each["target"]["id"], _note(each["target"]), *session),
                *(Row("source", source["id"], _note(source), *session) for source in each["sources"]),
            ]
        )
        output.text()
    if not output.terminal or not (found or complete):
        return
    places = [(source, each["protected"]) for each in found for source in each["sources"]]
    gone = [(source["id"], protected) for source, protected in places if source["state"] == "gone"]
    protected = sum(protected for _, protected in gone)
    undecided = sum(source["state"] == "undecided" for source, _ in places)
    words = f"{count(len(found), 'session')}; {count(len({id_ for id_, _ in gone}), 'source')} gone"
    words += f", in {count(len(gone), 'place')}" if gone else ""
    words += f", {protected:,} of them protected" if protected else ""
    output.text(f"{words}; {count(undecided, 'source')} undecided" if undecided else words)
    if len(gone) > protected:
        output.text("`unmirror sweep --dry-run` shows what a sweep would detach")


def _note(interface: Mapping[str, str]) -> str:
    if interface.get("type", "eni") != "eni":
        return interface["type"]
    return interface["state"] if interface["state"] in ("gone", "lost", "undecided") else ""


def _print_identity(output: Output, asked: Identity, words: str, names: Mapping[str, str]) -> None:
    """Print what the id is, and all sessions that it has to do with, whatever else was asked for."""
    output.text()
    if asked.state in ("exists", "gone"):
        output.line("interface", asked.id, asked.state)
    else:
        output.line(asked.state, asked.id)
        output.line("", words)
    for label, ids in (("mirrored by", asked.mirrored_by), ("target of", asked.target_of)):
        for id_ in ids:
            output.line(label, id_, names[id_])
