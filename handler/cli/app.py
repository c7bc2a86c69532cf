"""The command `unmirror`. Exit codes: 0 done, 1 failed, 2 usage, 3 stopped by a safety limit."""

import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from handler import __version__
from handler.cli.options import Exit, add_options, example
from handler.cli.output import discard_output, print_error

# What each does, by name. All but `help` are in modules of their names, imported when they are called.
COMMANDS: Mapping[str, str] = {
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

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, None where there is none."""
        if cmd_name not in COMMANDS or cmd_name == "help":
            return None
        command: click.Command = getattr(import_module(f"handler.cli.commands.{cmd_name}"), cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `help sweep` as `sweep --help`."""
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; for a misspelt one say which was meant."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(args[0], COMMANDS, 1)
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command does."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; where Ctrl-C ends it before it could change anything, 130 is the exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print_error("stopped")
            sys.exit(130)

    def main(self, *args: Any, **given: Any) -> Any:
        """Run the command line; where a file, a pipe or a full disk fails, say so. Help and version write, too."""
        try:
            return super().main(*args, **given)
        except OSError as error:  # but for a reader who has read enough, whom click understands
            hint = "see to that, and run it again: what is done is not done twice"
            print_error(f"what it reads or writes here fails: {error.strerror}", hint=hint)
            try:
                sys.stdout.flush()
            except OSError:
                discard_output()
            sys.exit(Exit.FAILED)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog=example(
        "unmirror demo              see it work, without a cloud",
        "unmirror check             can it work here?",
        "unmirror sweep --dry-run   what is there to clean up?",
    )
    + """\n\n\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 stopped by a safety limit or
a protected session; 130 and 143 when Ctrl-C or SIGTERM ended it.
Shell completion, for bash in ~/.bashrc, for zsh with zsh_source in ~/.zshrc:
eval "$(_UNMIRROR_COMPLETE=bash_source unmirror)"
and for fish: _UNMIRROR_COMPLETE=fish_source unmirror | source""",
)
@click.version_option(__version__, prog_name="unmirror")
@add_options
@click.pass_context
def unmirror(context: click.Context, /, **given: Any) -> None:
    """Take deleted network interfaces out of Huawei Cloud traffic mirror sessions.

    Common options stand before the command or after it; `unmirror help COMMAND`
    says which of them it takes.
    """
    name = context.invoked_subcommand or ""
    command = unmirror.get_command(context, name)
    takes = {parameter.name for parameter in command.params} if command else set()
    options = {option: value for option, value in given.items() if value}
    for parameter in context.command.params:
        if parameter.name in options and parameter.name not in takes:
            raise click.UsageError(f"`{name}` takes no {parameter.opts[0]}")
    context.default_map = {name: options}
