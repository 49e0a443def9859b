"""The command line, called in the process of a test."""

from __future__ import annotations

import contextlib
import io
from typing import NamedTuple

import pytest

from privsynth.cli import main


class Outcome(NamedTuple):
    """What a command left: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what is wrong."""
        (line,) = self.err.splitlines()
        assert line.startswith("error: ")
        return line


def run(*arguments: object) -> Outcome:
    """Call the command line; the arguments as texts."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as stopped,
    ):
        main([str(argument) for argument in arguments])
    return Outcome(int(stopped.value.code or 0), out.getvalue(), err.getvalue())
