"""Folders of noisy tables, as another tool would release them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privsynth.models.tables.fitting import FitOptions
from privsynth.schema import Schema
from privsynth.synthesizers import ReleasesSettings

QUICK = ReleasesSettings(n_steps=150, final_steps=30, fit=FitOptions(n_components=64))

VISITS = Schema(
    {
        "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
        "age": {"type": "integer", "low": 0, "high": 99},
        "ill": {"type": "boolean", "role": "target"},
        "ward": {"type": "categorical", "categories": ["a", "b"], "missing": True},
    }
)
EDGES = [0, 20, 40, 60, 80, 99]
KEYS: Mapping[str, Sequence[Any]] = {
    "sex": ["F", "M"],
    "age": EDGES[:-1],
    "ill": [False, True],
    "ward": ["a", "b", None],
}
STATED = {
    "version": 1,
    "stated_by": "the office of data",
    "unit": "record",
    "neighbours": "add_or_remove_one",
    "delta": 1e-6,
}


def visits(n: int = 4000, seed: int = 0) -> pd.DataFrame:
    """Return visits, ages by the lower ends of their bins: the old are ill, and lie in ward b."""
    rng = np.random.default_rng(seed)
    age = rng.choice(EDGES[:-1], n)
    ill = rng.random(n) < np.where(age >= 40, 0.8, 0.1)
    ward = np.where(rng.random(n) < np.where(ill, 0.9, 0.2), "b", "a").astype(object)
    ward[rng.random(n) < 0.2] = None
    return pd.DataFrame(
        {"sex": rng.choice(["F", "M"], n, p=[0.3, 0.7]), "age": age, "ill": ill, "ward": ward}
    )


def counted(
    frame: pd.DataFrame, columns: Sequence[str], keys: Mapping[str, Sequence[Any]] = KEYS
) -> pd.DataFrame:
    """Return the exact number of rows in each cell, zeros included."""
    texts = frame[list(columns)].astype(object).map(lambda value: "" if value is None else str(value))
    found = texts.groupby(list(columns)).size() if columns else len(frame)
    rows = []
    for cell in itertools.product(*(keys[name] for name in columns)):
        key = tuple("" if value is None else str(value) for value in cell)
        at = found if not columns else found.get(key if len(key) > 1 else key[0], 0)
        rows.append((*cell, float(at)))
    return pd.DataFrame(rows, columns=[*columns, "count"])


def table(columns: Sequence[str], noise: float, **changed: Any) -> dict[str, Any]:
    """Return what is stated of a table with Gaussian noise; None for a key leaves it out."""
    fields = {
        "columns": list(columns),
        "cells": "-".join(columns) + ".csv" if columns else "all.csv",
        "mechanism": "gaussian",
        "std": noise,
        "keys": "public",
        "cost": {"mu": 1.0 / noise},
        **({"edges": {"age": EDGES}} if "age" in columns else {}),
        **changed,
    }
    return {key: value for key, value in fields.items() if value is not None}


def state(folder: Path, tables: Sequence[Mapping[str, Any]], **changed: Any) -> Path:
    """Write the statement of a folder; None for a key leaves it out."""
    folder.mkdir(exist_ok=True)
    fields = {**STATED, "tables": list(tables), **changed}
    text = json.dumps({key: value for key, value in fields.items() if value is not None})
    (folder / "releases.json").write_text(text, encoding="utf-8")
    return folder


def pairs_released(folder: Path, *, std: float = 10.0, seed: int = 1) -> Path:
    """Write a folder of all pairs of columns of `visits`."""
    rng, frame, tables = np.random.default_rng(seed), visits(), []
    folder.mkdir(exist_ok=True)
    for columns in itertools.combinations(KEYS, 2):
        cells = counted(frame, columns)
        cells["count"] += rng.normal(0.0, std, len(cells))
        tables.append(table(columns, std))
        cells.to_csv(folder / tables[-1]["cells"], index=False)
    return state(folder, tables)
