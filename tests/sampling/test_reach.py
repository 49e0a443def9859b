"""How likely rows to come fit onto a line, beside what is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.domains.encoding import NumericDomain, NumericGrid
from privsynth.sampling.reach import PARTS, Reach, in_parts
from privsynth.schema import Schema

WIDTH = 10_000_000
COLUMN = Schema({"far": {"type": "integer", "low": 1, "high": WIDTH}}).columns["far"]


def even_distances() -> NumericDomain:
    """Return distances of which each is as likely, in cells of unlike widths and a single bin."""
    grid = NumericGrid.between(1, WIDTH, discrete=True)
    return NumericDomain(COLUMN, grid, np.zeros(grid.n_cells, dtype=int), grid.widths() / WIDTH, False)


@pytest.mark.parametrize("rest", [0, 1, 2, 3])
def test_even_distances_fit_as_the_volume_of_a_simplex(rest: int) -> None:
    reach = Reach(even_distances(), np.ones((5, 1)))
    left = np.array([0.3, 0.6, 0.9]) * WIDTH
    found = reach.chances(reach.group[:1], np.array([rest]), left[None, :])[0]
    assert found / found[-1] == pytest.approx((left / left[-1]) ** rest, abs=0.02)


def test_persons_who_move_on_slowly_are_told_apart() -> None:
    grid = NumericGrid.between(1, 100, discrete=True)
    is_far = (np.arange(100) >= 50).astype(int)
    gap = NumericDomain(COLUMN, grid, is_far, np.full(100, 0.02), False)
    reach = Reach(gap, np.array([[1.0, 0.0], [0.0, 1.0]]))
    near, far = reach.chances(reach.group, np.array([1, 1]), np.full((2, 1), 50.0))[:, 0]
    assert near == pytest.approx(1.0)
    assert far == 0.0


def test_cells_in_parts_hold_what_they_held() -> None:
    gap = even_distances()
    finer = in_parts(gap)
    assert finer.cell_weight.sum() == pytest.approx(gap.cell_weight.sum())
    assert finer.grid.widths().max() <= WIDTH / PARTS + 1
    assert np.isin(gap.grid.edges, finer.grid.edges).all()
