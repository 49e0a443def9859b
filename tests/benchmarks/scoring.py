"""Score rows of any table with the scorer that lies beside the Adult split, run as it is.

The scorer is a classifier's: it takes numbers without gaps, categories from a list, and the last category of
the target as positive. So each table is coded the same way for it, by its schema and its training part:

- a missing number becomes the training part's median, and a column of its own says which were missing;
- a missing category is a category;
- of more than `MAX_CATEGORIES` (the scorer's trees take no more) the rarest become one;
- a numeric target becomes whether it is above the training part's median;
- categories carry a mark in front, so that no reader takes codes for numbers.

None of this reaches a fit. Scoring reads real records and is outside of any guarantee.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privsynth.io.tables import write_table
from privsynth.records.conform import conform
from privsynth.schema import Column, category_text
from tests.benchmarks.tables import Table, bench_folder

MAX_CATEGORIES = 250
MARK = "="
MISSING, RARE = "(missing)", "(rare)"
AT_MOST_MEDIAN, ABOVE_MEDIAN = "at most the median", "above the median"


@dataclass(frozen=True)
class Coding:
    """How one column is written for the scorer.

    Attributes:
        fill: What stands for a missing number; None for a category.
        marks_missing: Whether a column beside it says which numbers were missing.
        above: A number becomes whether it is above this one; None leaves it a number.
        categories: Of the coded column, empty for a number.
        is_grouped: Whether all other categories are written as `RARE`.
    """

    fill: float | None = None
    marks_missing: bool = False
    above: float | None = None
    categories: tuple[str, ...] = ()
    is_grouped: bool = False

    @property
    def is_numeric(self) -> bool:
        """Whether the coded column is one of numbers."""
        return not self.categories

    def write(self, values: pd.Series) -> pd.Series:
        """Code a column in canonical form."""
        if self.above is not None:
            return values.gt(self.above).map({False: AT_MOST_MEDIAN, True: ABOVE_MEDIAN})
        if self.fill is not None:
            return values.fillna(self.fill)
        texts = _texts(values)
        return texts.where(texts.isin(self.categories), RARE) if self.is_grouped else texts


class Scorer:
    """Scores rows against a table's parts.

    Args:
        table: The table.
        train: Its training part; for persons, as `Table.scored_rows` gives it.
        test: The part to score on, alike.
        folder: Where the scorer's files go.
    """

    def __init__(self, table: Table, train: pd.DataFrame, test: pd.DataFrame, folder: Path) -> None:
        self._table, self._folder = table, folder
        canonical = conform(train, table.schema).frame
        self._codings = {
            column.name: _coding(column, canonical[column.name], table.positive)
            for column in table.schema.modelled
        }
        for name, part in (("train", train), ("test", test)):
            self._write(part, name)
        self._path("meta.json").write_text(json.dumps(self._meta()))

    def score(self, rows: pd.DataFrame) -> dict[str, Any]:
        """Return the scorer's figures.

        Raises:
            SchemaError: If a row breaks the table's schema.
            RuntimeError: If the scorer fails; holds what it said last.
        """
        self._write(rows, "synth")
        command = [
            sys.executable,
            str(bench_folder() / "evaluate.py"),
            "--meta",
            str(self._path("meta.json")),
        ]
        for option, name in (("--real-train", "train"), ("--real-test", "test"), ("--synth", "synth")):
            command += [option, str(self._path(f"{name}.csv"))]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the scorer failed: {done.stderr.strip().splitlines()[-1:]}")
        return json.loads(done.stdout.replace(MARK, ""))

    def _path(self, name: str) -> Path:
        return self._folder / name

    def _write(self, rows: pd.DataFrame, name: str) -> None:
        write_table(self._coded(rows), self._path(f"{name}.csv"), force=True)

    def _coded(self, rows: pd.DataFrame) -> pd.DataFrame:
        records = conform(rows, self._table.schema).frame
        coded: dict[str, pd.Series] = {}
        for name, coding in self._codings.items():
            written = coding.write(records[name])
            coded[name] = written if coding.is_numeric else MARK + written
            if coding.marks_missing:
                coded[_indicator(name)] = MARK + records[name].isna().map({False: "no", True: "yes"})
        return pd.DataFrame(coded)

    def _meta(self) -> dict[str, Any]:
        categories = {name: list(c.categories) for name, c in self._codings.items() if not c.is_numeric}
        marking = [name for name, coding in self._codings.items() if coding.marks_missing]
        categories |= {_indicator(name): ["no", "yes"] for name in marking}
        numeric = [name for name, coding in self._codings.items() if coding.is_numeric]
        return {
            "columns": [*self._codings, *(_indicator(name) for name in marking)],
            "numeric": numeric,
            "categories": {name: [MARK + text for text in texts] for name, texts in categories.items()},
            "target": self._table.schema.target,
            "groups": list(self._table.compared) or self._table.schema.groups,
        }


def independent_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with every column in an order of its own: right one by one, and nothing beyond."""
    rng = np.random.default_rng(0)
    return pd.DataFrame({name: rng.permutation(rows[name].to_numpy()) for name in rows})


def _coding(column: Column, train: pd.Series, positive: str | None) -> Coding:
    is_target = column.role == "target"
    if column.is_numeric:
        median = float(train.median())
        if is_target:
            return Coding(above=median, categories=(AT_MOST_MEDIAN, ABOVE_MEDIAN))
        return Coding(fill=median, marks_missing=bool(train.isna().any()))
    counts = _texts(train).value_counts()
    declared = column.categories if isinstance(column.categories, tuple) else ()
    if column.type == "boolean":
        declared = column.boolean_values
    texts = [category_text(value) for value in declared]
    texts += sorted(set(counts.index) - set(texts))
    is_grouped = len(texts) > MAX_CATEGORIES
    if is_grouped:
        texts = [*sorted(counts.index[: MAX_CATEGORIES - 1]), RARE]
    if is_target and positive is not None:
        texts.sort(key=positive.__eq__)  # stable: only the positive one moves, to the end
    return Coding(categories=tuple(texts), is_grouped=is_grouped)


def _texts(values: pd.Series) -> pd.Series:
    texts = values.cat.rename_categories([category_text(value) for value in values.cat.categories])
    return texts.astype(object).where(values.notna(), MISSING)


def _indicator(name: str) -> str:
    return f"{name} is missing"
