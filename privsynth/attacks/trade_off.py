"""The trade-off view: what the guarantee allows any attacker, and what the attacks on this table found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from privsynth.accounting.gdp import ADDED_DELTA_SHARE, gdp_mu
from privsynth.accounting.trade_off import allowed_tpr, gdp_allowed_tpr
from privsynth.attacks.intervals import clopper_pearson_lower, clopper_pearson_upper
from privsynth.releases.statements import GDP, accountant_of

FAMILY_WISE_ERROR = 0.05
SMALLEST_FPR, N_CURVE_POINTS = 1e-4, 61
TOLD_RATE = "0.01"

Section = dict[str, Any]


@dataclass(frozen=True)
class Allowance:
    """The curve that a guarantee draws above every attack on neighbouring tables.

    Attributes:
        epsilon: Claimed.
        delta: Claimed.
        mu: Of Gaussian DP, where the accountant is one; its curve is then the lower one.
    """

    epsilon: float
    delta: float
    mu: float | None = None

    def add_or_remove_one(self, fpr: float) -> float:
        """Return the largest true positive rate where one unit is added or removed."""
        by_claim = allowed_tpr(fpr, self.epsilon, self.delta)
        if self.mu is None:
            return by_claim
        return min(by_claim, gdp_allowed_tpr(fpr, self.mu, ADDED_DELTA_SHARE * self.delta))

    def replace_one(self, fpr: float) -> float:
        """Return it where one unit is replaced by another: one removal, then one addition.

        A fixed split into members and non-members plays this game.
        """
        return self.add_or_remove_one(self.add_or_remove_one(fpr))


def allowance_of(guarantee: Mapping[str, Any] | None) -> Allowance | None:
    """Return what a guarantee statement allows; None if it claims nothing.

    Privacy:
        Public: a function of the guarantee alone.
    """
    if guarantee is None or not guarantee.get("private"):
        return None
    epsilon, delta = guarantee.get("epsilon"), guarantee.get("delta")
    if epsilon is None or delta is None or not (math.isfinite(epsilon) and epsilon >= 0):
        return None
    is_gdp = accountant_of(guarantee) == GDP
    mu = gdp_mu(epsilon, (1 - ADDED_DELTA_SHARE) * delta) if is_gdp and 0 < delta < 1 and epsilon else None
    return Allowance(float(epsilon), float(delta), mu)


def points_above(
    attacks: Mapping[str, Section],
    allowed: Callable[[float], float],
    *,
    family_wise_error: float = FAMILY_WISE_ERROR,
) -> list[tuple[str, str]]:
    """Return the operating points whose limits lie above a curve: names of attack and aimed rate.

    The limits of both rates of all points hold together, but for ``family_wise_error``.

    Args:
        attacks: Name to figures, as `privsynth.attacks.operating_points.read_out` gives them.
        allowed: Largest true positive rate at a false positive rate.
        family_wise_error: Chance that any limit is wrong.

    Privacy:
        Post-processing: of figures of real records.
    """
    points = list(_operating_points(attacks))
    confidence = 1 - family_wise_error / (2 * max(len(points), 1))
    above = []
    for name, rate, point in points:
        tpr = clopper_pearson_lower(point["n_true_positives"], point["n_members"], confidence=confidence)
        fpr = clopper_pearson_upper(point["n_false_positives"], point["n_non_members"], confidence=confidence)
        if tpr > allowed(fpr):
            above.append((name, rate))
    return above


def trade_off_view(membership: Section, guarantee: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the curves, the points above them, and both in plain words.

    Args:
        membership: An assessed section of the report.
        guarantee: The statement of the model file, or None.

    Returns:
        ``curves`` (null without a claim): ``fpr``, ``add_or_remove_one``, ``replace_one``; ``mu``; ``above``:
        points whose family-wise limits lie above the replace-one curve, ``{"attack", "rate"}``; ``words``.

    Privacy:
        Post-processing: of figures of real records.
    """
    allowance = allowance_of(guarantee)
    attacks = all_attacks(membership)
    best = _best_at(attacks, TOLD_RATE)
    found = (
        "there are too few non-members to set such a threshold"
        if best is None
        else f"our best attack ({best[0].replace('_', ' ')}) had a true positive rate of "
        f"{_percent(best[1]['tpr'])} at a measured false positive rate of {_percent(best[1]['fpr'])}"
    )
    rate = float(TOLD_RATE)
    if allowance is None:
        return {
            "curves": None,
            "mu": None,
            "above": [],
            "words": [
                f"No guarantee bounds what an attacker can find. At a false positive rate of "
                f"{_percent(rate)}, {found}."
            ],
        }
    fprs = np.geomspace(SMALLEST_FPR, 1.0, N_CURVE_POINTS)
    above = points_above(attacks, allowance.replace_one)
    return {
        "curves": {
            "fpr": [float(fpr) for fpr in fprs],
            "add_or_remove_one": [allowance.add_or_remove_one(float(fpr)) for fpr in fprs],
            "replace_one": [allowance.replace_one(float(fpr)) for fpr in fprs],
        },
        "mu": allowance.mu,
        "above": [{"attack": name, "rate": at} for name, at in above],
        "words": [
            f"At a false positive rate of {_percent(rate)}, any attacker has a true positive rate of at most "
            f"{_percent(allowance.add_or_remove_one(rate))}, if the question is whether one "
            f"{membership['unit']} was there at all; {found}.",
            "In this audit members and non-members are fixed, so each could have stood in the other's place; "
            f"for that game the guarantee allows {_percent(allowance.replace_one(rate))}.",
        ],
    }


def all_attacks(membership: Section) -> dict[str, Section]:
    """Return the figures of every attack, on all and on chosen targets, by one name each."""
    out = dict(membership["attacks"])
    for target, section in membership.get("targets", {}).items():
        out |= {f"{name} on {target}": figures for name, figures in section["attacks"].items()}
    return out


def _operating_points(attacks: Mapping[str, Section]) -> Iterator[tuple[str, str, Section]]:
    for name, attack in attacks.items():
        for rate, point in attack["tpr_at_fpr"].items():
            if point["tpr"] is not None:
                yield name, rate, point


def _best_at(attacks: Mapping[str, Section], rate: str) -> tuple[str, Section] | None:
    points = [(name, point) for name, at, point in _operating_points(attacks) if at == rate]
    return max(points, key=lambda named: float(named[1]["tpr"]), default=None)


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"
