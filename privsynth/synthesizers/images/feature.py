"""`ImageFeatureSynthesizer`: prototypes of images and how they vary, from a handful of noisy sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from privsynth.accounting.budget import Spend
from privsynth.models.images.mixture import ImageMixture
from privsynth.privacy.curator import Curator
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.contract import FitPlan, Progress
from privsynth.synthesizers.images.base import ImageSettings, ImageSynthesizer, planned_table
from privsynth.synthesizers.images.measurements import Cells
from privsynth.synthesizers.images.prototypes import fit_prototypes


@dataclass(frozen=True, kw_only=True)
class ImageFeatureSettings(ImageSettings):
    """Public settings of the recipe: those of every image recipe; the images get what the table leaves."""


class ImageFeatureSynthesizer(ImageSynthesizer):
    """Learn prototypes of each class and group, and how images vary about them, from noisy sums alone.

    The one-shot generator: no gradient step sees a record. The budget pays for a table of the labels, then in
    turn each cell's mean image, second moments in low frequencies, a few rounds of private clustering, and
    second moments about the clusters. What noise would have made is shrunk away before it is used.

    Args and attributes are those of `Synthesizer`.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> from privsynth.schema.images import LabelledImages
        >>> schema = Schema({"side": {"type": "categorical", "categories": ["left", "right"]}},
        ...                 image={"height": 8, "width": 8, "channels": 1})
        >>> images = np.zeros((400, 8, 8), np.uint8)
        >>> images[::2, :, :4], images[1::2, :, 4:] = 255, 255
        >>> real = LabelledImages(images, pd.DataFrame({"side": ["left", "right"] * 200}))
        >>> synthesizer = ImageFeatureSynthesizer(epsilon=None).fit(real, schema=schema)  # not private
        >>> drawn = synthesizer.sample(10, conditions={"side": "left"})
        >>> drawn.images.shape, bool(drawn.images[:, :, :4].mean() > 128 > drawn.images[:, :, 4:].mean())
        ((10, 8, 8, 1), True)

    References:
        Su et al., "Differentially Private k-Means Clustering", CODASPY 2016 (noisy Lloyd rounds). Harder,
        Adamczewski and Park, "DP-MERF", AISTATS 2021 (one noisy mean embedding, then only post-processing).
        Li et al., "DP-FETA", S&P 2025 (central images of classes).
    """

    name = "image-feature"
    settings_type = ImageFeatureSettings

    @classmethod
    def plan_for(
        cls, schema: Schema, settings: ImageFeatureSettings, allowance: Spend, n_rows: int
    ) -> FitPlan:
        """Say what a fit of about ``n_rows`` units would release under this budget."""
        assert schema.image is not None
        steps = planned_table(schema, settings, allowance.mu_squared, n_rows)
        left = 1.0 - sum(step["share"] for step in steps)
        steps += settings.prototypes.planned(left, allowance.mu_squared)
        values = schema.image.n_values
        return FitPlan(
            steps=tuple(steps),
            memory_mb=500.0 + 2e-6 * n_rows * values,
            seconds=settings.prototypes.seconds(n_rows, values, left * allowance.mu_squared),
        )

    def _generator(
        self,
        curator: Curator,
        table: TableModel,
        cells: Cells,
        settings: ImageFeatureSettings,
        *,
        seed: int,
        device: str,
        progress: Progress,
    ) -> ImageMixture:
        return fit_prototypes(
            curator, cells, settings.prototypes, table.n_units, seed=seed, progress=progress
        )

    @staticmethod
    def _generator_from(
        schema: Schema, settings: ImageFeatureSettings, arrays: dict[str, NDArray[Any]]
    ) -> ImageMixture:
        assert schema.image is not None
        return ImageMixture.from_arrays(schema.image, settings.prototypes.deformation, arrays)
