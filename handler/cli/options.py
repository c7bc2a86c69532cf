"""The common options, and how a command with them is run: its service, its deadline, its exit code."""

import functools
import logging
import os
import signal
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from handler.cli.output import Output, print_error, printable
from handler.deadline import Cancellation, Deadline
from handler.errors import NotConfigured, UnmirrorError
from handler.events.fields import canonical_id
from handler.report import problem
from handler.settings import NAMES as SETTINGS
from handler.settings import Settings
from handler.vpc.credentials import KEY_NAMES, PROFILE_MEMBERS, AccessKey, CredentialsNotFound, profile_file, profiles

if TYPE_CHECKING:  # help and completion do not need it
    from handler.service import Service


class Exit(IntEnum):
    """Exit codes. 2 is click's own, for wrong usage; 128 and the signal's number follow an interruption."""

    DONE, FAILED, STOPPED = 0, 1, 3


# Seconds: the deadline of whoever asked for none, as it has to be finite; the longest sweep measured took minutes.
A_DAY = 86_400.0

# A section of the profile file: its name in words, and the variables that it stands for; both empty without one.
Profile: TypeAlias = tuple[str, dict[str, str]]


def with_service(command: Callable[..., int]) -> Callable[..., Any]:
    """Give a command in the cloud its options: it takes an Output, a Service and a Deadline, and returns its exit code.

    A signal ends the deadline. An UnmirrorError is printed, as JSON as well where that was asked for.
    """

    @functools.wraps(command)
    def run(output: Output, profile: Profile, deadline: float, **given: Any) -> int:
        options = {name: given.pop(name) for name in SETTINGS if name in given}
        cancellation = Cancellation()
        received = _cancel_at_signals(cancellation)
        code: int = Exit.FAILED
        try:
            code = command(output, *_connect(profile, options, deadline, cancellation), **given)
        except UnmirrorError as error:
            output.json(problem(error))
            print_error(error)
        return 128 + received[0] if received else code  # as a shell expects of a signal

    with_options: Callable[..., Any] = run
    for option in reversed(_CONNECTION):
        with_options = option(with_options)
    return with_options


def _cancel_at_signals(cancellation: Cancellation) -> Sequence[int]:
    """Let the first SIGINT or SIGTERM end every deadline, so that what was done is reported; the second, the process.

    Return what will hold the number of the first. The handlers stay: the process ends with the command.
    """
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        """Handle the signal. It interrupts the main thread, so it calls nothing that waits."""
        received.append(number)
        if len(received) > 1:
            os._exit(128 + number)  # no thread is waited for
        cancellation.cancel()
        with suppress(OSError):  # nobody may read it any more
            os.write(2, b"unmirror: stopping, and reporting what was done; once more ends it at once\n")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return received


def _connect(
    profile: Profile, options: Mapping[str, str | None], seconds: float, cancellation: Cancellation
) -> "tuple[Service, Deadline]":
    """Return the service and the deadline for these options; say on stderr where the command acts.

    Raises NotConfigured that names what a call of the API needs.
    """
    from handler.check import describe
    from handler.observability.logs import JsonFormatter
    from handler.service import Service

    if logging.lastResort is not None:  # it writes warnings and errors to stderr
        logging.lastResort.setFormatter(JsonFormatter())
    source, variables = profile
    service = Service(_environ(variables, options), cancellation=cancellation)
    settings = service.settings
    if settings.missing:
        raise NotConfigured(f"set {'; '.join(settings.missing)}")
    deadline, credentials = Deadline.within(seconds, service.clock.monotonic, cancellation), service.client.credentials
    with suppress(UnmirrorError):  # the command itself will say what was tried
        credentials.current(deadline)
        credentials.source = source or credentials.source  # the profile stands in the place of the variables
    where = f"key from {credentials.source or 'nowhere'}; endpoint {settings.endpoint} ({settings.endpoint_source})"
    click.echo(printable(f"unmirror: {describe(settings, sorted(settings.projects))}; {where}"), err=True)
    return service, deadline


def _environ(profile: Mapping[str, str], options: Mapping[str, str | None]) -> dict[str, str]:
    """Return the environment with what the profile and the options say in its place."""
    variables = {**profile, **{name: text for name, text in options.items() if text}}
    if "UNMIRROR_REGION" in variables:
        variables.setdefault("UNMIRROR_VPC_ENDPOINT", "")  # the other is of another region
    if "HUAWEICLOUD_SDK_PROJECT_ID" in variables:
        variables["UNMIRROR_PROJECTS"] = variables["HUAWEICLOUD_SDK_PROJECT_ID"]
    return {**os.environ, **variables}


def own_event(event_type: str, **data: object) -> dict[str, object]:
    """Return an event of our own."""
    return {"type": event_type, "id": f"cli-{uuid.uuid4()}", "data": data}


def resource_id(text: str) -> str:
    """Return an id in lower case; raise BadParameter for what can be none."""
    id_ = canonical_id(text)
    if id_ is None:
        raise click.BadParameter(f"{text!r} is no UUID, like 6134900d-31a6-4b71-8453-dbca7f26982a")
    return id_


def number(least: float, most: float) -> Callable[[str], float]:
    """Return what takes a number within bounds, and raises BadParameter for anything else, NaN among it."""

    def take_number(text: str) -> float:
        with suppress(ValueError):
            if least <= float(text) <= most:
                return float(text)
        raise click.BadParameter(f"{text!r} is no number from {least:,g} to {most:,g}")

    return take_number


def _read_profile(_: click.Context, __: click.Parameter, name: str | None) -> Profile:
    """Return a section of the official SDK's profile file. It sets all parts of the key: none of another is left."""
    if not name:
        return "", {}
    path = profile_file(os.environ)
    try:
        sections = profiles(path)
        section = sections.get(name, {})
        parts = [section.get(member, "").strip() for member in PROFILE_MEMBERS]
        project, key = section.get("project_id", "").strip(), AccessKey.of(*parts)
        Settings.from_env({"HUAWEICLOUD_SDK_PROJECT_ID": project})
    except (CredentialsNotFound, NotConfigured) as error:
        raise click.BadParameter(f"the profile file {path}: {error}") from error
    if key is None:
        known = ", ".join(sections) or "none"
        raise click.BadParameter(f"no ak and sk in section {name!r} of {path}; it has {known}")
    variables = dict(zip(KEY_NAMES, parts, strict=True))
    return f"section {name} of {path}", variables | ({"HUAWEICLOUD_SDK_PROJECT_ID": project} if project else {})


def _setting(name: str, flag: str, metavar: str, text: str) -> Callable[[Any], Any]:
    """Return an option that takes only what the setting of that name takes. No option is a secret: it is echoed."""

    def check(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        try:
            Settings.from_env({name: value or ""})
        except NotConfigured as error:
            raise click.BadParameter(f"{value!r}; right: {str(error).partition('right: ')[2]}") from error
        return value

    return click.option(flag, name, metavar=metavar, callback=check, help=text)


_LIMIT_HELP = "Stop if more would be detached: a count (50) or a percentage (20%)."
_PROFILE_HELP = "Take key and project from this section of the profile file."
_SECONDS = number(0.001, A_DAY)

# The parameter is named after the setting that the option stands for.
dry_run = click.option(
    "--dry-run", "UNMIRROR_DRY_RUN", flag_value="1", help="Say what would be done, and change nothing."
)
limit = _setting("UNMIRROR_SWEEP_LIMIT", "--limit", "COUNT|PERCENT", _LIMIT_HELP)
# Gives the command its Output.
as_json = click.option(
    "--json",
    "output",
    is_flag=True,
    callback=lambda _, __, given: Output(as_json=given),
    help="Print JSON, and nothing else.",
)
_CONNECTION = (
    _setting("HUAWEICLOUD_SDK_PROJECT_ID", "--project", "ID", "Only this one, not UNMIRROR_PROJECTS."),
    _setting("UNMIRROR_REGION", "--region", "NAME", "Instead of UNMIRROR_REGION."),
    _setting("UNMIRROR_VPC_ENDPOINT", "--endpoint", "URL", "Instead of UNMIRROR_VPC_ENDPOINT."),
    click.option("--profile", metavar="NAME", callback=_read_profile, help=_PROFILE_HELP),
    click.option("--deadline", metavar="SECONDS", type=_SECONDS, default=A_DAY, help="Begin nothing after so long."),
    as_json,
)


def example(*commands: str, exits: str = "") -> str:
    """Return the end of a command's help: how it is called, and what its exit codes say beyond the usual."""
    codes = f"\n\n\b\nExit code: {exits}." if exits else ""
    return "\b\nExample: " + "\n         ".join(commands) + codes
