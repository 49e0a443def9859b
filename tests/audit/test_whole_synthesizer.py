"""`MarginalSynthesizer` as a whole leaks no more than its budget, seen from inside and from its rows."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.attacks.bounds import mu_lower_bound
from privsynth.attacks.two_worlds import TwoWorldAudit, audit_features, audit_scores, refuse_identical_runs
from tests.audit.test_mechanisms import FALSE_ALARM, expected_share
from tests.audit.whole import DELTA, EPSILON, Run, claimed_mu, many_runs

QUICK_RUNS = 100  # of each world


def audits(n_runs: int, confidence: float, **options: int) -> tuple[TwoWorldAudit, TwoWorldAudit, Run]:
    """Return the white-box and the black-box audit of so many fits in each world, and a run."""
    without, with_target = (many_runs(n_runs, w, **options) for w in (False, True))
    refuse_identical_runs(np.stack([run.outputs for run in [*without, *with_target]]))
    inside = audit_scores(
        *(np.array([run.white_box for run in world]) for world in (without, with_target)),
        n_validation=n_runs // 5,
        confidence=confidence,
        delta=DELTA,
    )
    outside = audit_features(
        *(np.stack([run.black_box for run in world]) for world in (without, with_target)),
        confidence=confidence,
        delta=DELTA,
    )
    return inside, outside, without[0]


def test_a_few_fits_leak_no_more_than_the_budget() -> None:
    inside, outside, run = audits(QUICK_RUNS, 1 - FALSE_ALARM, n_processes=1)
    assert max(inside.mu, outside.mu) <= claimed_mu()
    assert max(inside.epsilon, outside.epsilon) <= EPSILON
    # The Gaussian releases take nearly all of the budget, and never more than all of it.
    assert 0.9 * claimed_mu() < np.sqrt(run.mu_squared) < claimed_mu()


@pytest.mark.audit
def test_thousands_of_fits_show_most_of_the_budget_and_no_more() -> None:
    n_runs = 5000
    inside, outside, run = audits(n_runs, 1 - FALSE_ALARM)
    assert max(inside.mu, outside.mu) <= claimed_mu()
    assert max(inside.epsilon, outside.epsilon) <= EPSILON
    assert inside.mu >= expected_share(1.0, 4 * n_runs // 5) * np.sqrt(run.mu_squared)
    # The rows alone show less, but do show it: at 95 % about 0.28, with a standard error of 0.04.
    assert mu_lower_bound(outside.errors, confidence=0.95) > 0.05
