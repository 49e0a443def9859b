"""Fairness: are groups there as in the real table, and do models treat them as models of real data would?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from privsynth.attacks.intervals import difference_interval
from privsynth.errors.arguments import renamed_arguments
from privsynth.io.source import Table
from privsynth.metrics.common.balanced import Sampler
from privsynth.metrics.common.estimates import figure, not_assessed
from privsynth.metrics.common.grouping import Grouping, count_units, groupings
from privsynth.metrics.common.learners import BOOSTING
from privsynth.metrics.common.tables import Tables, load_tables
from privsynth.metrics.common.units import unit_of_rows
from privsynth.metrics.fairness.group_models import (
    ByRate,
    Replicates,
    model_differences,
    model_rates,
    rates_of_models,
    replicate_non_private,
    replicate_rates,
)
from privsynth.metrics.fairness.privacy_effect import privacy_effect
from privsynth.metrics.fairness.rates import Rates, parity_difference, rates_by_group
from privsynth.metrics.utility.downstream import (
    Predictions,
    Target,
    predict_holdout,
    target_of,
    unit_bootstrap,
)
from privsynth.metrics.utility.tables import NO_HOLDOUT, NO_TARGET
from privsynth.schema import Schema

N_BOOTSTRAP = 200
FAMILY_WISE_ERROR = 0.05
"""Chance that any family-wise interval misses: one half for shares, the other for target rates."""

MIN_UNITS = 20
"""Persons (or rows) of a group below which its target rate is not compared."""

NO_GROUPS = "no group columns: give columns the role 'group' in the schema, or name them as groups"
NOT_BINARY = "rates speak about one class against another; the target is not binary"
INTERVALS = (
    "Intervals of shares and target rates are score intervals over the units of both tables, so that they "
    "hold for small groups; verdicts on groups ask for wider ones, which hold for all groups together. "
    "Those of models are percentile bootstraps over the holdout's units. They cover "
    "the sampling of records and of synthetic rows, each for itself, and not the noise of another fit; with "
    "several fits without privacy those of privacy's effect also cover how these differ. The "
    "interval of the label parity difference covers the sampling of synthetic rows only."
)


@renamed_arguments(twin="non_private")
def fairness(
    real: Table,
    synthetic: Table,
    *,
    schema: Schema,
    holdout: Table | None = None,
    target: str | None = None,
    groups: Sequence[str] | None = None,
    non_private: Table | Sequence[Table] | None = None,
    model: Sampler | None = None,
    n_bootstrap: int = N_BOOTSTRAP,
    random_state: int = 0,
) -> dict[str, Any]:
    """Compare the groups of both tables, and how models trained on them treat the groups of the holdout.

    Groups are those of each group column, each pair of them and all of them together. Shares and rates of the
    target's last class are compared with the real table. With a holdout, gradient boosting trained on real
    rows, on synthetic rows (replace), on both (augment) and on balanced synthetic rows is judged by
    fairlearn: rates by group, demographic parity difference and equalised odds difference, the largest gap
    between two groups. Groups with too few members to say carry null and the reason.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows.
        schema: The description of the table.
        holdout: Frame or path: rows of the same source that the generator never saw.
        target: Column to predict; the schema's if None.
        groups: Group columns; the schema's if None.
        non_private: Frame or path: rows of the same generator fitted without privacy; a list of several such
            fits makes intervals cover how fits differ.
        model: Draws balanced rows to train on, such as the fitted synthesizer; without it synthetic rows are
            weighted.
        n_bootstrap: Replicates behind the intervals of differences between groups.
        random_state: Seed of learners and bootstrap.

    Returns:
        ``by_group``: each group with ``share``, ``target_rate`` (each with a figure ``gap``: synthetic minus
        real; its ``family_interval`` holds for all groups together, by Bonferroni) and ``models``;
        ``by_columns``: the differences as figures, the ceiling being what the real table (or the model
        trained on it) shows; ``privacy_effect`` (see `privsynth.metrics.fairness.privacy_effect`);
        ``intervals``, which says what they cover. Or a section ``not_assessed``.

    Raises:
        PrivsynthError: If a table cannot be read as the schema says (see `load_tables`).

    Privacy:
        Not private: figures of real records.
    """
    tables = load_tables(
        real,
        synthetic,
        schema=schema,
        holdout=holdout,
        non_private=non_private,
        model=model,
        target=target,
        groups=groups,
        random_state=random_state,
    )
    return assess_fairness(tables, n_bootstrap=n_bootstrap, random_state=random_state)


def assess_fairness(
    tables: Tables,
    predictions: Predictions | None = None,
    *,
    n_bootstrap: int = N_BOOTSTRAP,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report; see `fairness`. Predictions are made unless given.

    Privacy:
        Not private: figures of real records.
    """
    if not tables.groups:
        return not_assessed(NO_GROUPS)
    target = target_of(tables)
    is_binary = target is not None and target.task == "binary"
    if is_binary and target is not None and tables.holdout is not None and predictions is None:
        predictions = predict_holdout(tables, target, families=[BOOSTING], random_state=random_state)
    generator = np.random.default_rng(random_state)
    draws = None
    if predictions is not None and is_binary:
        draws = unit_bootstrap(predictions.units, n_bootstrap, generator)
    by_group: list[dict[str, Any]] = []
    by_columns: list[dict[str, Any]] = []
    listed = groupings(tables)
    under_models: dict[tuple[str, ...], tuple[Replicates, list[ByRate]]] = {}
    family_confidence = 1 - FAMILY_WISE_ERROR / 2 / sum(len(grouping.groups) for grouping in listed)
    for grouping in listed:
        groups, label_parity = _compare_tables(
            tables, grouping, target if is_binary else None, family_confidence, generator
        )
        differences: dict[str, Any] = {}
        if predictions is not None and draws is not None:
            found = replicate_rates(predictions, grouping, draws)
            frames = rates_of_models(predictions, grouping)
            by_model = model_rates(predictions, grouping, frames, found)
            for group, rates in zip(groups, by_model, strict=True):
                group["models"] = rates
            differences = model_differences(frames, found)
            under_models[grouping.columns] = found, replicate_non_private(predictions, grouping, draws)
        by_group += groups
        by_columns.append(
            {"columns": list(grouping.columns), "label_parity_difference": label_parity, **differences}
        )
    return {
        "status": "assessed",
        "target": target.name if target is not None else None,
        "positive": target.positive if target is not None else None,
        "groups": list(tables.groups),
        "target_reason": None if is_binary else NO_TARGET if target is None else NOT_BINARY,
        "models_reason": None if draws is not None else _why_no_models(target, is_binary),
        "by_group": by_group,
        "by_columns": by_columns,
        "privacy_effect": privacy_effect(tables, listed, under_models, random_state=random_state),
        "intervals": INTERVALS,
    }


def _why_no_models(target: Target | None, is_binary: bool) -> str:
    return NO_TARGET if target is None else NO_HOLDOUT if is_binary else NOT_BINARY


def _compare_tables(
    tables: Tables,
    grouping: Grouping,
    target: Target | None,
    family_confidence: float,
    generator: np.random.Generator,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return each group's share and target rate on both sides, and the difference in target rates."""
    real_units, synthetic_units = unit_of_rows(tables.real), unit_of_rows(tables.synthetic)
    sides: dict[str, Rates] = {
        "real": rates_by_group(tables.real.frame, tables.real_weights, real_units, grouping, target),
        "synthetic": rates_by_group(
            tables.synthetic.frame, tables.synthetic_weights, synthetic_units, grouping, target
        ),
    }
    if tables.holdout is not None:
        sides["holdout"] = rates_by_group(
            tables.holdout.frame, tables.holdout_weights, unit_of_rows(tables.holdout), grouping, target
        )
    n_real = count_units(grouping.members(tables.real.frame), real_units, len(grouping.groups))
    groups = [
        {
            "group": group,
            "n_real": int(n_real[i]),
            **_gaps(sides, i, int(n_real[i]), target, family_confidence),
        }
        for i, group in enumerate(grouping.groups)
    ]
    large = n_real >= MIN_UNITS
    return groups, parity_difference(sides["real"], sides["synthetic"], large, generator) if target else None


def _gaps(
    sides: dict[str, Rates], i: int, n_real: int, target: Target | None, family_confidence: float
) -> dict[str, Any]:
    share = {side: float(rates.share[i]) for side, rates in sides.items()}
    out: dict[str, Any] = {"share": _gap(share, sides, "share", i, family_confidence)}
    if target is None:
        return out
    rate = {side: float(rates.target_rate[i]) for side, rates in sides.items()}
    reason = None
    if n_real < MIN_UNITS:
        reason = f"fewer than {MIN_UNITS} real units in this group"
    elif math.isnan(rate["synthetic"]):
        reason = "no synthetic rows with a known target in this group"
    elif math.isnan(rate["real"]):
        reason = "no real rows with a known target in this group"
    if reason is None:
        out["target_rate"] = _gap(rate, sides, "target_rate", i, family_confidence)
    else:
        out["target_rate"] = {"real": None, "synthetic": None, "gap": figure(None), "reason": reason}
    return out


def _gap(
    values: dict[str, float], sides: dict[str, Rates], what: str, i: int, family_confidence: float
) -> dict[str, Any]:
    """Return both sides and their difference, with its intervals; the ceiling is the holdout's gap."""
    known = [
        (values[side], float(getattr(sides[side], f"{what}_units")[i])) for side in ("synthetic", "real")
    ]
    gap = figure(
        values["synthetic"] - values["real"],
        interval=difference_interval(*known),
        ceiling=values["holdout"] - values["real"] if "holdout" in values else None,
    )
    return {
        "real": values["real"],
        "synthetic": values["synthetic"],
        "gap": {**gap, "family_interval": difference_interval(*known, confidence=family_confidence)},
    }
