"""What counting a folder of Parquet costs beside DuckDB: ``python -m tests.benchmarks.counting [ROWS ...]``.

In one process, one thread each: a fit that reads the folder in parts, of which the seconds are taken that
go into counting (all passes: numbers, values, bins, candidates, measured tables), and then DuckDB, which
counts the measured tables alone: bins by CASE, once, then a GROUP BY each. The tables are those of
`tests.benchmarks.out_of_core`; seconds are the processor's.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

import privsynth
from privsynth.counting.stream import StreamedRecords
from privsynth.domains.coding import Coding, NumberCoding
from privsynth.warehouse.dialects import DuckDB
from tests.benchmarks.out_of_core import N_COLUMNS, write_folder
from tests.benchmarks.scaling import made_schema
from tests.benchmarks.warehouse import Asked

ANSWERS = {name: getattr(StreamedRecords, name) for name in ("tables", "cut_table", "observed")}


class Counting:
    """Seconds that a stream's answers take, and which tables were asked for."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.asked: list[Asked] = []

    def timed(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same function, its seconds added up; of an iterator those that it takes to make it."""

        def noted(records: StreamedRecords, *arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            found = answer(records, *arguments, **named)
            found = iter(list(found)) if isinstance(found, Iterator) else found
            self.seconds += time.process_time() - start
            if answer.__name__ == "tables":
                self.asked.append((list(arguments[0]), dict(arguments[1])))
            return found

        return noted


def by_hand(folder: Path, sets: Iterable[tuple[str, ...]], codings: Mapping[str, Coding]) -> float:
    """Return the seconds that DuckDB takes for some tables: codes once, numbers by CASE, then GROUP BY."""
    start, d = time.process_time(), DuckDB()
    connection = duckdb.connect(config={"threads": 1})
    codes = []
    for name, coding in codings.items():
        if isinstance(coding, NumberCoding):
            begins = np.flatnonzero(np.r_[True, np.diff(coding.code_of_cell) != 0])
            ticks = f'"{name}" / {d.number(coding.step or 1.0)}'
            code = d.cell(ticks, coding.edges[begins].tolist(), range(len(begins)))
            codes.append(f'CAST({code} AS SMALLINT) AS "{name}"')
        else:
            codes.append(f'"{name}"')
    connection.execute(
        f"CREATE TABLE coded AS SELECT {', '.join(codes)} FROM read_parquet('{folder}/*.parquet')"
    )
    for columns in sets:
        named = ", ".join(f'"{name}"' for name in columns)
        connection.execute(f"SELECT {named}, COUNT(*) FROM coded GROUP BY {named}").fetchall()
    return time.process_time() - start


def measure(n_rows: int) -> None:
    """Make a folder, fit it, count it by hand, and print both."""
    with tempfile.TemporaryDirectory() as home:
        folder, counting = Path(home) / "made", Counting()
        write_folder(folder, n_rows)
        for name, answer in ANSWERS.items():
            setattr(StreamedRecords, name, counting.timed(answer))
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            synthesizer = privsynth.MarginalSynthesizer(epsilon=1.0, delta=1e-9, random_state=0)
            synthesizer.fit(
                folder, schema=made_schema(N_COLUMNS), stream=True, ledger=Path(home) / "ledger.sqlite"
            )
        whole = time.process_time() - start
        measured = {
            tuple(columns)
            for release in synthesizer.releases_
            for columns in release.facts.get("sets", ())
            if columns
        }
        hand = by_hand(folder, measured, counting.asked[-1][1])
    print(
        f"{n_rows:,} rows: fit {whole:.1f} s, of which counting {counting.seconds:.1f} s; DuckDB, the "
        f"{len(measured)} measured tables alone, {hand:.1f} s: {counting.seconds / hand:.2f} x",
        flush=True,
    )


if __name__ == "__main__":
    for n in map(int, sys.argv[1:] or ["1000000", "10000000", "50000000"]):
        measure(n)
