"""What rebalancing costs: how far the cells asked for lie from those that the model would give."""

from __future__ import annotations

from typing import Any

import numpy as np

from privsynth.sampling.plan import Plan


def rebalancing_cost(plan: Plan) -> dict[str, Any]:
    """Say how far a plan moves the joint of the columns it names; all else follows the model given these.

    Columns that parity decorrelates from the groups are moved too; they are named, and not counted.

    Returns:
        JSON-able: ``columns`` whose joint is moved; ``decorrelated`` ones; ``divergence``, Kullback-Leibler
        from the model to the rows, in nats; ``total_variation``, in [0, 1]; ``effective_share``, the
        effective sample size of the model's own rows reweighted to the plan, over their number: of what the
        model knows, the share that still counts; ``largest_weight``, rows of a cell over those that the model
        would give it, and ``largest_weight_cell``, its name. None where a cell is asked for that the model
        never makes.

    Privacy:
        Post-processing.
    """
    n, masses = plan.n_rows, plan.prepared.masses
    if n == 0 or masses.sum() <= 0:
        return dict.fromkeys(
            (
                "columns",
                "decorrelated",
                "divergence",
                "total_variation",
                "effective_share",
                "largest_weight",
                "largest_weight_cell",
            )
        )
    asked, model = plan.sizes / n, masses / masses.sum()
    used = asked > 0
    outside = bool((model[used] <= 0).any())
    weight = asked[used] / np.maximum(model[used], np.finfo(float).tiny)
    largest = int(np.argmax(weight))
    return {
        "columns": [axis.name for axis in plan.prepared.table.axes],
        "decorrelated": list(plan.decorrelated),
        "divergence": None if outside else float((asked[used] * np.log(weight)).sum()),
        "total_variation": float(np.abs(asked - model).sum() / 2),
        "effective_share": None if outside else float(1.0 / (asked[used] * weight).sum()),
        "largest_weight": None if outside else float(weight[largest]),
        "largest_weight_cell": plan.prepared.table.label(int(np.flatnonzero(used)[largest])),
    }
