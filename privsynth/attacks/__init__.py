"""Attacks on a released table, and how to read them: intervals, operating points, the curves DP allows.

Everything here reads real records and is not private; the report says so.
"""

from __future__ import annotations

from privsynth.accounting.trade_off import allowed_tpr, replace_one
from privsynth.attacks.density_ratio import density_ratio_scores
from privsynth.attacks.intervals import clopper_pearson
from privsynth.attacks.operating_points import read_out

__all__ = ["allowed_tpr", "clopper_pearson", "density_ratio_scores", "read_out", "replace_one"]
