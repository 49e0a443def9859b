"""What a budget gives, before any record is read. Public arithmetic over the schema."""

from __future__ import annotations

import math
from typing import Any

from privsynth.accounting.budget import Spend
from privsynth.errors import SchemaError
from privsynth.errors.arguments import real_number, whole_number
from privsynth.privacy.mechanisms.discovery import discovery_threshold
from privsynth.privacy.units import PERSON_GRID
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_views import linked_view
from privsynth.schema.sequences import sequence_view
from privsynth.synthesizers import IMAGE_SYNTHESIZERS, TABLE_SYNTHESIZERS, synthesizer_class
from privsynth.synthesizers.base import SAFE_DELTA_FACTOR
from privsynth.synthesizers.contract import FitPlan, Settings
from privsynth.synthesizers.guarantee import spent
from privsynth.synthesizers.linked.doors import part_of
from privsynth.synthesizers.linked.marginal import LinkedSettings, LinkedSynthesizer
from privsynth.synthesizers.tables.base import check_workload
from privsynth.synthesizers.tables.bounds import clear_of_noise
from privsynth.synthesizers.tables.discoveries import BOUNDS, LISTS, Discoveries
from privsynth.synthesizers.tables.domains import ONE_WAY
from privsynth.synthesizers.tables.marginal import MarginalSynthesizer

SMALLEST_SHARE = 0.02  # below this share of the units, a 1-way count is called lost in the noise
TYPICAL_BIN = 0.3  # of the units, that the fullest doubling bin of a number line may be hoped to hold
LEAST_UNITS = 300  # below this, no synthesizer was seen to keep more than the largest groups at epsilon 1


def plan(
    schema: Schema,
    n_rows: int,
    epsilon: float,
    delta: float = 1e-6,
    *,
    synthesizer: str = "marginal",
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Say which noise a synthesizer would add for a budget, and what to expect of it.

    Args:
        schema: Public description of the table.
        n_rows: About how many units the table has: persons with a person column, else rows; a public guess.
        epsilon: Asked for; > 0.
        delta: Asked for; in (0, 1).
        synthesizer: Its name on the command line.
        settings: Of its recipe; the default ones if left out.

    Returns:
        JSON-able: the budget, each step with its noise, memory and time of a training, and advice.

    Raises:
        ParameterError: If an argument is out of range.
        SchemaError: If the schema lacks a fact.

    Privacy:
        Public: reads no record.
    """
    n_rows = whole_number("the number of rows", n_rows, least=1)
    epsilon, delta = real_number("epsilon", epsilon), real_number("delta", delta)
    kind = synthesizer_class(synthesizer)
    schema.require_complete()
    declared, schema = schema, sequence_view(schema)
    if (schema.image is None) == (synthesizer in IMAGE_SYNTHESIZERS):
        what = "a table" if schema.image is None else "images"
        fitting = TABLE_SYNTHESIZERS if schema.image is None else IMAGE_SYNTHESIZERS
        raise SchemaError(
            f"the schema describes {what}, and {synthesizer!r} does not learn that; take "
            f"{' or '.join(fitting)}"
        )
    check_workload(declared, kind)
    allowance = Spend.of_budget(epsilon=epsilon, delta=delta)
    fit_plan = kind.plan_for(schema, settings or kind.settings_type(), allowance, n_rows)
    advice = [
        *_advice_on_table(schema, fit_plan.steps, n_rows, delta, allowance),
        *_advice_on_sequences(declared, schema),
        *fit_plan.advice,
    ]
    return _fields(synthesizer, schema, n_rows, epsilon, delta, fit_plan, advice)


def plan_linked(
    schema: LinkedSchema,
    n_persons: int,
    epsilon: float,
    delta: float = 1e-6,
    *,
    settings: LinkedSettings | None = None,
) -> dict[str, Any]:
    """Say of linked tables which noise a fit would add for a budget, and what to expect of it.

    Args:
        schema: Public description of the tables.
        n_persons: About how many persons there are, all taken to have rows in every table; a public guess.
        epsilon: Asked for; > 0.
        delta: Asked for; in (0, 1).
        settings: The default ones if left out.

    Returns:
        As `plan`.

    Raises:
        ParameterError: If an argument is out of range.
        SchemaError: If the schema lacks a fact.

    Privacy:
        Public: reads no record.
    """
    n_persons = whole_number("the number of persons", n_persons, least=1)
    epsilon, delta = real_number("epsilon", epsilon), real_number("delta", delta)
    schema.require_complete()
    settings = settings or LinkedSettings()
    allowance = Spend.of_budget(epsilon=epsilon, delta=delta)
    whole = LinkedSynthesizer.plan_for(schema, settings, allowance, n_persons)
    advice = []
    for name, share in settings.shares_of(schema).items():
        view, part = linked_view(schema, name), part_of(allowance, share)
        steps = MarginalSynthesizer.plan_for(view, settings.table, part, n_persons).steps
        advice += [
            f"table {name}: {sentence}" for sentence in _advice_on_table(view, steps, n_persons, delta, part)
        ]
    return _fields(LinkedSynthesizer.name, schema, n_persons, epsilon, delta, whole, advice)


def _fields(
    synthesizer: str,
    schema: Schema | LinkedSchema,
    n_rows: int,
    epsilon: float,
    delta: float,
    fit_plan: FitPlan,
    advice: list[str],
) -> dict[str, Any]:
    allowance = Spend.of_budget(epsilon=epsilon, delta=delta)
    return {
        "synthesizer": synthesizer,
        "epsilon": epsilon,
        "epsilon_spent": spent(epsilon, delta),
        "delta": delta,
        "given": schema.given,
        "unit": schema.unit,
        "rows": n_rows,
        **({"persons": n_rows} if schema.unit == "person" else {}),
        "mu": math.sqrt(allowance.mu_squared),
        "discovery_delta": allowance.added_delta,
        "steps": list(fit_plan.steps),
        "memory_mb": fit_plan.memory_mb,
        "seconds": fit_plan.seconds,
        "advice": advice,
    }


def _advice_on_table(
    schema: Schema, steps: tuple[dict[str, Any], ...], n_rows: int, delta: float, allowance: Spend
) -> list[str]:
    return [
        *_advice(schema, steps, n_rows, delta),
        *_advice_on_lists(schema, steps, allowance.added_delta),
        *_advice_on_bounds(schema, steps, n_rows),
    ]


def _advice(schema: Schema, steps: tuple[dict[str, Any], ...], n_rows: int, delta: float) -> list[str]:
    unit = schema.unit
    noise = next(step["noise_std"] for step in steps if step["purpose"] == ONE_WAY)
    advice = [
        f"a single count carries noise of up to {noise:.0f} {unit}s; groups of fewer than "
        f"{4 * noise:.0f} {unit}s cannot be told from noise in a 1-way marginal"
    ]
    if SMALLEST_SHARE * n_rows < noise:
        advice.append(
            f"with {n_rows} {unit}s that is more than {SMALLEST_SHARE:.0%} of the table: expect little "
            "beyond the largest groups; raise epsilon, drop columns, or collect more"
        )
    if n_rows < LEAST_UNITS:
        advice.append(
            f"{n_rows} {unit}s are few: rather release a handful of noisy tables than synthetic rows, which "
            "look like more than they are"
        )
    if delta > 1.0 / (SAFE_DELTA_FACTOR * n_rows):
        safe = 1.0 / (SAFE_DELTA_FACTOR * n_rows)
        advice.append(f"delta={delta:g} is above 1/(10 x {n_rows}); choose at most {safe:.1g}")
    private = [c.name for c in schema.modelled if c.private_facts not in ([], ["missing"])]
    if private:
        some = ", ".join(private[:5]) + (", ..." if len(private) > 5 else "")
        advice.append(
            f"facts of {len(private)} column{'s' * (len(private) > 1)} are found under the budget ({some}); "
            "declaring them, where they are public, frees their share"
        )
    return advice


def _advice_on_sequences(schema: Schema, view: Schema) -> list[str]:
    derived = [column.name for column in view.modelled if column.name not in schema.columns]
    if not derived:
        return []
    return [
        f"each row of a person is learnt beside the one before it, so {len(derived)} columns are measured "
        f"that the table does not have: {', '.join(derived)}"
    ]


def _advice_on_lists(schema: Schema, steps: tuple[dict[str, Any], ...], added_delta: float) -> list[str]:
    noise = [step["noise_std"] for step in steps if step["purpose"] == LISTS]
    if not noise:
        return []
    delta = Discoveries.of(schema).delta_each(added_delta)
    cap, grid = schema.max_records_per_person or 1, 1 if schema.person_id is None else PERSON_GRID
    held = discovery_threshold(noise[0], delta=delta, max_records=cap, units_per_one=grid) / grid
    return [
        f"a category of a private list is found if about {held:.0f} {schema.unit}s hold it; rarer ones "
        "become 'other' or missing, unless the schema lists them"
    ]


def _advice_on_bounds(schema: Schema, steps: tuple[dict[str, Any], ...], n_rows: int) -> list[str]:
    noise = [step["noise_std"] for step in steps if step["purpose"] == BOUNDS]
    if not noise or (clear := clear_of_noise(noise[0])) < TYPICAL_BIN * n_rows:
        return []
    return [
        f"private bounds are found if about {clear:.0f} {schema.unit}s lie within a factor of two of one "
        f"another: with {n_rows} that is in doubt, and values of a column whose bounds are not found mean "
        "little; declare bounds, or raise epsilon"
    ]


def describe_plan(fields: dict[str, Any]) -> str:
    """Return what `plan` found as readable lines.

    Privacy:
        Public.
    """
    lines = [
        f"{fields['synthesizer']}: epsilon {fields['epsilon']:g} at delta {fields['delta']:g} for each "
        f"{fields['unit']}, about {fields['rows']} {fields['unit']}s"
        + (f", given {fields['given']}" if fields["given"] else ""),
        "would be read from the records:",
        *(f"  - {_describe_step(step, fields['unit'])}" for step in fields["steps"]),
    ]
    if fields["seconds"] is not None:
        lines.append(f"training: about {fields['seconds']:.0f} s on two cores, {fields['memory_mb']:.0f} MB")
    return "\n".join([*lines, "advice:", *(f"  - {sentence}" for sentence in fields["advice"])])


def _describe_step(step: dict[str, Any], unit: str) -> str:
    if "noise_std" in step:
        most = "up to " if step["purpose"].endswith(ONE_WAY) else ""  # columns of many values get less
        level = f"noise of {most}{step['noise_std']:.4g} {step.get('of', unit)}s in each count"
    elif "noise_multiplier" in step:
        level = (
            f"batches of about {step['batch_size']:.0f} (sample rate {step['sample_rate']:.3g}), noise "
            f"multiplier {step['noise_multiplier']:.4g}"
        )
        if "signal_to_noise_norm" in step:
            level += (
                f"; the gradient is at most {step['signal_to_noise_norm']:.2g} times as long as the noise in "
                f"its {step['n_parameters']} values"
            )
    else:
        level = f"epsilon {step['epsilon0']:.4g} for each choice"
    return f"{step['purpose']}: {step['share']:.0%} of the budget, {step['count']} times, {level}"
