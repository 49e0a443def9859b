"""Every synthesizer, small enough to fit in a second, for the suite that all of them pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from privsynth.models.images.diffusion import DiffusionOptions
from privsynth.models.images.gan import ImageGanOptions
from privsynth.models.tables.gan import GanOptions
from privsynth.schema import Schema
from privsynth.schema.images import LabelledImages
from privsynth.synthesizers import (
    DenoisingSettings,
    DenoisingSynthesizer,
    DPGANSettings,
    DPGANSynthesizer,
    ImageDiffusionSettings,
    ImageDiffusionSynthesizer,
    ImageFeatureSettings,
    ImageFeatureSynthesizer,
    ImageGANSettings,
    ImageGANSynthesizer,
    MarginalSynthesizer,
    PATEGANSettings,
    PATEGANSynthesizer,
)
from privsynth.synthesizers.images.base import ImageSynthesizer
from privsynth.synthesizers.images.prototypes import PrototypeSettings
from privsynth.synthesizers.tables.base import TableSynthesizer
from tests.helpers.tables import QUICK

AnySynthesizer = TableSynthesizer | ImageSynthesizer

QUICK_SETTINGS: dict[type[AnySynthesizer], Any] = {
    MarginalSynthesizer: QUICK,
    DPGANSynthesizer: DPGANSettings(
        n_steps=6,
        batch_size=128,
        n_bins=16,
        gan=GanOptions(n_states=128, hidden=(8,), fake_batch_size=64, averaging=0.5),
    ),
    PATEGANSynthesizer: PATEGANSettings(
        n_rounds=4, queries_per_round=32, fakes_per_round=64, n_bins=16, n_states=128, fake_batch_size=128
    ),
    DenoisingSynthesizer: DenoisingSettings(
        n_steps=6, batch_size=128, n_bins=16, averaging=0.5, hidden=4, n_components=512
    ),
    ImageFeatureSynthesizer: ImageFeatureSettings(
        table=QUICK, table_share=0.5, prototypes=PrototypeSettings(n_rounds=2, n_frequencies=16)
    ),
    ImageDiffusionSynthesizer: ImageDiffusionSettings(
        table=QUICK,
        table_share=0.4,
        prototypes=PrototypeSettings(n_rounds=1, n_frequencies=16),
        n_steps=6,
        batch_size=64,
        diffusion=DiffusionOptions(
            architecture="mlp", width=8, draws=2, averaging=0.5, warm_steps=3, warm_batch_size=8, n_levels=3
        ),
    ),
    ImageGANSynthesizer: ImageGANSettings(
        table=QUICK,
        table_share=0.4,
        prototypes=PrototypeSettings(n_rounds=1, n_frequencies=16),
        n_steps=6,
        batch_size=128,
        gan=ImageGanOptions(
            latent_dim=4, generator_width=16, discriminator_width=16, fake_batch_size=32, averaging=0.5
        ),
    ),
}

Make = Callable[..., AnySynthesizer]


def maker(kind: type[AnySynthesizer]) -> Make:
    """Return what makes a synthesizer of this kind with its quick settings."""

    def make(*, epsilon: float | None = 3.0, **arguments: Any) -> AnySynthesizer:
        defaults = {"settings": QUICK_SETTINGS[kind], "random_state": 0, "device": "cpu"}
        return kind(epsilon=epsilon, **(defaults | arguments))

    return make


def as_records(
    synthesizer: AnySynthesizer, frame: pd.DataFrame, schema: Schema
) -> tuple[pd.DataFrame | LabelledImages, Schema]:
    """Return a table as this synthesizer takes it: to learn images it gets one a row, all different."""
    if not isinstance(synthesizer, ImageSynthesizer):
        return frame, schema
    images = np.random.default_rng(1).integers(0, 256, (len(frame), 6, 6), dtype=np.uint8)
    shape = {"height": 6, "width": 6, "channels": 1}
    return LabelledImages(images, frame), Schema.from_dict(schema.to_dict() | {"image": shape})
