"""The private gradient steps, audited from inside by canaries in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from scipy.stats import binom

from privsynth.accounting.step_plan import StepPlan
from privsynth.attacks.canaries import CanaryAudit, audit_by_canaries
from privsynth.counting.coded_rows import RowsOfTensor
from privsynth.errors import ParameterError
from privsynth.privacy.mechanisms import noise
from privsynth.privacy.mechanisms.clipping import RecordClipper
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from privsynth.privacy.mechanisms.noise_optimizer import SecretNoiseOptimizer
from privsynth.privacy.randomness import OsEntropy
from privsynth.privacy.units import Weighting
from tests.helpers.predictable import PredictableSourceForTests

FALSE_ALARM = 1e-6
N_CANARIES, DIMENSION, N_GUESSES = 500, 4000, 50
FULL_BATCH = StepPlan(
    n_steps=4, sample_rate=1.0, noise_multiplier=2.0, max_grad_norm=0.5, expected_batch_size=250, slack=1e-7
)
SAMPLED = StepPlan(
    n_steps=60, sample_rate=0.25, noise_multiplier=2.0, max_grad_norm=0.5, expected_batch_size=60, slack=1e-7
)
# Weak claims, so that so many guesses can refute them at 1 - 1e-6: all correct, 200 guesses show mu = 0.71.
QUIET = StepPlan(
    n_steps=4, sample_rate=1.0, noise_multiplier=20.0, max_grad_norm=0.5, expected_batch_size=250, slack=1e-7
)
QUIET_SAMPLED = StepPlan(
    n_steps=100, sample_rate=0.05, noise_multiplier=4.0, max_grad_norm=0.5, expected_batch_size=12, slack=1e-7
)


def steps_of(plan: StepPlan, secret: OsEntropy | PredictableSourceForTests) -> Callable:
    """Return the noisy sums of a linear discriminator, whose gradient of a record is the record itself."""

    def noisy_steps(canaries: np.ndarray) -> Iterator[np.ndarray]:
        network = torch.nn.Linear(DIMENSION, 1, bias=False)
        clipper = RecordClipper(
            network, lambda d, records: d(records).squeeze(1), max_grad_norm=plan.max_grad_norm
        )
        steps = GradientSteps(
            plan,
            records=RowsOfTensor(  # longer than the bound: clipped to it
                torch.from_numpy(10 * canaries),
                Weighting(rows=None, weights=None, units_per_one=1, max_records=1),
            ),
            secret=secret,
            advance=lambda n_begun: None,
        )
        optimizer = steps.optimizer(torch.optim.SGD(network.parameters(), lr=0.0))
        for _ in range(plan.n_steps):
            steps.noisy_gradient(clipper, optimizer)
            assert network.weight.grad is not None
            yield network.weight.grad.numpy().ravel().astype(float) * plan.expected_batch_size

    return noisy_steps


def audit(
    plan: StepPlan, *, seed: int = 0, confidence: float = 1 - FALSE_ALARM, n_guesses: int = N_GUESSES
) -> CanaryAudit:
    return audit_by_canaries(
        steps_of(plan, OsEntropy()),
        n_canaries=N_CANARIES,
        dimension=DIMENSION,
        n_guesses=n_guesses,
        generator=np.random.default_rng(seed),
        delta=1e-5,
        confidence=confidence,
    )


@pytest.mark.parametrize("plan", [FULL_BATCH, SAMPLED], ids=["full batch", "sampled"])
def test_steps_show_no_more_than_the_ledger_books(plan: StepPlan) -> None:
    booked = np.sqrt(plan.event("audit").mu_squared)
    found = [audit(plan, seed=seed) for seed in range(4)]
    assert max(audit.mu for audit in found) <= booked
    # And the canaries are seen: of 50 guesses 44 are right, with a standard deviation of 2.3 over 600 audits.
    assert sum(audit.n_correct for audit in found) > binom.isf(FALSE_ALARM, len(found) * N_GUESSES, 0.5)


@pytest.mark.audit
@pytest.mark.parametrize("plan", [FULL_BATCH, SAMPLED], ids=["full batch", "sampled"])
def test_exceedances_over_many_runs_stay_within_the_binomial_range(plan: StepPlan) -> None:
    booked, repetitions = np.sqrt(plan.event("audit").mu_squared), 100
    found = [audit(plan, seed=seed, confidence=0.95).mu for seed in range(repetitions)]
    assert sum(mu > booked for mu in found) <= binom.ppf(1 - FALSE_ALARM, repetitions, 0.05)
    assert np.median(found) > 0.25 * booked


def no_clipping(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RecordClipper, "_factor", lambda self, squared_norm: torch.ones_like(squared_norm))


def noise_of_a_mean(patch: pytest.MonkeyPatch) -> None:
    """The noise is scaled as if the mean, and not the sum, were clipped."""
    honest = SecretNoiseOptimizer.add_noise

    def bug(self: SecretNoiseOptimizer) -> None:
        self.noise_multiplier /= self.expected_batch_size
        honest(self)
        self.noise_multiplier *= self.expected_batch_size

    patch.setattr(SecretNoiseOptimizer, "add_noise", bug)


def no_noise(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(noise, "standard_normals", lambda n, secret: np.zeros(n))


def everyone_in_every_batch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Weighting, "poisson_sample", lambda self, sample_rate, *, n_rows, secret: np.arange(n_rows))


@pytest.mark.parametrize(
    ("bug", "plan"),
    [
        (no_clipping, QUIET),
        (noise_of_a_mean, QUIET),
        (no_noise, QUIET_SAMPLED),
        (everyone_in_every_batch, QUIET_SAMPLED),
    ],
)
def test_a_bug_in_the_steps_is_found(
    bug: Callable[[pytest.MonkeyPatch], None], plan: StepPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    booked = np.sqrt(plan.event("audit").mu_squared)
    assert audit(plan, n_guesses=200).mu <= booked
    bug(monkeypatch)
    assert audit(plan, n_guesses=200).mu > booked


def test_canaries_need_room() -> None:
    with pytest.raises(ParameterError, match="twice as many dimensions as canaries"):
        audit_by_canaries(
            lambda canaries: [], n_canaries=10, dimension=15, n_guesses=2, generator=np.random.default_rng(0)
        )
    with pytest.raises(ParameterError, match="noisy sums of shape"):
        audit_by_canaries(
            lambda canaries: [np.zeros(3)],
            n_canaries=10,
            dimension=20,
            n_guesses=2,
            generator=np.random.default_rng(0),
        )
