"""What people see: tables and lines, for a terminal of 80 columns or a pipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # they bring the emulator with them
    from handler.cli.commands.demo import Act
    from handler.emulator.sample import Tenant

_COLOURS = {
    "detached": "green",
    "planned": "cyan",
    "nothing_to_do": "green",
    "still_exists": "yellow",
    "stopped": "red",
    "partial": "red",
    "failed": "red",
    "unreadable": "red",
    "refused": "red",
    "unanswered": "red",
    "not_sent": "yellow",
}

_STATUSES = {"detached": "left", "planned": "would leave", "already_absent": "had left", "failed": "[red]failed[/]"}

_WHY_KEPT = {
    "not_mirrored": "no session",
    "still_exists": "[yellow]it lives[/]",
    "unconfirmed": "[red]unknown[/]",
    "protected": "protected",
    "put_back": "[yellow]put back[/]",
}


MOST_ROWS = 100
"""Rows of a table for people; machines get all of them."""


def plain(value: object) -> str:
    """Return what may be printed on a terminal as it is: names come from the cloud, and may hold anything."""
    return escape(_printable(", ".join(map(str, value)) if isinstance(value, list) else str(value)))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def grid() -> Table:
    """Return lines with a label each."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(no_wrap=True, min_width=12)
    lines.add_column(overflow="fold")
    return lines


def outcome(name: str) -> str:
    """Return an outcome in words, in its colour."""
    return f"[{_COLOURS.get(name, 'default')}]{plain(name.replace('_', ' '))}[/]"


def names_of(kept: Mapping[str, Any]) -> list[str]:
    """Return the names of the sessions that keep an interface, and the id of one that has no name."""
    return [name or id_ for name, id_ in zip(kept["session_names"], kept["session_ids"], strict=True)]


def count(number: int, what: str) -> str:
    """Return how many there are of what, in words: `1 session`, `2 sessions`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def act(console: Console, number: int, played: Act, tenant: Tenant) -> None:
    """Show one act of the demo: what was told, what came of it, and the sessions that changed."""
    console.print()
    console.rule(f"[bold]{number}. {escape(played.title)}", align="left", style="dim")
    console.print(escape(played.told))
    console.print()
    if played.before != played.after:
        console.print(_sessions(played, tenant))
    lines = _lines(played.report, f"{played.status} ")
    cost = ", ".join(f"{many} {name}" for name, many in played.calls.items()) or "none"
    calls = count(sum(played.calls.values()), "API call")
    lines.add_row("took", f"{played.seconds * 1000:.0f} ms; {calls}: {cost}")
    for claim in played.wrong:
        lines.add_row("[red]not so[/]", escape(claim))
    console.print(lines)


def _sessions(played: Act, tenant: Tenant) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("session", no_wrap=True)
    table.add_column("sources before")
    table.add_column("sources after")
    for name, before in played.before.items():
        after = played.after[name]
        old, new = Text(" ".join(tenant.names(before))), Text(" ".join(tenant.names(after)))
        for gone in tenant.names(tuple(id_ for id_ in before if id_ not in after)):
            old.highlight_words([gone], "bold red")
        table.add_row(
            Text(name, style="bold" if before != after else ""), old, new if before != after else Text("the same")
        )
    return table


def report(console: Console, told: Mapping[str, Any]) -> None:
    """Show a report in a few lines; nothing where nothing came about but an error, which is for stderr."""
    if told["error"] and not (told["detachments"] or told["kept"] or told["parts"]):
        return
    lines = _lines(told)
    if told["project_id"] and not told["parts"]:
        lines.add_row("project", plain(told["project_id"]))
    lines.add_row("took", cost(told))
    console.print(lines)


def result(told: Mapping[str, Any]) -> str:
    """Return what came of it, in a line for each project, for scripts: `project outcome`."""
    parts = told["parts"] or [told]
    return "\n".join(f"{_printable(part['project_id'] or 'unknown')} {part['outcome']}" for part in parts)


def cost(told: Mapping[str, Any]) -> str:
    """Return what a report cost."""
    return f"{told['seconds']:,.1f} s; {count(told['api_calls'], 'API call')}"


def explanation(console: Console, told: Mapping[str, Any]) -> None:
    """Show how a payload is read, or which rule fails where."""
    lines = grid()
    for each in told["envelopes"]:
        lines.add_row("envelope", f"{each['envelope']}\n[dim]{each['schema']}[/]")
    for event in told["events"]:
        known = {name: value for name, value in event.items() if name != "event" and value}
        details = "\n".join(f"{name.replace('_', ' ')}: {plain(value)}" for name, value in known.items())
        lines.add_row("[green]event[/]", f"[bold]{event['event'].replace('_', ' ')}[/]\n{details}")
    if told["fault"]:
        lines.add_row("[red]fault[/]", plain(told["fault"]))
    for each in told["violations"]:
        lines.add_row("rule", plain(f"{each['path']}: {each['rule']}"))
    for near in told["nearest"]:
        missed = "\n".join(f"{each['path']}: {each['rule']}" for each in near["missed"])
        lines.add_row("nearest", f"{near['envelope']}, which misses\n{escape(missed)}")
    console.print(lines)


def _lines(told: Mapping[str, Any], status: str = "") -> Table:
    lines = grid()
    lines.add_row(f"{status}{outcome(told['outcome'])}", plain(told["reason"]))
    for each in told["detachments"]:
        ids = "\n".join(map(plain, each["interface_ids"]))
        lines.add_row(_STATUSES[each["status"]], f"{plain(each['session_name'])}\n{ids}")
        if each["error"]:
            lines.add_row("", f"[red]{plain(each['error']['detail'])}[/]")
    for each in told["kept"]:
        lines.add_row(_WHY_KEPT[each["why"]], "\n".join(map(plain, [*names_of(each), each["interface_id"]])))
    for each in told["lost_targets"]:
        lines.add_row("[yellow]no target[/]", f"{plain(each['session_name'])} mirrors to nowhere")
    for part in told["parts"]:
        lines.add_row("part", _lines(part))
    return lines


def swept(console: Console, told: Mapping[str, Any]) -> None:
    """Show what a sweep found and did, project by project. Why one failed or was stopped is for stderr."""
    for number, part in enumerate(told["parts"] or [told]):
        if number:
            console.print()
        if told["parts"]:
            console.rule(f"[bold]project {plain(part['project_id'] or 'unknown')}", align="left", style="dim")
        if part["sweep"] or told["parts"]:
            _swept(console, part)


def _swept(console: Console, told: Mapping[str, Any]) -> None:
    lines, figures = grid(), told["sweep"]
    reasons = {"stopped": "nothing was changed", "failed": "not all could be done"}
    lines.add_row(outcome(told["outcome"]), plain(reasons.get(told["outcome"], told["reason"])))
    if figures:
        known = "known to be " if figures["unknown"] else ""
        sources = f"{count(figures['sources'], 'source')}, {figures['gone']:,} of them {known}gone"
        lines.add_row("seen", f"{count(figures['sessions'], 'session')} with {sources}")
        exist = "not in the lists, which show these credentials less than there is"
        quota = "with 9 or more sources, where 10 is the default quota"
        rows = (
            ("would free" if told["dry_run"] else "freed", figures["places_freed"], "place", ""),
            ("[red]unknown[/]", figures["unknown"], "interface", "could not be decided; the next sweep tries again"),
            ("hidden", figures["hidden"], "interface", exist),
            ("[yellow]emptied[/]", figures["emptied"]["count"], "session", "enabled, and mirroring nothing any more"),
            ("near quota", figures["near_quota"]["count"], "session", quota),
            ("[yellow]put back[/]", len(figures["put_back"]), "source", "removed before, and put back by somebody"),
        )
        for label, many, what, more in rows:
            if many:
                lines.add_row(label, f"{count(many, what)} {more}".rstrip())
    lines.add_row("took", cost(told))
    console.print(lines)
    if found := _findings(told):
        console.print()
        console.print(_table(found))


def _findings(told: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return what happened, to which interface, and the session's name."""
    removed = sorted(
        (each["session_name"], id_, _STATUSES[each["status"]])
        for each in told["detachments"]
        for id_ in each["interface_ids"]
    )
    kept = sorted(
        (name, each["interface_id"], _WHY_KEPT[each["why"]])
        for each in told["kept"]
        for name in each["session_names"] or [""]
    )
    lost = sorted((each["session_name"], each["target_id"], "[yellow]no target[/]") for each in told["lost_targets"])
    return [(what, id_, session) for session, id_, what in removed + kept + lost]


def _table(rows: list[tuple[str, str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("what", min_width=12, no_wrap=True)
    table.add_column("interface", no_wrap=True)
    table.add_column("session", overflow="fold")
    for what, id_, session in rows[:MOST_ROWS]:
        table.add_row(what, plain(id_), plain(session))
    if len(rows) > MOST_ROWS:
        table.add_row("", f"and {len(rows) - MOST_ROWS:,} more", "all: --format csv")
    return table
