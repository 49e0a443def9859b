"""How the command line speaks: results on stdout, everything else on stderr, files only where they may be.

Printing never fails: what a console cannot show is escaped, and nobody has to listen to the end.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from privsynth.errors import PrivsynthError, TableError
from privsynth.io.atomic import written_aside

Progress = Callable[[str, int, int], None]

PROGRESS_ROWS = 1_000_000  # fewer rows are written in a moment


class _Manner:
    """How this call of the command line speaks."""

    quiet = False  # no progress, no notes
    errors_as_json = False


_manner = _Manner()


def speak(*, errors_as_json: bool) -> None:
    """Begin a call of the command line: set how it speaks, and make its streams take any text."""
    _manner.quiet, _manner.errors_as_json = False, errors_as_json
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def be_quiet(wanted: bool) -> None:
    """From now on leave out progress and notes, if that is wanted."""
    _manner.quiet = _manner.quiet or wanted


def say(message: str) -> None:
    """Print a note for people on stderr."""
    if not _manner.quiet:
        _print_aside(message)


def say_step(message: str) -> None:
    """Print what is being done on stderr; with the time, if it goes to a file."""
    is_shown = sys.stderr is not None and sys.stderr.isatty()
    say(message if is_shown else f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {message}")


def warn(message: str) -> None:
    """Print a warning on stderr."""
    _print_aside(f"warning: {message}")


def say_error(error: PrivsynthError, *, label: str) -> None:
    """Print an error on stderr: one line for people, or one JSON object in a line."""
    if _manner.errors_as_json:
        fields = {"kind": error.kind, "code": error.exit_code, "message": str(error), "next": error.next}
        _print_aside(_json({"error": fields}, sys.stderr))
    else:
        _print_aside(f"{label}{error}")


def print_result(fields: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print the result on stdout: one JSON object for machines, or the text.

    Raises:
        TableError: If what stdout is sent to takes no more.
    """
    try:
        print(_json(fields, sys.stdout, indent=1) if as_json else text, flush=True)
    except BrokenPipeError:  # as by `| head`: who reads has seen enough
        _discard(sys.stdout)
    except OSError as error:
        _discard(sys.stdout)
        raise TableError(
            f"the result cannot be printed: {error.strerror or 'the system refused'}; files are written"
        ) from None


def _print_aside(message: str) -> None:
    if sys.stderr is None:
        return
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:  # nobody listens, or the disk is full: no reason to fail
        _discard(sys.stderr)


def _json(fields: dict[str, Any], stream: TextIO | None, *, indent: int | None = None) -> str:
    """Return JSON in letters that a stream can print; others are escaped as JSON does it."""
    text = json.dumps(fields, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(fields, indent=indent, allow_nan=False)
    return text


def _discard(stream: TextIO) -> None:
    """Send what else is printed nowhere, what is still held back included: it would fail when Python ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def warnings_said() -> Iterator[None]:
    """Say our own warnings on stderr, one line each; those of other packages may quote records."""

    said: set[str] = set()

    def say_warning(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in said:  # a table may be opened twice
            said.add(str(message))
            warn(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is not ours may quote records
        warnings.filterwarnings("always", category=UserWarning, module=r"privsynth\.")  # ours never do
        warnings.showwarning = say_warning
        yield


@contextmanager
def progress_said(*, at_least: int = 0) -> Iterator[Progress]:
    """Give a callback for progress: a bar if stderr is a terminal, else a short line a step.

    Lines come at the end and whenever ``at_least`` more steps are done; a shorter task has none.
    """
    if _manner.quiet or sys.stderr is None or not sys.stderr.isatty():
        said = 0

        def say_progress(message: str, done: int, total: int) -> None:
            nonlocal said
            said = min(said, done)  # fewer than before: another part of the task has begun
            if done - said >= at_least or done == total > at_least:
                said = done
                say_step(f"{message} ({done}/{total})")

        yield say_progress
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda message, done, total: bar.update(
            task, description=escape(message), completed=done, total=total
        )


def check_output(path: Path, *, force: bool) -> None:
    """Raise a `TableError` unless ``path`` can be written: before anything is read, paid for or computed."""
    with suppress(_OnlyTrying), written_aside(path, force=force):
        raise _OnlyTrying


def check_output_folder(folder: Path, names: tuple[str, ...], *, force: bool) -> None:
    """Raise a `TableError` unless files of these names can be written to ``folder``, made if need be."""
    existing = next((f for f in (folder, *folder.absolute().parents) if f.exists()), folder)
    for name in names:
        check_output(existing / name, force=force or existing != folder)


class _OnlyTrying(Exception):
    """Leaves `written_aside` before the file takes its place."""
