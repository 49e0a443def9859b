"""Each trainer, fitted once on a table of canaries: what a fit publishes betrays no more than is claimed.

With so few guesses an honest fit shows nothing. That this silence means something is shown by the same fit
without its noise, which is caught at once.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from tests.audit.test_mechanisms import FALSE_ALARM
from tests.audit.trainers import TRAINERS, Trainer, claimed_mu, no_noise, shown_mu

each_trainer = pytest.mark.parametrize("trainer", TRAINERS.values(), ids=TRAINERS)
N_REPETITIONS = 40


@each_trainer
def test_a_fit_betrays_no_more_than_is_claimed(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_mu(trainer, monkeypatch, confidence=1 - FALSE_ALARM) <= claimed_mu()


@each_trainer
def test_a_fit_without_noise_is_caught(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    no_noise(monkeypatch)
    assert shown_mu(trainer, monkeypatch, confidence=1 - FALSE_ALARM) > claimed_mu()


@pytest.mark.audit
@each_trainer
def test_over_many_fits_exceedances_stay_within_the_binomial_range(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [shown_mu(trainer, monkeypatch, confidence=0.95) for _ in range(N_REPETITIONS)]
    assert np.sum(np.array(shown) > claimed_mu()) <= binom.ppf(1 - FALSE_ALARM, N_REPETITIONS, 0.05)
