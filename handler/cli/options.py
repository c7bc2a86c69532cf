"""The common options, and how a command with them is run: its service, its deadline, its exit code."""

import functools
import logging
import os
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from handler.cli.interruption import interruptible
from handler.cli.output import Output, print_error, printable
from handler.deadline import Cancellation, Deadline
from handler.errors import NotConfigured, UnmirrorError
from handler.events.fields import canonical_id
from handler.report import problem
from handler.settings import Settings
from handler.vpc.credentials import KEY_NAMES, PROFILE_MEMBERS, AccessKey, CredentialsNotFound, profile_file, profiles

if TYPE_CHECKING:  # help and completion need none of them
    from handler.service import Service
    from handler.vpc.client import VpcApi


class Exit(IntEnum):
    """Exit codes. 2 is click's own, for wrong usage; 128 and the signal's number follow an interruption."""

    DONE, FAILED, STOPPED = 0, 1, 3


# Seconds: the deadline of whoever asked for none, as it has to be finite; the longest sweep measured took minutes.
A_DAY = 86_400.0
# At each call, as many as botocore makes by default, and one for the person who waits.
ATTEMPTS = 4

Command = TypeVar("Command", bound=Callable[..., Any])


def with_options(*names: str, service: bool = False, seconds: float = A_DAY) -> Callable[[Command], Command]:
    """Give a command the common options of these names: it takes an Output, and returns its exit code.

    With `service` it works in the cloud: it takes a Service and a Deadline, too, of so many seconds where no other was
    asked for, and a signal ends the deadline. An UnmirrorError is printed, as JSON as well where that was asked for.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**given: Any) -> Any:
            options = {name: given.pop(name) for name in names}
            output = Output.standard(as_json=options["as_json"])
            if not service:
                sys.exit(command(output, **given))
            with interruptible() as interruption:
                try:
                    code = command(output, *_connect(options, seconds, interruption.cancellation), **given)
                except UnmirrorError as error:
                    output.json(problem(error))
                    print_error(error)
                    code = Exit.FAILED
            sys.exit(128 + interruption.signal if interruption.signal else code)  # as a shell expects of a signal

        for name in reversed(names):
            run = _OPTIONS[name](run)
        return run  # type: ignore[return-value] # it takes what click gives

    return decorate


def _connect(options: Mapping[str, Any], seconds: float, cancellation: Cancellation) -> "tuple[Service, Deadline]":
    """Return the service and the deadline for these options; say on stderr where the command acts.

    Raises NotConfigured that names what a call of the API needs.
    """
    from handler.check import describe
    from handler.observability.logs import JsonFormatter
    from handler.service import Service

    if logging.lastResort is not None:  # it writes warnings and errors to stderr
        logging.lastResort.setFormatter(JsonFormatter())
    service = Service(_environ(options), cancellation=cancellation)
    settings = service.settings
    if settings.missing:
        raise NotConfigured(f"set {'; '.join(settings.missing)}")
    deadline = Deadline.within(options["deadline"] or seconds, service.clock.monotonic, cancellation)
    with suppress(UnmirrorError):  # the command itself will say what was tried
        service.client.credentials.current(deadline)
        if options["profile"]:  # whose members stand in the place of the variables
            service.client.credentials.source = options["profile"].source
    source = service.client.credentials.source or "nowhere"
    where = f"key from {source}; endpoint {settings.endpoint} ({settings.endpoint_source})"
    click.echo(printable(f"unmirror: {describe(settings, sorted(settings.projects))}; {where}"), err=True)
    return service, deadline


def _environ(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment with what the options say in its place."""
    given = {
        "HUAWEICLOUD_SDK_PROJECT_ID": options["project"],
        "UNMIRROR_PROJECTS": options["project"],
        "UNMIRROR_REGION": options["region"],
        "UNMIRROR_VPC_ENDPOINT": options["endpoint"] or ("" if options["region"] else None),  # that of another region
        "UNMIRROR_DRY_RUN": "1" if options.get("dry_run") else None,
        "UNMIRROR_SWEEP_LIMIT": options.get("limit"),
    }
    profile = options["profile"].variables if options["profile"] else {}
    return {**os.environ, **profile, **{name: text for name, text in given.items() if text is not None}}


def project_apis(service: "Service") -> "list[VpcApi]":
    """Return the API of each configured project, in the order of their ids, for somebody who waits."""
    return [service.client.api(each, attempts=ATTEMPTS) for each in sorted(service.settings.projects)]


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


class Profile(NamedTuple):
    """A section of the official SDK's profile file."""

    source: str
    """Names it, in words."""
    variables: Mapping[str, str]
    """What it stands for. No part of another key is left in its place; its project, if any, is the only one."""


def _read_profile(_: click.Context, __: click.Parameter, name: str | None) -> Profile | None:
    if not name:
        return None
    path = profile_file(os.environ)
    try:
        sections = profiles(path)
        section = sections.get(name, {})
        parts = [section.get(member, "").strip() for member in PROFILE_MEMBERS]
        key = AccessKey.of(*parts)
        Settings.from_env({"HUAWEICLOUD_SDK_PROJECT_ID": section.get("project_id", "")})
    except (CredentialsNotFound, NotConfigured) as error:
        raise click.BadParameter(f"the profile file {path}: {error}") from error
    if key is None:
        known = ", ".join(sections) or "none"
        raise click.BadParameter(f"no ak and sk in section {name!r} of {path}; it has {known}")
    variables = dict(zip(KEY_NAMES, parts, strict=True))
    if project := section.get("project_id", "").strip():
        variables |= {"HUAWEICLOUD_SDK_PROJECT_ID": project, "UNMIRROR_PROJECTS": project}
    return Profile(f"section {name} of {path}", variables)


def _setting(flag: str, metavar: str, name: str, text: str) -> Callable[[Command], Command]:
    """Return an option that takes only what the setting of that name takes. No option is a secret: it is echoed."""

    def check(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        try:
            Settings.from_env({name: value or ""})
        except NotConfigured as error:
            raise click.BadParameter(f"{value!r}; right: {str(error).partition('right: ')[2]}") from error
        return value

    return click.option(flag, metavar=metavar, callback=check, help=text)


_PROFILE_HELP = "Take key and project from this section of the profile file."
_DEADLINE_HELP = "Begin nothing after so long."
_LIMIT_HELP = "Stop if more would be detached: a count (50) or a percentage (20%)."

_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "dry_run": click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing."),
    "limit": _setting("--limit", "COUNT|PERCENT", "UNMIRROR_SWEEP_LIMIT", _LIMIT_HELP),
    "project": _setting("--project", "ID", "HUAWEICLOUD_SDK_PROJECT_ID", "Only this one, not UNMIRROR_PROJECTS."),
    "region": _setting("--region", "NAME", "UNMIRROR_REGION", "Instead of UNMIRROR_REGION."),
    "endpoint": _setting("--endpoint", "URL", "UNMIRROR_VPC_ENDPOINT", "Instead of UNMIRROR_VPC_ENDPOINT."),
    "profile": click.option("--profile", metavar="NAME", callback=_read_profile, help=_PROFILE_HELP),
    "deadline": click.option("--deadline", metavar="SECONDS", type=number(0.001, A_DAY), help=_DEADLINE_HELP),
    "as_json": click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else."),
}

# Those of every command that works in the cloud.
CONNECTION = ("project", "region", "endpoint", "profile", "deadline", "as_json")


def example(*commands: str, exits: str = "") -> str:
    """Return the end of a command's help: how it is called, and what its exit codes say beyond the usual."""
    codes = f"\n\n\b\nExit code: {exits}." if exits else ""
    return "\b\nExample: " + "\n         ".join(commands) + codes
