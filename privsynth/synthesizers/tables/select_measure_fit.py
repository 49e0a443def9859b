"""Adaptive select-measure-fit: what `MarginalSynthesizer` measures, and in which order.

1. Domains and 1-way marginals (`domains`). 2. The joint table of target and groups. 3. Rounds: the
exponential mechanism chooses the tables that the model describes worst, pairs of columns or pairs within
the classes of the target; they are measured, and the model is fitted again. Every decision is a function of
earlier releases and public settings, so the same releases give the same model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from privsynth.accounting.gdp import exponential_epsilon0, noise_for, rounded_down
from privsynth.domains.coding import Coding
from privsynth.domains.encoding import codings_of
from privsynth.models.tables.fitting import Measurement, MixtureFitter
from privsynth.models.tables.mixture import ProductMixture
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import Marginals
from privsynth.privacy.mechanisms.selection import TableSelection
from privsynth.schema import Schema
from privsynth.synthesizers.contract import Progress
from privsynth.synthesizers.tables.base_measurements import (
    BaseMeasurements,
)
from privsynth.synthesizers.tables.beginning import begin, measured_tables
from privsynth.synthesizers.tables.domains import Domains, Known
from privsynth.synthesizers.tables.earlier import Earlier
from privsynth.synthesizers.tables.marginal_settings import MarginalSettings as MarginalSettings
from privsynth.synthesizers.tables.row_before import (
    CERTAIN,
    RowBefore,
    are_shared,
    derived,
    is_view,
    is_worth_measuring,
    pairs_before,
)
from privsynth.synthesizers.tables.workload import KEY as KEY_OF_WORKLOAD
from privsynth.synthesizers.tables.workload import measure_workload

BEFORE = "columns with themselves in the row before"
MOST_OF_REST = 0.5  # of what the 1-way tables leave, that they may cost
STEPS_BEFORE = 4  # times those of a round, to the tables of an earlier fit before more are chosen
MAX_CLASSES = 4  # of a target within whose classes dependence is measured

LEAST_NORM = 0.25  # persons repeat cells: of 60 rows hardly any lie further apart
LARGEST_NORM = 0.7  # a cut to more brings little: persons of up to 4 rows are left as they are


@dataclass(frozen=True)
class FittedTable:
    """What a fit ends with."""

    first: BaseMeasurements
    mixture: ProductMixture
    losses: tuple[float, ...]


def fit_marginals(
    curator: Curator,
    settings: MarginalSettings,
    *,
    seed: int,
    device: str,
    progress: Progress,
    share: float = 1.0,
    delta_share: float = 1.0,
    given: Mapping[str, Known] = MappingProxyType({}),
    earlier: Earlier | None = None,
) -> FittedTable:
    """Run the recipe against a curator, with records or in replay.

    Args:
        curator: Gives the releases.
        settings: Public settings.
        seed: Of the initial logits.
        device: Where to fit.
        progress: Called with a message, the rounds done, and the rounds planned.
        share: Of the run's ``mu**2`` that the table may cost.
        delta_share: Part of the delta that adds up which discovery may use.
        given: What is known of columns that the tables above tell of.
        earlier: The fit to go on from; None if there is none.

    Privacy:
        Accounted: by the curator, release by release; everything else is post-processing.
    """
    progress("finding domains", 0, settings.n_rounds)
    mu_squared = share * curator.allowance.mu_squared
    begun = begin(curator, settings, share=share, delta_share=delta_share, given=given, earlier=earlier)
    settings, first, of_view = begun.settings, begun.first, is_view(curator.schema)
    domains, codes = first.domains, first.codes
    names = tuple(codes.by_column)
    fitter = MixtureFitter(
        columns=names,
        sizes=tuple(codes.by_column[name].size for name in names),
        options=settings.fit,
        seed=seed,
        device=device,
        context=context_of(curator.schema, domains),
        least_variance=CERTAIN if of_view else 0.0,
    )
    rows = RowBefore(curator.schema, domains.by_column, codes.one_way) if of_view else None
    possible = None if rows is None else rows.possible_codes(settings.fit.n_components)
    fitter.start(codes.one_way, domains.n_units, possible=possible)
    if first.condition is not None:
        fitter.add(first.condition)
    for table in begun.tables:
        fitter.add(table)
    if begun.tables:
        fitter.step_many(STEPS_BEFORE * settings.steps_per_round)
    if curator.schema.workload:
        part = _part_of_rest(curator, KEY_OF_WORKLOAD, settings.workload_share, mu_squared)
        for table in measure_workload(curator, domains, codes, mu_squared=part):
            fitter.add(table)
    if rows is not None:
        fitter.add(rows.first_of_records())
        part = _part_of_rest(curator, "counts/before", settings.before_share, mu_squared)
        _measure_before(curator, codings_of(codes.by_column), fitter, settings, part)
    losses, reserve = [], curator.allowance.mu_squared - mu_squared
    for round_index in range(settings.n_rounds):
        progress("measuring and fitting", round_index, settings.n_rounds)
        measured = _measure_round(
            curator, codings_of(codes.by_column), fitter, settings, round_index, reserve
        )
        if measured is None:
            break
        for table in measured:
            fitter.add(table)
            # groups of many values are not those of the row before
            if rows is not None and not set(table.columns) & codes.groups.keys():
                before = rows.table_before(table)
                if before is not None:
                    fitter.add(before)
        losses.append(fitter.step_many(settings.steps_per_round))
    losses.append(fitter.step_many(settings.final_steps, final=True))
    progress("fitted", settings.n_rounds, settings.n_rounds)
    return FittedTable(first, fitter.mixture(), tuple(losses))


def _part_of_rest(curator: Curator, key: str, share: float, mu_squared: float) -> float:
    """Return a share of what a table may cost; a weak signal leaves little, of which half at most."""
    left = curator.remaining(key) - (curator.allowance.mu_squared - mu_squared)
    return min(share * mu_squared, MOST_OF_REST * left)


def pairs_per_round(n_columns: int, settings: MarginalSettings, n_candidates: int) -> int:
    """Return how many pairs each round chooses; a function of public numbers and of released domains.

    Args:
        n_columns: Columns that count.
        settings: Adapted to the strength of the signal.
        n_candidates: Tables to choose from; what a strong signal adds stays within them.
    """
    n_wanted = round(settings.pairs_per_column * n_columns / settings.n_rounds)
    n_most = min(settings.most_pairs_per_column * n_columns, n_candidates)
    return min(n_columns * (n_columns - 1) // 2, max(1, n_wanted, math.floor(n_most / settings.n_rounds)))


def _measure_before(
    curator: Curator,
    codings: Mapping[str, Coding],
    fitter: MixtureFitter,
    settings: MarginalSettings,
    mu_squared: float,
) -> None:
    """Measure each column of a row with itself in the row before, at a cost in all, and fit to it."""
    pairs = pairs_before(curator.schema)
    if not pairs or mu_squared <= 1e-9 * curator.allowance.mu_squared:
        return
    noise = noise_for(mu_squared / len(pairs))
    marginals = Marginals(
        purpose=BEFORE,
        codings=codings,
        sets=pairs,
        noise_multiplier=noise,
        norms=_norms(curator.schema, pairs, settings),
    )
    for table in measured_tables(curator.release("counts/before", marginals)):
        fitter.add(table)


def _measure_round(
    curator: Curator,
    codings: Mapping[str, Coding],
    fitter: MixtureFitter,
    settings: MarginalSettings,
    index: int,
    reserve: float,
) -> list[Measurement] | None:
    """Choose the worst tables and measure them; None when nothing is left.

    What is left of the budget, beyond a reserve, is divided evenly over the rounds to come.
    """
    candidates = _candidates(codings, fitter.context, curator.schema)
    if not candidates:
        return None
    n_wanted = pairs_per_round(n_counted(curator.schema), settings, len(candidates))
    n_select = min(n_wanted, len(candidates))
    key = f"round-{index:02d}"
    share = (curator.remaining(f"{key}/select") - reserve) / (settings.n_rounds - index)
    each = share / n_select
    if each <= 1e-9 * curator.allowance.mu_squared:
        return None
    epsilon0 = rounded_down(exponential_epsilon0(math.sqrt(settings.selection_share * each)))
    noise = noise_for((1.0 - settings.selection_share) * each)
    norms = [cut_norm(curator.schema, columns, settings) for columns in candidates]
    selection = TableSelection(
        purpose="choice of tables",
        codings=codings,
        candidates=candidates,
        expected=lambda: (share.ravel() * fitter.n_units for share in fitter.shares(candidates)),
        noise_std=[settings.noise_penalty * noise * norm for norm in norms],
        epsilon0=epsilon0,
        n_select=n_select,
    )
    chosen = curator.release(f"{key}/select", selection).facts["selected"]
    left = curator.remaining(f"{key}/measure") - reserve - share * (settings.n_rounds - index - 1)
    if left <= 1e-9 * curator.allowance.mu_squared:
        return []  # an attempt that was lost in a crash has used up this round
    noise = max(noise, noise_for(left / n_select))
    sets = tuple(candidates[i] for i in chosen)
    marginals = Marginals(
        purpose="2- and 3-way marginals",
        codings=codings,
        sets=sets,
        noise_multiplier=noise,
        norms=_norms(curator.schema, sets, settings),
    )
    return measured_tables(curator.release(f"{key}/measure", marginals))


def _norms(
    schema: Schema, sets: tuple[tuple[str, ...], ...], settings: MarginalSettings
) -> tuple[float, ...]:
    """Return the norm of each set, none if no table is cut."""
    norms = tuple(cut_norm(schema, columns, settings) for columns in sets)
    return norms if min(norms, default=1.0) < 1.0 else ()


def cut_norm(schema: Schema, columns: tuple[str, ...], settings: MarginalSettings) -> float:
    """Return what a person's part of a table is cut to in L2; 1 cuts nothing. Public.

    ``m`` rows in as many cells have length ``1 / sqrt(m)``.
    """
    if settings.norm_factor is None or schema.max_records_per_person is None:
        return 1.0
    if are_shared(schema, columns):
        return 1.0  # a person's rows lie in one cell
    norm = max(LEAST_NORM, settings.norm_factor / math.sqrt(schema.max_records_per_person))
    return norm if norm <= LARGEST_NORM else 1.0


def context_of(schema: Schema, domains: Domains) -> str | None:
    """Return the target if it has few classes: dependence of other columns is measured within them."""
    for column in schema.modelled:
        if column.role == "target" and domains.by_column[column.name].size <= MAX_CLASSES:
            return column.name
    return None


def planned_candidates(schema: Schema) -> int:
    """Return how many tables there are to choose from, as far as the schema tells; public.

    A target whose classes are private counts as one of many.
    """
    n_columns = n_counted(schema)
    n_pairs = n_columns * (n_columns - 1) // 2
    for column in schema.modelled:
        declared = column.declared_values
        if column.role == "target" and declared is not None and len(declared) <= MAX_CLASSES:
            return n_pairs + (n_columns - 1) * (n_columns - 2) // 2
    return n_pairs


def n_counted(schema: Schema) -> int:
    """Return how many columns the number of measured tables follows; public."""
    return len(schema.modelled) - len(derived(schema))


def _candidates(codings: Mapping[str, Coding], context: str | None, schema: Schema) -> list[tuple[str, ...]]:
    """Return all pairs that are worth measuring, and all of these within the classes of the context."""
    pairs = [pair for pair in itertools.combinations(codings, 2) if is_worth_measuring(schema, pair)]
    triples = [] if context is None else [(*pair, context) for pair in pairs if context not in pair]
    return [*pairs, *triples]
