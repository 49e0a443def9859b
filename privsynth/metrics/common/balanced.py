"""Balanced training rows: as many of each class in each group, drawn so by the model that made the rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, Protocol

import pandas as pd

from privsynth.errors import PrivsynthError
from privsynth.schema import Schema
from privsynth.schema.images import LabelledImages


class Sampler(Protocol):
    """What draws more rows of the synthetic table's kind, such as a fitted synthesizer."""

    def sample(
        self,
        n: int | None = None,
        *,
        random_state: int | None = None,
        balance: Sequence[str],
        on_unsupported: Literal["drop"],
    ) -> pd.DataFrame | LabelledImages:
        """Draw rows of which every combination of the columns has equally many; see a synthesizer's."""
        ...


def draw_balanced(
    model: Sampler, schema: Schema, target: str | None, groups: Sequence[str], *, n_rows: int, seed: int
) -> pd.DataFrame | None:
    """Draw rows in which every class of the target is as frequent as any other in every group.

    Classes of a group behind which the model has less than one unit are left out.

    Returns:
        Rows; None without a target, where a column is a number, or if the model knows none of the cells
        or makes images.

    Privacy:
        Post-processing of the model.
    """
    cells = [*groups, *([target] if target is not None else [])]
    if target is None or any(schema.columns[name].is_numeric for name in cells):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of cells left out or within noise
        try:
            rows = model.sample(n_rows, balance=cells, on_unsupported="drop", random_state=seed)
        except PrivsynthError:
            return None
    return rows if isinstance(rows, pd.DataFrame) else None
