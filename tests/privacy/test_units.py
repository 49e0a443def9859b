"""One unit counts once: brute force over small tables, and the random cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from privsynth.domains.coding import narrow
from privsynth.privacy import units
from privsynth.privacy.randomness import OsEntropy
from privsynth.privacy.units import PERSON_GRID, count_table, weigh_records
from tests.helpers.gradient_steps import check_batches_are_poisson
from tests.helpers.predictable import PredictableSourceForTests

FALSE_ALARM = 1e-6


def test_without_persons_a_row_weighs_one():
    weighting = weigh_records(None, max_records_per_person=None, secret=OsEntropy())
    assert (weighting.rows, weighting.weights, weighting.units_per_one) == (None, None, 1)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 9))
def test_each_person_weighs_at_most_one_and_nearly_one(persons, cap):
    codes = np.asarray(persons, dtype=np.int64)
    weighting = weigh_records(codes, max_records_per_person=cap, secret=OsEntropy())
    totals = np.bincount(codes[weighting.rows], weights=weighting.weights, minlength=7)
    present = np.bincount(codes, minlength=7) > 0
    assert (totals[present] <= PERSON_GRID).all()
    assert (totals[present] > PERSON_GRID - cap).all()
    assert np.bincount(codes[weighting.rows], minlength=7).max() <= cap


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30),
    st.integers(1, 6),
)
def test_leaving_a_person_out_moves_any_table_by_at_most_one(rows, cap):
    # The cut of one person is independent of the others: with the cut held fixed, remove each person.
    table = np.asarray(rows, dtype=np.int64)
    weighting = weigh_records(table[:, 0], max_records_per_person=cap, secret=OsEntropy())
    kept = table[weighting.rows]

    def counts(mask):
        codes = [kept[mask, 1], kept[mask, 2]]
        return count_table(
            codes, [3, 3], weighting.weights[mask], n_rows=int(mask.sum()), units_per_one=PERSON_GRID
        )

    whole = counts(np.ones(len(kept), dtype=bool))
    for person in range(5):
        difference = whole - counts(kept[:, 0] != person)
        assert np.abs(difference).sum() <= PERSON_GRID
        assert (difference.astype(float) ** 2).sum() <= PERSON_GRID**2


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 1)), min_size=1, max_size=20))
def test_leaving_a_record_out_moves_any_table_by_at_most_one(rows):
    table = np.asarray(rows, dtype=np.int64)
    whole = count_table([table[:, 0], table[:, 1]], [3, 2], None, n_rows=len(table), units_per_one=1)
    for i in range(len(table)):
        rest = np.delete(table, i, axis=0)
        difference = whole - count_table(
            [rest[:, 0], rest[:, 1]], [3, 2], None, n_rows=len(rest), units_per_one=1
        )
        assert np.abs(difference).sum() == (1 if (table[i] >= 0).all() else 0)


def test_every_row_of_a_person_is_kept_equally_often():
    n_runs, n_rows, cap = 4000, 8, 3
    kept = np.zeros(n_rows)
    persons = np.zeros(n_rows, dtype=np.int64)
    for _ in range(n_runs):
        kept[weigh_records(persons, max_records_per_person=cap, secret=OsEntropy()).rows] += 1
    assert kept.sum() == n_runs * cap
    # without replacement the counts vary less than multinomial, so this false alarm is below the stated one
    assert chisquare(kept).pvalue > FALSE_ALARM


def test_the_cut_of_a_person_does_not_depend_on_the_order_of_persons():
    persons = np.array([7, 7, 7, 2, 2, 7])
    weighting = weigh_records(persons, max_records_per_person=2, secret=PredictableSourceForTests(1))
    assert len(weighting.rows) == 4
    assert (np.diff(weighting.rows) > 0).all()
    assert weighting.weights.tolist() == [PERSON_GRID // 2] * 4


def test_an_empty_table_weighs_nothing():
    weighting = weigh_records(np.empty(0, dtype=np.int64), max_records_per_person=2, secret=OsEntropy())
    assert len(weighting.rows) == 0


def test_more_rows_than_the_grid_has_steps_are_impossible():
    assert PERSON_GRID // 2**16 == 1  # the schema caps rows per person at 2^16, so that no weight is zero


@pytest.mark.parametrize("shape", [[3], [3, 2], [3, 2, 2], [100, 2], [120, 120, 120]])
@pytest.mark.parametrize("rows_at_once", [7, 200, 1000])
def test_tables_count_what_a_loop_counts(shape, rows_at_once, monkeypatch):
    monkeypatch.setattr(units, "ROWS_AT_ONCE", rows_at_once)
    rng = np.random.default_rng(0)
    codes = [narrow(rng.integers(-1, size, 200), size) for size in shape]
    assert all(column.itemsize == 1 for column in codes)
    weights = rng.integers(1, 9, 200)
    expected = np.zeros(shape)
    for row in range(200):
        index = tuple(int(c[row]) for c in codes)
        if min(index) >= 0:
            expected[index] += weights[row]
    assert np.array_equal(count_table(codes, shape, weights, n_rows=200, units_per_one=1), expected)
    unweighted = count_table(codes, shape, np.ones(200, dtype=np.int64), n_rows=200, units_per_one=1)
    assert np.array_equal(count_table(codes, shape, None, n_rows=200, units_per_one=9), 9 * unweighted)


def test_units_are_drawn_by_poisson_sampling():
    check_batches_are_poisson()


def test_every_unit_is_drawn_at_rate_one_and_none_of_nobody():
    weighting = weigh_records(None, max_records_per_person=None, secret=OsEntropy())
    assert weighting.poisson_sample(1.0, n_rows=50, secret=OsEntropy()).tolist() == list(range(50))
    assert len(weighting.poisson_sample(0.5, n_rows=0, secret=OsEntropy())) == 0
    assert len(weighting.poisson_sample(2.0**-40, n_rows=1000, secret=OsEntropy())) == 0


def test_of_a_drawn_person_one_row_is_taken_each_as_often():
    persons = np.array([3, 1, 3, 2, 3, 1, 3])
    weighting = weigh_records(persons, max_records_per_person=4, secret=OsEntropy())
    n_runs, rate = 6000, 0.4
    hits = np.zeros(len(persons))
    for _ in range(n_runs):
        drawn = weighting.poisson_sample(rate, n_rows=len(persons), secret=OsEntropy())
        owners = weighting.persons[drawn]
        assert len(set(owners.tolist())) == len(owners)
        hits[weighting.rows[drawn]] += 1
    expected = n_runs * rate / np.bincount(persons)[persons]
    each = rate / np.bincount(persons)[persons]
    for row, (seen, mean, probability) in enumerate(zip(hits, expected, each, strict=True)):
        assert abs(seen - mean) < 5.5 * np.sqrt(n_runs * probability * (1 - probability)), row
