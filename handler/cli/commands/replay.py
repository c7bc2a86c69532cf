"""`unmirror replay`: work off here what the function did not."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import click

from handler.cli.options import Exit, dry_run, example, with_service
from handler.cli.output import Output, Progress, Row, count, hint_for, print_error, progress_line
from handler.cli.payloads import EventFile, read_file
from handler.cli.reports import words
from handler.deadline import Deadline
from handler.errors import BadEvent, Forbidden, Interrupted, UnmirrorError
from handler.report import Report
from handler.service import Service

# They share the batches of their project's worker; a session has at most ten sources, so that more gain little.
DELIVERIES_AT_A_TIME = 16
# After so many consecutive failures the rest is skipped: the cause is probably common.
MAX_FAILURES = 20

# Of an event that as a whole came to nothing; else the report's.
_OUTCOMES = {BadEvent: "unreadable", Forbidden: "forbidden", Interrupted: "not_tried"}


@click.command(
    epilog=example(
        "unmirror replay dead-letters.jsonl --dry-run",
        "unmirror replay traces.json.gz",
        exits="1 where anything did not end well",
    )
)
@click.argument("file", type=click.File("rb"), callback=read_file)
@dry_run
@with_service
def replay(output: Output, service: Service, deadline: Deadline, file: EventFile) -> int:
    """Work off events from a file.

    FILE holds one event as JSON, an array of them, JSON lines, or what CTS
    stores (.json.gz); - is standard input. Each may be whatever the function
    reads: dead letters of Knative, failure notifications of FunctionGraph,
    messages of SMN. What is done already is not done twice.
    """
    if not file.payloads:
        print_error("the file holds no event")
    with progress_line() as progress:
        results = list(_replay(service, file.payloads, deadline, progress))
    outcomes = dict(sorted(Counter(_outcome(report) for _, report in results).items()))
    as_json = [{"place": place, "outcome": _outcome(report), "report": report.as_json} for place, report in results]
    output.json({"events": len(results), "outcomes": outcomes, "results": as_json})
    _print_results(output, results, outcomes)
    if failed := [report for _, report in results if _is_failed(report)]:
        again = sum(report.retry for report in failed)
        text = f"{len(failed)} of {len(results)} did not end well; {again} of them can end differently later"
        worst = max(failed, key=lambda report: (not isinstance(report.failure, Interrupted), report.status))
        print_error(text, hint=hint_for(worst.error))
        return Exit.FAILED
    return Exit.STOPPED if "stopped" in outcomes else Exit.DONE


def _replay(
    service: Service, payloads: Sequence[tuple[str, object]], deadline: Deadline, progress: Progress
) -> Iterator[tuple[str, Report]]:
    """Yield the place and the report of each event; after too many failures in a row no other begins."""
    recent: deque[str] = deque(maxlen=MAX_FAILURES)  # safe for threads: each append and each count is one step

    def deliver(item: tuple[str, object]) -> tuple[str, Report]:
        place, payload = item
        if recent.count("failed") == MAX_FAILURES:
            skipped = Interrupted(f"skipped: {MAX_FAILURES} before it failed in a row")
            return place, Report(place, "unknown", failure=skipped)
        try:
            report = service.deliver(payload, deadline=deadline)
        except UnmirrorError as error:
            report = Report(place, "unknown", failure=error)
        if recent.count("failed") < MAX_FAILURES:  # else what is still under way would let others begin again
            recent.append(_outcome(report))
        return place, report

    with ThreadPoolExecutor(DELIVERIES_AT_A_TIME) as pool:
        for done, result in enumerate(pool.map(deliver, payloads), 1):
            progress("working off events", done, len(payloads))
            yield result


def _outcome(report: Report) -> str:
    return _OUTCOMES.get(type(report.failure), report.outcome)


def _is_failed(report: Report) -> bool:
    return bool(report.error or report.failed_steps)


def _print_results(output: Output, results: Sequence[tuple[str, Report]], outcomes: Mapping[str, int]) -> None:
    """Print each result to a pipe; on a terminal how many there are of each, and those that did not end well."""
    if output.terminal:
        output.line("read", count(len(results), "event"))
        for outcome, many in outcomes.items():
            output.line(words(outcome), f"{many:,}")
        output.text()
        results = [each for each in results if _is_failed(each[1])]
    output.rows([Row(place, words(_outcome(report)), report.reason) for place, report in results])
