"""Columns of many values: which values share a code, what a group keeps, and what a fit makes of it."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.domains.encoding import DiscreteDomain
from privsynth.models.tables.fitting import Measurement
from privsynth.sampling.conditions import Restriction
from privsynth.sampling.factors import ColumnFactor
from privsynth.sampling.grouped import GroupedFactor, ValueGroups
from privsynth.schema import Schema
from privsynth.synthesizers import TABLE_SYNTHESIZERS
from privsynth.synthesizers.tables.domains import Domains
from privsynth.synthesizers.tables.marginal import MarginalSynthesizer
from privsynth.synthesizers.tables.model_arrays import model_arrays, model_facts, model_from
from privsynth.synthesizers.tables.rare_values import MAX_CODES, FittedCodes, group_values, grouped
from tests.contracts.synthesizers import maker
from tests.helpers.models import model_of
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
    merged = grouped(groups, measured)
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


def test_rows_of_a_grouped_column_follow_the_shares_of_groups_and_within_them():
    rng = np.random.default_rng(0)
    domain = DiscreteDomain(COLUMN, VALUES[:12], False, False)
    groups = ValueGroups(domain, np.repeat([0, 1, 2, 1], [2, 4, 1, 5]), np.empty(0))
    share = rng.random(12)
    share[3] = 0.0
    share /= np.bincount(groups.group_of_code, weights=share)[groups.group_of_code]
    groups = replace(groups, share=share)
    block = rng.dirichlet(np.ones(3), 2).astype(np.float32)
    factor = GroupedFactor(groups, block)
    dense = ColumnFactor("code", domain, groups.spread(block))
    exact = block[:, groups.group_of_code] * share
    assert dense.block == pytest.approx(exact, abs=1e-6)
    allowed = np.r_[1.0, np.zeros(3), np.ones(4), 0.0, np.ones(3)]
    component = np.repeat([0, 1], 30_000)
    for restrictions in ({}, {"code": Restriction(allowed)}):
        of_groups, of_codes = factor.prepare(restrictions), dense.prepare(restrictions)
        if restrictions:
            assert of_groups.mass == pytest.approx(of_codes.mass)
        weight = exact * (allowed if restrictions else 1.0)
        drawn = of_groups.draw(component, rng)["code"]
        for k in (0, 1):
            seen = np.bincount(drawn[component == k], minlength=12)
            expected = weight[k] / weight[k].sum() * 30_000
            assert np.abs(seen - expected).max() < 5 * np.sqrt(expected.max())
            assert seen[expected == 0].sum() == 0
    known = {"code": np.array([-1, 5, 11])}
    weights, others = np.ones((3, 2)), np.ones((3, 2))
    factor.weigh(weights, known)
    dense.weigh(others, known)
    assert weights == pytest.approx(others, rel=1e-5)


def test_columns_of_few_values_and_conditions_are_not_grouped():
    few = DiscreteDomain(COLUMN, VALUES[:MAX_CODES], False, False)
    small = Measurement(columns=("few",), counts=np.ones(MAX_CODES), variance=1.0)
    domains = Domains({"few": few, "code": DOMAIN}, [small, one_way()], 1.0, 1.0)
    whole = FittedCodes.of(domains, whole=["code"])
    assert whole.by_column is domains.by_column
    assert whole.one_way == domains.one_way
    parted = FittedCodes.of(domains, whole=[])
    assert parted.by_column["few"] is few
    assert isinstance(parted.by_column["code"], ValueGroups)
    assert list(parted.groups) == ["code"]
    assert [len(m.counts) for m in parted.one_way] == [MAX_CODES, parted.by_column["code"].size]


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
    rare = rows["code"][~number.isin([7, 7 + N_VALUES // 2])].mode()[0]  # by noise, a single one may be lost
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a single rare value is faint
        assert (synthesizer.sample(50, conditions={"code": rare})["code"] == rare).all()
    arrays = synthesizer.replay()
    assert all(
        np.array_equal(array, arrays[name])
        for name, array in synthesizer._arrays_of(synthesizer.model_).items()
    )


@pytest.mark.parametrize("kind", list(TABLE_SYNTHESIZERS.values()), ids=lambda kind: kind.__name__)
def test_a_model_file_does_not_grow_with_a_public_list(kind, tmp_path):
    rng = np.random.default_rng(0)
    codes = [f"k{i}" for i in range(20_000)]
    table = pd.DataFrame({"g": rng.choice(["a", "b"], 5000), "k": rng.choice(codes[:4000:40], 5000)})
    columns = {
        "g": {"type": "categorical", "categories": ["a", "b"], "role": "target"},
        "k": {"type": "categorical", "categories": codes, "role": "group"},  # too many to condition on
    }
    synthesizer = maker(kind)()
    synthesizer.fit(table, schema=Schema(columns), dataset="codes", ledger=tmp_path / "ledger.sqlite")
    synthesizer.save(tmp_path / "m.privsynth")
    assert (tmp_path / "m.privsynth").stat().st_size < 8 * 2**20
    again = privsynth.load(tmp_path / "m.privsynth")
    rows = synthesizer.sample(3000, random_state=0)
    pd.testing.assert_frame_equal(again.sample(3000, random_state=0), rows)
    assert set(rows["k"]) <= set(codes)
    assert rows["k"].isin(codes[:4000:40]).mean() > 0.1  # of 20,000, the hundred that occur
    partial = pd.DataFrame({"g": [None, "a"], "k": ["k40", None]})
    whole = synthesizer.complete(partial, random_state=0)
    assert (whole["k"][0], whole["g"][1]) == ("k40", "a")


def test_a_model_file_with_a_block_for_every_value_still_loads():
    model = model_of(["sex", "ward"])
    assert not any(name.startswith("groups/") for name in model_arrays(model))
    assert model_from(model_facts(model), model_arrays(model), model.schema).groups == {}


def test_combinations_of_a_column_of_many_values_are_drawn_from_its_groups(tmp_path):
    rng = np.random.default_rng(0)
    number = rng.integers(0, N_VALUES, 4000)
    table = pd.DataFrame({"code": np.array(VALUES)[number], "odd": np.where(number % 2, "odd", "even")})
    columns = {
        "code": {"type": "categorical", "categories": list(VALUES)},
        "odd": {"type": "categorical", "categories": ["odd", "even"]},
    }
    decided = [[VALUES[i], "odd" if i % 2 else "even"] for i in range(N_VALUES)]
    schema = Schema(
        columns,
        constraints=[{"kind": "functional_dependency", "columns": ["code", "odd"], "combinations": decided}],
    )
    synthesizer = MarginalSynthesizer(epsilon=3.0, settings=QUICK, random_state=0)
    synthesizer.fit(table, schema=schema, dataset="codes", ledger=tmp_path / "ledger.sqlite")
    rows = synthesizer.sample(2000, random_state=0)
    assert (np.where(rows["code"].str[1:].astype(int) % 2, "odd", "even") == rows["odd"]).all()
