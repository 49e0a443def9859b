from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import ParameterError, TableError
from privsynth.metrics.common.tables import load_tables, row_weights, schema_of_released, weighted_rows
from privsynth.records.conform import Records
from privsynth.schema import Schema
from tests.helpers.histories import SCHEMA as SEQUENTIAL
from tests.helpers.histories import draw_histories


def test_paths_and_frames_give_the_same_tables(draw, schema: Schema, tmp_path: Path) -> None:
    real, synthetic = draw(50, 0), draw(60, 1)
    real.to_parquet(tmp_path / "real.parquet")
    synthetic.to_csv(tmp_path / "synthetic.csv.gz", index=False)
    from_files = load_tables(tmp_path / "real.parquet", str(tmp_path / "synthetic.csv.gz"), schema=schema)
    from_frames = load_tables(real, synthetic, schema=schema)
    pd.testing.assert_frame_equal(from_files.real.frame, from_frames.real.frame)
    pd.testing.assert_frame_equal(from_files.synthetic.frame, from_frames.synthetic.frame)
    assert from_frames.target == "owner"
    assert from_frames.groups == ("sex",)


def test_values_outside_the_schema_are_clipped_and_noted_without_naming_them(draw, schema: Schema) -> None:
    synthetic = draw(40, 1)
    synthetic.loc[3, "age"] = 777
    synthetic.loc[4, "region"] = "atlantis"
    tables = load_tables(draw(40, 0), synthetic, schema=schema)
    assert tables.synthetic.frame["age"].max() == 90
    (note,) = tables.notes
    assert "'age'" in note
    assert "'region'" in note
    assert "777" not in note
    assert "atlantis" not in note


def test_private_categories_become_the_union_of_all_tables(draw) -> None:
    schema = Schema({"town": {"type": "categorical", "categories": "private"}})
    real, synthetic = pd.DataFrame({"town": [3, 1, 3]}), pd.DataFrame({"town": ["1", "2"]})
    tables = load_tables(real, synthetic, schema=schema)
    assert tables.real.frame["town"].tolist() == ["3", "1", "3"]
    assert list(tables.real.frame["town"].cat.categories) == ["1", "2", "3"]
    assert list(tables.synthetic.frame["town"].cat.categories) == ["1", "2", "3"]


def test_persons_in_two_tables_are_refused(draw, person_schema: Schema) -> None:
    real, holdout = (
        draw(30, 0).assign(pid=range(30)),
        draw(30, 1).assign(pid=[str(i + 29) for i in range(30)]),
    )
    with pytest.raises(ParameterError, match="real and holdout tables share persons") as caught:
        load_tables(real, draw(30, 2), schema=person_schema, holdout=holdout)
    assert "29" not in str(caught.value)
    load_tables(real, draw(30, 2), schema=person_schema, holdout=holdout[1:])


def test_a_synthetic_table_needs_no_person_column(draw, person_schema: Schema) -> None:
    tables = load_tables(
        draw(9, 0).assign(pid=[1, 1, 1, 2, 2, 3, "", "", None]), draw(9, 1), schema=person_schema
    )
    assert tables.synthetic.persons is None
    assert tables.real_weights.tolist() == pytest.approx([1 / 3] * 3 + [1 / 2] * 2 + [1] * 4)


def test_synthetic_rows_of_a_person_who_has_several_weigh_as_real_ones_do() -> None:
    synthetic = draw_histories(40, 1).assign(pid=lambda rows: rows["pid"].rank(method="dense").astype(int))
    tables = load_tables(draw_histories(30, 0), synthetic, schema=SEQUENTIAL, non_private=synthetic)
    by_person = np.bincount(tables.synthetic.persons, tables.synthetic_weights)
    assert by_person.tolist() == pytest.approx([1.0] * 40)
    assert tables.non_private[0].persons is not None
    ill = tables.synthetic.frame["ill"].astype(bool).to_numpy()
    rows = tables.synthetic_sample(np.random.default_rng(0))
    assert len(rows) == len(synthetic)
    # systematic drawing: off by no more than one row
    expected = np.average(ill, weights=tables.synthetic_weights)
    assert rows["ill"].astype(bool).mean() == pytest.approx(expected, abs=1 / len(rows) + 1e-9)


def test_only_sequential_schemas_ask_for_the_person_of_a_synthetic_row(person_schema: Schema) -> None:
    assert schema_of_released(SEQUENTIAL) is SEQUENTIAL
    assert schema_of_released(person_schema).person_id is None


@pytest.mark.parametrize("argument", [{"target": "wage"}, {"groups": ["sex", "wage"]}])
def test_an_unknown_column_is_named(draw, schema: Schema, argument: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match="got 'wage'; known are age, income"):
        load_tables(draw(5, 0), draw(5, 1), schema=schema, **argument)


def test_a_table_without_rows_is_named(draw, schema: Schema) -> None:
    with pytest.raises(TableError, match="expected the synthetic table to have rows"):
        load_tables(draw(5, 0), draw(5, 1)[:0], schema=schema)


def test_rows_are_drawn_as_often_as_they_weigh() -> None:
    generator = np.random.default_rng(0)
    weights = np.array([1.0, 1 / 3, 1 / 3, 1 / 3, 2.0])
    times = np.bincount(weighted_rows(weights, 1200, generator), minlength=5)
    assert np.abs(times - 1200 * weights / weights.sum()).max() <= 1
    assert sorted(weighted_rows(np.full(7, 0.25), 7, generator)) == list(range(7))


def test_each_person_weighs_one() -> None:
    frame = pd.DataFrame({"x": range(5)})
    weights = row_weights(Records(frame, np.array([0, 1, 1, 2, 1])))
    assert np.bincount([0, 1, 1, 2, 1], weights).tolist() == [1.0, 1.0, 1.0]
    assert row_weights(Records(frame, None)).tolist() == [1.0] * 5
