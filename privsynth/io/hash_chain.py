"""A history in an SQLite file, a chain of hashes: by it an older copy in the file's place is found.

Each link covers the rows that were added since the last one to tables whose rows are only ever added. Who
saw a link finds out later whether the file still has it. This finds mishaps; it does not stop who computes
the chain anew.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Mapping
from typing import Any

TABLE = """CREATE TABLE history (
    number INTEGER PRIMARY KEY, rows TEXT NOT NULL, salt TEXT NOT NULL, head TEXT NOT NULL)"""


class HashChain:
    """The history of some tables of an open database, in its table ``history``.

    Args:
        database: An open database.
        columns: For each table, those of its columns that never change once a row is there.

    Privacy:
        Public: reads what a public file holds.
    """

    def __init__(self, database: sqlite3.Connection, columns: Mapping[str, str]) -> None:
        self._database, self._columns = database, columns

    def add(self) -> None:
        """Add a link over what is new since the last one; random salt tells one future from another."""
        found = self._database.execute(
            "SELECT number, rows, head FROM history ORDER BY number DESC LIMIT 1"
        ).fetchone()
        number, before, head = (found[0], json.loads(found[1]), found[2]) if found else (0, {}, "")
        after, salt = self._ends(), secrets.token_hex(16)
        head = self._head(head, salt, before, after)
        link = (number + 1, json.dumps(after), salt, head)
        self._database.execute("INSERT INTO history VALUES (?, ?, ?, ?)", link)

    def is_whole(self) -> bool:
        """Whether the rows are those that the links saw, all of them and as they were."""
        head, before, expected = "", dict[str, int](), 1
        for number, rows, salt, stored in self._database.execute("SELECT * FROM history ORDER BY number"):
            after = json.loads(rows)
            head = self._head(head, salt, before, after)
            if (number, head) != (expected, stored):
                return False
            before, expected = after, expected + 1
        return expected > 1 and before == self._ends()

    def last(self) -> dict[str, Any]:
        """Return the last link: of which chain, its number, and its hash."""
        number, head = self._database.execute(
            "SELECT number, head FROM history ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return {"chain": self._name(), "number": number, "head": head}

    def has_lost(self, link: Mapping[str, Any]) -> bool:
        """Whether a link was of this chain and is there no more."""
        found = self._database.execute("SELECT head FROM history WHERE number = ?", (link["number"],))
        return link["chain"] == self._name() and found.fetchone() != (link["head"],)

    def _name(self) -> str:
        return str(self._database.execute("SELECT salt FROM history WHERE number = 1").fetchone()[0])

    def _ends(self) -> dict[str, int]:
        """Return the number of each table's last row."""
        found = {
            table: self._database.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0]
            for table in self._columns
        }
        return {table: end or 0 for table, end in found.items()}

    def _head(self, head: str, salt: str, before: Mapping[str, int], after: Mapping[str, int]) -> str:
        new = [
            self._database.execute(
                f"SELECT {columns} FROM {table} WHERE rowid > ? AND rowid <= ? ORDER BY rowid",
                (before.get(table, 0), after.get(table, 0)),
            ).fetchall()
            for table, columns in self._columns.items()
        ]
        return hashlib.sha256(json.dumps([head, salt, new]).encode()).hexdigest()
