"""What the commands share: common options, the service that they choose, and how a command fails."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import nan
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from handler.cli import profiles
from handler.errors import (
    ApiRefused,
    ApiUnavailable,
    BadEvent,
    DeadlineExceeded,
    Interrupted,
    NotConfigured,
    StillExists,
    UnmirrorError,
)
from handler.events.fields import interface_id
from handler.settings import Settings

if TYPE_CHECKING:  # help and completion need neither
    from rich.console import Console

    from handler.service import Service

DONE, FAILED, STOPPED = 0, 1, 3
"""Exit codes; 2 is click's own for wrong usage, and 128 and the signal's number follow an interruption."""

A_DAY = 86_400.0

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Common:
    """What the common options say."""

    project: str | None = None
    region: str | None = None
    endpoint: str | None = None
    profile: str | None = None
    """A section of the profile file, the key of which is taken and no other."""
    dry_run: bool = False
    deadline: float | None = None
    """Seconds; None: as long as it takes."""
    as_json: bool = False
    quiet: bool = False

    @property
    def talks(self) -> bool:
        """Whether people read what is printed."""
        return not (self.as_json or self.quiet)

    def environ(self, **more: str | None) -> dict[str, str]:
        """Return the environment with what the options say, and more variables by name, in its place."""
        said = {
            "HUAWEICLOUD_SDK_PROJECT_ID": self.project,
            "UNMIRROR_PROJECTS": self.project,
            "UNMIRROR_REGION": self.region,
            "UNMIRROR_VPC_ENDPOINT": self.endpoint or ("" if self.region else None),  # that of another region
            "UNMIRROR_DRY_RUN": "1" if self.dry_run else None,
            **more,
        }
        profile = profiles.variables(self.profile, os.environ) if self.profile else {}
        return {**os.environ, **profile, **{name: text for name, text in said.items() if text is not None}}

    def service(self, **more: str | None) -> Service:
        """Return the service for these options; raises NotConfigured. It has no deadline but the one asked for."""
        from handler.service import Service

        service = Service.from_env(self.environ(**more))
        return replace(service, settings=replace(service.settings, deadline=self.deadline or A_DAY))

    def ready(self, **more: str | None) -> Service:
        """Return the service as `service` does, with all that a call of the API needs; else NotConfigured says what."""
        service = self.service(**more)
        if service.settings.missing:
            raise NotConfigured(f"set {'; '.join(service.settings.missing)}")
        return service

    def console(self) -> Console:
        """Return where people read; silent where JSON was asked for, or nothing but the result."""
        from rich.console import Console

        return Console(quiet=not self.talks, highlight=False, emoji=False)

    def progress(self) -> Console:
        """Return where people see that it goes on: stderr, and only on a terminal."""
        from rich.console import Console

        console = Console(stderr=True, highlight=False, emoji=False)
        console.quiet = self.quiet or not console.is_terminal
        return console

    def print_json(self, value: object) -> None:
        """Print the value, if JSON was asked for."""
        if self.as_json:
            click.echo(json.dumps(value, indent=2))

    def print_result(self, text: str) -> None:
        """Print the result, if nothing else was asked for."""
        if self.quiet and not self.as_json:
            click.echo(text)


def take(*names: str) -> Callable[[F], F]:
    """Give a command the common options of these names."""

    def decorate(command: F) -> F:
        for name in reversed(names):
            command = _OPTIONS[name](command)
        return command

    return decorate


def common(*names: str) -> Callable[[F], F]:
    """Give a command the common options of these names; it gets them as its first argument."""

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def with_options(**given: Any) -> Any:
            return command(Common(**{name: given.pop(name) for name in names}), **given)

        return take(*names)(with_options)  # type: ignore[return-value] # it takes what click gives, not what `command` does

    return decorate


def interface(text: str) -> str:
    """Return an interface id in lower case; raise BadParameter for what can be none."""
    return _uuid(text, "an interface id")


def target(text: str) -> str:
    """Return the id of an interface or a load balancer in lower case; raise BadParameter for what can be none."""
    return _uuid(text, "a target's id")


def _uuid(text: str, what: str) -> str:
    id_ = interface_id(text)
    if id_ is None:
        raise click.BadParameter(f"{what} is a UUID, like 6134900d-31a6-4b71-8453-dbca7f26982a")
    return id_


def number(least: float, most: float) -> Callable[[str], float]:
    """Return what takes a number within bounds; raises BadParameter for any other, and for what is none."""

    def take_number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = nan
        if not least <= value <= most:
            raise click.BadParameter(f"it is a number from {least:,g} to {most:,g}")
        return value

    return take_number


def example(*commands: str, exits: str = "") -> str:
    """Return the end of a command's help: how it is called, and what its exit codes say beyond the usual."""
    codes = f"\n\n\b\nExit code: {exits}." if exits else ""
    return "\b\nExample: " + "\n         ".join(commands) + codes


def setting(name: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Return a callback that takes only what the setting of that name takes."""

    def check(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
        try:
            Settings.from_env({name: text or ""})
        except NotConfigured as error:
            raise click.BadParameter(f"its form is another: {str(error).partition(f'{name}: ')[2]}") from error
        return text

    return check


def _profile(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    try:
        if name:
            profiles.variables(name, os.environ)
    except NotConfigured as error:
        raise click.BadParameter(str(error)) from error
    return name


_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "project": click.option(
        "--project",
        metavar="ID",
        callback=setting("HUAWEICLOUD_SDK_PROJECT_ID"),
        help="The project, instead of those that are configured.",
    ),
    "region": click.option(
        "--region", metavar="NAME", callback=setting("UNMIRROR_REGION"), help="Instead of UNMIRROR_REGION."
    ),
    "endpoint": click.option(
        "--endpoint", metavar="URL", callback=setting("UNMIRROR_VPC_ENDPOINT"), help="Instead of UNMIRROR_VPC_ENDPOINT."
    ),
    "profile": click.option(
        "--profile",
        metavar="NAME",
        callback=_profile,
        shell_complete=profiles.complete,
        help="Take key and project from this section of the profile file.",
    ),
    "dry_run": click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing."),
    "deadline": click.option(
        "--deadline",
        metavar="SECONDS",
        type=number(0.001, A_DAY),
        help="Begin nothing after so long. Without it, there is no end.",
    ),
    "as_json": click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else."),
    "quiet": click.option("--quiet", "-q", is_flag=True, help="Print only the result."),
}

NAMES = tuple(_OPTIONS)
"""The common options, by the names that commands take them by."""


# --- failing -------------------------------------------------------------------------------------------

_NEXT: tuple[tuple[type[UnmirrorError], str], ...] = (
    (BadEvent, "compare it with schemas/README.md, which has the marks of every envelope, and examples"),
    (NotConfigured, "set what is named, or say --region, --project, --profile; `unmirror check` tries all of it"),
    (StillExists, "nothing, if it shall live; if it was deleted just now, run this again in a minute"),
    (Interrupted, "run it again to go on from here: what is done is not done twice"),
    (DeadlineExceeded, "run it again to go on from here, or give it longer with --deadline"),
    (ApiRefused, "correct what it names first, key, permission or region; then `unmirror check` tries every call"),
    (ApiUnavailable, "run it again: what is done is not done twice; `unmirror check` says what can be reached"),
)


def complain(error: UnmirrorError | str, about: str = "", endpoint: str | None = None, then: str | None = None) -> None:
    """Say on stderr what is wrong, about what, where it was asked, and what to do next: `then`, or what suits it."""
    click.echo(f"unmirror: {about}{error}", err=True)
    if isinstance(error, UnmirrorError):
        for violation in getattr(error, "violations", ()):
            click.echo(f"  {violation.path}: {violation.rule}", err=True)
        if endpoint and isinstance(error, ApiUnavailable) and not isinstance(error, Interrupted):
            click.echo(f"endpoint: {endpoint}", err=True)
        if request_id := getattr(error, "request_id", ""):
            click.echo(f"request: {request_id}", err=True)
        then = then or next((what for kind, what in _NEXT if isinstance(error, kind)), None)
    if then:
        click.echo(f"next: {then}", err=True)


def fail(error: UnmirrorError | str, chosen: Common | None = None, then: str | None = None) -> NoReturn:
    """End with 1 and a complaint; where JSON was asked for, with the problem as JSON, too."""
    if chosen is not None and isinstance(error, UnmirrorError):
        from handler.report import problem

        chosen.print_json(problem(error))
    complain(error, then=then)
    sys.exit(FAILED)
