"""A check: tries every read that a deletion needs, as the function would make it, and changes nothing."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from handler.deadline import Deadline
from handler.errors import DeadlineExceeded, Interrupted, KeyCoolingDown, UnmirrorError
from handler.model import ApiCall, CheckStep, Listing, MirrorSession
from handler.settings import Settings
from handler.vpc.client import VpcApi, VpcClient
from handler.vpc.credentials import AccessKey
from handler.vpc.replies import MAX_SKEW_SECONDS

# Less than this a `Date` in whole seconds and a slow answer explain.
NOTICEABLE_SKEW_SECONDS = 5.0
# The id of no interface, to ask for where no session lists one: a 404 of the API's own is an answer.
NOBODY = "00000000-0000-4000-8000-000000000000"
_FIRST = "what failed before comes first"


class Check:
    """A check of one project, and what it has tried so far."""

    def __init__(
        self,
        settings: Settings,
        client: VpcClient,
        project_id: str,
        key: AccessKey | None,
        on_call: Callable[[ApiCall], None],
    ) -> None:
        """Take the key that came with the delivery, None where the function finds its own, and what hears of calls."""
        self.steps = [CheckStep("settings", "ok", describe(settings, [project_id]))]
        """What was tried, in order. What depends on a step that failed is skipped."""
        self.calls: list[str] = []
        """The operations of the calls that were made."""
        self._settings, self._client, self._project_id = settings, client, project_id
        self._key, self._on_call = key, on_call

    def run(self, deadline: Deadline) -> None:
        """Try one after another; of what we raise only Interrupted is raised, at the end."""
        steps, client, key = self.steps, self._client, self._key
        with _recorded(steps, "credentials"):
            if key is None:
                client.credentials.current(deadline)
            source = f"from {client.credentials.source}" if key is None else "the key that came with the delivery"
            steps.append(CheckStep("credentials", "ok", source))
        with _recorded(steps, "endpoint"):
            steps.extend(_try_endpoint(self._settings, client, deadline))
        if all(step.status != "failed" for step in steps):
            _try_reads(client.api(self._project_id, key, on_call=self._hear), deadline, steps)
        else:
            steps.append(CheckStep("calls", "skipped", _FIRST))
        detail = "only a removal shows whether it is allowed; it needs vpc:trafficMirrorSessions:removeSource"
        steps.append(CheckStep("remove sources", "skipped", detail))
        if deadline.cancellation.cancelled:
            raise Interrupted("interrupted before the end of the check")

    def _hear(self, call: ApiCall) -> None:
        self.calls.append(call.operation)
        self._on_call(call)


def describe(settings: Settings, project_ids: Iterable[str]) -> str:
    """Return in one line where unmirror acts, and what keeps it from acting."""
    parts = [f"region {settings.region or 'not set'}", f"project {', '.join(project_ids)}"]
    parts += [f"protected: {', '.join(settings.protect)}"] if settings.protect else []
    return "; ".join([*parts, "dry run"] if settings.dry_run else parts)


def _try_endpoint(settings: Settings, client: VpcClient, deadline: Deadline) -> Iterator[CheckStep]:
    """Ask the endpoint for nothing, unsigned: any answer shows that it is there, and its clock."""
    reply = client.probe(deadline)
    where = f"{settings.endpoint} ({settings.endpoint_source})"
    yield CheckStep("endpoint", "ok", f"{where} answers in {reply.seconds * 1000:.0f} ms")
    if reply.date is None:
        yield CheckStep("clock", "warning", "the endpoint's answer has no date", "see what stands before the VPC API")
        return
    skew = (reply.sent.wall - reply.date).total_seconds()
    if abs(skew) < NOTICEABLE_SKEW_SECONDS + reply.seconds:
        yield CheckStep("clock", "ok", "right")
        return
    detail = f"this machine's is {abs(skew):,.0f} s {'ahead' if skew > 0 else 'behind'}"
    fix = "set it: the API refuses a signature that is 15 minutes off"
    yield CheckStep("clock", "failed" if abs(skew) > MAX_SKEW_SECONDS else "warning", detail, fix)


def _try_reads(api: VpcApi, deadline: Deadline, steps: list[CheckStep]) -> None:
    """Try each call that changes nothing; one that fails does not stop the others."""
    sessions: tuple[MirrorSession, ...] | None = None
    with _recorded(steps, "list sessions"):
        listing = api.list_sessions(deadline)
        sessions = listing.sessions
        steps.append(_listed(listing))
    with _recorded(steps, "show a session"):
        if sessions:
            reply = api.show_session(sessions[0], deadline)
            detail = "it can be read" if reply.session else "it was deleted just now"
            steps.append(CheckStep("show a session", "ok", detail, request_id=reply.request_id))
        else:
            steps.append(CheckStep("show a session", "skipped", "none is listed" if sessions == () else _FIRST))
    known = next((id_ for session in sessions or () if session.type == "eni" for id_ in session.sources), NOBODY)
    exists = False
    with _recorded(steps, "show an interface"):
        presence = api.find_interface(known, deadline)
        exists = presence.exists
        detail = "it exists" if exists else "the API says that there is none, which is an answer"
        steps.append(CheckStep("show an interface", "ok", detail, request_id=presence.request_id))
    with _recorded(steps, "list interfaces"):
        shown = len(api.list_interfaces([known], deadline))
        if exists and not shown:
            fix = "let the credentials see all enterprise projects; until then each source costs a call of its own"
            steps.append(CheckStep("list interfaces", "warning", "one that exists is not shown", fix))
        else:
            steps.append(CheckStep("list interfaces", "ok", f"{shown} of 1 asked for is shown"))


def _listed(listing: Listing) -> CheckStep:
    request_id = next(iter(listing.request_ids), "")
    if listing.unreadable:
        first = listing.unreadable[0]
        detail = f"{len(listing.unreadable)} cannot be read; {first.session_id or 'one without an id'}: {first.reason}"
        return CheckStep("list sessions", "warning", detail, "correct or delete it in the console", request_id)
    if not listing.sessions:
        fix = "is it the right project and region? Each region has projects of its own: UNMIRROR_PROJECTS, --project"
        return CheckStep("list sessions", "warning", "there is no session", fix, request_id)
    return CheckStep("list sessions", "ok", f"{len(listing.sessions):,} found", request_id=request_id)


@contextmanager
def _recorded(steps: list[CheckStep], name: str) -> Iterator[None]:
    """Record the error that ends the block: a failed step, or a skipped one where an earlier failure is the reason."""
    try:
        yield
    except UnmirrorError as error:
        after = isinstance(error, DeadlineExceeded | KeyCoolingDown) and any(step.status == "failed" for step in steps)
        detail = _FIRST if after and isinstance(error, KeyCoolingDown) else str(error)
        status: Literal["skipped", "failed"] = "skipped" if after or isinstance(error, Interrupted) else "failed"
        steps.append(CheckStep(name, status, detail, request_id=error.request_id))
