"""A history in a database, a chain of hashes: by it an older copy in the database's place is found.

Each link covers the rows that were added since the last one to tables whose rows are only ever added and are
numbered. Who saw a link finds out later whether the database still has it. This finds mishaps; it does not
stop who computes the chain anew. Two links of one number cannot both be written, so that of two writers who
read the same last link one is refused.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from privsynth.io.databases import Database

TABLE = """CREATE TABLE history (
    number INTEGER PRIMARY KEY, rows TEXT NOT NULL, salt TEXT NOT NULL, head TEXT NOT NULL)"""


Newest = tuple[int, dict[str, int], str]  # a link's number, the last number of each table, and its hash


class HashChain:
    """The history of some tables of an open database, in its table ``history``.

    Args:
        database: An open database.
        columns: For each table with a column ``number``, those of its columns that a link covers. A link that
            was written before a table was there says nothing of it.

    Privacy:
        Public: reads what a public file holds.
    """

    def __init__(self, database: Database, columns: Mapping[str, str]) -> None:
        self._database, self._columns = database, columns

    def newest(self) -> Newest:
        """Return the last link, for `add`."""
        found = self._database.execute(
            "SELECT number, rows, head FROM history ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return (found[0], json.loads(found[1]), found[2]) if found else (0, {}, "")

    def add(self, newest: Newest | None = None) -> None:
        """Add a link over what is new since the last one; random salt tells one future from another.

        Args:
            newest: The last link when the transaction began: who wrote since has written the next one, and
                the database refuses this one. None where no other can have written.
        """
        number, before, head = newest or self.newest()
        after, salt = self._ends(), secrets.token_hex(16)
        new = {
            table: self._rows(table, before.get(table, 0)) if after[table] > before.get(table, 0) else []
            for table in after
        }
        head = _hash(head, salt, ([row[1:] for row in rows] for rows in new.values()))
        link = (number + 1, json.dumps(after), salt, head)
        self._database.execute("INSERT INTO history VALUES (?, ?, ?, ?)", link)

    def is_whole(self) -> bool:
        """Whether the rows are those that the links saw, all of them and as they were."""
        rows = {table: self._rows(table, 0) for table in self._columns}
        head, seen, before = "", dict.fromkeys(self._columns, 0), dict.fromkeys(self._columns, 0)
        links = self._database.execute("SELECT number, rows, salt, head FROM history ORDER BY number")
        for expected, (number, ends, salt, stored) in enumerate(links.fetchall(), start=1):
            before, new = json.loads(ends), []
            for table in (table for table in self._columns if table in before):
                begin = end = seen[table]
                while end < len(rows[table]) and rows[table][end][0] <= before[table]:
                    end += 1
                seen[table] = end
                new.append([row[1:] for row in rows[table][begin:end]])
            head = _hash(head, salt, new)
            if (number, head) != (expected, stored):
                return False
        return before == {table: rows[table][-1][0] if rows[table] else 0 for table in before}

    def last(self) -> dict[str, Any]:
        """Return the last link: of which chain, its number, and its hash; of an empty one no chain."""
        number, _, head = self.newest()
        return {"chain": self._name(), "number": number, "head": head}

    def has_lost(self, link: Mapping[str, Any]) -> bool:
        """Whether a link was of this chain and is there no more."""
        found = self._database.execute("SELECT head FROM history WHERE number = ?", (link["number"],))
        was_of_this = link["chain"] is not None and link["chain"] == self._name()
        return was_of_this and found.fetchone() != (link["head"],)

    def _name(self) -> str | None:
        found = self._database.execute("SELECT salt FROM history WHERE number = 1").fetchone()
        return str(found[0]) if found else None

    def _ends(self) -> dict[str, int]:
        """Return the number of each table's last row."""
        ends = ", ".join(f"(SELECT max(number) FROM {table})" for table in self._columns)
        found = self._database.execute(f"SELECT {ends}").fetchone()
        return {table: end or 0 for table, end in zip(self._columns, found, strict=True)}

    def _rows(self, table: str, after: int) -> list[tuple[Any, ...]]:
        """Return the rows behind a number: of each its own number, and what is covered."""
        return self._database.execute(
            f"SELECT number, {self._columns[table]} FROM {table} WHERE number > ? ORDER BY number", (after,)
        ).fetchall()


def _hash(head: str, salt: str, new: Iterable[list[tuple[Any, ...]]]) -> str:
    """Return the hash of a link: of the one before, its salt, and the new rows of each table."""
    return hashlib.sha256(json.dumps([head, salt, list(new)]).encode()).hexdigest()
