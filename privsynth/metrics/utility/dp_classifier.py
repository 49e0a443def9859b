"""What a classifier trained directly on the real images under (epsilon, delta) reaches: the thing to beat.

The steps are those that every generator here takes (`privsynth.privacy.mechanisms.gradient_steps`): Poisson
batches, gradients clipped record by record, Gaussian noise from the operating system's entropy, charged as a
whole beforehand. The number of units, which the sample rate is derived from, is a noisy count under the same
budget. The classifier is a baseline: it is scored on the holdout and thrown away, so no ledger books it.

References:
    Abadi et al., "Deep Learning with Differential Privacy", CCS 2016; Papernot et al., "Tempered Sigmoid
    Activations for Deep Learning with Differential Privacy", AAAI 2021 (bounded activations); De et al.,
    "Unlocking High-Accuracy Differentially Private Image Classification through Scale", 2022 (few steps on
    large batches, averaged weights). Tramer and Boneh, "Differentially Private Learning Needs Better Features
    (or Much More Data)", ICLR 2021 (a linear classifier of scattering features).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from privsynth.accounting.gdp import ADDED_DELTA_SHARE, gdp_mu
from privsynth.accounting.step_plan import StepPlan
from privsynth.counting.coded_rows import RowsOfTensor
from privsynth.metrics.common.image_classifiers import CNN, LINEAR, MLP, ImageClassifier, as_input, build
from privsynth.models.images.public_features import PublicFeatures
from privsynth.privacy.mechanisms.clipping import RecordClipper
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from privsynth.privacy.randomness import OsEntropy, SecureRandom, standard_normals
from privsynth.privacy.units import Weighting, weigh_records
from privsynth.schema.image_shape import ImageShape

SCATTERING = "scattering"
"""A linear classifier of `privsynth.models.images.public_features`; only ever trained directly."""

COUNT_SHARE = 0.02  # of mu², spent on the number of units
MAX_GRAD_NORM = 1.0
AVERAGING = 0.95  # of the weights that are scored, a step


@dataclass(frozen=True, kw_only=True)
class DirectTraining:
    """Public settings of one family.

    Fixed beforehand; those of scattering were chosen on the last 10,000 training images of Fashion-MNIST, the
    others on no data set. Few steps on large batches, which suits a small epsilon. At a large one a longer
    training would reach more, so that the baseline is then a low one.

    Attributes:
        n_steps: Noisy steps.
        batch_size: Units a step, on average; infinite takes all of them in every step.
        learning_rate: Of Adam, or of gradient descent with momentum.
        width: Channels of the first convolution.
        max_grad_norm: L2 bound on one record's gradient.
        momentum: Of gradient descent; None takes Adam.
    """

    n_steps: int
    batch_size: float
    learning_rate: float
    width: int = 16
    max_grad_norm: float = MAX_GRAD_NORM
    momentum: float | None = None


SETTINGS = {
    LINEAR: DirectTraining(n_steps=200, batch_size=2048, learning_rate=0.01),
    MLP: DirectTraining(n_steps=200, batch_size=2048, learning_rate=0.005),
    CNN: DirectTraining(n_steps=80, batch_size=1024, learning_rate=0.01, width=8),
    SCATTERING: DirectTraining(
        n_steps=40, batch_size=math.inf, learning_rate=100.0, max_grad_norm=0.3, momentum=0.9
    ),
}


def train_directly(
    family: str,
    images: np.ndarray,
    labels: np.ndarray,
    persons: np.ndarray | None,
    *,
    n_classes: int,
    epsilon: float,
    delta: float,
    max_records_per_person: int | None = None,
    settings: DirectTraining | None = None,
    secret: SecureRandom | None = None,
    seed: int = 0,
) -> ImageClassifier:
    """Train a classifier on the real images under (epsilon, delta).

    Args:
        family: One of `privsynth.metrics.common.image_classifiers.FAMILIES`, or `SCATTERING`.
        images: ``(n, height, width, channels)`` uint8.
        labels: Class codes in ``[0, n_classes)``.
        persons: Person of each image, codes, or None where an image is a unit.
        n_classes: Number of classes; public.
        epsilon: Budget of the whole training, > 0.
        delta: Budget of the whole training, in (0, 1).
        max_records_per_person: Of the schema; with persons.
        settings: See `DirectTraining`; `SETTINGS` if None.
        secret: Source of batches and noise; the operating system's entropy if None.
        seed: Of the initial weights.

    Raises:
        ParameterError: If the budget pays no step.

    Privacy:
        Accounted, but in no ledger: one noisy count and one block of gradient steps, which together are
        (epsilon, delta)-differentially private for adding or removing one unit. The caller must not let the
        classifier out without charging for it.
    """
    settings = settings or SETTINGS[family]
    secret = secret or OsEntropy()
    mu = gdp_mu(epsilon, (1 - ADDED_DELTA_SHARE) * delta)
    weighting = weigh_records(persons, max_records_per_person=max_records_per_person, secret=secret)
    kept = np.arange(len(images)) if weighting.rows is None else weighting.rows
    n_units = len(kept) if weighting.persons is None else len(np.unique(weighting.persons))
    noisy_count = n_units + float(standard_normals(1, secret)[0]) / (mu * math.sqrt(COUNT_SHARE))
    plan = StepPlan.within(
        (1 - COUNT_SHARE) * mu**2,
        ADDED_DELTA_SHARE * delta,
        n_steps=settings.n_steps,
        batch_size=settings.batch_size,
        n_units=noisy_count,
        max_grad_norm=settings.max_grad_norm,
    )
    if family == SCATTERING:
        return _on_features(images[kept], labels[kept], plan, weighting, secret, settings, n_classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(family, images.shape[1:], n_classes, width=settings.width, is_private=True)
    pixels = as_input(images[kept]).flatten(1)
    records = torch.cat([pixels, torch.from_numpy(labels[kept].astype(np.float32))[:, None]], dim=1)
    steps = GradientSteps(
        plan, records=RowsOfTensor(records, weighting), secret=secret, advance=lambda n_begun: None
    )
    return ImageClassifier(_descend(network, steps, settings, images.shape[1:]), n_classes)


class _Features(nn.Module):
    """Public features of pixels in [-1, 1], as an `ImageClassifier` gives them."""

    def __init__(self, features: PublicFeatures) -> None:
        super().__init__()
        self.public = features

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.public.of_each((pixels + 1.0) / 2.0)


def _on_features(
    images: np.ndarray,
    labels: np.ndarray,
    plan: StepPlan,
    weighting: Weighting,
    secret: SecureRandom,
    settings: DirectTraining,
    n_classes: int,
) -> ImageClassifier:
    """Take all steps of a linear classifier on features that are computed once, each from one image."""
    height, width, channels = images.shape[1:]
    body = _Features(PublicFeatures(ImageShape(height=height, width=width, channels=channels)))
    seen = torch.cat([body(as_input(images[i : i + 1024])) for i in range(0, len(images), 1024)])
    records = torch.cat([seen, torch.from_numpy(labels.astype(np.float32))[:, None]], dim=1)
    steps = GradientSteps(
        plan, records=RowsOfTensor(records, weighting), secret=secret, advance=lambda n_begun: None
    )
    with torch.random.fork_rng(devices=[]):
        head = nn.Linear(seen.shape[1], n_classes, bias=False)
    nn.init.zeros_(head.weight)

    def loss(predict: Callable[[torch.Tensor], torch.Tensor], records: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(predict(records[:, :-1]), records[:, -1].long(), reduction="none")

    clipper = RecordClipper(head, loss, max_grad_norm=plan.max_grad_norm)
    descent = torch.optim.SGD(head.parameters(), lr=settings.learning_rate, momentum=settings.momentum or 0.0)
    optimizer = steps.optimizer(descent)
    second_half = []
    for number in range(plan.n_steps):
        steps.noisy_gradient(clipper, optimizer)
        descent.step()
        if 2 * (number + 1) > plan.n_steps:
            second_half.append(head.weight.detach().clone())
    head.weight.data = torch.stack(second_half).mean(0)
    return ImageClassifier(nn.Sequential(body, head).eval(), n_classes)


def _descend(
    network: nn.Sequential, steps: GradientSteps, settings: DirectTraining, shape: tuple[int, ...]
) -> nn.Sequential:
    """Take all steps and return the network with averaged weights."""
    height, width, channels = shape

    def loss(predict: Callable[[torch.Tensor], torch.Tensor], records: torch.Tensor) -> torch.Tensor:
        pixels = records[:, :-1].unflatten(1, (channels, height, width))
        return nn.functional.cross_entropy(predict(pixels), records[:, -1].long(), reduction="none")

    network.train()
    clipper = RecordClipper(network, loss, max_grad_norm=steps.plan.max_grad_norm)
    optimizer = steps.optimizer(torch.optim.Adam(network.parameters(), lr=settings.learning_rate))
    averaged = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGING)
    )
    for _ in range(steps.plan.n_steps):
        steps.noisy_gradient(clipper, optimizer)
        optimizer.original_optimizer.step()
        averaged.update_parameters(network)
    scored = averaged.module
    assert isinstance(scored, nn.Sequential)
    return scored.eval()
