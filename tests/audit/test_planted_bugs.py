"""Each way to break the guarantee, planted by replacing one named function, is caught by a named check.

A bug replaces what a caller sees under that name; the checks are the ones that judge the honest code. Each is
run on the honest code too (here or in its own module), where it passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from privsynth.accounting import budget, events, gdp
from privsynth.attacks import two_worlds
from privsynth.attacks.intervals import clopper_pearson_lower
from privsynth.attacks.two_worlds import audit_features, audit_scores
from privsynth.counting import memory as held
from privsynth.counting.memory import RecordsInMemory
from privsynth.domains import systematic as drawing
from privsynth.domains.binning import Bins, bins_from_histogram
from privsynth.domains.coding import Coding
from privsynth.domains.encoding import NumericGrid
from privsynth.ledger import ledger
from privsynth.ledger.ledger import Ledger
from privsynth.privacy import curator
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms import counts as tables_of_counts
from privsynth.privacy.mechanisms import discovery, noise, selection, vector_sums
from privsynth.privacy.mechanisms.base import NoisyMechanism
from privsynth.privacy.mechanisms.counts import Marginals
from privsynth.privacy.mechanisms.noise import add_gaussian_noise
from privsynth.privacy.mechanisms.selection import exponential_mechanism
from privsynth.privacy.mechanisms.vector_sums import STEPS_PER_ONE, Embedding
from privsynth.privacy.randomness import OsEntropy, standard_normals
from privsynth.privacy.units import CUT_GRID, PERSON_GRID, Weighting, count_cut_table
from privsynth.schema import Column
from privsynth.synthesizers.tables import coarse_domains
from privsynth.synthesizers.tables.marginal import MarginalSynthesizer
from tests.accounting import test_accounting
from tests.attacks import test_two_worlds
from tests.audit import test_mechanisms
from tests.audit.mechanisms import (
    DISCOVERY_DELTA,
    IN_CELLS,
    NOISE,
    TABLE,
    Mechanism,
    by_name,
    codings_of_table,
    curator_of,
    own_values_published,
    ten_rows,
)
from tests.audit.test_mechanisms import FALSE_ALARM, audit_of
from tests.contracts import test_synthesizers
from tests.contracts.synthesizers import maker
from tests.helpers.predictable import PredictableSourceForTests
from tests.privacy import test_curator
from tests.privacy.mechanisms import test_noise
from tests.sampling import test_rows
from tests.synthesizers.tables import test_marginal

Patch = pytest.MonkeyPatch


def leaks_more_than_booked(mechanism: Mechanism) -> bool:
    """Whether 2,000 test runs of each world refute the claim at confidence 1 - 1e-6."""
    return audit_of(mechanism, 2000, 600).mu > mechanism.claimed_mu


# -- bugs that change what a release gives away: caught by the two-world audits ---------------------------


def half_the_noise(patch: Patch) -> None:
    def bug(counts: np.ndarray, *, noise_multiplier: float, **rest: Any) -> np.ndarray:
        return add_gaussian_noise(counts, noise_multiplier=noise_multiplier / 2, **rest)

    patch.setattr(curator, "add_gaussian_noise", bug)


def noise_in_grid_steps(patch: Patch) -> None:
    """The factor from units to grid steps is forgotten: noise of one step instead of one person."""

    def bug(counts: np.ndarray, *, units_per_one: int, **rest: Any) -> np.ndarray:
        return add_gaussian_noise(counts, units_per_one=1, **rest) / units_per_one

    patch.setattr(curator, "add_gaussian_noise", bug)


def rows_of_a_person_weigh_one_each(patch: Patch) -> None:
    def bug(persons: np.ndarray, parts: None, **rest: Any) -> Weighting:
        whole = np.full(len(persons), PERSON_GRID, dtype=np.int64)
        return Weighting(rows=None, weights=whole, units_per_one=PERSON_GRID, max_records=3)

    patch.setattr(held, "weigh_records", bug)


def the_cap_is_not_applied(patch: Patch) -> None:
    """All five rows are kept, but weighed as if there were three."""

    def bug(persons: np.ndarray, parts: None, **rest: Any) -> Weighting:
        sizes = np.bincount(persons)[persons]
        weights = PERSON_GRID // np.minimum(sizes, 3)
        return Weighting(rows=None, weights=weights, units_per_one=PERSON_GRID, max_records=3)

    patch.setattr(held, "weigh_records", bug)


def the_norm_is_not_applied(patch: Patch) -> None:
    """The noise is for units cut to the norm, but they are as long as they are."""

    def bug(codes: Any, sizes: Any, units: Weighting, norm: float) -> np.ndarray:
        return count_cut_table(codes, sizes, units, 1.0)

    patch.setattr(held, "count_cut_table", bug)


def rows_are_cut_one_by_one(patch: Patch) -> None:
    """Each row of a person is cut to the norm, and all of them together to nothing."""

    def bug(codes: Any, sizes: Any, units: Weighting, norm: float) -> np.ndarray:
        return count_cut_table(codes, sizes, replace(units, persons=np.arange(len(codes[0]))), norm)

    patch.setattr(held, "count_cut_table", bug)


def noise_of_half_the_norm(patch: Patch) -> None:
    """The table is cut to twice the length that the noise is scaled to."""
    patch.setattr(tables_of_counts, "CUT_GRID", CUT_GRID // 2)


def the_exact_number_of_units(patch: Patch) -> None:
    def bug(counts: np.ndarray, **rest: Any) -> np.ndarray:
        if counts.size == 1:
            return counts / rest["units_per_one"]
        return add_gaussian_noise(counts, **rest)

    patch.setattr(curator, "add_gaussian_noise", bug)


def bounds_without_noise(patch: Patch) -> None:
    def bug(counts: np.ndarray, *, units_per_one: int, **rest: Any) -> np.ndarray:
        return counts / units_per_one

    patch.setattr(curator, "add_gaussian_noise", bug)


def selection_without_the_two(patch: Patch) -> None:
    """Weights exp(e0 * score) instead of exp(e0 * score / 2)."""

    def bug(scores: np.ndarray, *, epsilon0: float, **rest: Any) -> np.ndarray:
        return exponential_mechanism(scores, epsilon0=2 * epsilon0, **rest)

    patch.setattr(selection, "exponential_mechanism", bug)


def score_taken_for_monotone(patch: Patch) -> None:
    """As if a record could only raise scores: half of the sensitivity, although it lowers others.

    The log odds of two candidates move by twice the range that is booked, which costs nearly four times mu².
    """

    def bug(scores: np.ndarray, *, sensitivity: float, **rest: Any) -> np.ndarray:
        return exponential_mechanism(scores, sensitivity=sensitivity / 2, **rest)

    patch.setattr(selection, "exponential_mechanism", bug)


def selection_takes_the_best(patch: Patch) -> None:
    def bug(scores: np.ndarray, *, n_select: int, **rest: Any) -> np.ndarray:
        return np.argsort(-scores, kind="stable")[:n_select]

    patch.setattr(selection, "exponential_mechanism", bug)


def scores_from_the_exact_total(patch: Patch) -> None:
    """The model's table is scaled to the exact number of records: sensitivity up to 2 instead of 1."""

    honest = selection.marginal_scores

    def bug(exact: Iterable[np.ndarray], expected: Iterable[np.ndarray], noise_std: float) -> np.ndarray:
        exact, expected = list(exact), list(expected)
        scaled = [e * a.sum() / e.sum() for a, e in zip(exact, expected, strict=True)]
        return honest(exact, scaled, noise_std)

    patch.setattr(selection, "marginal_scores", bug)


def selection_charged_at_half(patch: Patch) -> None:
    honest = events.exponential_mu
    patch.setattr(events, "exponential_mu", lambda epsilon0: honest(epsilon0) / 2)


def count_of_an_event_ignored(patch: Patch) -> None:
    """An event of several releases is charged as one."""

    def bug(self: events.Gaussian) -> float:
        return honest(self) / self.count

    honest = events.Gaussian.mu_squared.fget
    patch.setattr(events.Gaussian, "mu_squared", property(bug))


def vectors_as_long_as_they_are(patch: Patch) -> None:
    def bug(
        embedding: Embedding, records: torch.Tensor, weights: Any, *, n_cells: int, n_values: int
    ) -> np.ndarray:
        cells, vectors = torch.func.vmap(embedding)(records)
        sums = torch.zeros(n_cells, n_values).index_add(0, cells, vectors)
        return (sums * STEPS_PER_ONE).round().long().numpy()

    patch.setattr(vector_sums, "sum_vectors", bug)


def vectors_twice_as_long_as_the_noise_knows(patch: Patch) -> None:
    """Vectors are cut to another length than the one that the noise is scaled to."""
    honest = vector_sums.sum_vectors
    patch.setattr(vector_sums, "sum_vectors", lambda *records, **sizes: 2 * honest(*records, **sizes))


def bins_from_the_exact_histogram(patch: Patch) -> None:
    """What is released has its noise, but the bins are cut where the records' own counts say."""
    read: dict[str, np.ndarray] = {}
    honest = RecordsInMemory.tables

    def tables(
        self: RecordsInMemory, sets: Sequence[tuple[str, ...]], among: Mapping[str, Coding]
    ) -> Iterator[np.ndarray]:
        for columns, table in zip(sets, honest(self, sets, among), strict=True):
            read[columns[-1]] = table / self.weighting.units_per_one if columns else table
            yield table

    def bins(column: Column, grid: NumericGrid, noisy: np.ndarray, **rest: Any) -> Bins:
        return bins_from_histogram(column, grid, read.pop(column.name, noisy)[: len(noisy)], **rest)

    patch.setattr(RecordsInMemory, "tables", tables)
    patch.setattr(coarse_domains, "bins_from_histogram", bins)


LEAKS = [
    (half_the_noise, "2-way counts"),
    (half_the_noise, "bounds"),
    (noise_in_grid_steps, "counts of persons"),
    (rows_of_a_person_weigh_one_each, "counts of persons"),
    (the_cap_is_not_applied, "counts of persons"),
    (the_exact_number_of_units, "number of units"),
    (the_norm_is_not_applied, "cut counts of persons"),
    (rows_are_cut_one_by_one, "cut counts of persons"),
    (noise_of_half_the_norm, "cut counts of persons"),
    (noise_of_half_the_norm, "cut counts of persons, in many cells"),
    (bounds_without_noise, "bounds"),
    (selection_without_the_two, "selection"),
    (selection_without_the_two, "selection of two"),
    (score_taken_for_monotone, "selection"),
    (score_taken_for_monotone, "selection of two"),
    (selection_takes_the_best, "selection"),
    (scores_from_the_exact_total, "selection"),
    (selection_charged_at_half, "selection"),
    (noise_in_grid_steps, "sums of vectors"),
    (vectors_as_long_as_they_are, "sums of vectors"),
    (vectors_twice_as_long_as_the_noise_knows, "sums of vectors"),
    (rows_of_a_person_weigh_one_each, "sums of vectors of persons"),
    (the_cap_is_not_applied, "sums of vectors of persons"),
    (bins_from_the_exact_histogram, "bins of a number line"),
]


@pytest.mark.parametrize(("bug", "name"), LEAKS, ids=[f"{bug.__name__} in {name}" for bug, name in LEAKS])
def test_an_audit_finds_a_release_that_gives_more_away(
    bug: Callable[[Patch], None], name: str, monkeypatch: Patch
) -> None:
    bug(monkeypatch)
    assert leaks_more_than_booked(by_name(name))


def audit_of_all_cells() -> two_worlds.TwoWorldAudit:
    """Audit a table by all of its cells together: a scorer is free to combine them."""

    def runs(with_target: bool, n_runs: int) -> np.ndarray:
        held = curator_of(ten_rows(with_target), TABLE)
        release = held.release(
            "c",
            Marginals(
                purpose="audit",
                codings=codings_of_table(TABLE),
                sets=tuple([("a", "b", "c")] * n_runs),
                noise_multiplier=NOISE,
            ),
        )
        return np.stack([release.arrays[str(i)].ravel() for i in range(n_runs)])

    return audit_features(runs(False, 4000), runs(True, 4000), confidence=1 - FALSE_ALARM)


def test_all_cells_together_show_no_more_than_their_noise_allows() -> None:
    assert 0.3 < audit_of_all_cells().mu <= 1 / NOISE  # 0.66, with a standard deviation of 0.04 over audits


def one_noise_for_all_cells(patch: Patch) -> None:
    """A scalar is broadcast, so that differences of cells are exact."""
    patch.setattr(noise, "standard_normals", lambda n, source: np.repeat(standard_normals(1, source), n))


def test_one_noise_for_all_cells_is_found(monkeypatch: Patch) -> None:
    one_noise_for_all_cells(monkeypatch)
    assert audit_of_all_cells().mu > 1 / NOISE


def charged_and_shown() -> tuple[float, float]:
    """Return the mu charged for two counts of the same cell, and the mu that both together show."""
    scores: dict[bool, list[float]] = {False: [], True: []}
    for with_target, out in scores.items():
        records = ten_rows(with_target)
        for _ in range(3600):
            held, charged = curator_of(records, TABLE), []
            held._charge = lambda event, key, book=charged: book.append(event)
            out.append(
                sum(
                    held.release(
                        key,
                        Marginals(
                            purpose="audit",
                            codings=codings_of_table(TABLE),
                            sets=(("a",),),
                            noise_multiplier=NOISE,
                        ),
                    )
                    .arrays["0"]
                    .flat[-1]
                    for key in ("first", "second")
                )
            )
    found = audit_scores(*map(np.array, scores.values()), n_validation=800, confidence=1 - FALSE_ALARM)
    return math.sqrt(sum(event.mu_squared for event in charged)), found.mu


def test_two_releases_show_no_more_than_both_charges() -> None:
    charged, shown = charged_and_shown()
    assert 0.5 * charged < shown <= charged


def test_every_second_release_uncharged_is_found(monkeypatch: Patch) -> None:
    honest = Curator.release

    def bug(self: Curator, key: str, mechanism: Any) -> Any:
        if key == "second":
            self._charge = lambda event, key: None
        return honest(self, key, mechanism)

    monkeypatch.setattr(Curator, "release", bug)
    charged, shown = charged_and_shown()
    assert shown > charged


# -- domains --------------------------------------------------------------------------------------------


def domain_read_from_the_records(patch: Patch) -> None:
    patch.setattr(discovery, "passing", lambda noisy, **rest: np.arange(len(noisy)))


def threshold_without_delta(patch: Patch) -> None:
    patch.setattr(
        discovery, "discovery_threshold", lambda noise_multiplier, units_per_one, **rest: units_per_one
    )


def threshold_for_one_row_each(patch: Patch) -> None:
    """Every value of a person weighs a third, but the threshold is that of one row, for delta alone."""
    honest = discovery.discovery_threshold

    def bug(
        noise_multiplier: float, *, delta: float, max_records: int, units_per_one: int, **rest: int
    ) -> int:
        of_one = honest(noise_multiplier, delta=delta, max_records=1, units_per_one=units_per_one, **rest)
        return of_one - units_per_one

    patch.setattr(discovery, "discovery_threshold", bug)


@pytest.mark.parametrize(
    "bug", [domain_read_from_the_records, threshold_without_delta, threshold_for_one_row_each]
)
def test_values_published_more_often_than_delta_says_are_found(
    bug: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    bug(monkeypatch)
    n_runs = 2000
    n_published = own_values_published(3, n_runs)
    assert clopper_pearson_lower(n_published, n_runs, confidence=1 - FALSE_ALARM) > DISCOVERY_DELTA


# -- bugs that a test of another module catches ---------------------------------------------------------


def fixed_seed(patch: Patch) -> None:
    patch.setattr(OsEntropy, "read", lambda self, n_bytes: PredictableSourceForTests(0).read(n_bytes))


def budget_never_full(patch: Patch) -> None:
    patch.setattr(budget.Spend, "fits", lambda self, allowed: True)


def limit_of_the_data_set_ignored(patch: Patch) -> None:
    patch.setattr(ledger, "check_limit", lambda *arguments, **rest: None)


def charge_after_the_read(patch: Patch) -> None:
    honest = Curator.release

    def bug(self: Curator, key: str, mechanism: Any) -> Any:
        if isinstance(mechanism, NoisyMechanism):
            mechanism.exact(self._records)
        return honest(self, key, mechanism)

    patch.setattr(Curator, "release", bug)


def half_of_delta(patch: Patch) -> None:
    honest = gdp.gdp_delta
    patch.setattr(gdp, "gdp_delta", lambda mu, epsilon: honest(mu, epsilon) / 2)


def values_in_another_order(patch: Patch) -> None:
    patch.setattr(discovery, "sorted", lambda values: sorted(values, reverse=True), raising=False)


def columns_dealt_out_in_one_order(patch: Patch) -> None:
    """Each column of the rows is dealt out sorted, so that independent columns become dependent."""
    honest = drawing.Distributions.draw

    def bug(self: drawing.Distributions, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.sort(honest(self, rows, rng))

    patch.setattr(drawing.Distributions, "draw", bug)


def threshold_from_the_test_runs(patch: Patch) -> None:
    def bug(without: np.ndarray, with_target: np.ndarray, *, n_validation: int, **rest: Any) -> Any:
        tests = (without[n_validation:], with_target[n_validation:])
        return audit_scores(*(np.r_[test, test] for test in tests), n_validation=len(tests[0]), **rest)

    patch.setattr(test_two_worlds, "audit_scores", bug)


def in_fresh_ledger(test: Callable[[Ledger], None]) -> Callable[[Path], None]:
    return lambda folder: test(Ledger(folder / "ledger.sqlite"))


def alone(test: Callable[[], None]) -> Callable[[Path], None]:
    return lambda folder: test()


GUARDS = [
    (fixed_seed, alone(test_noise.test_the_secret_source_ignores_and_leaves_global_seeds)),
    (fixed_seed, alone(lambda: test_mechanisms.test_no_two_runs_share_their_noise(TABLE))),
    (
        one_noise_for_all_cells,
        alone(lambda: test_mechanisms.test_no_two_cells_of_vectors_share_their_noise(IN_CELLS)),
    ),
    (fixed_seed, in_fresh_ledger(test_marginal.test_two_fits_with_one_random_state_differ_in_their_noise)),
    (
        budget_never_full,
        alone(test_curator.test_a_charge_above_the_allowance_is_refused_before_anything_is_charged),
    ),
    (budget_never_full, alone(test_curator.test_discovery_deltas_are_limited_too)),
    (
        limit_of_the_data_set_ignored,
        in_fresh_ledger(test_marginal.test_a_run_over_the_limit_is_refused_before_anything_is_charged),
    ),
    (charge_after_the_read, alone(test_curator.test_every_mechanism_is_charged_before_it_reads)),
    (
        half_of_delta,
        alone(lambda: test_accounting.test_mu_of_a_budget_matches_the_exact_values({1: 0.26805}, 1e-5)),
    ),
    (count_of_an_event_ignored, alone(test_accounting.test_events_add_up)),
    (
        values_in_another_order,
        alone(test_curator.test_discovered_values_are_sorted_not_in_order_of_appearance),
    ),
    (
        columns_dealt_out_in_one_order,
        alone(lambda: test_rows.test_rows_follow_the_exact_conditional(test_rows.CONDITIONS["a value"])),
    ),
    (
        bins_from_the_exact_histogram,
        in_fresh_ledger(
            lambda kept: test_synthesizers.test_the_model_is_rebuilt_from_what_was_released_alone(
                maker(MarginalSynthesizer), kept
            )
        ),
    ),
    (
        threshold_from_the_test_runs,
        alone(test_two_worlds.test_the_threshold_is_set_where_nothing_is_counted),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("bug", "guard"), GUARDS, ids=[f"{bug.__name__} {i}" for i, (bug, _) in enumerate(GUARDS)]
)
def test_the_check_fails_when_its_rule_is_broken(
    bug: Callable[[Patch], None], guard: Callable[[Path], None], monkeypatch: Patch, tmp_path: Path
) -> None:
    (tmp_path / "honest").mkdir()
    (tmp_path / "broken").mkdir()
    guard(tmp_path / "honest")
    bug(monkeypatch)
    try:
        guard(tmp_path / "broken")
    except (Exception, pytest.fail.Exception):
        return
    pytest.fail("the check passes although its rule is broken")
