"""Figures about any set of synthetic images, as `privsynth.metrics` gives them about tables.

Images are ``(n, height, width, channels)`` uint8 beside a frame of label columns, which the schema describes.
Needs the extra ``images`` (torchmetrics).
"""

from __future__ import annotations

from privsynth.metrics.fairness.images import fairness
from privsynth.metrics.fidelity.image_pairs import reconstruction
from privsynth.metrics.fidelity.images import fidelity
from privsynth.metrics.leakage.image_membership import membership
from privsynth.metrics.utility.images import utility

__all__ = ["fairness", "fidelity", "membership", "reconstruction", "utility"]
