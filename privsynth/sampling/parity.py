"""Fair by request: the same rate of every label in every group, the rest of the joint moved least.

Among all distributions in which target and groups are independent and have given marginals, the one
nearest to the model in Kullback-Leibler divergence is ``q(x) = p(x | y, g) q(y) q(g)`` (a projection onto a
linear family, Csiszar 1975): the cells of target and groups are filled anew, and the model is asked for
everything else given the cell. So parity is a target like any other.

Columns that are to be decorrelated are drawn given the label alone, ``p(d | y)``, and the rest given all of
these: by the same argument nearest to the model among the distributions in which the group is independent of
label and these columns together. Such rows cannot teach a classifier to tell groups apart by these columns;
but it then meets real rows, in which they still depend on the group, so its predictions may differ between
groups as before (`tests/benchmarks/rebalancing.py` measures it).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain
from privsynth.errors import RequestError
from privsynth.sampling.axes import MAX_CELLS, Axis, CellTable, full_axis
from privsynth.sampling.request import Parity
from privsynth.sampling.rounding import Margin, largest_remainder, whole_table
from privsynth.sampling.table_model import TableModel
from privsynth.sampling.targets import Target

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

LARGEST_DEPENDENCE = 0.01  # difference of label rates between groups that is promised


def parity_target(
    parity: Parity,
    amounts_on: Callable[[Sequence[Axis]], FloatArray],
    model: TableModel,
    n: int,
    rng: np.random.Generator,
) -> tuple[Target, list[str]]:
    """Return the target under which every group has the same label rates, and warnings.

    Rates are equal up to one row of the group: groups of 200 rows and more are within a hundredth.

    Args:
        parity: What is asked for.
        amounts_on: Returns the amounts of each combination of axes under all other targets of the request.
        model: The fitted model.
        n: Number of rows.
        rng: Decides between equal remainders.
    """
    axes = [_axis(model, name) for name in (*parity.groups, parity.target)]
    shape = tuple(len(axis) for axis in axes)
    if np.prod(shape, dtype=float) > MAX_CELLS:
        raise RequestError(f"parity: expected at most {MAX_CELLS} combinations of groups and labels")
    joint = amounts_on(axes).reshape(-1, shape[-1])
    of_group, of_label = (largest_remainder(joint.sum(axis=axis), n, rng) for axis in (1, 0))
    independent = np.outer(of_group, of_label) / max(n, 1)
    group, label = np.indices(independent.shape)
    margins = [Margin(group.ravel(), of_group), Margin(label.ravel(), of_label)]
    sizes = whole_table(independent.ravel(), margins, rng)
    cells = np.stack(np.unravel_index(np.arange(sizes.size), shape), axis=1)
    target = Target(
        "parity",
        CellTable(tuple(axes), cells),
        sizes.astype(np.float64),
        is_count=True,
        together=group.ravel(),  # a group that lacks a label has another rate: it is left out as a whole
        is_trivial=independent.ravel() * model.n_units < max(n, 1),
    )
    return target, _warnings(parity, sizes.reshape(independent.shape))


def decorrelated_columns(parity: Parity, model: TableModel, taken: Collection[str]) -> tuple[str, ...]:
    """Return the columns that shall not depend on the groups.

    Args:
        parity: What is asked for.
        model: The fitted model.
        taken: Columns on which the request says something else; ``"all"`` passes them over.

    Raises:
        RequestError: If a column is not in the model, or the request says something else about it.
    """
    if parity.decorrelate == "all":
        return tuple(name for name in model.domains if name not in taken)
    for name in parity.decorrelate:
        if name not in model.domains:
            raise RequestError(f"parity: there is no modelled column {name!r} to decorrelate")
        if name in taken:
            raise RequestError(
                f"parity: {name!r} cannot be decorrelated: the request says something else of it"
            )
    return tuple(parity.decorrelate)


def _warnings(parity: Parity, sizes: IntArray) -> list[str]:
    of_group = sizes.sum(axis=1, keepdims=True)
    rates = (sizes / np.maximum(of_group, 1))[of_group[:, 0] > 0]
    spread = float(np.ptp(rates, axis=0).max()) if len(rates) else 0.0
    if spread <= LARGEST_DEPENDENCE:
        return []
    return [
        f"parity: the rate of {parity.target} differs by up to {spread:.2g} between groups, for want of rows "
        "in the smallest; ask for more rows"
    ]


def _axis(model: TableModel, name: str) -> Axis:
    domain = model.domains.get(name)
    if not isinstance(domain, DiscreteDomain):
        what = "there is no such modelled column" if domain is None else "it is a number line"
        raise RequestError(f"parity: {name!r} must be a categorical or boolean column, but {what}")
    return full_axis(domain)
