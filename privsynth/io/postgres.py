"""Transactions in PostgreSQL, each durable as a whole or not there at all.

No password is ever in what is said: neither the address nor the driver's own words are repeated.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from privsynth.errors.postgres_reasons import AT_CONNECTING, LOST, UNREADABLE, reason

SCHEMES = ("postgresql", "postgres")
TO_INSTALL = 'the driver of PostgreSQL is missing: pip install "privsynth[warehouse]"'
DEFAULTS: dict[
    str, int | str
] = {  # a server that is gone is found within a minute, however long a fit counts between two charges
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "privsynth",
}
_SCHEMA = re.compile("[a-z_][a-z0-9_]{0,39}")
_PORTS = re.compile("[0-9,]*")


class ServerRefusal(Exception):
    """PostgreSQL refuses; the message says why, and what to do."""


class OpenDatabase:
    """A database within a transaction; statements have a question mark for each parameter."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.total_changes = 0

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Any:
        """Run one statement."""
        answer = self._connection.execute(statement.replace("?", "%s"), parameters or None)
        if answer.description is None:
            self.total_changes += max(answer.rowcount, 0)
        return answer


class Server:
    """A database of PostgreSQL.

    Connections are kept from one transaction to the next; one that was lost between two is made anew.

    Args:
        address: ``postgresql://USER@HOST/DATABASE#SCHEMA``, as libpq reads it.
        schema: Where the tables are if the address does not say.

    Attributes:
        schema: Where the tables are.
        name: The address without user, password and options.

    Raises:
        ServerRefusal: If the address cannot be read, or the driver is not installed.
    """

    def __init__(self, address: str, schema: str) -> None:
        try:
            import psycopg
            from psycopg.conninfo import conninfo_to_dict, make_conninfo
        except ImportError:
            raise ServerRefusal(TO_INSTALL) from None
        self._driver = psycopg
        try:
            parts = urlsplit(address)
            if address.count("@") != parts.netloc.count("@") or address.count("@") > 1:
                raise ValueError  # a sign of a password ends the address too soon
            plain = urlunsplit(("postgresql", parts.netloc, parts.path, parts.query, ""))
            facts = conninfo_to_dict(plain)
            self._address = make_conninfo(plain, **{k: v for k, v in DEFAULTS.items() if k not in facts})
            self.schema = parts.fragment or schema
            if not _SCHEMA.fullmatch(self.schema) or not _PORTS.fullmatch(str(facts.get("port", ""))):
                raise ValueError
        except (ValueError, psycopg.Error):
            raise ServerRefusal(UNREADABLE) from None
        port = f":{facts['port']}" if "port" in facts else ""
        self.name = f"postgresql://{facts.get('host', '')}{port}/{facts.get('dbname', '')}#{self.schema}"
        self._idle: list[tuple[int, Any]] = []
        weakref.finalize(self, _close_all, self._idle)

    @contextmanager
    def transaction(self, begin: str) -> Iterator[OpenDatabase]:
        """Open a transaction: all of it is durable afterwards, or nothing has changed.

        Args:
            begin: Statements that begin it; without parameters.

        Raises:
            ServerRefusal: If the server refuses.
        """
        connection = None
        try:
            connection = self._begun(begin)
            yield OpenDatabase(connection)
            if connection.execute("COMMIT").statusmessage != "COMMIT":
                raise ServerRefusal(LOST)
        except BaseException as error:
            if connection is not None:
                with suppress(self._driver.Error):
                    connection.close()  # the server rolls back
            if isinstance(error, self._driver.Error):
                raise ServerRefusal(reason(error)) from None
            raise
        self._idle.append((os.getpid(), connection))

    def _begun(self, begin: str) -> Any:
        while self._idle:
            process, connection = self._idle.pop()
            if process != os.getpid():
                continue  # it belongs to the process that this one was forked from
            try:
                connection.execute(begin)
            except self._driver.OperationalError:
                if not connection.closed:
                    connection.close()
                    raise
                continue  # lost while nothing was under way
            return connection
        connection = self._connected()
        try:
            connection.execute(begin)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self) -> Any:
        try:
            return self._driver.connect(
                self._address, autocommit=True, prepare_threshold=None, client_encoding="utf8"
            )
        except self._driver.Error:
            ping = self._driver.pq.Ping(self._driver.pq.PGconn.ping(self._address.encode()))
            raise ServerRefusal(AT_CONNECTING.get(ping.name, UNREADABLE)) from None


def is_address(given: object) -> bool:
    """Whether something names a database of PostgreSQL."""
    return isinstance(given, str) and given.partition("://")[0].lower() in SCHEMES and "://" in given


def holds_password(given: object) -> bool:
    """Whether an address says a password, for anyone who prints it."""
    if not is_address(given):
        return False
    parts = urlsplit(str(given))
    return ":" in parts.netloc.rpartition("@")[0] or "password=" in parts.query.lower()


def _close_all(idle: list[tuple[int, Any]]) -> None:
    for process, connection in idle:
        if process == os.getpid():
            with suppress(Exception):
                connection.close()
