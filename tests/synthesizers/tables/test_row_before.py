"""What of a view of sequences follows from its own tables; columns may be called like derived ones."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.domains.encoding import DiscreteDomain, NumericDomain
from privsynth.schema import Column, Schema
from privsynth.schema.sequences import N_RECORDS, sequence_view
from privsynth.synthesizers.tables.coarse_domains import coarsened
from privsynth.synthesizers.tables.discoveries import grid_between
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
