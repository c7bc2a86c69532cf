"""`unmirror check`: whether it can work here, step by step, changing nothing."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

import click

from handler import __version__
from handler.cli import output as show
from handler.cli.interruption import Interruption, interruptible
from handler.cli.options import DONE, FAILED, Common, common, complain, example
from handler.errors import UnmirrorError
from handler.model import Deadline, Listing
from handler.settings import Settings
from handler.vpc.client import ProjectApi, VpcClient
from handler.vpc.credentials import AccessKey

SECONDS = 60.0
"""For all of it, unless another deadline is asked for."""

MOST_SKEW = 600.0
"""Seconds that the clocks may differ; the API's gateway refuses signatures that are 15 minutes off."""
SAME_REASON = "for the same reason"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried."""

    step: str
    status: Literal["ok", "failed", "not_tried"]
    detail: str
    """What was found, or what to fix; nothing secret."""
    project_id: str | None = None
    request_id: str = ""

    @property
    def words(self) -> str:
        """The detail, and what the cloud's support asks for."""
        return f"{self.detail} (request {self.request_id})" if self.request_id else self.detail


@click.command(epilog=example("unmirror check --region eu-west-101", exits="1 where something has to be fixed"))
@common("project", "region", "endpoint", "profile", "deadline", "as_json", "quiet")
def check(chosen: Common) -> None:
    """Say whether it can work here, and what to fix.

    Tries the settings, the credentials, the endpoint, the clock, and each call
    that changes nothing, in every configured project. Gives up after 60
    seconds where no other deadline is asked for.
    """
    steps = []
    lines = show.grid()
    with interruptible() as interruption:
        for step in _steps(chosen, interruption):
            steps.append(step)
            label = {"ok": "[green]ok[/]", "failed": "[red]FAILED[/]", "not_tried": "[dim]not tried[/]"}[step.status]
            lines.add_row(label, f"[bold]{step.step}[/]: {show.plain(step.words)}")
        wrong = [step.step for step in steps if step.status == "failed"]
        ok = not wrong and not interruption.signal
        chosen.print_json({"ok": ok, "steps": [asdict(step) for step in steps]})
        chosen.print_result(f"failed: {', '.join(wrong)}" if wrong else "ok" if ok else "interrupted")
        chosen.console().print(lines)
        for step in steps if chosen.quiet else ():
            if step.status == "failed":
                complain(step.words, f"{step.step}: ")
        if wrong:
            complain(f"it cannot work here: {', '.join(wrong)}", then="mend the first that failed, and run this again")
        sys.exit(interruption.exit_code(DONE if ok else FAILED))


def _steps(chosen: Common, interruption: Interruption) -> Iterator[Step]:
    """Yield the steps; what an interruption came before, or in between, was not tried."""
    for step in _tried(chosen, interruption.deadline(chosen.deadline or SECONDS)):
        if interruption.signal and (step.status == "failed" or step.detail == SAME_REASON):
            yield replace(step, status="not_tried", detail="interrupted", request_id="")
        else:
            yield step


def _tried(chosen: Common, deadline: Deadline) -> Iterator[Step]:
    try:
        service = chosen.service()
        settings, client = service.settings, service.client
    except UnmirrorError as error:
        yield _failed("settings", error)
        return
    if settings.missing or client is None:
        yield Step("settings", "failed", f"set {'; '.join(settings.missing)}")
        return
    yield Step("settings", "ok", _settings(settings))
    ready = True
    for step in (_credentials(chosen, client, deadline), *_endpoint(client, deadline)):
        ready = ready and step.status == "ok"
        yield step
    for project_id in sorted(settings.projects):
        if ready:
            yield from _calls(service.api(project_id, deadline), project_id, several=len(settings.projects) > 1)
    if not ready:
        yield Step("calls", "not_tried", "the steps above come first")
    yield Step("remove", "not_tried", "it would change a session; it needs vpc:trafficMirrorSessions:removeSource")


def _settings(settings: Settings) -> str:
    known = [settings.endpoint or "", show.count(len(settings.projects), "project")]
    known += ["dry run"] if settings.dry_run else []
    known += [f"protected: {', '.join(settings.protect)}"] if settings.protect else []
    return "; ".join(known)


def _credentials(chosen: Common, client: VpcClient, deadline: Deadline) -> Step:
    environ = chosen.environ()
    variables = "the variables HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"
    names = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN")
    try:
        key = client.credentials.current(deadline)
    except UnmirrorError as error:
        return _failed("credentials", error)
    if key == AccessKey.of(*(environ.get(name) for name in names)):
        return Step("credentials", "ok", f"from {f'the profile {chosen.profile}' if chosen.profile else variables}")
    if key.expires_at is None:
        return Step("credentials", "ok", "from the profile file")
    left = (key.expires_at - client.now()).total_seconds() / 60
    return Step("credentials", "ok", f"from the platform (CCE pod or ECS agency), for {left:.0f} minutes more")


def _endpoint(client: VpcClient, deadline: Deadline) -> Iterator[Step]:
    """Ask for nothing, without a key: any answer has a date."""
    try:
        reply = client.transport.send("GET", "/", {"User-Agent": f"unmirror/{__version__}"}, b"", deadline)
    except UnmirrorError as error:
        yield _failed("endpoint", error)
        return
    yield Step("endpoint", "ok", f"it answers in {reply.seconds * 1000:.0f} ms")
    if reply.date is None:
        yield Step("clock", "failed", "the endpoint's answer has no date: is this the VPC API, or a proxy?")
        return
    off = (client.now() - reply.date).total_seconds()
    words = "right" if abs(off) < 5 else f"{abs(off):,.0f} s {'ahead' if off > 0 else 'behind'}"
    if abs(off) < MOST_SKEW:
        yield Step("clock", "ok", words)
    else:
        yield Step("clock", "failed", f"{words}: set this machine's clock, or no signature will be accepted")


def _calls(api: ProjectApi, project_id: str, *, several: bool) -> Iterator[Step]:
    """Try each call that changes nothing; a call that fails does not stop the others."""
    listing: Listing | None = None
    said: set[str] = set()

    def tried(step: str, call: Callable[[], str]) -> Step:
        name = f"{step} in {project_id}" if several else step
        try:
            return Step(name, "ok", call(), project_id)
        except UnmirrorError as error:
            if str(error) in said:
                return Step(name, "not_tried", SAME_REASON, project_id)
            said.add(str(error))
            return _failed(name, error, project_id)

    def list_sessions() -> str:
        nonlocal listing
        listing = api.list_sessions()
        return show.count(len(listing.sessions), "session")

    def show_session() -> str:
        return "it can be read" if api.show_session(sessions[0].id).session else "it was deleted just now"

    yield tried("list sessions", list_sessions)
    sessions = listing.sessions if listing else ()
    if sessions:
        yield tried("show a session", show_session)
    else:
        why = "there is none to show" if listing else "the list comes first"
        yield Step("show a session", "not_tried", why, project_id)
    known = next((id_ for session in sessions if session.type == "eni" for id_ in session.sources), str(uuid.uuid4()))

    def find() -> str:
        return "it exists" if api.find_interface(known).exists else "the API says that it is gone, which is an answer"

    yield tried("find an interface", find)
    yield tried("list interfaces", lambda: f"it shows {len(api.list_interfaces([known]))} of 1 asked for")


def _failed(step: str, error: UnmirrorError, project_id: str | None = None) -> Step:
    return Step(step, "failed", str(error), project_id, getattr(error, "request_id", ""))
