"""Columns of many values: which values share a code, what a group keeps, and what a fit makes of it."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from privsynth.encoding import DiscreteDomain
from privsynth.models.fitting import Measurement
from privsynth.models.mixture import ProductMixture
from privsynth.schema import Schema
from privsynth.synthesizers.domains import Domains
from privsynth.synthesizers.marginal import MarginalSynthesizer
from privsynth.synthesizers.value_groups import MAX_CODES, FittedCodes, ValueGroups, group_values
from tests.helpers.tables import QUICK

N_VALUES = 2000
VALUES = tuple(f"v{i:04d}" for i in range(N_VALUES))
COLUMN = Schema({"code": {"type": "categorical", "categories": list(VALUES), "missing": True}}).columns[
    "code"
]
DOMAIN = DiscreteDomain(COLUMN, VALUES, has_other=True, has_missing=True)


def one_way(seed=0, noise=5.0):
    """Return counts of a few frequent values among many rare ones."""
    exact = np.full(DOMAIN.size, 4.0)
    exact[[3, 1000, 1001]] = 5000.0
    return Measurement(
        columns=("code",),
        counts=exact + np.random.default_rng(seed).normal(0, noise, DOMAIN.size),
        variance=noise**2,
    )


def test_frequent_values_stay_alone_and_rare_neighbours_share_a_code():
    groups = group_values(DOMAIN, one_way())
    sizes = np.bincount(groups.group_of_code)
    assert sizes[groups.group_of_code[[3, 1000, 1001]]].tolist() == [1, 1, 1]
    assert sizes[groups.group_of_code[-2:]].tolist() == [1, 1]  # "other" and missing
    assert groups.size == len(sizes) <= MAX_CODES
    assert (np.diff(groups.group_of_code[:N_VALUES]) >= 0).all()
    assert np.bincount(groups.group_of_code, weights=groups.share) == pytest.approx(np.ones(groups.size))


def test_groups_are_counted_as_the_sum_of_their_values():
    groups, measured = group_values(DOMAIN, one_way()), one_way()
    merged = groups.grouped(measured)
    assert merged.counts.sum() == pytest.approx(measured.counts.sum())
    assert merged.variance.sum() == pytest.approx(25.0 * DOMAIN.size)
    rows = pd.Series(pd.Categorical([VALUES[3], VALUES[4], VALUES[5], None, "elsewhere"]))
    codes = groups.coding.encode(rows)
    assert codes.tolist() == groups.group_of_code[[3, 4, 5, N_VALUES + 1, N_VALUES]].tolist()
    strict = group_values(
        DiscreteDomain(COLUMN, VALUES, False, False),
        Measurement(columns=("code",), counts=measured.counts[:N_VALUES], variance=25.0),
    )
    assert strict.coding.encode(rows).tolist()[-2:] == [-1, -1]  # outside the domain: counted nowhere


def test_a_parted_mixture_has_the_shares_of_the_groups_and_within_them():
    groups = ValueGroups(DOMAIN, np.arange(DOMAIN.size) // 2, np.tile([0.25, 0.75], DOMAIN.size // 2))
    block = np.random.default_rng(0).dirichlet(np.ones(groups.size), 3).astype(np.float32)
    codes = FittedCodes({"code": groups, "a": DOMAIN}, [])
    other = np.ones((3, 1), np.float32)
    parted, untouched = codes.parted(ProductMixture(("code", "a"), (block, other))).blocks
    assert parted.reshape(3, -1, 2).sum(axis=2) == pytest.approx(block)
    assert parted[:, 1::2] == pytest.approx(3 * parted[:, ::2])
    assert untouched is other


def test_columns_of_few_values_and_conditions_are_not_grouped():
    few = DiscreteDomain(COLUMN, VALUES[:MAX_CODES], False, False)
    small = Measurement(columns=("few",), counts=np.ones(MAX_CODES), variance=1.0)
    domains = Domains({"few": few, "code": DOMAIN}, [small, one_way()], 1.0, 1.0)
    whole = FittedCodes.of(domains, whole=["code"])
    assert whole.by_column is domains.by_column
    assert whole.one_way == domains.one_way
    grouped = FittedCodes.of(domains, whole=[])
    assert grouped.by_column["few"] is few
    assert isinstance(grouped.by_column["code"], ValueGroups)
    assert [len(m.counts) for m in grouped.one_way] == [MAX_CODES, grouped.by_column["code"].size]


def test_a_fit_keeps_frequent_values_and_what_groups_depend_on(tmp_path):
    rng = np.random.default_rng(0)
    n = 20_000
    first = rng.random(n) < 0.5
    code = np.where(rng.random(n) < 0.2, 7, rng.integers(0, N_VALUES // 2, n)) + np.where(
        first, 0, N_VALUES // 2
    )
    table = pd.DataFrame({"code": np.array(VALUES)[code], "first": first})
    schema = Schema(
        {"code": {"type": "categorical", "categories": list(VALUES)}, "first": {"type": "boolean"}}
    )
    synthesizer = MarginalSynthesizer(epsilon=5.0, delta=1e-6, settings=QUICK, random_state=0)
    synthesizer.fit(table, schema=schema, dataset="codes", ledger=tmp_path / "ledger.sqlite")
    rows = synthesizer.sample(20_000)
    number = rows["code"].str[1:].astype(int)
    assert ((number < N_VALUES // 2) == rows["first"]).mean() > 0.95
    assert (rows["code"] == VALUES[7]).mean() == pytest.approx(0.1, abs=0.02)
    assert number.nunique() > N_VALUES // 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a single rare value is faint
        assert (synthesizer.sample(50, conditions={"code": VALUES[1500]})["code"] == VALUES[1500]).all()
    arrays = synthesizer.replay()
    assert all(
        np.array_equal(array, arrays[name])
        for name, array in synthesizer._arrays_of(synthesizer.model_).items()
    )
