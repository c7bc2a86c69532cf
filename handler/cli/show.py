"""What people see: tables and lines, for a terminal of 80 columns or a pipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from handler.cli.demo import Act
from handler.cli.tenant import Tenant

_COLOURS = {
    "detached": "green",
    "planned": "cyan",
    "nothing_to_do": "green",
    "still_exists": "yellow",
    "stopped": "red",
    "partial": "red",
    "failed": "red",
}


def act(console: Console, number: int, played: Act, tenant: Tenant) -> None:
    """Show one act of the demo: what was told, what came of it, and the sessions that changed."""
    console.print()
    console.rule(f"[bold]{number}. {escape(played.title)}", align="left", style="dim")
    console.print(escape(played.told))
    console.print()
    if played.before != played.after:
        console.print(_sessions(played, tenant))
    lines = _lines(played.report, played.status)
    cost = ", ".join(f"{count} {name}" for name, count in played.calls.items()) or "none"
    lines.add_row("took", f"{played.seconds * 1000:.0f} ms; {sum(played.calls.values())} API calls: {cost}")
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
    """Show a report in a few lines."""
    console.print(_lines(told))


def explanation(console: Console, told: Mapping[str, Any]) -> None:
    """Show how a payload is read, or which rule fails where."""
    lines = _grid()
    for each in told["envelopes"]:
        lines.add_row("envelope", f"{each['envelope']}  [dim]{each['schema']}[/]")
    for event in told["events"]:
        known = {name: value for name, value in event.items() if name != "event" and value}
        details = "\n".join(f"{name}: {_plain(value)}" for name, value in known.items())
        lines.add_row("[green]event[/]", f"{event['event'].replace('_', ' ')}\n{escape(details)}")
    if told["fault"]:
        lines.add_row("[red]fault[/]", escape(told["fault"]))
    for each in told["violations"]:
        lines.add_row("rule", escape(f"{each['path']}: {each['rule']}"))
    for near in told["nearest"]:
        missed = ", ".join(f"{each['path']}: {each['rule']}" for each in near["missed"])
        lines.add_row("nearest", escape(f"{near['envelope']} ({missed})"))
    console.print(lines)


def _lines(told: Mapping[str, Any], status: int | None = None) -> Table:
    outcome = told["outcome"]
    lines = _grid()
    answered = f"{status} " if status else ""
    lines.add_row("answer", f"[{_COLOURS.get(outcome, 'default')}]{answered}{outcome}[/], {escape(told['reason'])}")
    for each in told["detachments"]:
        ids = "\n".join(each["interface_ids"])
        lines.add_row(_STATUSES[each["status"]], escape(f"{each['session_name']}\n{ids}"))
    for each in told["kept"]:
        lines.add_row("kept", f"{each['interface_id']}\n{each['why'].replace('_', ' ')}")
    for each in told["lost_targets"]:
        lines.add_row("[yellow]no target[/]", escape(f"{each['session_name']} mirrors to nowhere"))
    problems = dict.fromkeys(each["error"]["detail"] for each in told["detachments"] if each["error"])
    if told["error"]:
        problems |= {told["error"]["detail"]: None}
    for detail in problems:
        lines.add_row("[red]problem[/]", escape(detail))
    for part in told["parts"]:
        lines.add_row("part", _lines(part))
    return lines


_STATUSES = {"detached": "left", "planned": "would leave", "already_absent": "had left", "failed": "[red]failed[/]"}


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, min_width=11)
    grid.add_column(overflow="fold")
    return grid


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
