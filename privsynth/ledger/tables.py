"""The tables of a ledger: rows are only ever added, and what holds now is what was added last.

So a fit needs leave to add and to read, and no other; and every earlier state stays there to be read.
"""

from __future__ import annotations

from privsynth.io.databases import Database
from privsynth.io.hash_chain import TABLE as HISTORY
from privsynth.io.hash_chain import HashChain

FORMAT = 4

STATUSES = "'open', 'stopped', 'suspended', 'finished', 'closed'"  # stopped: open, and its records stopped it

# `number` is an ever larger whole number, and `who` the user of a server that added the row, NULL in a file;
# the engine fills both
TABLES = {
    "units": "number {number}, dataset TEXT NOT NULL, unit TEXT NOT NULL",
    "limits": """number {number}, dataset TEXT NOT NULL, epsilon DOUBLE PRECISION NOT NULL,
        delta DOUBLE PRECISION NOT NULL, came_first INTEGER, who {who}""",  # NULL: not known
    "runs": """number {number}, id TEXT NOT NULL UNIQUE, dataset TEXT NOT NULL, description TEXT NOT NULL,
        epsilon DOUBLE PRECISION NOT NULL, delta DOUBLE PRECISION NOT NULL, started TEXT NOT NULL,
        planned_delta DOUBLE PRECISION, who {who}""",  # NULL: the share of its delta that is set aside
    "states": f"""number {{number}}, run TEXT NOT NULL REFERENCES runs (id),
        status TEXT NOT NULL CHECK (status IN ({STATUSES})),
        reserved_mu_squared DOUBLE PRECISION NOT NULL, reserved_delta DOUBLE PRECISION NOT NULL,
        since TEXT NOT NULL, who {{who}}""",
    "events": """number {number}, run TEXT NOT NULL REFERENCES runs (id), sequence INTEGER NOT NULL,
        key TEXT NOT NULL, event TEXT NOT NULL, mu_squared DOUBLE PRECISION NOT NULL,
        delta DOUBLE PRECISION NOT NULL, charged TEXT NOT NULL, UNIQUE (run, sequence)""",
    "blocks": """run TEXT NOT NULL, sequence INTEGER NOT NULL, n_steps INTEGER NOT NULL,
        PRIMARY KEY (run, sequence), FOREIGN KEY (run, sequence) REFERENCES events (run, sequence)""",
    "steps": """run TEXT NOT NULL, sequence INTEGER NOT NULL, begun INTEGER NOT NULL,
        PRIMARY KEY (run, sequence, begun), FOREIGN KEY (run, sequence) REFERENCES blocks (run, sequence)""",
    "checkpoints": """run TEXT NOT NULL, sequence INTEGER NOT NULL, kept INTEGER NOT NULL,
        PRIMARY KEY (run, sequence, kept), FOREIGN KEY (run, sequence) REFERENCES blocks (run, sequence)""",
}
INDICES = (
    "CREATE INDEX {exists}runs_of_dataset ON runs (dataset)",
    "CREATE INDEX {exists}states_of_run ON states (run, number)",
)

CURRENT_RUNS = """runs JOIN states ON states.run = runs.id AND states.number = (
    SELECT max(latest.number) FROM states AS latest WHERE latest.run = runs.id)"""
"""Every run with its state, to select from."""

_IN_HISTORY = {  # in the order in which formats came to cover them
    "runs": "id, dataset, epsilon, delta, started",
    "events": "run, sequence, key, event",
    "units": "dataset, unit",
    "limits": "dataset, epsilon, delta",
    "states": "run, status, reserved_mu_squared, reserved_delta",
}


def history(database: Database) -> HashChain:
    """Return the history of an open ledger."""
    return HashChain(database, _IN_HISTORY)


def created(number: str, who: str, *, exists: str = "") -> list[str]:
    """Return the statements that make all tables.

    Args:
        number: How the engine declares an ever larger whole number.
        who: How it declares the name of who adds a row.
        exists: ``"IF NOT EXISTS "``, to leave what is there as it is.
    """
    tables = [f"CREATE TABLE {exists}{t} ({c.format(number=number, who=who)})" for t, c in TABLES.items()]
    of_history = HISTORY.replace("CREATE TABLE ", f"CREATE TABLE {exists}")
    return [*tables, of_history, *(index.format(exists=exists) for index in INDICES)]


# -- how older formats, which SQLite files alone have, become this one -------------------------------------

IN_SQLITE = ("INTEGER PRIMARY KEY", "TEXT")
FILE_SYSTEMS = "CREATE TABLE file_systems (name TEXT PRIMARY KEY)"

# Format 2 counts gradient steps and noiseless stops. Of a block that format 1 charged nobody but a file that
# may be a copy knows how many steps were taken: all of them count as taken.
_SINCE_1 = (
    "ALTER TABLE datasets ADD COLUMN limit_came_first INTEGER",
    "ALTER TABLE runs ADD COLUMN planned_delta REAL",
    """CREATE TABLE steps (
        run TEXT NOT NULL, sequence INTEGER NOT NULL, n_steps INTEGER NOT NULL,
        begun INTEGER NOT NULL, kept INTEGER NOT NULL, PRIMARY KEY (run, sequence),
        FOREIGN KEY (run, sequence) REFERENCES events (run, sequence))""",
    """INSERT INTO steps
        SELECT run, sequence, json_extract(event, '$.count'), json_extract(event, '$.count'), 0
        FROM events WHERE json_extract(event, '$.mechanism') = 'sampled_gaussian'""",
    """CREATE TABLE stops (
        run TEXT NOT NULL REFERENCES runs (id), stopped TEXT NOT NULL, is_over INTEGER NOT NULL)""",
)

# Format 3 keeps a history, and on which file systems locks were tried.
_SINCE_2 = (HISTORY, FILE_SYSTEMS)

# Format 4 only adds rows. Of the states that runs have had, the last one and the stops are known.
_OLD = ("datasets", "runs", "events", "steps", "stops")
_STATES_SINCE_3 = "INSERT INTO states (run, status, reserved_mu_squared, reserved_delta, since) SELECT"
_STOPS_SINCE_3 = (
    "'stopped', reserved_mu_squared, reserved_delta, stopped FROM old_stops JOIN old_runs ON run = id"
)
_SINCE_3 = (
    *(f"ALTER TABLE {table} RENAME TO old_{table}" for table in _OLD),
    *created(*IN_SQLITE, exists="IF NOT EXISTS "),
    """INSERT INTO units (dataset, unit)
        SELECT name, unit FROM old_datasets WHERE unit IS NOT NULL ORDER BY rowid""",
    """INSERT INTO limits (dataset, epsilon, delta, came_first)
        SELECT name, limit_epsilon, limit_delta, limit_came_first FROM old_datasets
        WHERE limit_epsilon IS NOT NULL ORDER BY rowid""",
    """INSERT INTO runs (number, id, dataset, description, epsilon, delta, started, planned_delta)
        SELECT rowid, id, dataset, description, epsilon, delta, started, planned_delta FROM old_runs""",
    f"{_STATES_SINCE_3} run, {_STOPS_SINCE_3} WHERE is_over OR status <> 'open' ORDER BY old_stops.rowid",
    f"""{_STATES_SINCE_3} id, status, reserved_mu_squared, reserved_delta, substr(started, 1, 10)
        FROM old_runs ORDER BY rowid""",
    f"{_STATES_SINCE_3} run, {_STOPS_SINCE_3} WHERE NOT is_over AND status = 'open' ORDER BY old_stops.rowid",
    """INSERT INTO events
        SELECT rowid, run, sequence, key, event, mu_squared, delta, charged FROM old_events""",
    "INSERT INTO blocks SELECT run, sequence, n_steps FROM old_steps",
    "INSERT INTO steps SELECT run, sequence, begun FROM old_steps WHERE begun > 0",
    "INSERT INTO checkpoints SELECT run, sequence, kept FROM old_steps WHERE kept > 0",
    *(f"DROP TABLE old_{table}" for table in ("steps", "stops", "events", "runs", "datasets")),
)


def since(version: int) -> tuple[str, ...]:
    """Return the statements that bring an SQLite file of an older format up to date."""
    steps = {1: _SINCE_1, 2: _SINCE_2, 3: _SINCE_3}
    return tuple(statement for of, statements in steps.items() if of >= version for statement in statements)
