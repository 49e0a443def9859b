"""What a budget buys, before any record is read. Public arithmetic over the schema."""

from __future__ import annotations

import math
from typing import Any

from privsynth.errors import ParameterError
from privsynth.privacy.accounting import exponential_epsilon0, noise_for
from privsynth.privacy.budget import Spend
from privsynth.schema import PRIVATE, Schema
from privsynth.synthesizers.base import SAFE_DELTA_FACTOR
from privsynth.synthesizers.domains import n_discoveries
from privsynth.synthesizers.guarantee import spent
from privsynth.synthesizers.preliminaries import condition_columns
from privsynth.synthesizers.recipe import MarginalSettings, pairs_per_round

SMALLEST_SHARE = 0.02  # below this share of the units, a 1-way count is called lost in the noise


def plan(
    schema: Schema,
    n_rows: int,
    epsilon: float,
    delta: float,
    *,
    settings: MarginalSettings | None = None,
) -> dict[str, Any]:
    """Say which noise `MarginalSynthesizer` would add for a budget, and what to expect of it.

    Args:
        schema: Public description of the table.
        n_rows: About how many rows (units, with a person column: persons) the table has; a public guess.
        epsilon: Asked for; > 0.
        delta: Asked for; in (0, 1).
        settings: Of the recipe.

    Returns:
        JSON-able: the budget, each step with its noise in units, and advice.

    Raises:
        ParameterError: If an argument is out of range.
        SchemaError: If the schema lacks a fact.

    Privacy:
        Public: reads no record.
    """
    if isinstance(n_rows, bool) or not isinstance(n_rows, int) or n_rows < 1:
        raise ParameterError(f"expected a number of rows >= 1, got {n_rows!r}")
    schema.require_complete()
    settings = settings or MarginalSettings()
    allowance = Spend.of_budget(epsilon=epsilon, delta=delta)
    settings = settings.adapted_to(n_rows * math.sqrt(allowance.mu_squared))
    steps = _steps(schema, settings, allowance.mu_squared)
    return {
        "synthesizer": "marginal",
        "epsilon": epsilon,
        "epsilon_spent": spent(epsilon, delta),
        "delta": delta,
        "unit": schema.unit,
        "rows": n_rows,
        "mu": math.sqrt(allowance.mu_squared),
        "discovery_delta": allowance.added_delta,
        "steps": steps,
        "advice": _advice(schema, steps, n_rows, delta),
    }


def _steps(schema: Schema, settings: MarginalSettings, mu_squared: float) -> list[dict[str, Any]]:
    n_columns = len(schema.modelled)
    n_private, n_wide = n_discoveries(schema)
    left, steps = 1.0, []

    def add(purpose: str, share: float, count: int) -> None:
        nonlocal left
        left -= share
        noise = noise_for(share * mu_squared / count)
        steps.append({"purpose": purpose, "share": share, "count": count, "noise_std": noise})

    if n_private:
        add("finding private categories and bounds", settings.discovery_share, n_private)
    if n_wide:
        add("single values of wide number lines", settings.spikes_share, n_wide)
    add("number of units", settings.units_share, 1)
    add("1-way marginals", settings.one_way_share, n_columns)
    if len(condition_columns(schema)) > 1:
        add("joint table of target and groups", settings.condition_share, 1)
    if n_columns > 1:
        count = settings.n_rounds * pairs_per_round(n_columns, settings)
        selection = settings.selection_share * left
        steps.append(
            {
                "purpose": "choice of pairs",
                "share": selection,
                "count": count,
                "epsilon0": exponential_epsilon0(math.sqrt(selection * mu_squared / count)),
            }
        )
        left -= selection
        add("2-way marginals", left, count)
    return steps


def _advice(schema: Schema, steps: list[dict[str, Any]], n_rows: int, delta: float) -> list[str]:
    unit = schema.unit
    noise = next(step["noise_std"] for step in steps if step["purpose"] == "1-way marginals")
    advice = [
        f"a single count carries noise of about {noise:.0f} {unit}s; groups of fewer than "
        f"{4 * noise:.0f} {unit}s cannot be told from noise in a 1-way marginal"
    ]
    if SMALLEST_SHARE * n_rows < noise:
        advice.append(
            f"with {n_rows} {unit}s that is more than {SMALLEST_SHARE:.0%} of the table: expect little "
            "beyond the largest groups; raise epsilon, drop columns, or collect more"
        )
    if delta > 1.0 / (SAFE_DELTA_FACTOR * n_rows):
        safe = 1.0 / (SAFE_DELTA_FACTOR * n_rows)
        advice.append(f"delta={delta:g} is above 1/(10 x {n_rows}); choose at most {safe:.1g}")
    private = [c.name for c in schema.modelled if PRIVATE in (c.categories, c.low, c.high)]
    if private:
        some = ", ".join(private[:5]) + (", ..." if len(private) > 5 else "")
        advice.append(
            f"facts of {len(private)} columns are found under the budget ({some}); declaring them, where "
            "they are public, frees their share"
        )
    return advice


def describe_plan(fields: dict[str, Any]) -> str:
    """Return what `plan` found as readable text."""
    lines = [
        f"{fields['synthesizer']}: epsilon {fields['epsilon']:g}, delta {fields['delta']:g}, "
        f"one {fields['unit']} as the unit, about {fields['rows']} {fields['unit']}s",
        "",
        f"{'step':<46}{'share':>7}{'times':>7}  level",
    ]
    for step in fields["steps"]:
        level = (
            f"noise of {step['noise_std']:.4g} {fields['unit']}s per count"
            if "noise_std" in step
            else f"epsilon0 {step['epsilon0']:.4g} per choice"
        )
        lines.append(f"{step['purpose']:<46}{step['share']:>7.1%}{step['count']:>7}  {level}")
    return "\n".join([*lines, "", *(f"- {sentence}" for sentence in fields["advice"])])
