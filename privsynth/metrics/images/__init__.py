"""Figures about any set of synthetic images, as `privsynth.metrics` gives them about tables.

Images are ``(n, height, width, channels)`` uint8 beside a frame of label columns, which the schema describes.
Needs the extra ``images`` (torchmetrics).
"""

from __future__ import annotations

from privsynth.metrics.images.fairness import fairness
from privsynth.metrics.images.fidelity import fidelity
from privsynth.metrics.images.membership import membership
from privsynth.metrics.images.pairs import reconstruction
from privsynth.metrics.images.utility import utility

__all__ = ["fairness", "fidelity", "membership", "reconstruction", "utility"]
