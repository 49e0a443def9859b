"""Figures about any synthetic table: is it faithful, useful, fair, and does it betray its members?

Each function takes frames or paths, works on any tool's table and returns plain JSON-able dicts. A figure is
``{"value", "interval", "ceiling", "floor"}``: the ceiling is what real data reach against the holdout, the
floor what independent columns reach; undefined is None. All of them read real records and are not private.
`privsynth.metrics.images` does the same for images.
"""

from __future__ import annotations

from privsynth.metrics import images
from privsynth.metrics.disclosure import disclosure
from privsynth.metrics.fairness import fairness
from privsynth.metrics.fidelity import fidelity
from privsynth.metrics.interpretability import interpretability
from privsynth.metrics.membership import membership
from privsynth.metrics.utility import utility

__all__ = ["disclosure", "fairness", "fidelity", "images", "interpretability", "membership", "utility"]
