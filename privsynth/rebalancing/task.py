"""What an addition is judged by: cells and groups, rows drawn from the model, an estimator and its scores."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.utils.validation import check_is_fitted

from privsynth.domains.encoding import DiscreteDomain
from privsynth.errors import ParameterError, UnsupportedRequestError
from privsynth.errors.arguments import real_number, whole_number
from privsynth.errors.seeds import checked_seed
from privsynth.io.source import Table
from privsynth.io.tables import read_table
from privsynth.sampling.table_model import TableModel
from privsynth.synthesizers.tables.sampler import TableSampler

CELL_ROWS = 1_000_000  # for which support is looked at, so that every cell is asked for

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Scorer = Callable[..., float]
Validation = list[list[pd.DataFrame]]
"""Rows of each group in each fold."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """An estimator, a target and groups, on one model.

    Attributes:
        estimator: Cloned for every fit.
        scorer: Score of a fitted estimator on rows and labels, greater being better.
        synthesizer: Where rows come from.
        columns: The modelled columns.
        target: Column to predict.
        cut: Columns of the cells: groups, and the target if it has classes.
        cells: One line a cell: the columns, ``mass`` in the model and ``units`` behind it.
        groups: One line a judged group: its columns.
        left_out: The same of groups with too few units.
        is_usable: Whether a cell is of a judged group and has units enough to add rows to it, ``(n_cells,)``.
        group_of: Judged group of each cell, -1 for none, ``(n_cells,)``.
        shares: Of the judged groups in the model, ``(n_groups,)``.
        cv: Number of folds.
        n_validation: Rows of each group in each fold.
        seeds: Where the seeds of all draws come from.
    """

    estimator: Any
    scorer: Scorer
    synthesizer: TableSampler
    columns: tuple[str, ...]
    target: str
    cut: tuple[str, ...]
    cells: pd.DataFrame
    groups: pd.DataFrame
    left_out: pd.DataFrame
    is_usable: NDArray[np.bool_]
    group_of: IntArray
    shares: FloatArray
    cv: int
    n_validation: int
    seeds: np.random.SeedSequence

    @classmethod
    def of(
        cls,
        estimator: Any,
        synthesizer: TableSampler,
        *,
        target: str | None,
        groups: Sequence[str] | None,
        scoring: str | Scorer,
        cv: int,
        n_validation: int,
        min_units: float,
        random_state: int,
    ) -> Task:
        """Find the cells and the groups that can be judged; see `privsynth.augment_for`."""
        if not isinstance(synthesizer, TableSampler):
            raise ParameterError(f"expected a fitted table synthesizer, got {type(synthesizer).__name__}")
        check_is_fitted(synthesizer)
        cv, n_validation = (
            whole_number(name, n, least=2) for name, n in (("cv", cv), ("n_validation", n_validation))
        )
        min_units, seed = real_number("min_units", min_units), checked_seed(random_state, below=2**32)
        model = synthesizer.model_
        if not isinstance(model, TableModel):
            raise ParameterError(
                "expected a synthesizer of single rows: this one draws persons with all their rows, and what "
                "is chosen here are rows"
            )
        schema, domains = model.schema, model.domains
        target = schema.target if target is None else target
        columns = list(schema.groups if groups is None else groups)
        if target is None or target not in domains or target in columns:
            raise ParameterError(f"expected a modelled column that is no group as the target, got {target!r}")
        cut = [*columns, target] if isinstance(domains[target], DiscreteDomain) else columns
        if not cut:
            raise ParameterError("expected groups, or a target with classes, to choose between")
        support = synthesizer.support(CELL_ROWS, balance=cut)
        support = support[support["requested"] > 0].reset_index(drop=True)
        cells = support[cut].assign(mass=support["model_mass"], units=support["units"])
        code = np.zeros(len(cells), dtype=np.int64)
        if columns:
            code = cells.groupby(columns, sort=False).ngroup().to_numpy()
        mass = np.bincount(code, cells["mass"])
        is_large = (cells["units"] >= min_units).to_numpy()
        n_needed = 2 if target in cut else 1  # a group with one label has nothing to be told apart
        is_judged = np.bincount(code, is_large) >= n_needed
        if not is_judged.any():
            raise UnsupportedRequestError(
                f"no group of {', '.join(columns) or 'all rows'} has {min_units:g} units behind each of "
                f"{n_needed} labels; name fewer or other groups, or a smaller min_units"
            )
        found = cells.loc[np.unique(code, return_index=True)[1], columns]
        return cls(
            estimator=estimator,
            scorer=get_scorer(scoring),
            synthesizer=synthesizer,
            columns=tuple(domains),
            target=target,
            cut=tuple(cut),
            cells=cells,
            groups=found[is_judged].reset_index(drop=True),
            left_out=found[~is_judged].reset_index(drop=True),
            is_usable=is_large & is_judged[code],
            group_of=np.where(is_judged, np.cumsum(is_judged) - 1, -1)[code],
            shares=mass[is_judged] / mass[is_judged].sum(),
            cv=cv,
            n_validation=n_validation,
            seeds=np.random.SeedSequence(seed),
        )

    def base(self, given: Table | int | None) -> pd.DataFrame:
        """Return the training set that is given, or draw one."""
        if given is None or isinstance(given, int | np.integer):
            n = int(given) if isinstance(given, np.integer) else given
            return self.synthesizer.sample(n, random_state=self._seed())
        table = read_table(given, self.synthesizer.model_.schema, is_real=False).reset_index(drop=True)
        lacking = [name for name in self.columns if name not in table]
        if lacking or len(table) == 0:
            what = f"column {lacking[0]!r}" if lacking else "row"
            raise ParameterError(f"expected a base with rows and every modelled column, found no {what}")
        return table

    def draw(self, counts: IntArray) -> pd.DataFrame:
        """Draw rows of each cell, ``(n_cells,)`` in number."""
        cells = self.cells[list(self.cut)].to_dict("records")
        parts = [self._sample(int(counts[i]), cells[i]) for i in np.flatnonzero(counts)]
        return pd.concat(parts, ignore_index=True) if parts else self.synthesizer.sample(0)

    def validation(self) -> Validation:
        """Draw fresh rows of every group, labels as the model has them in it, for every fold."""
        groups = self.groups.to_dict("records") if len(self.groups.columns) else [{}]
        return [[self._sample(self.n_validation, group) for group in groups] for _ in range(self.cv)]

    def fit(self, *tables: pd.DataFrame) -> Any:
        """Fit the estimator to the rows of the tables whose target is known."""
        features, labels = self._split(pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0])
        return clone(self.estimator).fit(features, labels)

    def scores(self, models: Sequence[Any], validation: Validation) -> FloatArray:
        """Return the score of each fold's model in each group, ``(cv, n_groups)``."""
        return np.array(
            [
                [self.scorer(model, *self._split(rows)) for rows in groups]
                for model, groups in zip(models, validation, strict=True)
            ]
        )

    def rng(self) -> np.random.Generator:
        """Return a source of random numbers that nothing else uses."""
        return np.random.default_rng(self.seeds.spawn(1)[0])

    def named(self, counts: IntArray) -> str:
        """Return the cells that rows are added to, as a reader calls them."""
        cells = self.cells.loc[counts > 0, list(self.cut)].to_dict("records")
        told = [" × ".join(f"{name}={value}" for name, value in cell.items()) for cell in cells]
        return ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")

    def _split(self, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
        known = table[table[self.target].notna()]
        features = [name for name in self.columns if name != self.target]
        return known[features], known[self.target]

    def _sample(self, n: int, where: dict[Any, Any]) -> pd.DataFrame:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of faint cells: it is measured what they teach
            return self.synthesizer.sample(
                n, conditions=where or None, on_unsupported="warn", random_state=self._seed()
            )

    def _seed(self) -> int:
        return int(self.rng().integers(2**31))
