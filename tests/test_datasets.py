"""The RAND table: what the public sources say about it, and that its schema holds."""

from __future__ import annotations

from importlib.resources import files
from typing import NoReturn

import numpy as np
import pandas as pd
import pytest

from privsynth import datasets
from privsynth.datasets import load_rand_hie
from privsynth.errors import PrivsynthError
from privsynth.records.conform import Records, conform
from privsynth.schema import PRIVATE, Schema

pytest.importorskip("statsmodels", reason="the RAND table comes in its wheel (extra `demo`)")


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


def test_columns_agree_with_the_short_extract(rand_hie: tuple[pd.DataFrame, Schema, Records]) -> None:
    """statsmodels also ships ten columns, prepared by others from the same rows."""
    with (files("statsmodels") / "datasets/randhie/randhie.csv").open("rb") as file:
        short = pd.read_csv(file)
    frame = rand_hie[2].frame
    assert (frame["doctor_visits"] == short["mdvis"]).all()
    assert (frame["chronic_diseases"] - short["disea"]).abs().max() <= 0.05 + 1e-9
    assert (frame["plan"].eq("individual deductible") == short["idp"].eq(1)).all()
    rate = short["lncoins"].map(np.exp) - 1
    for share in (25, 50):
        assert (frame["plan"].eq(f"{share}% coinsurance") == (rate.round() == share)).all()
    limited = frame["physical_limitation"].map({True: 1.0, False: 0.0}).astype(float)
    assert (limited == short["physlm"])[limited.notna()].all()
    assert not short["physlm"].isin([0.0, 1.0])[limited.isna()].any()


def test_counts_are_those_of_the_source(rand_hie: tuple[pd.DataFrame, Schema, Records]) -> None:
    frame = rand_hie[2].frame  # a snapshot: counted in the source's own columns
    assert frame["sex"].value_counts().to_dict() == {"Female": 10_439, "Male": 9_751}
    assert frame["race"].value_counts(dropna=False).tolist() == [16_358, 3_581, 251]
    assert frame["hospital_admission"].eq(True).sum() == 20_190 - 18_371
    assert frame["general_health"].notna().sum() == 14_967
    assert frame["age"].max() == 64


def test_the_schema_declares_everything_public(rand_hie: tuple[pd.DataFrame, Schema, Records]) -> None:
    table, schema, records = rand_hie
    assert list(schema.columns) == list(table.columns)
    assert (schema.target, schema.groups, schema.person_id) == ("hospital_admission", ["sex", "race"], "zper")
    assert all(not column.private_facts for column in schema.modelled)
    may_be_missing = {column.name for column in schema.modelled if column.missing is True}
    assert may_be_missing == set(records.frame.columns[records.frame.isna().any()])
    assert PRIVATE not in str(schema.to_dict())
    assert Schema.from_dict(schema.to_dict()).columns == schema.columns


def test_the_schema_of_sequences_says_what_years_share_and_what_orders_them(
    rand_hie: tuple[pd.DataFrame, Schema, Records],
) -> None:
    table, of_years, _ = rand_hie
    again, schema = load_rand_hie(sequences=True)
    pd.testing.assert_frame_equal(again, table)
    assert (of_years.is_sequential, schema.is_sequential, schema.order) == (False, True, "year")
    by_person = table.groupby("zper")
    n_values = {name: by_person[name].nunique(dropna=False) for name in table.columns.drop("zper")}
    assert schema.per_person == [name for name, n in n_values.items() if (n == 1).all()]
    assert (n_values["year"] == by_person.size()).all()  # no two years of a person stand at one place
    conform(table, schema, on_violation="error")
    assert [str(rule) for rule in schema.constraints] == ["prev.age <= age"]
    without = {
        name: {key: fact for key, fact in fields.items() if key != "per" and fact != "order"}
        for name, fields in schema.to_dict()["columns"].items()
    }
    assert without == of_years.to_dict()["columns"]


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
