"""Targets: what the joint of some columns shall be in the delivered rows, read off a request."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain
from privsynth.errors import RequestError
from privsynth.sampling.axes import MAX_CELLS, Axis, CellTable, axis_of, bin_axis, full_axis, position_on
from privsynth.sampling.conditions import Restriction, codes_of

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

ROUNDED = 0.005  # shares that miss a sum of one by no more than this are rounded figures
AMOUNTS = ("share", "count")
AMOUNTS_OF_PANDAS = {"proportion": "share", "size": "count"}  # as value_counts and groupby name them


@dataclass(frozen=True)
class Target:
    """What the joint of some columns shall be.

    Attributes:
        where: Part of the request it comes from, for messages.
        table: Cells that are named; all others shall have no rows.
        amounts: Share of each cell, adding up to one, or its number of rows.
        is_count: Whether the amounts are numbers of rows.
        together: Cells of one number are left out together, ``(n_cells,)``; None for each by itself.
        is_trivial: Cells whose share comes to less than one unit: their support does not matter,
            ``(n_cells,)``; None for none.
    """

    where: str
    table: CellTable
    amounts: FloatArray
    is_count: bool
    together: IntArray | None = None
    is_trivial: NDArray[np.bool_] | None = None

    def without(self, cells: NDArray[np.bool_]) -> Target:
        """Return the target with some cells left out; shares of the others grow, counts stay."""
        if self.together is not None:
            cells = np.isin(self.together, self.together[cells])
        amounts = np.where(cells, 0.0, self.amounts)
        if not self.is_count and amounts.sum() > 0:
            amounts /= amounts.sum()
        return replace(self, amounts=amounts)


Domains = Mapping[str, Domain]
Restrictions = Mapping[str, Restriction]


def balance_target(
    balance: Sequence[str], domains: Domains, restrictions: Restrictions, *, with_missing: bool = False
) -> Target:
    """Return equal shares for every combination of declared values that the conditions leave.

    Missing is one of the values ``with_missing``, where the model has it.
    """
    axes, allowed = [], []
    for name in balance:
        domain = _domain(name, domains, "balance", discrete=True)
        share = restrictions[name].share if name in restrictions else np.ones(domain.size)
        axes.append(full_axis(domain))
        codes = [*range(len(domain.values)), *([domain.size - 1] * (with_missing and domain.has_missing))]
        allowed.append([code for code in codes if share[code] > 0])
    n_cells = math.prod(len(codes) for codes in allowed)
    if not 0 < n_cells <= MAX_CELLS:
        raise RequestError(f"balance: expected 1 to {MAX_CELLS} cells, got {n_cells}")
    cells = np.array(list(itertools.product(*allowed)), dtype=np.int64).reshape(n_cells, len(axes))
    return Target("balance", CellTable(tuple(axes), cells), np.full(n_cells, 1.0 / n_cells), False)


def proportions_targets(proportions: Any, domains: Domains, restrictions: Restrictions) -> list[Target]:
    """Return the targets of ``proportions``: marginals, joint tables, or a list of both.

    A marginal whose shares add up to less than one leaves the rest to the values that it does not name;
    their amounts are then NaN, for the caller to fill in from the model. Series of pandas are read as
    ``value_counts`` and ``groupby(...).size()`` give them, frames as ``pd.crosstab`` does, too.
    """
    if isinstance(proportions, pd.Series):
        return [_series_target(proportions, domains, restrictions)]
    if isinstance(proportions, pd.DataFrame):
        return [_frame_target(proportions, domains, restrictions)]
    if isinstance(proportions, Mapping):
        if not proportions:
            raise RequestError("proportions: expected at least one column")
        return [_marginal_target(str(name), of, domains, restrictions) for name, of in proportions.items()]
    if isinstance(proportions, Sequence) and not isinstance(proportions, str) and proportions:
        if all(_is_record(item) for item in proportions):
            return [_joint_target(pd.DataFrame(list(proportions), dtype=object), domains, restrictions)]
        return [t for item in proportions for t in proportions_targets(item, domains, restrictions)]
    raise RequestError(
        'proportions: expected {"column": {value: share or count}}, or a frame (in JSON a list of records) '
        "of columns and 'share' or 'count', or a series whose index names its columns, or a list of these; "
        f"got {type(proportions).__name__}"
    )


def like_target(frame: pd.DataFrame, domains: Domains, restrictions: Restrictions) -> Target:
    """Return the joint distribution of the columns of a public reference table; number lines by bin."""
    if not len(frame) or not len(frame.columns):
        raise RequestError("like: the reference table has no rows or no columns")
    axes, codes = [], []
    for name in frame.columns:
        domain = _domain(str(name), domains, "like")
        axes.append(full_axis(domain) if isinstance(domain, DiscreteDomain) else bin_axis(domain))
        codes.append(codes_of(domain, frame[name], where="like")[0])
    cells, counts = np.unique(np.column_stack(codes), axis=0, return_counts=True)
    if len(cells) > MAX_CELLS:
        raise RequestError(
            f"like: the reference table has {len(cells)} different rows, and at most {MAX_CELLS} are "
            "taken over; leave columns out"
        )
    _check_allowed("like", tuple(axes), cells, restrictions)
    return Target("like", CellTable(tuple(axes), cells), counts / counts.sum(), False)


def _is_record(item: Any) -> bool:
    return isinstance(item, Mapping) and not any(isinstance(value, Mapping) for value in item.values())


def _domain(name: str, domains: Domains, where: str, *, discrete: bool = False) -> Any:
    domain = domains.get(name)
    if domain is None:
        kind = "must be a categorical or boolean column, but there is no such modelled column"
        raise RequestError(
            f"{where}: {name!r} {kind}" if discrete else f"{where}: there is no modelled column {name!r}"
        )
    if discrete and not isinstance(domain, DiscreteDomain):
        raise RequestError(
            f"{where}: {name!r} must be a categorical or boolean column, but it is a number line"
        )
    return domain


def _marginal_target(name: str, stated: Any, domains: Domains, restrictions: Restrictions) -> Target:
    where = f"proportions of {name!r}"
    domain = _domain(name, domains, "proportions")
    if isinstance(stated, pd.Series) and stated.index.nlevels == 1:
        values, given = list(stated.index), list(stated)
    elif isinstance(stated, Mapping):
        values, given = list(stated), list(stated.values())
    else:
        values, given = [], []
    if not values:
        raise RequestError(f"{where}: expected a mapping from value to share or count, got {stated!r}")
    amounts = _amounts(given, where)
    total = float(amounts.sum())
    is_count = total > 1.0 + ROUNDED
    axis = axis_of(domain, values, where=where)
    positions = np.array([position_on(axis, domain, value, where=where) for value in values])
    _check_different(positions[:, None], where)
    _check_allowed(where, (axis,), positions[:, None], restrictions)
    if is_count:
        _check_whole(amounts, where, "a share is at most one in all")
        return Target(where, CellTable((axis,), positions[:, None]), amounts, True)
    share = restrictions[name].share if name in restrictions else np.ones(len(axis))
    others = np.setdiff1d(np.flatnonzero(share) if isinstance(domain, DiscreteDomain) else [], positions)
    rest = 1.0 - total
    if rest > 1e-9 and len(others):
        positions = np.r_[positions, others.astype(np.int64)]
        amounts = np.r_[amounts, np.full(len(others), np.nan)]
    elif abs(rest) > ROUNDED:
        raise RequestError(f"{where}: expected shares that add up to one, got {total:g}")
    else:
        amounts = amounts / total
    return Target(where, CellTable((axis,), positions[:, None]), amounts, False)


def _series_target(series: pd.Series, domains: Domains, restrictions: Restrictions) -> Target:
    """Return the target of amounts under an index that names its columns."""
    names = list(series.index.names)
    if None in names:
        raise RequestError(
            "proportions: expected a series whose index has the names of columns, as value_counts() and "
            "groupby(...).size() give it; or write {'column': series}"
        )
    if len(names) == 1:
        return _marginal_target(str(names[0]), series, domains, restrictions)
    amounts = _amounts(list(series), "proportions")
    kind = "count" if amounts.sum() > 1.0 + ROUNDED else "share"
    levels = {str(name): series.index.get_level_values(name).astype(object) for name in names}
    return _joint_target(pd.DataFrame({**levels, kind: amounts}), domains, restrictions)


def _frame_target(frame: pd.DataFrame, domains: Domains, restrictions: Restrictions) -> Target:
    """Return the target of a frame of columns and amounts, which may stand in its index or across."""
    for name, kind in AMOUNTS_OF_PANDAS.items():
        if name in frame.columns and name not in domains and kind not in frame.columns:
            frame = frame.rename(columns={name: kind})
    if None in frame.index.names:
        return _joint_target(frame, domains, restrictions)
    if None not in frame.columns.names and not set(AMOUNTS) & set(frame.columns):
        stacked = frame.stack(list(range(frame.columns.nlevels)), future_stack=True).dropna()
        return _series_target(stacked, domains, restrictions)
    return _joint_target(frame.reset_index(), domains, restrictions)


def _joint_target(frame: pd.DataFrame, domains: Domains, restrictions: Restrictions) -> Target:
    where = "proportions"
    named = [column for column in AMOUNTS if column in frame.columns]
    columns = [str(column) for column in frame.columns if column not in named]
    if len(named) != 1 or not columns or not len(frame):
        raise RequestError(
            f"{where}: expected a table of columns and one column 'share' or 'count', got "
            f"{', '.join(map(repr, frame.columns))}"
        )
    is_count = named == ["count"]
    amounts = _amounts(list(frame[named[0]]), where)
    if any(frame.columns.duplicated()):
        raise RequestError(f"{where}: a column stands twice in the table")
    axes, positions = [], []
    for name in columns:
        domain = _domain(name, domains, where)
        values = list(frame[name])
        axes.append(axis_of(domain, values, where=where))
        positions.append([position_on(axes[-1], domain, value, where=where) for value in values])
    cells = np.array(positions, dtype=np.int64).T
    if len(cells) > MAX_CELLS:
        raise RequestError(f"{where}: expected at most {MAX_CELLS} cells, got {len(cells)}")
    _check_different(cells, where)
    _check_allowed(where, tuple(axes), cells[amounts > 0], restrictions)
    if is_count:
        _check_whole(amounts, where, "give shares in a column 'share'")
    elif abs(amounts.sum() - 1.0) > ROUNDED:
        raise RequestError(f"{where}: expected shares that add up to one, got {amounts.sum():g}")
    else:
        amounts = amounts / amounts.sum()
    return Target(where, CellTable(tuple(axes), cells), amounts, is_count)


def _amounts(values: list[Any], where: str) -> FloatArray:
    try:
        amounts = np.array([float(value) for value in values])
    except (TypeError, ValueError):
        amounts = np.array([np.nan])
    if not np.isfinite(amounts).all() or (amounts < 0).any():
        raise RequestError(f"{where}: shares and counts are finite numbers of at least zero")
    if amounts.sum() <= 0:
        raise RequestError(f"{where}: all shares are zero")
    return amounts


def _check_whole(amounts: FloatArray, where: str, advice: str) -> None:
    if (amounts != np.rint(amounts)).any():
        raise RequestError(f"{where}: counts are whole numbers; {advice}")


def _check_different(cells: IntArray, where: str) -> None:
    if len(np.unique(cells, axis=0)) < len(cells):
        raise RequestError(f"{where}: the same cell is named twice")


def _check_allowed(where: str, axes: tuple[Axis, ...], cells: IntArray, restrictions: Restrictions) -> None:
    """Refuse cells that the conditions exclude."""
    for position, axis in enumerate(axes):
        if axis.name not in restrictions:
            continue
        restriction = restrictions[axis.name]
        if restriction.pieces is not None or any(part.pieces is not None for part in axis.parts):
            raise RequestError(
                f"{where}: {axis.name!r} is a number line that the conditions restrict as well; name its "
                "ranges in one place"
            )
        for part in np.unique(cells[:, position]):
            if not (axis.parts[part].share * restriction.share).any():
                raise RequestError(
                    f"{where}: {axis.name}={axis.labels[part]} is asked for, and the conditions exclude it"
                )
