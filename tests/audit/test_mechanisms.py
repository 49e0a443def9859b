"""No mechanism leaks more than the ledger books, and the audits would see it if one did.

Only a bound at confidence 1 - 1e-6 fails. The lower ends ask for what a correct mechanism shows with so many
runs: the bound's expected value less five standard errors of an audit at mu = 1 (see `expected_share`).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import beta, binom, norm

from privsynth.attacks.intervals import clopper_pearson_lower, clopper_pearson_upper
from privsynth.attacks.two_worlds import TwoWorldAudit, audit_scores, refuse_identical_runs
from privsynth.privacy.mechanisms.counts import Marginals
from privsynth.privacy.mechanisms.discovery import discovery_threshold
from privsynth.privacy.units import PERSON_GRID
from tests.audit.mechanisms import (
    DISCOVERY_DELTA,
    IN_CELLS,
    MECHANISMS,
    NOISE,
    PERSONS,
    PERSONS_IN_CELLS,
    TABLE,
    TEXTS,
    VECTORISED,
    Mechanism,
    codings_of_table,
    curator_of,
    noisy_vectors,
    own_values_published,
    ten_rows,
)

FALSE_ALARM = 1e-6
QUICK_RUNS = 4500  # in each world; a third of them sets the threshold


def audit_of(mechanism: Mechanism, n_test: int, n_validation: int) -> TwoWorldAudit:
    """Run a mechanism in both worlds and test it once."""
    without, with_target = (mechanism.scores(w, n_test + n_validation) for w in (False, True))
    return audit_scores(without, with_target, n_validation=n_validation, confidence=1 - FALSE_ALARM)


def expected_share(mu: float, n_test: int) -> float:
    """Return the share of ``mu`` that the bound shows with so many test runs, less five standard errors.

    The best test errs with ``p = Phi(-mu / 2)`` on both sides; its standard error, on the scale of mu, is
    ``sqrt(p (1 - p) / n) / phi(mu / 2)`` on each. A threshold set on half as many runs costs little more.
    """
    p = ndtr(-mu / 2)
    n_errors = n_test * p
    limit = beta.ppf(1 - FALSE_ALARM / 2, n_errors + 1, n_test - n_errors)
    standard_error = np.sqrt(2 * p * (1 - p) / n_test) / norm.pdf(mu / 2)
    return float((2 * ndtri(1 - limit) - 5 * standard_error) / mu)


def check(mechanism: Mechanism, found: TwoWorldAudit, least_share: float) -> None:
    """Neither more than is claimed, nor less than the audited pair of tables shows."""
    assert found.mu <= mechanism.claimed_mu, f"{mechanism.name} leaks more than is booked"
    if mechanism.exact_mu is not None:
        assert found.mu >= least_share * mechanism.exact_mu, f"the audit of {mechanism.name} is blind"
    if mechanism.exact_epsilon is not None:
        assert found.epsilon <= mechanism.exact_epsilon


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda m: m.name)
def test_a_mechanism_leaks_no_more_than_is_booked(mechanism: Mechanism) -> None:
    n_validation = QUICK_RUNS // 3
    found = audit_of(mechanism, QUICK_RUNS - n_validation, n_validation)
    check(mechanism, found, expected_share(1.0, QUICK_RUNS - n_validation))


@pytest.mark.parametrize("mechanism", VECTORISED, ids=lambda m: m.name)
def test_a_hundred_thousand_runs_show_most_of_what_is_booked(mechanism: Mechanism) -> None:
    assert expected_share(1.0, 100_000) > 0.91
    check(mechanism, audit_of(mechanism, 100_000, 30_000), 0.91)


@pytest.mark.audit
@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda m: m.name)
def test_every_mechanism_at_a_hundred_thousand_runs(mechanism: Mechanism) -> None:
    n_test = 100_000 if mechanism.exact_mu is not None else 20_000  # no closed form asks for more of these
    check(mechanism, audit_of(mechanism, n_test, 3 * n_test // 10), 0.91)


@pytest.mark.audit
@pytest.mark.parametrize("mechanism", VECTORISED, ids=lambda m: m.name)
def test_a_million_runs_show_nearly_all_of_what_is_booked(mechanism: Mechanism) -> None:
    assert expected_share(1.0, 1_000_000) > 0.97
    check(mechanism, audit_of(mechanism, 1_000_000, 200_000), 0.97)


def test_two_opposed_candidates_show_half_of_epsilon0_and_no_more() -> None:
    mechanism = next(m for m in VECTORISED if m.exact_epsilon is not None)
    found = audit_of(mechanism, 20_000, 1000)
    assert 0.8 * mechanism.exact_epsilon < found.epsilon <= mechanism.exact_epsilon


def any_published(steps: int, n_values: int) -> float:
    """Return the chance that one of a person's own values passes, each weighing one over their number."""
    above = steps - PERSON_GRID // n_values
    return float(1 - ndtr((above + 0.5) / (NOISE * PERSON_GRID)) ** n_values)


@pytest.mark.parametrize("n_values", [1, 2, 3])
def test_values_of_one_person_alone_are_published_as_seldom_as_delta_says(n_values: int) -> None:
    n_runs = 4000
    threshold = discovery_threshold(NOISE, delta=DISCOVERY_DELTA, max_records=3, units_per_one=PERSON_GRID)
    exact = any_published(threshold, n_values)
    n_published = own_values_published(n_values, n_runs)
    assert clopper_pearson_lower(n_published, n_runs, confidence=1 - FALSE_ALARM) <= DISCOVERY_DELTA
    assert exact <= DISCOVERY_DELTA * (1 + 1e-9)
    assert clopper_pearson_upper(n_published, n_runs, confidence=1 - FALSE_ALARM) >= 0.99 * exact
    # Power: were the threshold a person lower, the limit would pass delta.
    few = int(binom.ppf(FALSE_ALARM, n_runs, any_published(threshold - PERSON_GRID, n_values)))
    assert clopper_pearson_lower(few, n_runs, confidence=1 - FALSE_ALARM) > DISCOVERY_DELTA


def test_the_value_of_one_record_alone_is_published_as_seldom_as_delta_says() -> None:
    # The noise of records has whole steps: with the threshold of continuous noise, .023 here instead of .01.
    n_runs = 4000
    n_published = own_values_published(1, n_runs, TEXTS)
    assert clopper_pearson_lower(n_published, n_runs, confidence=1 - FALSE_ALARM) <= DISCOVERY_DELTA
    # Power: the probability of a threshold one lower would be seen.
    exact = float(ndtr(-(discovery_threshold(NOISE, delta=DISCOVERY_DELTA, max_records=1) - 1.5) / NOISE))
    few = int(binom.ppf(FALSE_ALARM, n_runs, exact))
    assert clopper_pearson_lower(few, n_runs, confidence=1 - FALSE_ALARM) > DISCOVERY_DELTA


def test_exceedances_at_95_percent_stay_within_the_binomial_range() -> None:
    mechanism, repetitions = VECTORISED[0], 400
    n_above = 0
    for _ in range(repetitions):
        without, with_target = (mechanism.scores(w, 600) for w in (False, True))
        n_above += audit_scores(without, with_target, n_validation=200).mu > mechanism.claimed_mu
    assert n_above <= binom.ppf(1 - FALSE_ALARM, repetitions, 0.05)


@pytest.mark.parametrize("schema", [TABLE, PERSONS], ids=["records", "persons"])
def test_no_two_runs_share_their_noise(schema) -> None:
    curator = curator_of(ten_rows(True, schema), schema)
    sets = [("a", "b", "c")] * 500
    release = curator.release(
        "counts",
        Marginals(purpose="audit", codings=codings_of_table(schema), sets=tuple(sets), noise_multiplier=1e6),
    )
    refuse_identical_runs(np.stack([release.arrays[str(i)].ravel() for i in range(500)]))


@pytest.mark.parametrize("schema", [IN_CELLS, PERSONS_IN_CELLS], ids=["records", "persons"])
def test_no_two_cells_of_vectors_share_their_noise(schema) -> None:
    release = noisy_vectors(True, schema)
    refuse_identical_runs(np.concatenate([release("first"), release("second")]))
