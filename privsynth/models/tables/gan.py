"""State and public half of adversarial training: fakes, the generator's step, averages, checkpoints.

Nothing here takes a real record: the noisy gradient of real records arrives in the discriminator's ``p.grad``
from outside, so everything in this module is post-processing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.errors import ParameterError
from privsynth.models.state import (
    averaging_weight,
    module_arrays,
    optimizer_arrays,
    restore_module,
    restore_optimizer,
    tensor_array,
)
from privsynth.models.tables.discriminator import FAKE_LOSSES, REAL_LOSSES, TableDiscriminator, one_hot
from privsynth.models.tables.generator import MixtureGenerator

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class GanOptions:
    """How the two networks are made and trained; public.

    Attributes:
        loss: ``"wasserstein"``, ``"hinge"`` or ``"bce"``.
        pairs: Whether the discriminator has its pair term.
        hidden: Widths of the discriminator's perceptron; none leaves it out. It finds dependence of three
            and more columns, but costs quality where pairs say most, as in ordinary tables.
        discriminator_rate: Adam's step of the discriminator.
        weight_decay: L2 penalty of the discriminator's terms that are linear in their weights; it bounds a
            Wasserstein critic and makes it follow the present generator, not the history of the game.
        hidden_decay: L2 penalty of the perceptron, which learns nothing under one as strong.
        n_states: Latent states of the generator.
        scatter: Standard deviation of the random part of the initial logits.
        temperature: Of the Gumbel-softmax.
        generator_rate: Adam's step of the generator.
        generator_steps: Generator steps after each private step.
        fake_batch_size: Fakes in each step.
        one_way_weight: Weight of the divergence from the released 1-way marginals in the generator's loss.
        min_fake_accuracy: The generator waits while the discriminator tells fewer than this share of fakes
            from real ones (a score below 0); judged on fakes only, so it costs nothing. None never waits;
            means nothing for ``"wasserstein"``.
        averaging: Decay of the running average of the generator's logits that is kept as the model.
    """

    loss: str = "wasserstein"
    pairs: bool = True
    hidden: tuple[int, ...] = ()
    discriminator_rate: float = 2e-3
    weight_decay: float = 0.05
    hidden_decay: float = 1e-3
    n_states: int = 4096
    scatter: float = 0.5
    temperature: float = 0.5
    generator_rate: float = 0.05
    generator_steps: int = 1
    fake_batch_size: int = 2048
    one_way_weight: float = 0.0
    min_fake_accuracy: float | None = None
    averaging: float = 0.99

    def __post_init__(self) -> None:
        if self.loss not in REAL_LOSSES:
            raise ParameterError(f"expected loss to be one of {', '.join(REAL_LOSSES)}, got {self.loss!r}")
        if self.loss == "wasserstein" and self.min_fake_accuracy is not None:
            raise ParameterError(
                "min_fake_accuracy needs the hinge or bce loss: Wasserstein scores have no zero"
            )
        if not 0 <= self.averaging < 1:
            raise ParameterError(f"expected 0 <= averaging < 1, got {self.averaging!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON-able fields."""
        return {**asdict(self), "hidden": list(self.hidden)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> GanOptions:
        """Read what `to_dict` wrote."""
        return cls(**{**fields, "hidden": tuple(fields["hidden"])})


class Gan:
    """Generator, discriminator and their optimizers: exactly what a checkpoint needs.

    Args:
        generator: The generator, at its start.
        options: How to train.
        device: Where torch computes; initial weights and all draws come from the CPU.
        rng: Of the discriminator's initial weights.
    """

    def __init__(
        self, generator: MixtureGenerator, options: GanOptions, *, device: str, rng: torch.Generator
    ) -> None:
        self.options = options
        self.generator = generator.to(device)
        self.discriminator = TableDiscriminator(
            generator.sizes, hidden=options.hidden, pairs=options.pairs, rng=rng
        ).to(device)
        self.generator_optimizer = torch.optim.Adam(
            [self.generator.logits], lr=options.generator_rate, betas=(0.5, 0.99)
        )
        self.discriminator_optimizer = torch.optim.Adam(
            [
                {"params": self.discriminator.linear_terms(), "weight_decay": options.weight_decay},
                {"params": self.discriminator.layers.parameters(), "weight_decay": options.hidden_decay},
            ],
            lr=options.discriminator_rate,
            betas=(0.5, 0.999),
        )
        self.average = self.generator.logits.detach().clone()
        self.n_steps = 0
        self.fake_accuracy = 1.0

    # -- losses, one per row -----------------------------------------------------------------------------

    def real_loss(self, discriminator: Any, codes: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's loss for each row of codes, ``(n,)``."""
        return REAL_LOSSES[self.options.loss](discriminator(one_hot(codes, self.generator.sizes)))

    def fake_loss(self, discriminator: Any, rows: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's loss for each generated row, ``(n,)``."""
        return FAKE_LOSSES[self.options.loss](discriminator(rows))

    # -- steps -------------------------------------------------------------------------------------------

    def fakes(self) -> torch.Tensor:
        """Draw a batch of generated rows, ``(fake_batch_size, S)``, that gradients pass through."""
        return self.generator.draw(self.options.fake_batch_size)

    def generator_step(self, fakes: torch.Tensor) -> float:
        """Move the generator towards higher scores; return the mean score of its rows.

        Args:
            fakes: Rows for the first of ``generator_steps``; further ones draw their own.

        With ``min_fake_accuracy`` it first asks whether the discriminator is worth following.
        """
        self.n_steps += 1
        self.discriminator.requires_grad_(False)
        score = 0.0
        for number in range(self.options.generator_steps):
            scores = self.discriminator(fakes if number == 0 else self.fakes())
            score = float(scores.detach().mean())
            if not self._is_worth_following(scores.detach()):
                break
            loss = -scores.mean()
            if self.options.one_way_weight:
                loss = loss + self.options.one_way_weight * self.generator.one_way_miss()
            self.generator_optimizer.zero_grad()
            loss.backward()
            self.generator_optimizer.step()
        self.discriminator.requires_grad_(True)
        weight = averaging_weight(self.options.averaging, self.n_steps)
        self.average.lerp_(self.generator.logits.detach(), weight)
        return score

    def _is_worth_following(self, scores: torch.Tensor) -> bool:
        if self.options.min_fake_accuracy is None:
            return True
        self.fake_accuracy = 0.8 * self.fake_accuracy + 0.2 * float((scores < 0).float().mean())
        return self.fake_accuracy >= self.options.min_fake_accuracy

    # -- checkpoints -------------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, Array]:
        """Return all state as arrays by name: weights, optimizers, average, draws, counters."""
        arrays: dict[str, Array] = {
            "logits": tensor_array(self.generator.logits),
            "average": tensor_array(self.average),
            "rng": self.generator.rng.get_state().numpy(),
            "counters": np.array([self.n_steps, self.fake_accuracy]),
        }
        arrays |= module_arrays("discriminator", self.discriminator)
        for name, optimizer in self._optimizers.items():
            arrays |= optimizer_arrays(name, optimizer)
        return arrays

    def from_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Take up the state that `to_arrays` returned."""
        with torch.no_grad():
            self.generator.logits.copy_(torch.from_numpy(arrays["logits"]))
            self.average.copy_(torch.from_numpy(arrays["average"]))
        self.generator.rng.set_state(torch.from_numpy(arrays["rng"]))
        self.n_steps, self.fake_accuracy = int(arrays["counters"][0]), float(arrays["counters"][1])
        restore_module("discriminator", self.discriminator, arrays)
        for name, optimizer in self._optimizers.items():
            restore_optimizer(name, optimizer, arrays)

    @property
    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            "generator-optimizer": self.generator_optimizer,
            "discriminator-optimizer": self.discriminator_optimizer,
        }
