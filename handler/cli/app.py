"""The command `unmirror`. Exit codes: 0 done, 1 failed, 2 usage, 3 stopped by a safety limit."""

import sys
from importlib import import_module
from typing import Any

import click

from handler import __version__
from handler.cli.options import example
from handler.cli.output import print_error

# What each does, by name. All but `help` are in modules of their names.
COMMANDS = {
    "check": "Say whether it can work here, and what to fix.",
    "demo": "Watch events detach deleted interfaces.",
    "detach": "Detach interfaces from their sessions, if they are gone.",
    "emulate": "Serve an emulated VPC API until Ctrl-C.",
    "explain": "Say what an event means.",
    "help": "Show the help of a command.",
    "replay": "Work off events from a file.",
    "sessions": "List the sessions, and mark what is gone.",
    "sweep": "Detach every source that is gone.",
}


class Commands(click.Group):
    """The commands, each imported when it is called: help and completion need none of them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `help sweep` as `sweep --help`; say of a command's option that it stands after the command."""
        try:
            return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)
        except click.NoSuchOption as error:
            ctx.fail(f"No such option {error.option_name!r} here: options stand after the command.")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; for a misspelt one click says which was meant."""
        name, known, left = super().resolve_command(ctx, args)
        if name in COMMANDS and name != "help":
            known = getattr(import_module(f"handler.cli.commands.{name}"), name)
        return name, known, left

    def invoke(self, ctx: click.Context) -> Any:
        """Exit with the command's code; with 130 where Ctrl-C ends it before it could change anything."""
        try:
            sys.exit(super().invoke(ctx))
        except KeyboardInterrupt:
            print_error("stopped")
            sys.exit(130)


@click.group(
    cls=Commands,
    commands=[click.Command(name, short_help=text) for name, text in COMMANDS.items()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog=example(
        "unmirror demo              see it work, without a cloud",
        "unmirror check             can it work here?",
        "unmirror sweep --dry-run   what is there to clean up?",
    )
    + """\n\n\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a sweep stopped by a safety
limit, or `detach` by a protected session; 130 and 143 when Ctrl-C or SIGTERM
ended it.
Shell completion, for bash in ~/.bashrc, for zsh with zsh_source in ~/.zshrc:
eval "$(_UNMIRROR_COMPLETE=bash_source unmirror)"
and for fish: _UNMIRROR_COMPLETE=fish_source unmirror | source""",
)
@click.version_option(__version__, prog_name="unmirror")
def unmirror() -> None:
    """Take deleted network interfaces out of Huawei Cloud traffic mirror sessions."""
