"""Figures about any synthetic table: is it faithful, useful, fair, and does it leak who is in it?

Each function takes frames or paths, works on any tool's table and returns plain JSON-able dicts. A figure is
``{"value", "interval", "ceiling", "floor"}``: the ceiling is what real data reach against the holdout, the
floor what independent columns reach; undefined is None. All of them read real records and are not private.
`privsynth.metrics.images` does the same for images.
"""

from __future__ import annotations

from privsynth.metrics import images
from privsynth.metrics.fairness.tables import fairness
from privsynth.metrics.fidelity.detection import interpretability
from privsynth.metrics.fidelity.links import links
from privsynth.metrics.fidelity.sequences import sequences
from privsynth.metrics.fidelity.tables import fidelity
from privsynth.metrics.leakage.disclosure import disclosure
from privsynth.metrics.leakage.membership import membership
from privsynth.metrics.utility.tables import utility

__all__ = [
    "disclosure",
    "fairness",
    "fidelity",
    "images",
    "interpretability",
    "links",
    "membership",
    "sequences",
    "utility",
]
