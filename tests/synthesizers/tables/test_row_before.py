"""What of a view of sequences follows from its own tables; columns may be called like derived ones."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.accounting.budget import Spend
from privsynth.domains.encoding import DiscreteDomain, NumericDomain
from privsynth.schema import Column, Schema
from privsynth.schema.sequences import N_RECORDS, sequence_view
from privsynth.synthesizers.tables.coarse_domains import coarsened
from privsynth.synthesizers.tables.discoveries import grid_between
from privsynth.synthesizers.tables.domains import tables_before
from privsynth.synthesizers.tables.marginal import MarginalSynthesizer
from privsynth.synthesizers.tables.marginal_settings import MarginalSettings
from privsynth.synthesizers.tables.row_before import are_shared, derived, pairs_before

OWN = {
    "who": {"type": "id", "role": "person_id"},
    "day": {"type": "integer", "low": 0, "high": 99, "role": "order"},
    "gap.teeth": {"type": "boolean"},
    "prev.ill": {"type": "boolean"},
    "start.up": {"type": "boolean", "per": "person"},
}


def test_columns_called_like_derived_ones_are_columns_like_others():
    view = sequence_view(Schema(OWN, max_records_per_person=3))
    names = {"first", "start.day", "gap.day", "prev.gap.teeth", "prev.prev.ill"}
    assert derived(view) == names
    assert pairs_before(view) == (("prev.gap.teeth", "gap.teeth"), ("prev.prev.ill", "prev.ill"))
    assert are_shared(view, ["start.up", "n_records", "start.day"])
    assert not are_shared(view, ["gap.teeth"])


def test_without_an_order_there_is_no_gap():
    columns = {name: fields for name, fields in OWN.items() if name != "day"}
    view = sequence_view(Schema(columns, max_records_per_person=3))
    assert not any(column.distance_of for column in view.modelled)
    assert derived(view) == {"first", "prev.gap.teeth", "prev.prev.ill"}


@pytest.mark.parametrize("cap", [60, 200])  # told apart one by one, and on a line
def test_a_cap_far_above_what_persons_have_makes_no_rows(cap):
    true = np.zeros(cap)
    true[:5] = [400, 100, 1500, 60, 1000]
    schema = Schema(
        {"id": {"type": "id", "role": "person_id"}, "ill": {"type": "boolean"},
         "sex": {"type": "boolean", "per": "person"}},
        max_records_per_person=cap,
    )  # fmt: skip
    column = sequence_view(schema).columns[N_RECORDS]
    cells = np.arange(cap)
    grid = grid_between(column, 1, cap, resolution=1e4)
    fine = (
        NumericDomain(column, grid, cells, np.ones(cap), False)
        if column.is_numeric
        else DiscreteDomain(column, column.labels, False, False)
    )
    noise, means = 20.0, []
    for seed in range(40):
        noisy = true + np.random.default_rng(seed).normal(0, noise, cap)
        domain, measured = coarsened(fine, noisy, noise, 20)
        shares = np.maximum(measured.counts, 0.0) / np.maximum(measured.counts, 0.0).sum()
        numbers = 1.0 + np.arange(cap)
        if isinstance(domain, NumericDomain):
            means.append(float((shares[domain.bin_of_cell] * domain.cell_weight) @ numbers))
        else:
            means.append(float(shares @ numbers))
        assert measured.counts[:5].sum() == pytest.approx(true.sum(), abs=6 * noise * np.sqrt(5))
    real = float(true @ np.arange(1.0, cap + 1) / true.sum())
    left = float(np.mean([np.maximum(true + np.random.default_rng(s).normal(0, noise, cap), 0).sum()
                          for s in range(3)])) - true.sum()  # fmt: skip
    assert left > 300  # what noise alone would add, cut off at zero
    assert np.mean(means) == pytest.approx(real, abs=0.1)
    assert np.max(np.abs(np.array(means) - real)) < 0.6


@pytest.mark.parametrize("counts", [[500.0, 300.0, 200.0], [20.0, 500.0, 12.0], [20.0, -5.0, 500.0]])
def test_numbers_of_rows_that_stand_clear_and_a_few_others_stay_as_they_were_counted(counts):
    column = Column(name="n", type="categorical", categories=(1, 2, 3), counts_rows=True)
    counts = np.array(counts)
    _, measured = coarsened(DiscreteDomain(column, (1, 2, 3), False, False), counts, 10.0, 20)
    assert measured.counts.tolist() == counts.tolist()
    assert np.asarray(measured.variance).tolist() == [100.0] * 3


VISITS = Schema(
    {
        "who": {"type": "id", "role": "person_id"},
        "sex": {"type": "boolean", "per": "person"},
        "ill": {"type": "categorical", "categories": ["a", "b"], "missing": True},
        "ward": {"type": "categorical", "categories": "private"},
    },
    max_records_per_person=4,
)


def test_tables_of_the_row_before_follow_from_those_of_rows():
    view = sequence_view(VISITS)
    ill, ward, first = (view.columns[name] for name in ("ill", "ward", "first"))
    released = [
        (DiscreteDomain(first, (False, True), False, False), np.array([75.0, 25.0]), 1.0),
        (DiscreteDomain(ill, ("a", "b"), False, True), np.array([60.0, 30.0, 10.0]), 1.0),
        (DiscreteDomain(ward, ("x",), True, False), np.array([80.0, 20.0]), 2.0),
    ]
    follows = tables_before(view, released)
    assert list(follows) == ["prev.ill", "prev.ward"]
    # three of four rows have one before them; the others miss it
    np.testing.assert_allclose(follows["prev.ill"][1].counts, [45.0, 22.5, 7.5 + 25.0])
    np.testing.assert_allclose(follows["prev.ward"][1].counts, [60.0, 15.0, 25.0])
    assert [follows[name][0].size for name in follows] == [3, 3]


def test_of_faint_rows_what_stands_before_is_not_counted_and_lists_get_more():
    view = sequence_view(VISITS)
    allowance = Spend.of_budget(epsilon=1.0, delta=1e-6)
    n = MarginalSettings.faint_strength / np.sqrt(allowance.mu_squared)
    faint, clear = (
        {step["purpose"]: step for step in MarginalSynthesizer.plan_for(
            view, MarginalSettings(), allowance, round(n * by)).steps}
        for by in (0.9, 1.1)
    )  # fmt: skip
    counted, lists = "1-way marginals", "finding private categories and combinations"
    assert clear[counted]["count"] == len(view.modelled)
    assert faint[counted]["count"] == len(view.modelled) - 2
    assert faint[lists]["share"] == pytest.approx(2 * clear[lists]["share"])
    assert sum(step["share"] for step in faint.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("strength", [1.0, 10.0, 100.0, 999.0])
def test_shares_of_faint_rows_leave_some_for_the_model(strength):
    of_lists = MarginalSettings().adapted_to(strength).of_faint_rows(9)  # raises an error else
    without = MarginalSettings().adapted_to(strength).of_faint_rows(0)
    assert of_lists.discovery_share == 2 * without.discovery_share
    assert not of_lists.counts_before
