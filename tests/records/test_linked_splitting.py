"""Linked tables are split by whole persons, with all that belongs to them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from privsynth import split
from privsynth.errors import ParameterError, SchemaError, TableError
from privsynth.records.split_parts import read_split_part
from privsynth.records.splitting import write_split
from tests.helpers.linked import SCHEMA, bank


def check_apart(train: dict[str, pd.DataFrame], held_out: dict[str, pd.DataFrame], whole) -> None:
    for name, table in SCHEMA.tables.items():
        both = pd.concat([train[name], held_out[name]])
        pd.testing.assert_frame_equal(
            both.sort_values(list(both.columns)).reset_index(drop=True),
            whole[name].sort_values(list(both.columns)).reset_index(drop=True),
        )
        if table.parent is not None:
            key = SCHEMA.tables[table.parent].key
            for part in (train, held_out):
                assert part[name][table.parent_key].isin(part[table.parent][key]).all()


def test_every_row_goes_with_its_person_and_keeps_its_order() -> None:
    tables = bank(400)
    train, held_out = split(tables, SCHEMA, holdout=0.3, random_state=1)
    check_apart(train, held_out, tables)
    n = len(held_out["client"])
    assert binom.ppf(1e-6, 400, 0.3) < n < binom.isf(1e-6, 400, 0.3)
    places = {key: place for place, key in enumerate(tables["account"]["account"])}
    assert train["account"]["account"].map(places).is_monotonic_increasing
    again = split(tables, SCHEMA, holdout=0.3, random_state=1)
    assert again[1]["client"]["id"].tolist() == held_out["client"]["id"].tolist()
    other = split(tables, SCHEMA, holdout=0.3)
    assert other[1]["client"]["id"].tolist() != held_out["client"]["id"].tolist()


def test_coins_are_of_persons_and_no_other_table_moves_them() -> None:
    tables = bank(300)
    few = {**tables, "trans": tables["trans"][:5], "card": tables["card"][:0]}
    (_, first), (_, second) = (split(each, SCHEMA, random_state=3) for each in (tables, few))
    assert first["client"]["id"].tolist() == second["client"]["id"].tolist()


def test_rows_of_nobody_and_what_is_below_them_stay_in_the_training_part() -> None:
    tables = bank(200)
    lost = tables["account"].index[:20]
    tables["account"].loc[lost, "owner"] = -1
    below = tables["trans"]["account"].isin(tables["account"].loc[lost, "account"])
    assert below.any()
    with pytest.warns(UserWarning, match="rows of 'account', 'trans' lead to no person") as warned:
        train, held_out = split(tables, SCHEMA, holdout=0.9)
    assert "-1" not in str(warned[0].message)
    assert (train["account"]["owner"] == -1).sum() == 20
    assert set(tables["trans"]["account"][below]) <= set(train["trans"]["account"])
    assert not (held_out["account"]["owner"] == -1).any()


def test_files_say_which_split_they_are_of(tmp_path) -> None:
    for name, table in bank(100).items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    folders = write_split(tmp_path, SCHEMA, tmp_path / "parts", holdout=0.5)
    parts = [read_split_part(folder / f"{name}.parquet") for folder in folders for name in SCHEMA.tables]
    assert [part.part for part in parts] == ["train"] * 4 + ["holdout"] * 4
    assert len({part.split_id for part in parts}) == 1
    assert {(part.unit, part.seeded, part.holdout) for part in parts} == {("person", False, 0.5)}
    assert all(path.stat().st_mode & 0o077 == 0 for folder in folders for path in folder.iterdir())
    read = [{n: pd.read_parquet(f / f"{n}.parquet") for n in SCHEMA.tables} for f in folders]
    whole = {name: pd.read_csv(tmp_path / f"{name}.csv") for name in SCHEMA.tables}
    for part in read:
        assert np.isin(part["trans"]["account"], part["account"]["account"]).all()
    assert sum(len(part["trans"]) for part in read) == len(whole["trans"])
    with pytest.raises(TableError, match="exists"):
        write_split(tmp_path, SCHEMA, tmp_path / "parts")


def test_what_cannot_be_split_is_said() -> None:
    tables = bank(30)
    twice = {**tables, "client": pd.concat([tables["client"]] * 2)}
    with pytest.raises(SchemaError, match="a key stands twice"):
        split(twice, SCHEMA)
    keyless = {**tables, "trans": tables["trans"].drop(columns="account")}
    with pytest.raises(SchemaError, match="the table 'trans' has no column 'account', a key"):
        split(keyless, SCHEMA)
    with pytest.raises(TableError, match="expected linked tables"):
        split(tables["client"], SCHEMA)
    with pytest.raises(ParameterError, match="0 < holdout < 1"):
        split(tables, SCHEMA, holdout=1)
