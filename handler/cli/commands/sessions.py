"""`unmirror sessions`: which session mirrors what to where, what room is left, and what of it is gone."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

import click
from rich.console import Console

from handler.cli import output as show
from handler.cli.interruption import interruptible
from handler.cli.options import A_DAY, DONE, FAILED, Common, common, complain, example, fail
from handler.cli.options import interface as interface_
from handler.cli.options import target as target_
from handler.cli.progress import Tell, bar
from handler.errors import DeadlineExceeded, UnmirrorError
from handler.mirror.abreast import IN_FLIGHT, abreast
from handler.model import MirrorSession
from handler.report import problem
from handler.vpc.client import ProjectApi

PLACES = 10
"""Sources that a session may have: the default quota; the API does not tell it."""

State: TypeAlias = Literal["exists", "gone", "unknown"]

_STATES = {"exists": "", "gone": "  [bold red]gone[/]", "unknown": "  [yellow]unknown[/]"}


@dataclass(frozen=True, slots=True)
class Filters:
    """Which sessions are asked for: those that meet all that is said."""

    interface: str | None
    target: str | None
    name: str | None

    def pass_(self, session: MirrorSession) -> bool:
        """Tell whether a session is asked for."""
        return (
            (self.interface is None or self.interface in map(str.lower, session.sources))
            and (self.target is None or self.target == session.target_id.lower())
            and (self.name is None or fnmatchcase(session.name, self.name))
        )


@dataclass
class Asked:
    """The interface that was asked for, and what the projects know of it, one after another."""

    id: str
    states: list[State] = field(default_factory=list)
    mirrored_by: list[MirrorSession] = field(default_factory=list)
    target_of: list[MirrorSession] = field(default_factory=list)

    def learn(self, state: State, sessions: Iterable[MirrorSession]) -> None:
        """Take what one project says of it, and all sessions of that project."""
        self.states.append(state)
        for session in sorted(sessions, key=lambda session: (session.name, session.id)):
            if self.id in map(str.lower, session.sources):
                self.mirrored_by.append(session)
            if self.id == session.target_id.lower():
                self.target_of.append(session)

    def state(self, *, complete: bool) -> State:
        """Return what it is: it lives in one project or is in none. `complete`: whether every project was asked."""
        if "exists" in self.states:
            return "exists"
        return "gone" if complete and "unknown" not in self.states else "unknown"

    def to_json(self, *, complete: bool) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "id": self.id,
            "state": self.state(complete=complete),
            "mirrored_by": [session.id for session in self.mirrored_by],
            "target_of": [session.id for session in self.target_of],
        }


@click.command(
    epilog=example(
        "unmirror sessions --name 'ids-*'",
        "unmirror sessions --interface ID --json",
        exits="1 where a project cannot be listed",
    )
)
@click.option(
    "--interface", metavar="ID", type=interface_, help="Only those that mirror this interface; does it exist?"
)
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
    asked = Asked(interface) if interface else None
    told: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    with interruptible() as interruption:
        try:
            service = chosen.ready()
        except UnmirrorError as error:
            fail(error, chosen)
        deadline = interruption.deadline(chosen.deadline or A_DAY)
        with bar(chosen.progress()) as tell:
            for project_id in sorted(service.settings.projects):
                tell(f"looking at the sessions of {project_id}", 0, 0)
                api = service.api(project_id, deadline)
                try:
                    listed = api.list_sessions().sessions
                    told += _project(api, filter(filters.pass_, listed), tell)
                    if asked:
                        asked.learn(_state(api, asked.id), listed)
                except UnmirrorError as error:
                    complain(error, f"project {project_id}: ", service.settings.endpoint)
                    failed.append({"project_id": project_id, "error": problem(error)})
        interface_told = asked.to_json(complete=not failed) if asked else None
        chosen.print_json({"interface": interface_told, "sessions": told, "failed": failed})
        if told:
            chosen.print_result("\n".join(each["id"] for each in told))
        _show(chosen.console(), told, listed=not failed)
        if asked:
            _show_asked(chosen.console(), asked, complete=not failed)
        sys.exit(interruption.exit_code(FAILED if failed else DONE))


def _project(api: ProjectApi, sessions: Iterable[MirrorSession], tell: Tell) -> list[dict[str, Any]]:
    found = sorted(sessions, key=lambda session: (session.name, session.id))
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


def _show_asked(console: Console, asked: Asked, *, complete: bool) -> None:
    """Show whether an interface exists, and all sessions that it has to do with, whatever else was asked for."""
    lines = show.grid()
    lines.add_row("interface", f"{asked.id}{_STATES[asked.state(complete=complete)] or '  exists'}")
    for label, found in (("mirrored by", asked.mirrored_by), ("target of", asked.target_of)):
        if found or complete:
            lines.add_row(label, show.plain([each.name for each in found]) or "no session")
    console.print()
    console.print(lines)


def _marked(interface: dict[str, str]) -> str:
    return show.plain(interface["id"]) + _STATES[interface["state"]]


def _other(target: dict[str, str]) -> str:
    return f"{show.plain(target['id'])} ({show.plain(target['type'])})"
