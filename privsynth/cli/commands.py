"""What all commands share: the flag --quiet, and one way for every error to end the program."""

from __future__ import annotations

import functools
import inspect
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast, get_type_hints

import typer
from typer.core import TyperGroup

from privsynth.cli.console import be_quiet, say_error, speak, warnings_said
from privsynth.cli.options import Quiet
from privsynth.errors import PrivsynthError
from privsynth.errors.termination import Termination, terminations_raised

Command = TypeVar("Command", bound=Callable[..., Any])
# typer brings its own click or takes the installed one, by its version
UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])
NOTHING_KEPT = "nothing was written"


class Interrupted(PrivsynthError):
    """Ctrl-C, SIGTERM or SIGHUP; says what was kept. The exit code is the one that shells give."""

    kind = "interrupted"

    def __init__(self, kept: str) -> None:
        came = Termination.received
        super().__init__(f"{'interrupted' if came is None else f'ended by {came.name}'}; {kept}")
        self.exit_code = 128 + (came or signal.SIGINT)


class WrongUsageError(PrivsynthError):
    """The command line itself is wrong."""

    exit_code = 2
    kind = "usage"


class SystemRefusedError(PrivsynthError):
    """The operating system refuses what nothing was prepared for."""

    kind = "system"


class UnexpectedError(PrivsynthError):
    """A fault of ours."""

    kind = "unexpected"


class Commands(TyperGroup):
    """The commands; Ctrl-C, SIGTERM or SIGHUP in any of them ends with one line that says what was kept."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise Interrupted(str(interrupt) or NOTHING_KEPT) from None


class CommandLine(typer.Typer):
    """A group of commands, each of which takes --quiet."""

    def command(self, name: str | None = None, **fields: Any) -> Callable[[Command], Command]:
        """Add a command."""
        add = super().command(name, **fields)

        def decorate(command: Command) -> Command:
            add(_quietable(command))
            return command

        return decorate


def _quietable(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(*args: Any, quiet: bool = False, **fields: Any) -> Any:
        be_quiet(quiet)
        return command(*args, **fields)

    hints = get_type_hints(command, include_extras=True) | {"quiet": Quiet}
    parameters = [p.replace(annotation=hints[p.name]) for p in inspect.signature(command).parameters.values()]
    quiet = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet)
    run.__signature__ = inspect.Signature([*parameters, quiet])  # type: ignore[attr-defined]  # inspect reads it
    run.__annotations__ = hints
    return run


def run_commands(commands: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the command that the arguments name; any error is one message on stderr, without a traceback.

    Returns:
        The exit code.
    """
    speak(errors_as_json="--json" in arguments)
    try:
        with terminations_raised(as_exit_code=True), warnings_said():
            code = commands(list(arguments), standalone_mode=False)
    except PrivsynthError as error:
        return _ended_by(error)
    except (KeyboardInterrupt, typer.Abort):  # before a command began
        return _ended_by(Interrupted(NOTHING_KEPT))
    except UsageError as error:
        return _ended_by_usage(error, as_json="--json" in arguments)
    except Exception as error:
        if os.environ.get("PRIVSYNTH_DEBUG"):
            raise
        return _ended_by(_outermost(error))
    return code if isinstance(code, int) else 0


def _ended_by(error: PrivsynthError) -> int:
    say_error(error, label="" if isinstance(error, Interrupted) else "error: ")
    return error.exit_code


def _ended_by_usage(error: Any, *, as_json: bool) -> int:
    if not as_json:
        error.show()
        return int(error.exit_code)
    at = error.ctx.command_path if error.ctx else "privsynth"
    return _ended_by(WrongUsageError(error.format_message().rstrip("."), next=f"{at} --help"))


def _outermost(error: Exception) -> PrivsynthError:
    """Return what is said of an error that nobody caught: not its own message, which may quote a record."""
    if isinstance(error, MemoryError):
        return SystemRefusedError("there is not enough memory")
    if isinstance(error, OSError) and error.strerror:
        at = f"{str(error.filename)!r}: " if error.filename else ""
        return SystemRefusedError(f"{at}{error.strerror}")
    return UnexpectedError(
        f"unexpected {type(error).__name__}", next="PRIVSYNTH_DEBUG=1 shows where, message included"
    )
