"""The common options, and how a command with them is run: its service, its deadline, its exit code."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from math import nan
from typing import TYPE_CHECKING, Any, TypeVar

import click

from handler.cli import profiles
from handler.cli.interruption import interruptible
from handler.cli.output import Output, echo, print_error, printable
from handler.deadline import Cancellation, Deadline
from handler.errors import NotConfigured, UnmirrorError
from handler.events.fields import canonical_id
from handler.report import problem
from handler.settings import Settings

if TYPE_CHECKING:  # help and completion need none of them
    from handler.service import Service
    from handler.vpc.client import VpcApi, VpcClient


class Exit(IntEnum):
    """Exit codes. 2 is click's own, for wrong usage; 128 and the signal's number follow an interruption."""

    DONE, FAILED, STOPPED = 0, 1, 3


A_DAY = 86_400.0
"""Seconds: the deadline of whoever asked for none, as it has to be finite; the longest sweep measured took minutes."""

ATTEMPTS = 4
"""At each call, as many as botocore makes by default, and one for the person who waits."""

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Options:
    """The common options as they were given."""

    project: str | None = None
    region: str | None = None
    endpoint: str | None = None
    profile: str | None = None
    """A section of the profile file: its key is taken, and no other."""
    dry_run: bool = False
    limit: str | None = None
    deadline: float | None = None
    """Seconds; None: as long as it takes."""
    as_json: bool = False

    def environ(self) -> dict[str, str]:
        """Return the environment with what the options say in its place."""
        options = {
            "HUAWEICLOUD_SDK_PROJECT_ID": self.project,
            "UNMIRROR_PROJECTS": self.project,
            "UNMIRROR_REGION": self.region,
            "UNMIRROR_VPC_ENDPOINT": self.endpoint or ("" if self.region else None),  # that of another region
            "UNMIRROR_DRY_RUN": "1" if self.dry_run else None,
            "UNMIRROR_SWEEP_LIMIT": self.limit,
        }
        profile = profiles.variables(self.profile) if self.profile else {}
        return {**os.environ, **profile, **{name: text for name, text in options.items() if text is not None}}

    def output(self) -> Output:
        """Return where results are printed for people."""
        return Output.standard(os.environ, muted=self.as_json)

    def print_json(self, value: object) -> None:
        """Print the value as JSON, if that was asked for: letters beyond ASCII are escaped, and so move no cursor."""
        if self.as_json:
            echo(json.dumps(value, indent=2))


def with_options(*names: str, service: bool = False) -> Callable[[Command], Command]:
    """Give a command the common options of these names: it takes them as `Options`, and returns its exit code.

    With `service` it works in the cloud: it takes a Service and a Deadline, too, and a signal ends the deadline. An
    UnmirrorError that the command raises is printed, as JSON as well where that was asked for.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**given: Any) -> Any:
            options = Options(**{name: given.pop(name) for name in names})
            with interruptible(handle=service) as interruption:
                try:
                    cloud = _connect(options, interruption.cancellation) if service else ()
                    code = command(options, *cloud, **given)
                except UnmirrorError as error:
                    options.print_json(problem(error))
                    print_error(error)
                    code = Exit.FAILED
            sys.exit(interruption.exit_code(code))

        return add_options(*names)(run)  # type: ignore[return-value] # it takes what click gives

    return decorate


def _connect(options: Options, cancellation: Cancellation) -> tuple[Service, Deadline]:
    """Return the service and the deadline for these options; say on stderr where the command acts.

    Raises NotConfigured that names what a call of the API needs.
    """
    from handler.check import describe
    from handler.observability.logs import JsonFormatter
    from handler.service import Service

    if logging.lastResort is not None:  # it writes warnings and errors to stderr
        logging.lastResort.setFormatter(JsonFormatter())
    service = Service.from_env(options.environ(), cancellation=cancellation)
    if service.missing:
        raise NotConfigured(f"set {'; '.join(service.missing)}")
    deadline = Deadline.within(options.deadline or A_DAY, service.clock.monotonic, cancellation)
    credentials = vpc_client(service).credentials
    try:
        credentials.current(deadline)
        source = f"section {options.profile} of {profiles.path()}" if options.profile else credentials.describe()
    except UnmirrorError:  # the command itself will say what was tried
        source = "nowhere"
    settings = service.settings
    where = f"key from {source}; endpoint {settings.endpoint} ({settings.endpoint_source})"
    click.echo(printable(f"unmirror: {describe(settings, sorted(settings.projects))}; {where}"), err=True)
    return service, deadline


def vpc_client(service: Service) -> VpcClient:
    """Return the client of a service that is configured."""
    if service.client is None:
        raise NotConfigured("set UNMIRROR_REGION or UNMIRROR_VPC_ENDPOINT")
    return service.client


def project_apis(service: Service) -> list[VpcApi]:
    """Return the API of each configured project, in the order of their ids, for somebody who waits."""
    return [vpc_client(service).api(each, attempts=ATTEMPTS) for each in sorted(service.settings.projects)]


# --- values ------------------------------------------------------------------------------------------------------


def resource_id(text: str) -> str:
    """Return an id in lower case; raise BadParameter for what can be none."""
    id_ = canonical_id(text)
    if id_ is None:
        raise click.BadParameter(f"{text!r} is no UUID, like 6134900d-31a6-4b71-8453-dbca7f26982a")
    return id_


def number(least: float, most: float) -> Callable[[str], float]:
    """Return what takes a number within bounds, and raises BadParameter for anything else."""

    def take_number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = nan
        if not least <= value <= most:
            raise click.BadParameter(f"{text!r} is no number from {least:,g} to {most:,g}")
        return value

    return take_number


def _profile(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    try:
        if name:
            profiles.variables(name)
    except NotConfigured as error:
        raise click.BadParameter(str(error)) from error
    return name


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
_DEADLINE_HELP = "Begin nothing after so long. Without it, there is no end."
_LIMIT_HELP = "Stop if more would be detached: a count (50) or a percentage (20%)."

_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "dry_run": click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing."),
    "limit": _setting("--limit", "COUNT|PERCENT", "UNMIRROR_SWEEP_LIMIT", _LIMIT_HELP),
    "project": _setting("--project", "ID", "HUAWEICLOUD_SDK_PROJECT_ID", "Only this one, not UNMIRROR_PROJECTS."),
    "region": _setting("--region", "NAME", "UNMIRROR_REGION", "Instead of UNMIRROR_REGION."),
    "endpoint": _setting("--endpoint", "URL", "UNMIRROR_VPC_ENDPOINT", "Instead of UNMIRROR_VPC_ENDPOINT."),
    "profile": click.option(
        "--profile", metavar="NAME", callback=_profile, shell_complete=profiles.complete, help=_PROFILE_HELP
    ),
    "deadline": click.option("--deadline", metavar="SECONDS", type=number(0.001, A_DAY), help=_DEADLINE_HELP),
    "as_json": click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else."),
}

NAMES = tuple(_OPTIONS)
"""The common options, by the names that commands take them by."""

CONNECTION = ("project", "region", "endpoint", "profile", "deadline", "as_json")
"""Those of every command that works in the cloud."""


def add_options(*names: str) -> Callable[[Command], Command]:
    """Add the common options of these names to what click knows of a command."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = _OPTIONS[name](command)
        return command

    return decorate


def example(*commands: str, exits: str = "") -> str:
    """Return the end of a command's help: how it is called, and what its exit codes say beyond the usual."""
    codes = f"\n\n\b\nExit code: {exits}." if exits else ""
    return "\b\nExample: " + "\n         ".join(commands) + codes
