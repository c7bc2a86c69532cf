"""The log: every line as its schema has it, and the answers that somebody looks for in it at three in the morning."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, get_args, get_type_hints

import pytest
import requests

from handler import events, functiongraph
from handler.cli.commands.demo import cts_event
from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator, Fault
from handler.errors import ApiRefused, ApiUnavailable, Busy, NotAllowed, StillExists, UnmirrorError
from handler.events import schemas
from handler.observability import logs as telemetry
from handler.report import Detachment, Kept, Outcome, Report
from tests.conftest import AT_ONCE, NewFunction
from tests.support.function import Function, settings_for
from tests.support.processes import function as process
from tests.web.test_functiongraph import Context, user_data  # noqa: F401 - a fixture
from tests.web.test_on_event import VICTIM, binary, cloud_event, delete, deleted, structured, trace

Lines: TypeAlias = Callable[[], list[dict[str, Any]]]

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE_ID, SPAN_ID = PARENT.split("-")[1:3]

TITLES: dict[str, str] = {
    each["const"]: each["title"] for each in schemas.schema("log")["properties"]["event"]["oneOf"]
}
"""The level of each event, or the levels, in words."""


def check(line: dict[str, Any]) -> dict[str, Any]:
    """Return the line if it is as the schema has it, and of its event's level."""
    assert events.validate("log", line) == (), line
    assert TITLES[line["event"]] == "any" or line["level"] in TITLES[line["event"]].split(" or ")
    return line


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """What was logged since it was last asked, each line checked."""
    return lambda: [check(json.loads(line)) for line in capsys.readouterr().out.splitlines()]


# --- one schema for all ----------------------------------------------------------------------------------------


def kinds_of(error: type[UnmirrorError]) -> Iterator[type[UnmirrorError]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds_of(kind)


def test_the_schema_names_every_event_and_says_what_to_do() -> None:
    outcomes = {f"delivery.{outcome}" for outcome in get_args(Outcome)}
    in_reports = (ApiRefused, ApiUnavailable, Busy, NotAllowed, StillExists)
    refusals = {f"delivery.{kind.slug}" for kind in kinds_of(UnmirrorError) if not issubclass(kind, in_reports)}
    statuses = {f"interface.{status}" for status in get_args(get_type_hints(Detachment)["status"])}
    named = {name for name in TITLES if name.startswith(("delivery.", "interface."))}
    assert named == (outcomes | refusals | statuses) - {"delivery.internal-error"}
    for event in schemas.schema("log")["properties"]["event"]["oneOf"]:
        assert " Do: " in event["description"]


def test_every_name_in_the_code_is_in_the_schema_and_the_other_way_round() -> None:
    code = "".join(path.read_text("utf-8") for path in Path(telemetry.__file__).parents[1].rglob("*.py"))
    said = set(re.findall(r'\bsay\(\s*[\w.]+,\s*"([^"]+)"', code))
    assert said <= set(TITLES)
    assert {
        name for name in TITLES if not name.startswith(("delivery.", "interface.")) and f'"{name}"' not in code
    } == set()


def test_every_line_of_a_long_day_is_as_the_schema_has_it(
    new_function: NewFunction, tenant: Tenant, emulator: Emulator, lines: Lines
) -> None:
    function, cautious = new_function(), new_function(UNMIRROR_DRY_RUN="1")
    closed = new_function(UNMIRROR_TRUST="")
    closed.post(deleted(VICTIM))
    cautious.post(deleted(delete(tenant)))
    function.post({"cts": trace(tenant.interfaces[VICTIM])})
    function.post({"cts": trace(tenant.interfaces[VICTIM])})
    function.post({"cts": trace(tenant.interfaces["web-1"])})
    function.post({"cts": trace(tenant.interfaces["web-1"], trace_name="updatePort")})
    function.post({"cts": trace(tenant.interfaces["web-1"], response={"job_id": "1"})})
    function.post(b"not JSON")
    function.post(deleted("not an id"))
    function.post(b"x", {"Content-Type": "image/png"})
    function.post(b" " * 300_000)
    function.post([cloud_event(trace(delete(tenant, name))) for name in ("web-2", "web-3")], BATCH)
    for name in ("mail-1", "mail-2"):
        delete(tenant, name)
    delete(tenant, "ids-sensor-b")
    function.post({"type": "io.unmirror.sweep.due.v1", "id": "sweep-1"})
    emulator.faults.append(Fault("remove_sources", status=403, body=REFUSED))
    function.post(deleted(delete(tenant, "db-1")))
    emulator.faults.append(Fault(status=503, times=-1))
    function.post({"type": "io.unmirror.sweep.due.v1", "id": "sweep-2"})
    levels = {line["event"]: line["level"] for line in lines()}
    assert levels == {
        "admission.closed": "warning",
        "delivery.not-admitted": "warning",
        "delivery.planned": "info",
        "interface.planned": "info",
        "delivery.detached": "info",
        "interface.detached": "info",
        "delivery.nothing_to_do": "info",
        "delivery.still_exists": "warning",
        "delivery.ignored": "info",
        "delivery.not_yet": "info",
        "delivery.bad-event": "warning",
        "delivery.unsupported-media": "warning",
        "delivery.too-large": "warning",
        "session.emptied": "warning",
        "session.target_lost": "warning",
        "interface.failed": "error",
        "delivery.failed": "warning",
    }


BATCH = {"Content-Type": "application/cloudevents-batch+json"}
REFUSED = b'{"error_code":"VPC.2201","error_msg":"no","request_id":"refused"}'


def test_the_log_of_the_demo_is_as_the_schema_has_it(tenant: Tenant, emulator: Emulator, tmp_path: Path) -> None:
    """Its three acts, played to the function as a process of its own."""
    victim, survivor = delete(tenant), tenant.interfaces["web-2"]
    acts = [cts_event(victim, trace=1), cts_event(survivor, trace=2), cts_event(victim, trace=1)]
    with process(settings_for(emulator), tmp_path, AT_ONCE) as (_, url):
        answered = [requests.post(url, json=act, headers={"traceparent": PARENT}, timeout=20) for act in acts]
    told = [check(json.loads(line)) for line in (tmp_path / "log").read_text("utf-8").splitlines()]
    assert [line["event"] for line in told] == [
        "delivery.detached",
        *["interface.detached"] * 3,
        "delivery.still_exists",
        "delivery.nothing_to_do",
    ]
    wholes = [told[0], *told[4:]]
    assert [line["delivery_id"] for line in wholes] == [answer.json()["delivery_id"] for answer in answered]
    assert {line["trace_id"] for line in told} == {TRACE_ID}
    assert all(survivor not in line["interface_ids"] for line in told[:4])


# --- one line for each detachment --------------------------------------------------------------------------------


def test_one_line_says_everything_about_a_detachment(function: Function, tenant: Tenant, lines: Lines) -> None:
    gone, session = delete(tenant), tenant.sessions["pci-payments"]
    event = trace(gone)
    report = function.post({"cts": event}).report
    (line,) = (line for line in lines() if line.get("session_id") == session)
    assert (line["event"], line["level"]) == ("interface.detached", "info")
    assert (line["envelope"], line["delivery_id"]) == ("cts", event["trace_id"])
    assert (line["operation"], line["actor"]) == ("VPC deletePort", event["user"]["name"])
    assert line["event_time"].startswith("20")
    assert 0 <= line["seconds_after_deletion"] < 60
    assert (line["project_id"], line["session_name"], line["interface_ids"]) == (PROJECT_ID, "pci-payments", [gone])
    assert set(line["sources_before"]) - set(line["sources_after"]) == {gone}
    (removal,) = (each["request_ids"] for each in report["detachments"] if each["session_id"] == session)
    absence = [each["request_id"] for each in report["gone"]]
    assert line["proof"] == {"look": report["look"]["request_ids"], "gone": absence, "removal": removal}
    assert (len(absence), len(removal), len(report["look"]["request_ids"])) == (1, 1, 1)
    assert line["request_ids"] == [id_ for ids in line["proof"].values() for id_ in ids]


def test_what_could_not_leave_says_why(function: Function, tenant: Tenant, emulator: Emulator, lines: Lines) -> None:
    emulator.faults.append(Fault("remove_sources", status=403, body=REFUSED))
    function.post(deleted(delete(tenant, "db-1")))
    whole, line = lines()
    assert (whole["event"], whole["level"]) == ("delivery.failed", "error")
    assert (line["event"], line["level"], line["problem"]["code"]) == ("interface.failed", "error", "VPC.2201")


def test_who_did_it_is_told_in_few_and_printable_letters(function: Function, tenant: Tenant, lines: Lines) -> None:
    name = 'eve"\n{"event":"defect"}\x1b[2J\u202e' + "x" * 500
    function.post({"cts": trace(delete(tenant), user={"name": name})})
    actors = {line["actor"] for line in lines() if "actor" in line}
    assert actors == {('eve"{"event":"defect"}[2J' + "x" * 500)[:64]}


def test_why_the_other_one_stayed_is_said_where_nothing_was_done(
    new_function: NewFunction, tenant: Tenant, lines: Lines
) -> None:
    function = new_function(UNMIRROR_PROTECT="ids-databases")
    gone = delete(tenant, "db-1")
    function.post(deleted(gone))
    (line,) = lines()
    assert line["kept"] == [{"interface_id": gone, "why": "protected"}]
    assert "report" not in line


def test_who_says_that_a_living_interface_is_deleted_is_told(hasty: Function, tenant: Tenant, lines: Lines) -> None:
    hasty.post({"cts": trace(tenant.interfaces["web-1"], user={"name": "mallory"})})
    (line,) = lines()
    assert line["event"] == "delivery.still_exists"
    cause = line["report"]["cause"]
    assert (cause["operation"], cause["actor"]) == ("VPC deletePort", "mallory")
    assert cause["time"]


def test_deliveries_that_one_sweep_serves_tell_its_detachments_once(
    function: Function, tenant: Tenant, lines: Lines
) -> None:
    delete(tenant, "web-1")
    old = {"time": "2026-01-01T00:00:00Z"}
    for number in (1, 2):
        function.post({"type": "io.unmirror.sweep.due.v1", "id": f"sweep-{number}", **old})
    told = lines()
    assert [line["event"] for line in told] == ["delivery.detached", "interface.detached", "delivery.detached"]
    assert [told[0]["report"]["shared"], told[2]["report"]["shared"]] == [False, True]
    assert "seconds_after_deletion" not in told[1]


def test_a_long_list_is_cut_and_says_by_how_much(function: Function, tenant: Tenant, lines: Lines) -> None:
    ids = [tenant.cloud.new_id() for _ in range(150)]
    function.post(deleted(*ids))
    (line,) = lines()
    assert (len(line["interface_ids"]), len(line["kept"])) == (100, 100)
    assert line["left_out"] == {"interface_ids": 50, "kept": 50}


def test_a_long_report_is_cut_too(configure: Callable[[Mapping[str, str]], None], lines: Lines) -> None:
    configure({})
    kept = tuple(Kept(f"interface-{number}", "protected") for number in range(120))
    telemetry.delivered(Report("one", "timer", "stopped", "a limit", kept=kept))
    (line,) = lines()
    assert len(line["report"]["kept"]) == 100
    assert line["left_out"]["report.kept"] == 20


def test_a_defect_has_one_line(
    user_data: dict[str, str],  # noqa: F811 - the fixture
    lines: Lines,
) -> None:
    class Broken(Context):
        def getRemainingTimeInMilliSeconds(self) -> int:  # noqa: N802
            raise RuntimeError

    with pytest.raises(UnmirrorError, match="defect"):
        functiongraph.handler(deleted(VICTIM), Broken(user_data))
    (line,) = lines()
    assert (line["event"], line["level"]) == ("defect", "critical")


# --- the sender's trace ----------------------------------------------------------------------------------------


SENDERS = {
    "a header": lambda function, event: function.post(event, {"traceparent": PARENT}),
    "a CloudEvent's extension": lambda function, event: structured(function, {**event, "traceparent": PARENT}),
    "a binary CloudEvent's": lambda function, event: binary(function, {**event, "traceparent": PARENT}),
}


@pytest.mark.parametrize("sender", SENDERS)
def test_every_line_of_a_delivery_names_its_trace(
    sender: str, function: Function, tenant: Tenant, lines: Lines
) -> None:
    SENDERS[sender](function, cloud_event(trace(delete(tenant))))
    told = lines()
    assert len(told) == 4
    assert {(line["trace_id"], line["span_id"]) for line in told} == {(TRACE_ID, SPAN_ID)}
    function.post(deleted(tenant.cloud.new_id()))
    assert "trace_id" not in lines()[0]


def test_what_is_refused_names_its_trace_too(function: Function, lines: Lines) -> None:
    function.post(b"not JSON", {"traceparent": PARENT})
    function.post({"specversion": "1.0", "traceparent": PARENT})
    assert [line["trace_id"] for line in lines()] == [TRACE_ID] * 2


@pytest.mark.parametrize(
    "traceparent",
    [
        *(PARENT.upper(), PARENT + "-00", PARENT[:-1], f" {PARENT}", "01" + PARENT[2:], "ff" + PARENT[2:], "", "00"),
        *(f"00-{'0' * 32}-{SPAN_ID}-01", f"00-{TRACE_ID}-{'0' * 16}-01", PARENT.replace("-", "_"), f"{PARENT}\n"),
        *(None, 1, [PARENT], PARENT.replace("4", "\u0664")),
    ],
)
def test_what_is_no_traceparent_is_none(traceparent: object) -> None:
    assert telemetry.Trace.of(traceparent) is None
    assert telemetry.Trace.of_event({"specversion": "1.0", "traceparent": traceparent}) is None


def test_an_extension_is_read_only_where_there_can_be_one() -> None:
    assert telemetry.Trace.of_event({"traceparent": PARENT}) is None
    assert telemetry.Trace.of_event([PARENT]) is None
    assert telemetry.Trace.of_event({"specversion": "1.0", "traceparent": PARENT}) == telemetry.Trace(
        TRACE_ID, SPAN_ID, sampled=True
    )


# --- where it goes -----------------------------------------------------------------------------------------------


class Screen(io.StringIO):
    """A terminal that counts what is written to it."""

    def __init__(self, *, terminal: bool = True) -> None:
        super().__init__()
        self.terminal = terminal
        self.writes = 0

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    """Return what says where lines go, as if nothing had said so before."""

    def configure(environ: Mapping[str, str]) -> None:
        monkeypatch.setattr(telemetry.log, "handlers", [])
        telemetry.configure(environ)

    return configure


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_on_a_terminal_a_line_is_short_and_for_people(
    configure: Callable[[Mapping[str, str]], None],
    environ: dict[str, str],
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    configure(environ)
    evil = "\x1b[2J\nsession"
    telemetry.delivered(
        Report("one", "cts", "detached", "detached 1", detachments=(Detachment("s-1", evil, ("a", "b"), "detached"),))
    )
    first, second = screen.getvalue().splitlines()
    assert ("\x1b[32m" in first) is coloured
    plain = [line.replace("\x1b[32m", "").replace("\x1b[0m", "") for line in (first, second)]
    assert plain[0][8:] == " info     delivery.detached    detached 1  interface_ids=a,b  delivery_id=one"
    assert r"session_name='\x1b[2J\nsession'" in plain[1]


def test_all_lines_of_a_delivery_are_one_write(
    function: Function, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", screen := Screen(terminal=False))
    function.post(deleted(delete(tenant)))
    assert (screen.writes, screen.getvalue().count("\n")) == (1, 4)


def test_what_others_say_by_our_logger_is_a_line_too(
    configure: Callable[[Mapping[str, str]], None], lines: Lines
) -> None:
    configure({})
    telemetry.log.warning("something %s", "odd")
    telemetry.log.debug("not this")
    (line,) = lines()
    assert (line["event"], line["level"], line["message"]) == ("log", "warning", "something odd")
