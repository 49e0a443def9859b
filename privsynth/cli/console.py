"""How the command line speaks: results on stdout, everything else on stderr, files only where they may be."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from privsynth.writing import written_aside

Progress = Callable[[str, int, int], None]


def say(message: str) -> None:
    """Print a message for people on stderr."""
    print(message, file=sys.stderr, flush=True)


def print_result(fields: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print the result on stdout: one JSON object for machines, or the text."""
    print(json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False) if as_json else text, flush=True)


@contextmanager
def warnings_said() -> Iterator[None]:
    """Say our own warnings on stderr, one line each; those of other packages may quote records."""

    def say_warning(message: Warning | str, *_: Any, **__: Any) -> None:
        say(f"warning: {message}")

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
    if not sys.stderr.isatty():
        said = 0

        def say_step(message: str, done: int, total: int) -> None:
            nonlocal said
            said = min(said, done)  # fewer than before: another part of the task has begun
            if done - said >= at_least or done == total > at_least:
                said = done
                say(f"{message} ({done}/{total})")

        yield say_step
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda message, done, total: bar.update(task, description=message, completed=done, total=total)


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
