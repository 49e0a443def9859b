"""Attacks on a released table, and how to read them: intervals, operating points, the curves DP allows.

Everything here reads real records and is not private; the report says so.
"""

from __future__ import annotations

from privsynth.audit.curves import allowed_tpr, replace_one
from privsynth.audit.density_ratio import density_ratio_scores
from privsynth.audit.intervals import clopper_pearson
from privsynth.audit.operating_points import read_out

__all__ = ["allowed_tpr", "clopper_pearson", "density_ratio_scores", "read_out", "replace_one"]
