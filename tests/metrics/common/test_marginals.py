from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.metrics.common import marginals
from privsynth.metrics.common.marginals import Coded, column_triples, total_variation
from privsynth.records.codes import Discretiser, weighted_quantiles


def coded(table: pd.DataFrame, weights: list[float] | None = None) -> Coded:
    discretiser = Discretiser.fit(table, np.ones(len(table)))
    return Coded.of(table, discretiser, None if weights is None else np.array(weights))


def categories(texts: str) -> pd.Categorical:
    return pd.Categorical(list(texts), categories=["a", "b"])


def test_distance_of_four_rows_worked_out_by_hand() -> None:
    one = pd.DataFrame({"x": categories("aabb"), "y": categories("abab")})
    other = pd.DataFrame({"x": categories("aaab"), "y": categories("aaab")})
    a, b, sizes = coded(one), coded(other), {"x": 3, "y": 3}
    assert total_variation(a, b, ["x"], sizes) == 0.25  # 2/4, 2/4 against 3/4, 1/4
    assert total_variation(a, b, ["x", "y"], sizes) == 0.5  # aa 1/4 → 3/4, ab and ba 1/4 → 0, bb as it is
    assert total_variation(a, a, ["x", "y"], sizes) == 0.0


def test_weights_make_a_person_with_many_rows_count_once() -> None:
    persons = pd.DataFrame({"x": categories("aaab")})  # three rows of one person, one of another
    once = pd.DataFrame({"x": categories("ab")})
    assert total_variation(coded(persons, [1 / 3] * 3 + [1]), coded(once), ["x"], {"x": 3}) < 1e-12
    assert total_variation(coded(persons), coded(once), ["x"], {"x": 3}) == 0.25


def test_a_value_that_fills_a_bin_and_missing_have_bins_of_their_own() -> None:
    values = np.r_[np.zeros(50), np.arange(1.0, 51.0), [np.nan] * 10]
    table = pd.DataFrame({"x": values})
    discretiser = Discretiser.fit(table, np.ones(len(table)))
    codes = discretiser.codes(pd.DataFrame({"x": [0.0, np.nextafter(0, 1), -1e-300, 1.0, np.nan, 1e9]}))["x"]
    zero, just_above, just_below, one, missing, beyond = codes
    assert zero not in (just_above, just_below, one)
    assert missing == discretiser.sizes["x"] - 1
    assert list(codes).count(missing) == 1
    assert beyond == discretiser.codes(pd.DataFrame({"x": [50.0]}))["x"][0]
    assert (discretiser.codes(table)["x"] == zero).sum() == 50


def test_bins_of_distinct_numbers_hold_equal_shares() -> None:
    table = pd.DataFrame({"x": np.random.default_rng(0).normal(size=2000)})
    counts = np.bincount(Discretiser.fit(table, np.ones(2000)).codes(table)["x"])
    assert len(counts) == 20
    assert np.abs(counts - 100).max() <= 1


def test_weighted_quantiles_are_those_of_repeated_values() -> None:
    values, times = np.array([5.0, 1.0, np.nan, 3.0]), np.array([2, 1, 4, 5])
    levels = np.linspace(0, 1, 9)
    repeated = np.repeat(values, times)
    expected = np.quantile(repeated[~np.isnan(repeated)], levels, method="inverted_cdf")
    assert weighted_quantiles(values, times * 0.1, levels).tolist() == expected.tolist()
    assert weighted_quantiles(np.array([np.nan]), np.ones(1), levels).tolist() == []


def test_large_tables_of_counts_give_the_same_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    a, b = (pd.DataFrame({c: generator.normal(size=400) for c in "xyz"}) for _ in range(2))
    discretiser = Discretiser.fit(a, np.ones(400))
    both = [Coded.of(table, discretiser) for table in (a, b)]
    dense = total_variation(*both, ["x", "y", "z"], discretiser.sizes)
    monkeypatch.setattr(marginals, "_DENSE_CELLS", 10)
    assert total_variation(*both, ["x", "y", "z"], discretiser.sizes) == pytest.approx(dense)


def test_triples_are_all_of_few_columns_and_a_fixed_choice_of_many() -> None:
    assert column_triples(["a", "b", "c", "d"], 64) == [
        ("a", "b", "c"),
        ("a", "b", "d"),
        ("a", "c", "d"),
        ("b", "c", "d"),
    ]
    many = [f"c{i}" for i in range(40)]
    chosen = column_triples(many, 64)
    assert len(set(chosen)) == 64
    assert chosen == column_triples(many, 64)
    assert all(len(set(triple)) == 3 for triple in chosen)
    assert column_triples(["a", "b"], 64) == []
