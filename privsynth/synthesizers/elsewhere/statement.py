"""What is stated of noisy tables that others released: ``releases.json`` of their folder. Reads no cell.

The format is described in ``docs/releases-made-elsewhere.md``. All of it is somebody's word: what is checked
here is that the word is complete, and that it does not contradict itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privsynth.errors import TableError
from privsynth.errors.json_text import json_value
from privsynth.synthesizers.elsewhere.cost import Cost

NAME = "releases.json"
VERSION = 1
MAX_BYTES = 2**24  # of the statement
MAX_TABLES = 4096
LARGEST = 1e15  # of any number that is stated or counted
MAX_TEXT = 300
MAX_EDGES = 4097  # of one column in one table
NEVER_PURE = ("gaussian", "discrete_gaussian")  # whatever their noise, they have no epsilon without a delta
MECHANISMS = ("gaussian", "discrete_gaussian", "laplace", "geometric", "other")
NEIGHBOURS = ("add_or_remove_one", "replace_one")
_STATEMENT = (
    "version",
    "stated_by",
    "made_with",
    "dataset",
    "unit",
    "max_records_per_person",
    "counts",
    "neighbours",
    "epsilon",
    "delta",
    "tables",
)
_TABLE = (
    "columns",
    "cells",
    "count",
    "mechanism",
    "std",
    "variance",
    "keys",
    "threshold",
    "threshold_delta",
    "cost",
    "edges",
)
_COST = ("mu", "rho", "epsilon", "delta")


@dataclass(frozen=True, kw_only=True)
class StatedTable:
    """What is stated of one noisy table.

    Attributes:
        columns: Its columns; none: the number of all.
        cells: Name of the file of its cells, in the folder.
        count: Name of the column of noisy counts in it.
        mechanism: One of `MECHANISMS`.
        std: Standard deviation of the noise, or the name of its column; None if the variance is stated.
        variance: Its variance, or the name of its column; None if the standard deviation is stated.
        is_thresholded: Whether cells below a threshold were left out; else keys are public, and all there.
        threshold: The threshold, if it is stated.
        threshold_delta: Its delta; zero if there is none.
        cost: What it cost; None if only that of all tables is stated.
        edges: Of columns of numbers, where their bins end, as written.
    """

    columns: tuple[str, ...]
    cells: str
    count: str
    mechanism: str
    std: float | str | None
    variance: float | str | None
    is_thresholded: bool
    threshold: float | None
    threshold_delta: float
    cost: Cost | None
    edges: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is stated of the noisy tables of a folder.

    Attributes:
        stated_by: Who vouches for it.
        made_with: With what they were made; None if it is not stated.
        dataset: Name of the data set; None if it is not stated.
        unit: ``"record"`` or ``"person"``.
        max_records_per_person: Rows of each that were used; None of records.
        counts: What is counted: ``"records"`` or ``"persons"``.
        neighbours: One of `NEIGHBOURS`.
        epsilon: Of all tables together; None if only their own costs are stated.
        delta: At which epsilon holds; None if it is not stated.
        tables: The tables.
    """

    stated_by: str
    made_with: str | None
    dataset: str | None
    unit: str
    max_records_per_person: int | None
    counts: str
    neighbours: str
    epsilon: float | None
    delta: float | None
    tables: tuple[StatedTable, ...]


class _Fields:
    """The fields of one JSON object, each asked for by its type."""

    def __init__(self, where: str, fields: Any, known: tuple[str, ...]) -> None:
        if not isinstance(fields, dict):
            raise TableError(f"{where}: expected an object with {', '.join(known)}, got {_shown(fields)}")
        self.where, self.fields = where, fields
        unknown = sorted(set(fields) - set(known))
        if unknown:
            raise TableError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(known)}")

    def wrong(self, name: str, expected: str) -> TableError:
        got = _shown(self.fields[name]) if name in self.fields else "nothing"
        return TableError(f"{self.where}: expected {name!r} to be {expected}, got {got}")

    def text(self, name: str, default: str | None = None) -> str:
        value = self.fields.get(name, default)
        is_text = isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= MAX_TEXT
        if not is_text:
            raise self.wrong(name, f"a text of one line, of up to {MAX_TEXT} characters")
        assert isinstance(value, str)
        return value

    def text_or_none(self, name: str) -> str | None:
        return None if self.fields.get(name) is None else self.text(name)

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.fields.get(name)
        if value not in choices:
            raise self.wrong(name, f"one of {', '.join(choices)}")
        return str(value)

    def number(self, name: str, expected: str = "a number above 0", *, least: float = 0.0) -> float | None:
        """Return a number above ``least``, up to `LARGEST`; None where there is none."""
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not least < value <= LARGEST:
            raise self.wrong(name, expected)
        return float(value)

    def delta(self, name: str, *, least: float = -1.0) -> float | None:
        value = self.number(name, "a number from 0 to below 1", least=least)
        if value is not None and not 0.0 <= value < 1.0:
            raise self.wrong(name, "a number from 0 to below 1")
        return value


def read_statement(folder: str | Path) -> Statement:
    """Read the statement of a folder of noisy tables.

    Raises:
        TableError: If there is none, a field is missing, unknown or out of range, or they contradict one
            another.

    Privacy:
        Public: reads what was released.
    """
    path = Path(folder) / NAME
    if not Path(folder).is_dir():
        raise TableError(
            f"expected --releases to be a folder that holds {NAME}; there is no folder {str(folder)!r}"
        )
    fields = _Fields(repr(str(path)), _json_of(own_file(path, MAX_BYTES)), _STATEMENT)
    if fields.fields.get("version") != VERSION:
        raise fields.wrong("version", str(VERSION))
    unit = fields.choice("unit", ("record", "person"))
    cap = fields.fields.get("max_records_per_person")
    if unit == "person" and (isinstance(cap, bool) or not isinstance(cap, int) or cap < 1):
        raise fields.wrong(
            "max_records_per_person", "a whole number of at least 1, since the unit is a person"
        )
    if unit == "record" and cap is not None:
        raise fields.wrong("max_records_per_person", "left out, since the unit is a record")
    if unit == "record" and fields.fields.get("counts", "records") != "records":
        raise fields.wrong("counts", "'records', since the unit is a record")
    tables = fields.fields.get("tables")
    if not isinstance(tables, list) or not 1 <= len(tables) <= MAX_TABLES:
        raise fields.wrong("tables", f"a list of 1 to {MAX_TABLES} tables")
    return _consistent(
        Statement(
            stated_by=fields.text("stated_by"),
            made_with=fields.text_or_none("made_with"),
            dataset=fields.text_or_none("dataset"),
            unit=unit,
            max_records_per_person=cap,
            counts="records" if unit == "record" else fields.choice("counts", ("records", "persons")),
            neighbours=fields.choice("neighbours", NEIGHBOURS),
            epsilon=fields.number("epsilon"),
            delta=fields.delta("delta"),
            tables=tuple(_table(f"{path.name}: table {i + 1}", of) for i, of in enumerate(tables)),
        ),
        path.name,
    )


def own_file(path: Path, max_bytes: int) -> Path:
    """Return the path of a plain file that is no link and not larger than it may be.

    Raises:
        TableError: If it is none.
    """
    if path.is_symlink():
        raise TableError(f"{str(path)!r} is a link; a folder of releases holds its files itself")
    if not path.is_file():
        raise TableError(f"there is no file {str(path)!r}")
    size = path.stat().st_size
    if size > max_bytes:
        raise TableError(f"{str(path)!r} has {size:,} bytes, above {max_bytes:,}")
    return path


def _json_of(path: Path) -> Any:
    try:
        return json_value(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except OSError as error:
        raise TableError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise TableError(f"{str(path)!r} cannot be read: it is not JSON in UTF-8") from None
    except ValueError as error:
        raise TableError(f"{str(path)!r} cannot be read: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return dict(pairs)


def _table(where: str, fields: Any) -> StatedTable:
    read = _Fields(where, fields, _TABLE)
    columns = read.fields.get("columns")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise read.wrong("columns", "a list of names of columns")
    if len(set(columns)) < len(columns):
        raise TableError(f"{where}: a column stands twice in 'columns'; its cells would overlap")
    mechanism = read.choice("mechanism", MECHANISMS)
    is_thresholded = read.choice("keys", ("public", "thresholded")) == "thresholded"
    added = read.delta("threshold_delta", least=0.0)
    if is_thresholded and added is None:
        raise read.wrong("threshold_delta", "the delta of the threshold, since the keys are thresholded")
    threshold = read.number("threshold")
    if not is_thresholded and not (added is None and threshold is None):
        raise TableError(f"{where}: 'threshold' and 'threshold_delta' belong to \"keys\": \"thresholded\"")
    noise = {name: _noise(read, name) for name in ("std", "variance")}
    if (noise["std"] is None) == (noise["variance"] is None):
        raise TableError(
            f"{where}: expected either 'std' or 'variance' of the noise, as a number or a column"
        )
    return StatedTable(
        columns=tuple(columns),
        cells=_file_name(read),
        count=read.text("count", "count"),
        mechanism=mechanism,
        is_thresholded=is_thresholded,
        threshold=threshold,
        threshold_delta=added or 0.0,
        cost=_cost(where, read.fields.get("cost"), mechanism, added or 0.0),
        edges=_edges(read, tuple(columns)),
        **noise,
    )


def _noise(read: _Fields, name: str) -> float | str | None:
    return read.text(name) if isinstance(read.fields.get(name), str) else read.number(name)


def _file_name(read: _Fields) -> str:
    """Return the name of a file of the folder itself: no path leads out of it."""
    name = read.text("cells")
    if (
        any(sign in name for sign in "/\\:\0")
        or name.startswith(".")
        or not name.lower().endswith((".csv", ".parquet"))
    ):
        raise read.wrong("cells", "the name of a .csv or .parquet file in the folder itself")
    return name


def _cost(where: str, fields: Any, mechanism: str, threshold_delta: float) -> Cost | None:
    """Return what a table cost; a cost that is stated with a delta has that of the threshold in it."""
    if fields is None:
        return None
    read = _Fields(f"{where}: cost", fields, _COST)
    stated = {name: read.number(name) for name in ("mu", "rho", "epsilon")}
    if sum(value is not None for value in stated.values()) != 1:
        raise TableError(f"{where}: expected 'cost' to hold one of mu, rho and epsilon")
    delta, (mu, rho, epsilon) = read.delta("delta") or 0.0, stated.values()
    if epsilon is None and delta:
        raise TableError(f"{where}: in 'cost' a delta belongs to an epsilon")
    if mu is not None:
        return Cost(mu_squared=mu**2, delta=threshold_delta)
    if rho is not None:
        is_gaussian = mechanism == "gaussian"
        return (
            Cost(mu_squared=2 * rho, delta=threshold_delta)
            if is_gaussian
            else Cost(rho=rho, delta=threshold_delta)
        )
    assert epsilon is not None
    if not delta and mechanism in NEVER_PURE:
        raise TableError(
            f"{where}: {mechanism} noise has no epsilon without a delta; state 'cost' by mu or rho, or a "
            "delta beside its epsilon"
        )
    if not delta:
        return Cost(pure=epsilon, delta=threshold_delta)
    if delta < threshold_delta:
        raise TableError(
            f"{where}: the delta of 'cost', {delta:g}, is below that of the threshold, {threshold_delta:g}, "
            "which is part of it"
        )
    return Cost(epsilon=epsilon, delta=delta)


def _edges(read: _Fields, columns: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    edges = read.fields.get("edges", {})
    if not isinstance(edges, dict):
        raise read.wrong("edges", "an object: a column to the ends of its bins")
    for name, ends in edges.items():
        if name not in columns:
            raise TableError(f"{read.where}: 'edges' of {name!r}, which is none of the table's columns")
        is_list = isinstance(ends, list) and 2 <= len(ends) <= MAX_EDGES
        if not is_list or not all(
            isinstance(end, int | float | str) and not isinstance(end, bool) for end in ends
        ):
            raise TableError(
                f"{read.where}: expected the 'edges' of {name!r} to be 2 to {MAX_EDGES} numbers or times"
            )
    return {name: tuple(ends) for name, ends in edges.items()}


def _consistent(stated: Statement, where: str) -> Statement:
    """Return the statement if its costs are known, and none is below what its noise can give."""
    if stated.epsilon is not None and stated.delta is None:
        raise TableError(f"{where}: 'epsilon' of all tables needs its 'delta' (0 if there is none)")
    without = [i + 1 for i, table in enumerate(stated.tables) if table.cost is None]
    if stated.epsilon is None and without:
        raise TableError(
            f"{where}: expected 'epsilon' and 'delta' of all tables together, or a 'cost' of each; table "
            f"{without[0]} has none"
        )
    for table in stated.tables if stated.epsilon is not None else ():
        assert stated.delta is not None
        if stated.delta < table.threshold_delta or (not stated.delta and table.mechanism in NEVER_PURE):
            needs = (
                f"at least that of its threshold, {table.threshold_delta:g}"
                if table.threshold_delta
                else f"above 0, since {table.mechanism} noise has no epsilon without one"
            )
            raise TableError(
                f"{where}: expected 'delta' of all tables to cover that of {table.cells!r}, {needs}, "
                f"got {stated.delta:g}"
            )
    return stated


def _shown(value: Any) -> str:
    """Return a value of the statement, which is public, as a message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
