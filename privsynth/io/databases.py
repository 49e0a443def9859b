"""What is asked of an open database, be it SQLite's own connection or one of `privsynth.io.postgres`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Answer(Protocol):
    """The rows that a statement gave, in order."""

    def fetchone(self) -> Any:
        """Return the next row as a tuple, None after the last."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        ...


class Database(Protocol):
    """A database within a transaction."""

    @property
    def total_changes(self) -> int:
        """How many rows were written."""
        ...

    def execute(self, statement: str, parameters: Sequence[Any] = ..., /) -> Answer:
        """Run one statement, with a question mark for each parameter."""
        ...
