"""Detection of synthetic rows, where they are worst, and what the budget was spent on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from privsynth.attacks.intervals import auc_interval
from privsynth.io.source import Table
from privsynth.metrics.common.estimates import not_assessed, number
from privsynth.metrics.common.tables import Tables, load_tables
from privsynth.metrics.fidelity.tables import assess_fidelity
from privsynth.metrics.fidelity.two_sample import TOO_FEW, TwoSampleResult, log_odds, tell_synthetic_from_real
from privsynth.releases.statements import mu_squared_of, purpose_of
from privsynth.schema import Schema, category_text

N_EXAMPLES = 5
N_WORST = 5
N_REPEATS = 3
N_REPLACEMENTS = 20
MAX_EXPLAINED_ROWS = 3_000

NO_GUARANTEE = "no model file was given, so nothing is known about a budget"
NO_BUDGET = "the statement lists no events to share a budget between"


def interpretability(
    real: Table,
    synthetic: Table,
    *,
    schema: Schema,
    holdout: Table | None = None,
    guarantee: Mapping[str, Any] | None = None,
    random_state: int = 0,
) -> dict[str, Any]:
    """Say by what synthetic rows are told from real ones, what is worst, and what the budget bought.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows.
        schema: The description of the table.
        holdout: Frame or path: rows of the same source that the generator never saw.
        guarantee: The statement of the model file.
        random_state: Seed of splits and shuffles.

    Returns:
        ``giveaways``: ``columns`` (by how much the two-sample classifier's AUC falls when the column is
        shuffled among the tested rows) and ``examples`` (synthetic rows that it is surest of, each with the
        columns by which it is detected); ``worst``: ``columns``, ``pairs``, ``groups``, each with its excess
        over real rows; ``spending``: purpose to share of the budget and what it bought.

    Raises:
        PrivsynthError: If a table cannot be read as the schema says (see `load_tables`).

    Privacy:
        Not private: figures of real records. The examples show synthetic values only, but which rows are
        shown depends on real ones.
    """
    tables = load_tables(real, synthetic, schema=schema, holdout=holdout)
    told = tell_synthetic_from_real(tables, random_state=random_state)
    fidelity = assess_fidelity(tables, told, random_state=random_state)
    return assess_interpretability(tables, fidelity, told, guarantee, random_state=random_state)


def assess_interpretability(
    tables: Tables,
    fidelity: Mapping[str, Any],
    told: dict[str, TwoSampleResult] | None,
    guarantee: Mapping[str, Any] | None = None,
    *,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report; see `interpretability`.

    Privacy:
        Not private: figures of real records.
    """
    generator = np.random.default_rng(random_state)
    return {
        "status": "assessed",
        "giveaways": _detection(tables, told, generator),
        "worst": _worst(fidelity),
        "spending": spending(guarantee),
    }


def spending(guarantee: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what each purpose took of the budget, as shares of mu², in which Gaussian releases add up.

    A Gaussian release of noise multiplier s has mu = 1/s; an exponential mechanism of parameter epsilon0 has
    mu = -2 Φ⁻¹(1/(1 + exp(epsilon0/2))), about 0.63 epsilon0; a block of gradient steps on Poisson samples
    has the least mu whose curve, beside a slack in delta, holds for all of them (`privsynth.accounting`).
    With an event of an unknown mechanism no share is known.

    Privacy:
        Public: a function of the guarantee alone.

    References:
        Dong, Roth and Su, "Gaussian Differential Privacy", JRSS B 2022, corollary 2.
    """
    if guarantee is None:
        return not_assessed(NO_GUARANTEE)
    events = guarantee.get("events") or []
    if not events or not guarantee.get("private"):
        return not_assessed(NO_BUDGET)
    by_purpose: dict[str, dict[str, Any]] = {}
    for event in events:
        purpose, cost = purpose_of(event), mu_squared_of(event)
        entry = by_purpose.setdefault(purpose, {"purpose": purpose, "count": 0, "mu_squared": 0.0})
        entry["count"] += int(event.get("count", 1))
        before = entry["mu_squared"]
        entry["mu_squared"] = None if cost is None or before is None else before + cost
    values = [entry["mu_squared"] for entry in by_purpose.values()]
    total = math.fsum(values) if None not in values else None
    for entry in by_purpose.values():
        entry["share"] = entry["mu_squared"] / total if total else None
    return {"status": "assessed", "purposes": sorted(by_purpose.values(), key=lambda e: -(e["share"] or 0.0))}


def _detection(
    tables: Tables, told: dict[str, TwoSampleResult] | None, generator: np.random.Generator
) -> dict[str, Any]:
    if told is None:
        return not_assessed(TOO_FEW)
    test = told["synthetic"]
    real, synthetic = (
        table.iloc[generator.permutation(len(table))[:MAX_EXPLAINED_ROWS]].reset_index(drop=True)
        for table in (test.real, test.synthetic)
    )
    both = pd.concat([real, synthetic], ignore_index=True)
    is_synthetic = np.arange(len(both)) >= len(real)

    def auc(rows: pd.DataFrame) -> float:
        scores = log_odds(test.learner, rows)
        return auc_interval(scores[is_synthetic], scores[~is_synthetic]).auc

    def without(name: str) -> float:
        shuffles = (both[name].array[generator.permutation(len(both))] for _ in range(N_REPEATS))
        return math.fsum(auc(both.assign(**{name: shuffled})) for shuffled in shuffles) / N_REPEATS

    intact = auc(both)
    falls = {name: intact - without(name) for name in both.columns}
    return {
        "status": "assessed",
        "auc": intact,
        "columns": [
            {"column": name, "auc_without": number(intact - fall), "fall": number(fall)}
            for name, fall in sorted(falls.items(), key=lambda item: -item[1])
        ],
        "examples": _examples(tables, test, synthetic, generator),
    }


def _examples(
    tables: Tables, test: TwoSampleResult, synthetic: pd.DataFrame, generator: np.random.Generator
) -> list[dict[str, Any]]:
    """Return the synthetic rows that the classifier is surest of, and the columns by which each is detected.

    A column's share in it is by how much the row's log-odds fall, on average, when its value is replaced by
    that of another synthetic row.
    """
    scores = log_odds(test.learner, synthetic)
    out = []
    for i in np.argsort(-scores, kind="stable")[:N_EXAMPLES]:
        row = synthetic.iloc[[i]]
        others = synthetic.iloc[generator.integers(len(synthetic), size=N_REPLACEMENTS)]
        trials = pd.concat([row] * (N_REPLACEMENTS * len(synthetic.columns)), ignore_index=True)
        for j, name in enumerate(synthetic.columns):
            values = trials[name].array.copy()
            values[j * N_REPLACEMENTS : (j + 1) * N_REPLACEMENTS] = others[name].array
            trials[name] = values
        fallen = scores[i] - log_odds(test.learner, trials).reshape(len(synthetic.columns), -1).mean(axis=1)
        worst = np.argsort(-fallen, kind="stable")[:3]
        out.append(
            {
                "probability": number(1 / (1 + math.exp(-scores[i]))),
                "row": {name: _shown(tables, name, row[name]) for name in synthetic.columns},
                "betrayed_by": [
                    {"column": synthetic.columns[j], "log_odds": number(fallen[j])}
                    for j in worst
                    if fallen[j] > 0
                ],
            }
        )
    return out


def _shown(tables: Tables, name: str, field: pd.Series) -> str | None:
    if field.isna().any():
        return None
    if isinstance(field.dtype, pd.CategoricalDtype):
        return category_text(field.tolist()[0])
    column = tables.schema.columns[name]
    return column.line.text(column, float(field.iloc[0]))


def _worst(fidelity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns, pairs and groups farthest beyond what real rows reach."""

    def listed(entries: list[dict[str, Any]], key: str, *names: str) -> list[dict[str, Any]]:
        beyond = [
            {
                **{name: entry[name] for name in names},
                "value": entry[key]["value"],
                "ceiling": entry[key]["ceiling"],
                "excess": entry[key]["value"] - (entry[key]["ceiling"] or 0.0),
            }
            for entry in entries
            if entry[key]["value"] is not None
        ]
        return sorted(beyond, key=lambda entry: -entry["excess"])[:N_WORST]

    return {
        "columns": listed(fidelity["columns"], "tv", "column"),
        "pairs": listed(fidelity["pairs"], "tv", "columns"),
        "groups": listed(fidelity["by_group"], "tv_2way", "group", "n_reference_rows"),
    }
