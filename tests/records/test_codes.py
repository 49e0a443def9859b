"""Canonical tables as whole numbers: bins, categories and missing fields are coded alike everywhere."""

from __future__ import annotations

import numpy as np
import pandas as pd

from privsynth.records.codes import Discretiser, as_numbers, joint_cells

KINDS = pd.CategoricalDtype(["a", "b", "c"])


def table(numbers: list[float], kinds: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame({"x": np.array(numbers, dtype=np.float64), "k": pd.Series(kinds, dtype=KINDS)})


def test_bins_lie_where_all_tables_together_have_their_quantiles() -> None:
    first, second = table([0, 1, 2, 3], ["a"] * 4), table([4, 5, 6, 7, np.nan], ["b"] * 5)
    discretiser = Discretiser.of_quantiles([first, second], n_bins=2)
    assert discretiser.sizes == {"x": 3, "k": 4}
    assert discretiser.codes(second)["x"].tolist() == [1, 1, 1, 1, 2]
    assert discretiser.codes(table([-9, 3.4, 3.5, 99], ["a"] * 4))["x"].tolist() == [0, 0, 1, 1]


def test_a_missing_field_has_the_last_code_and_is_zero_in_a_matrix() -> None:
    rows = table([1.0, np.nan, 2.0], ["c", "a", None])
    discretiser = Discretiser.fit(rows, np.ones(3))
    assert [codes.max() for codes in discretiser.codes(rows).values()] == [
        size - 1 for size in discretiser.sizes.values()
    ]
    matrix = discretiser.matrix(rows)
    assert matrix.dtype == np.uint64
    assert matrix[1, 0] == matrix[2, 1] == 0
    assert matrix[:, 1].tolist() == [3, 1, 0]


def test_cells_of_a_marginal_are_numbered_with_the_last_column_moving_fastest() -> None:
    codes = {"a": np.array([0, 1, 1]), "b": np.array([2, 0, 2])}
    assert joint_cells(codes, ["a", "b"], {"a": 2, "b": 3}).tolist() == [2, 3, 5]


def test_a_column_as_numbers_keeps_what_is_missing() -> None:
    rows = table([1.5, np.nan], ["c", None])
    assert as_numbers(rows["x"]).tolist()[0] == 1.5
    assert as_numbers(rows["k"]).tolist()[0] == 2.0
    assert np.isnan([as_numbers(rows[name])[1] for name in rows]).all()
