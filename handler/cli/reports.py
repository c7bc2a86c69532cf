"""A report for people: what came of it, session by session."""

from handler.cli.output import Output, Row, count, print_error
from handler.errors import StillExists, UnmirrorError
from handler.model import SweepFigures
from handler.report import Report
from handler.settings import Settings

_STOPPED_HINT = "`unmirror sweep --dry-run` shows what it would detach, and `unmirror check` what the credentials see"
_LABELS = {"planned": "would detach", "already_absent": "was absent", "still_exists": "exists"}


def words(name: str) -> str:
    """Return an outcome, status or reason as people write it."""
    return name.replace("_", " ")


def print_report(output: Output, report: Report, settings: Settings) -> bool:
    """Print a report, as JSON or project by project, and on stderr what went wrong; return whether anything failed.

    Of named ids it tells which are protected. An interface that exists is no failure: what it is, the caller tells.
    """
    output.json(report.as_json)
    parts = list(report.leaves())
    for part in parts:
        _print_part(output, part)
    failed = False
    for part in parts:
        about = f"project {part.project_id}: " if report.parts else ""
        error = part.error if part.sweep else _worst_of_named(part)
        if error:
            print_error(error, about)
            failed = True
        elif part.outcome == "stopped":
            print_error(part.reason, about, hint=_STOPPED_HINT)
        elif part.sweep and not part.sweep.sessions and part.project_id:
            warn_of_no_session(settings, part.project_id)
        for each in part.kept:
            if each.reason == "protected" and not part.sweep:
                names = ", ".join(f"{session.session_name} ({session.session_id})" for session in each.sessions)
                text = f"{each.interface_id} stays in {names}, which UNMIRROR_PROTECT names"
                print_error(text, about, hint="if it is to leave, run this again with another UNMIRROR_PROTECT")
    return failed


def _worst_of_named(part: Report) -> UnmirrorError | None:
    """Return the worst error beside that an interface exists."""
    errors = [part.failure, *(each.error for each in part.detachments), *(each.error for each in part.kept)]
    found = [error for error in errors if error and not isinstance(error, StillExists)]
    return max(found, key=lambda error: error.status, default=None)


def _print_part(output: Output, report: Report) -> None:
    """Print what became of it, the rows, and what it cost.

    Where nothing but an error came of it there is nothing to print, for errors go to stderr; nor where no session is
    concerned, for what the ids are is told elsewhere.
    """
    rows = _rows(report)
    if not report.sweep and all(row.label == "not mirrored" for row in rows):
        return
    output.line(words(report.outcome), report.reason)
    if report.project_id:
        output.line("project", report.project_id)
    if report.sweep:
        _print_figures(output, report.sweep)
    output.line("took", f"{report.seconds:,.1f} s; {count(report.api_calls, 'API call')}")
    output.rows(rows)


def _print_figures(output: Output, figures: SweepFigures) -> None:
    sources = f"{count(figures.sources, 'source')}, {figures.gone:,} gone"
    output.line("seen", f"{count(figures.sessions, 'session')} with {sources}")
    for label, number, noun, more in (
        ("freed", figures.places_freed, "place", ""),
        ("would free", figures.would_free, "place", ""),
        ("undecided", figures.undecided, "source", ": the next sweep tries again"),
        ("unlisted", figures.unlisted, "source", " that exists, and that the list does not show to this key"),
        ("emptied", len(figures.emptied), "session", f" left without sources: {', '.join(figures.emptied)}"),
    ):
        if number:
            output.line(label, f"{count(number, noun)}{more}")


def _label(name: str) -> str:
    return _LABELS.get(name, words(name))


def _rows(report: Report) -> list[Row]:
    """Return what happened to each interface, in the order of its sessions' names."""
    rows = [
        Row(_label(each.status), id_, str(each.error or ""), each.session_id, each.session_name)
        for each in report.detachments
        for id_ in each.interface_ids
    ]
    rows += [
        Row(_label(each.reason), each.interface_id, "", *session)
        for each in report.kept
        for session in each.sessions or [("", "")]
    ]
    rows += [Row("lost target", each.target_id, "", each.session_id, each.session_name) for each in report.lost_targets]
    rows += [Row("unreadable", "", each.reason, each.session_id) for each in report.unreadable_sessions]
    return sorted(rows, key=lambda row: (row.session_name, row.session_id, row.label, row.id))


def warn_of_no_session(settings: Settings, project_id: str) -> None:
    """Ask whether it is the right project: an empty one is more often the wrong one."""
    where = f"in region {settings.region}" if settings.region else f"at {settings.endpoint}"
    hint = "each region has projects of its own: name it with --project and --region, or set UNMIRROR_PROJECTS"
    print_error(f"project {project_id} has no traffic mirror session {where}: is it the right one?", hint=hint)
