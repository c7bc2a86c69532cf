"""`unmirror sessions`: which session mirrors what to where, what room is left, and what of it is gone."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

import click
from rich.console import Console

from handler.cli import show
from handler.cli.interruption import interruptible
from handler.cli.options import A_DAY, DONE, FAILED, Common, common, complain, example, fail
from handler.cli.options import interface as interface_
from handler.cli.options import target as target_
from handler.cli.progress import Tell, bar
from handler.errors import DeadlineExceeded, NotConfigured, UnmirrorError
from handler.mirror.abreast import IN_FLIGHT, abreast
from handler.model import MirrorSession
from handler.report import problem
from handler.vpc.client import ProjectApi

PLACES = 10
"""Sources that a session may have: the default quota; the API does not tell it."""

State: TypeAlias = Literal["exists", "gone", "unknown"]

_STATES = {"exists": "", "gone": "  [bold red]gone[/]", "unknown": "  [yellow]unknown[/]"}
_WORDS = {
    "exists": "it exists",
    "gone": "[bold red]gone[/]: the VPC API says that there is none",
    "unknown": "[yellow]unknown[/]: not every project could be asked",
}


@dataclass(frozen=True, slots=True)
class Filters:
    """Which sessions are asked for: those that meet all that is said."""

    interface: str | None
    target: str | None
    name: str | None

    def pass_(self, session: MirrorSession) -> bool:
        """Tell whether a session is asked for."""
        return (
            (self.interface is None or self.interface in map(str.lower, (*session.sources, session.target_id)))
            and (self.target is None or self.target == session.target_id.lower())
            and (self.name is None or fnmatchcase(session.name, self.name))
        )


@click.command(
    epilog=example(
        "unmirror sessions --name 'ids-*'",
        "unmirror sessions --interface ID --json",
        exits="1 where a project cannot be listed",
    )
)
@click.option("--interface", metavar="ID", type=interface_, help="Only those of this interface; and does it live?")
@click.option("--target", metavar="ID", type=target_, help="Only those that mirror to this target.")
@click.option("--name", metavar="GLOB", help="Only those of such a name.")
@common("project", "region", "endpoint", "profile", "deadline", "as_json", "quiet")
def sessions(chosen: Common, interface: str | None, target: str | None, name: str | None) -> None:
    """List the sessions, and mark what is gone.

    Sources, target and room left of each, in all configured projects. An
    interface is marked as gone when the VPC API says so, asked for its id.
    Changes nothing. --quiet prints the ids of the sessions.
    """
    filters = Filters(interface, target, name)
    told: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    states: list[State] = []
    with interruptible() as interruption:
        try:
            service = chosen.service()
            if service.settings.missing:
                raise NotConfigured(f"set {'; '.join(service.settings.missing)}")
        except UnmirrorError as error:
            fail(error, chosen)
        deadline = interruption.deadline(chosen.deadline or A_DAY)
        with bar(chosen.progress()) as tell:
            for project_id in sorted(service.settings.projects):
                tell(f"looking at the sessions of {project_id}", 0, 0)
                api = service.api(project_id, deadline)
                try:
                    told += _project(api, filters, tell)
                    states += [_state(api, interface)] if interface else []
                except UnmirrorError as error:
                    complain(error, f"project {project_id}: ", service.settings.endpoint)
                    failed.append({"project_id": project_id, "error": problem(error)})
        asked = {"id": interface, "state": _of_all(states, failed)} if interface else None
        chosen.print_json({"interface": asked, "sessions": told, "failed": failed})
        if told:
            chosen.print_result("\n".join(each["id"] for each in told))
        _show(chosen.console(), told, listed=not failed)
        if asked:
            chosen.console().print(f"interface {asked['id']}: {_WORDS[asked['state']]}")
        sys.exit(interruption.exit_code(FAILED if failed else DONE))


def _project(api: ProjectApi, filters: Filters, tell: Tell) -> list[dict[str, Any]]:
    found = sorted(filter(filters.pass_, api.list_sessions().sessions), key=lambda session: (session.name, session.id))
    states = dict(_states(api, found, tell))
    return [
        {
            "project_id": api.project_id,
            "id": each.id,
            "name": each.name,
            "enabled": each.enabled,
            "type": each.type,
            "target": {"id": each.target_id, "type": each.target_type, "state": states.get(each.target_id, "unknown")},
            "sources": [{"id": id_, "state": states.get(id_, "unknown")} for id_ in each.sources],
            "room": max(0, PLACES - len(each.sources)),
        }
        for each in found
    ]


def _states(api: ProjectApi, found: list[MirrorSession], tell: Tell) -> Iterator[tuple[str, State]]:
    """Yield what is known of the interfaces: what a list shows exists, anything else is asked for by its id."""
    interfaces = {id_ for each in found if each.type == "eni" for id_ in each.sources}
    interfaces |= {each.target_id for each in found if each.target_type == "eni" and each.target_id}
    listed = api.list_interfaces(interfaces) if interfaces else frozenset()

    yield from ((id_, "exists") for id_ in interfaces if id_.lower() in listed)
    missing = sorted(id_ for id_ in interfaces if id_.lower() not in listed)
    with abreast(lambda id_: _state(api, id_), missing, IN_FLIGHT) as answers:
        for done, answer in enumerate(answers, 1):
            tell("asking for the missing ones", done, len(missing))
            yield answer


def _state(api: ProjectApi, id_: str) -> State:
    try:
        return "exists" if api.find_interface(id_).exists else "gone"
    except DeadlineExceeded:
        raise
    except UnmirrorError:
        return "unknown"


def _of_all(states: list[State], failed: list[dict[str, Any]]) -> State:
    """Return the state of an interface in all projects: it lives in one of them, or is in none."""
    if "exists" in states:
        return "exists"
    return "unknown" if failed or "unknown" in states else "gone"


def _show(console: Console, told: list[dict[str, Any]], *, listed: bool) -> None:
    """Show the sessions, and how many there are, unless none could be listed."""
    for each in told:
        lines, used = show.grid(), len(each["sources"])
        state = "" if each["enabled"] else ", disabled"
        lines.add_row("session", f"[bold]{show.plain(each['name'])}[/], room for {each['room']} more{state}")
        lines.add_row("id", show.plain(each["id"]))
        lines.add_row("target", _marked(each["target"]) if each["target"]["type"] == "eni" else _other(each["target"]))
        marked = _marked if each["type"] == "eni" else lambda source: show.plain(source["id"])
        lines.add_row(show.count(used, "source"), "\n".join(map(marked, each["sources"])))
        console.print(lines)
        console.print()
    states = Counter(source["state"] for each in told for source in each["sources"] if each["type"] == "eni")
    gone = len({source["id"] for each in told for source in each["sources"] if source["state"] == "gone"})
    freed = f": `unmirror sweep` frees {show.count(states['gone'], 'place')}" if gone else ""
    unknown = f"; [yellow]{show.count(states['unknown'], 'source')} unknown[/]" if states["unknown"] else ""
    words = f"[red]{show.count(gone, 'source')} gone[/]" if gone else "no source gone"
    if told or listed:
        console.print(f"{show.count(len(told), 'session')}{';' if gone else ','} {words}{freed}{unknown}")


def _marked(interface: dict[str, str]) -> str:
    return show.plain(interface["id"]) + _STATES[interface["state"]]


def _other(target: dict[str, str]) -> str:
    return f"{show.plain(target['id'])} ({show.plain(target['type'])})"
