"""The RAND table: what the public sources say about it, and that its schema holds."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import pandas as pd
import pytest

from privsynth import datasets
from privsynth.datasets import load_rand_hie
from privsynth.errors import PrivsynthError
from privsynth.schema import PRIVATE, Schema
from privsynth.sources import Records, conform

pytest.importorskip("statsmodels")


@pytest.fixture(scope="module")
def rand_hie() -> tuple[pd.DataFrame, Schema, Records]:
    table, schema = load_rand_hie()
    return table, schema, conform(table, schema, on_violation="error")


def test_persons_and_years(rand_hie: tuple[pd.DataFrame, Schema, Records]) -> None:
    table, schema, records = rand_hie
    assert len(table) == 20_190  # Cameron and Trivedi 2005
    assert records.persons is not None
    years = np.bincount(records.persons)
    assert len(years) == 5_912
    assert years.max() == schema.max_records_per_person == 5
    assert schema.unit == "person"


def test_figures_of_the_published_extract(rand_hie: tuple[pd.DataFrame, Schema, Records]) -> None:
    frame = rand_hie[2].frame
    # Deb and Trivedi, "The structure of demand for health care", 2002, Table 2, all years of this extract
    assert frame["doctor_visits"].mean() == pytest.approx(2.8606, abs=1e-3)
    assert (frame["doctor_visits"] == 0).mean() == pytest.approx(0.3125, abs=1e-3)
    assert (frame["sex"] == "Female").mean() == pytest.approx(0.517, abs=1e-3)
    assert frame["age"].mean() == pytest.approx(25.72 - 0.5, abs=0.05)  # completed years
    assert frame["general_health"].notna().sum() == 14_967
    assert frame["race"].isna().sum() == 251
    assert frame["hospital_admission"].eq(True).sum() == 1_819


def test_the_schema_declares_everything_public(rand_hie: tuple[pd.DataFrame, Schema, Records]) -> None:
    table, schema, records = rand_hie
    assert list(schema.columns) == list(table.columns)
    assert (schema.target, schema.groups, schema.person_id) == ("hospital_admission", ["sex", "race"], "zper")
    assert all(not column.private_facts for column in schema.modelled)
    may_be_missing = {column.name for column in schema.modelled if column.missing is True}
    assert may_be_missing == set(records.frame.columns[records.frame.isna().any()])
    assert PRIVATE not in str(schema.to_dict())
    assert Schema.from_dict(schema.to_dict()).columns == schema.columns


def test_the_table_is_on_the_grid_of_its_schema(rand_hie: tuple[pd.DataFrame, Schema, Records]) -> None:
    table, schema, records = rand_hie
    for column in schema.modelled:
        if column.is_numeric:
            stored = table[column.name].to_numpy(dtype=float, na_value=np.nan)
            np.testing.assert_array_equal(stored, records.frame[column.name].to_numpy())


def test_bounds_are_round_figures_beyond_the_records(rand_hie: tuple[pd.DataFrame, Schema, Records]) -> None:
    _, schema, records = rand_hie
    for name in ("age", "income", "education", "doctor_visits", "outpatient_spending", "drug_spending"):
        high = schema.columns[name].bounds[1]
        assert high is not None
        assert high % 10 == 0
        assert high > records.frame[name].max()


def test_the_target_is_not_given_away_by_another_column(
    rand_hie: tuple[pd.DataFrame, Schema, Records],
) -> None:
    frame = rand_hie[2].frame
    admitted = frame["hospital_admission"].eq(True)
    for name in frame.columns.drop("hospital_admission"):
        codes = frame[name].cat.codes if isinstance(frame[name].dtype, pd.CategoricalDtype) else frame[name]
        rank = codes.rank(na_option="bottom").to_numpy()
        n_admitted = int(admitted.sum())
        auc = (rank[admitted].sum() - n_admitted * (n_admitted + 1) / 2) / (n_admitted * (~admitted).sum())
        assert 0.2 < auc < 0.8, name


def test_every_category_occurs(rand_hie: tuple[pd.DataFrame, Schema, Records]) -> None:
    for name in ("site", "plan", "sex", "race"):
        assert (rand_hie[2].frame[name].value_counts() > 100).all()


def test_without_statsmodels_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_statsmodels(package: str) -> NoReturn:
        raise ModuleNotFoundError(f"No module named {package!r}")

    monkeypatch.setattr(datasets, "files", no_statsmodels)
    with pytest.raises(PrivsynthError, match=r'pip install "privsynth\[demo\]"'):
        load_rand_hie()
