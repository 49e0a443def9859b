"""Every synthesizer of tables, small enough to fit in a second, for the suite that all of them pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from privsynth.models.gan import GanOptions
from privsynth.synthesizers import (
    DenoisingSynthesizer,
    DPGANSynthesizer,
    MarginalSynthesizer,
    PATEGANSynthesizer,
)
from privsynth.synthesizers.denoising import DenoisingSettings
from privsynth.synthesizers.dpgan import DPGANSettings
from privsynth.synthesizers.pategan import PATEGANSettings
from privsynth.synthesizers.table import TableSynthesizer
from tests.helpers.tables import QUICK

QUICK_SETTINGS: dict[type[TableSynthesizer], Any] = {
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
}

Make = Callable[..., TableSynthesizer]


def maker(kind: type[TableSynthesizer]) -> Make:
    """Return what makes a synthesizer of this kind with its quick settings."""

    def make(*, epsilon: float | None = 3.0, **arguments: Any) -> TableSynthesizer:
        defaults = {"settings": QUICK_SETTINGS[kind], "random_state": 0, "device": "cpu"}
        return kind(epsilon=epsilon, **(defaults | arguments))

    return make
