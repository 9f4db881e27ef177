"""`tidegate`: finds the command's file when it is asked for, so that `--help` loads none of them."""

import importlib
import logging
import sys

import click

from tidegate.errors import ConfigError, TidegateError
from tidegate.twins import StaleTwin

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h
EXIT_FAILED = 1

# One file a command in this folder: its name, and what it is for in one line.
COMMANDS = {
    "init": "Write a commented sample configuration.",
    "check": "Check a configuration and print every problem at once.",
    "plan": "Print what each bus will be asked, how long that takes, and whether it can hold its intervals.",
    "read": "Read machines once, and print what they answer.",
    "scan": "Ask a network or a serial line who is there.",
    "browse": "Show what a machine has to be read, as a tree or as rows of a tag table.",
    "sniff": "Listen to a serial line, and show what its units are asked and say.",
    "orders": "Show a value in every type and byte order, and mark the plausible ones.",
    "write": "Show what a write would send to a machine (--dry-run); a real one does not exist yet.",
    "profile": "Look into the device profiles, and try them.",
    "ports": "List serial ports, the names by which they stay found, and who has them open.",
    "doctor": "Look at this machine, its disk, clock and brokers; each finding with its remedy.",
    "topics": "Print every topic, and an access list for the broker.",
    "run": "Run the gateway.",
    "status": "Ask the running gateway how it is.",
    "tail": "Follow a gateway at its broker and prove what was received.",
    "buffer": "Look into the buffer on disk.",
}


class LazyGroup(click.Group):
    """Imports a command's module when that command is run; lists them all without."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tidegate.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and one-liners, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tidegate")
def group() -> None:
    """Tidegate: an edge gateway whose subscribers can prove what they received."""


def main() -> None:
    """The console script: errors of ours become one clear message and an exit code, not a traceback."""
    try:
        group()
    except ConfigError as error:
        for problem in error.problems:
            _say(problem.fatal, str(problem), str(problem) if problem.fatal else f"warning: {problem}")
        sys.exit(EXIT_CONFIG)
    except (TidegateError, StaleTwin) as error:
        _say(True, str(error), f"tidegate: {error}")
        sys.exit(EXIT_FAILED)


def _say(fatal: bool, record: str, line: str) -> None:
    """A record of the log for a command that keeps one (priorities, JSON), else a line for a person."""
    if logging.getLogger().handlers:
        logging.getLogger("tidegate").log(logging.ERROR if fatal else logging.WARNING, "%s", record)
    else:
        click.echo(line, err=True)
