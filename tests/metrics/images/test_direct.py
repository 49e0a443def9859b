"""The classifier trained directly: within its budget, and only as good as that allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from privsynth.accounting.gdp import ADDED_DELTA_SHARE, gdp_delta
from privsynth.metrics.utility import dp_classifier as direct
from privsynth.metrics.utility.dp_classifier import (
    COUNT_SHARE,
    SCATTERING,
    SETTINGS,
    DirectTraining,
    train_directly,
)
from privsynth.privacy.mechanisms.clipping import STEPS_PER_NORM, RecordClipper
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from tests.helpers.predictable import PredictableSourceForTests

FEW = DirectTraining(n_steps=20, batch_size=256, learning_rate=0.02)


class Watched(GradientSteps):
    """Keeps the blocks that were made."""

    made: list[Watched] = []  # noqa: RUF012 - emptied by each test

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)
        self.records = named["records"]
        Watched.made.append(self)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    Watched.made = []
    monkeypatch.setattr(direct, "GradientSteps", Watched)
    return Watched.made


@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 1e-6), (3.0, 1e-5)])
def test_steps_and_count_stay_within_the_budget(real, watched, epsilon: float, delta: float) -> None:
    labels = real[1]["digit"].to_numpy()
    train_directly(
        "logistic_regression", real[0], labels, None, n_classes=10, epsilon=epsilon, delta=delta, settings=FEW
    )
    (steps,) = watched
    assert steps.n_begun == steps.plan.n_steps == FEW.n_steps
    event = steps.plan.event("test")
    mu_squared = event.mu_squared / (1 - COUNT_SHARE)  # the count has the rest
    assert gdp_delta(np.sqrt(mu_squared), epsilon) + event.delta <= delta * (1 + 1e-6)
    assert gdp_delta(np.sqrt(1.05 * mu_squared), epsilon) + event.delta > delta  # and little is left over
    assert event.delta == pytest.approx(ADDED_DELTA_SHARE * delta)


def test_the_sample_rate_comes_from_a_noisy_count(real, watched) -> None:
    labels = real[1]["digit"].to_numpy()
    for seed in range(3):
        train_directly(
            "logistic_regression",
            real[0],
            labels,
            None,
            n_classes=10,
            epsilon=1.0,
            delta=1e-5,
            settings=FEW,
            secret=PredictableSourceForTests(seed),
        )
    rates = {steps.plan.sample_rate for steps in watched}
    assert len(rates) == 3
    assert FEW.batch_size / len(labels) not in rates


def test_a_person_is_one_unit_of_rows_of_their_own(real, watched) -> None:
    labels, persons = real[1]["digit"].to_numpy(), np.arange(600) // 6
    images = np.broadcast_to(persons.astype(np.uint8)[:, None, None, None], real[0].shape)  # all of one shade
    train_directly(
        "logistic_regression", images, labels, persons, n_classes=10, epsilon=1000.0, delta=1e-5,
        max_records_per_person=2, settings=DirectTraining(n_steps=2, batch_size=50, learning_rate=0.02),
    )  # fmt: skip
    (steps,) = watched
    shades, counts = np.unique(steps.records.take(slice(None))[:, 0].numpy(), return_counts=True)
    assert len(shades) == 100
    assert set(counts) == {2}
    assert steps.plan.sample_rate == pytest.approx(0.5, abs=0.05)  # 50 of about 100 persons, not of 200 rows


def test_more_budget_teaches_more(real, holdout) -> None:
    labels, truth = real[1]["digit"].to_numpy(), holdout[1]["digit"].to_numpy()

    def accuracy(epsilon: float) -> float:
        trained = train_directly(
            "mlp", real[0], labels, None, n_classes=10, epsilon=epsilon, delta=1e-5,
            settings=DirectTraining(n_steps=40, batch_size=512, learning_rate=0.02),
        )  # fmt: skip
        return float((trained.logits(holdout[0]).argmax(1) == truth).mean())

    assert accuracy(1000.0) > 0.8
    assert accuracy(0.01) < 0.4


def test_a_linear_classifier_of_public_features_takes_every_record_in_every_step(
    real, holdout, watched
) -> None:
    """It learns 8 x 8 digits in ten steps; the number that divides sums is a noisy one."""
    labels, truth = real[1]["digit"].to_numpy(), holdout[1]["digit"].to_numpy()
    settings = replace(SETTINGS[SCATTERING], n_steps=10)
    trained = train_directly(
        SCATTERING, real[0], labels, None, n_classes=10, epsilon=1000.0, delta=1e-5, settings=settings
    )
    assert float((trained.logits(holdout[0]).argmax(1) == truth).mean()) > 0.85
    (steps,) = watched
    assert steps.n_begun == steps.plan.n_steps == 10
    assert steps.plan.sample_rate == pytest.approx(1.0, abs=1e-9)
    assert steps.plan.max_grad_norm == 0.3
    assert steps.plan.expected_batch_size != len(labels)  # a noisy number


def test_one_more_image_moves_the_sum_of_a_full_batch_by_its_bound_at_most(real, monkeypatch) -> None:
    """In whole steps of the grid; at the start gradients are longer than the bound, so that it binds."""
    sums: dict[int, list[torch.Tensor]] = {}

    class Summed(RecordClipper):
        def clipped_steps(self, records: torch.Tensor, at_once: int | None = None) -> list[torch.Tensor]:
            found = super().clipped_steps(records, at_once)
            sums.setdefault(len(records), found)
            return found

    monkeypatch.setattr(direct, "RecordClipper", Summed)
    labels = real[1]["digit"].to_numpy()
    for n in (299, 300):
        train_directly(
            SCATTERING, real[0][:n], labels[:n], None, n_classes=10, epsilon=1.0, delta=1e-5,
            settings=replace(SETTINGS[SCATTERING], n_steps=1), secret=PredictableSourceForTests(0),
        )  # fmt: skip
    (fewer,), (more,) = sums[299], sums[300]
    moved = float((more - fewer).double().norm()) / STEPS_PER_NORM
    assert 0.9 < moved <= 1.0
