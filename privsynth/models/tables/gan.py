"""The adversarial game on rows: a mixture of products against a discriminator. Takes no real record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.models.adversarial import AdversarialGame, GameOptions
from privsynth.models.tables.discriminator import TableDiscriminator
from privsynth.models.tables.generator import MixtureGenerator

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class GanOptions(GameOptions):
    """How the two networks are made and trained; public.

    Attributes:
        pairs: Whether the discriminator has its pair term.
        hidden: Widths of the discriminator's perceptron; none leaves it out. It finds dependence of three
            and more columns, but costs quality where pairs say most, as in ordinary tables.
        weight_decay: L2 penalty of the discriminator's terms that are linear in their weights; it bounds a
            Wasserstein critic and makes it follow the present generator, not the history of the game.
        hidden_decay: L2 penalty of the perceptron, which learns nothing under one as strong.
        n_states: Latent states of the generator.
        scatter: Standard deviation of the random part of the initial logits.
        temperature: Of the Gumbel-softmax.
        one_way_weight: Weight of the divergence from the released 1-way marginals in the generator's loss.

    The others are those of `GameOptions`.
    """

    loss: str = "wasserstein"
    non_saturating: bool = False
    pairs: bool = True
    hidden: tuple[int, ...] = ()
    discriminator_rate: float = 2e-3
    weight_decay: float = 0.05
    hidden_decay: float = 1e-3
    n_states: int = 4096
    scatter: float = 0.5
    temperature: float = 0.5
    generator_rate: float = 0.05
    fake_batch_size: int = 2048
    one_way_weight: float = 0.0
    min_fake_accuracy: float | None = None
    judged_every_step: bool = True
    accuracy_weight: float = 0.2
    averaging: float = 0.99


class Gan(AdversarialGame):
    """The game on rows.

    Args:
        generator: The generator, at its start; all draws are its.
        options: How to train.
        device: Where torch computes; initial weights and all draws come from the CPU.
        rng: Of the discriminator's initial weights.
    """

    def __init__(
        self, generator: MixtureGenerator, options: GanOptions, *, device: str, rng: torch.Generator
    ) -> None:
        self.options, self.generator = options, generator.to(device)
        discriminator = TableDiscriminator(
            generator.sizes, hidden=options.hidden, pairs=options.pairs, rng=rng
        ).to(device)
        optimizer = torch.optim.Adam(
            [
                {"params": discriminator.linear_terms(), "weight_decay": options.weight_decay},
                {"params": discriminator.layers.parameters(), "weight_decay": options.hidden_decay},
            ],
            lr=options.discriminator_rate,
            betas=(0.5, 0.999),
        )
        super().__init__(self.generator, discriminator, optimizer, options, generator.rng)

    def fakes(self) -> torch.Tensor:
        """Draw a batch of generated rows, ``(fake_batch_size, S)``, that gradients pass through."""
        return self.generator.draw(self.options.fake_batch_size)

    def generator_loss(self, scores: torch.Tensor) -> torch.Tensor:
        """Return what the generator lowers, given the scores of its rows."""
        loss = super().generator_loss(scores)
        if self.options.one_way_weight:
            loss = loss + self.options.one_way_weight * self.generator.one_way_miss()
        return loss

    def from_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Take up the state that `to_arrays` returned, or that the first version wrote."""
        if "counters" in arrays:
            arrays = self._of_first_version(arrays)
        super().from_arrays(arrays)

    def _of_first_version(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        n_steps, fake_accuracy = arrays["counters"]
        return self.to_arrays() | {
            **arrays,
            "generator/logits": arrays["logits"],
            "average/module.logits": arrays["average"],
            "average/n_averaged": np.array(int(n_steps)),
            "fake_accuracy": np.array([fake_accuracy]),
        }
