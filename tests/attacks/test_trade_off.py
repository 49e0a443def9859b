"""What a guarantee allows, what was found, and both in words."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from privsynth.accounting.gdp import gdp_mu
from privsynth.accounting.trade_off import allowed_tpr, gdp_allowed_tpr, replace_one
from privsynth.attacks.operating_points import read_out
from privsynth.attacks.trade_off import allowance_of, points_above, trade_off_view
from privsynth.errors import ParameterError

CLAIM = {
    "private": True,
    "epsilon": 1.0,
    "delta": 1e-5,
    "accountant": "GDP filter for adaptively chosen levels",
}


@pytest.mark.parametrize(("fpr", "tpr"), [(0.01, 0.01978), (0.001, 0.002385), (0.1, 0.15541)])
def test_the_gaussian_curve_has_its_closed_form_values(fpr: float, tpr: float) -> None:
    assert gdp_allowed_tpr(fpr, mu=0.26805) == pytest.approx(tpr, rel=2e-3)


def test_discovery_may_come_on_top_in_either_world() -> None:
    assert gdp_allowed_tpr(0.0, mu=1.0) == 0.0
    assert gdp_allowed_tpr(0.0, mu=1.0, delta=1e-3) == pytest.approx(ndtr(ndtri(1e-3) + 1) + 1e-3)
    assert gdp_allowed_tpr(1.0, mu=1.0, delta=1e-3) == 1.0
    with pytest.raises(ParameterError, match="mu >= 0"):
        gdp_allowed_tpr(0.5, mu=-1.0)


def test_the_allowance_is_the_lower_of_both_curves_and_replacing_is_twice() -> None:
    allowance = allowance_of(CLAIM)
    assert allowance is not None
    assert allowance.mu == pytest.approx(gdp_mu(1.0, 0.9e-5))
    for fpr in (0.0, 1e-4, 0.01, 0.3, 1.0):
        assert allowance.add_or_remove_one(fpr) <= allowed_tpr(fpr, 1.0, 1e-5)
    exact = ndtr(ndtri(0.01) + 2 * allowance.mu)
    assert exact <= allowance.replace_one(0.01) <= exact + 2e-5
    by_epsilon = allowance_of({**CLAIM, "accountant": "PLD"})
    assert by_epsilon is not None
    assert by_epsilon.replace_one(0.01) == pytest.approx(allowed_tpr(0.01, *replace_one(1.0, 1e-5)))


@pytest.mark.parametrize(
    "guarantee", [None, {"private": False, "epsilon": 1.0, "delta": 0.0}, {"private": True, "epsilon": None}]
)
def test_no_claim_is_no_allowance(guarantee: dict | None) -> None:
    assert allowance_of(guarantee) is None


def attacks(shift: float) -> dict:
    generator = np.random.default_rng(0)
    figures = read_out(
        generator.normal(shift, 1, 20_000), generator.normal(0, 1, 20_000), generator=generator
    )
    return {"density_ratio": figures}


def test_points_above_the_curve_are_named_and_others_are_not() -> None:
    allowance = allowance_of(CLAIM)
    assert allowance is not None
    honest = 2 * allowance.mu  # a test between replaced units of exactly this guarantee
    assert points_above(attacks(honest), allowance.replace_one) == []
    assert points_above(attacks(honest), allowance.add_or_remove_one) != []
    assert ("density_ratio", "0.1") in points_above(attacks(2 * honest), allowance.replace_one)


def test_the_view_is_told_in_plain_words() -> None:
    section = {"attacks": attacks(0.5), "unit": "person"}
    view = trade_off_view(section, CLAIM)
    assert len(view["curves"]["fpr"]) == len(view["curves"]["replace_one"]) == 61
    assert view["above"] == []
    first, second = view["words"]
    assert "At a false positive rate of 1 %, any attacker has a true positive rate of at most 1.97 %" in first
    assert "whether one person was there at all" in first
    assert "our best attack (density ratio) had a true positive rate of" in first
    assert "for that game the guarantee allows 3.6" in second
    without = trade_off_view(section, None)
    assert without["curves"] is None
    assert without["words"][0].startswith("No guarantee bounds")


def test_too_few_outsiders_are_said() -> None:
    figures = read_out(np.arange(50.0), np.arange(60.0), generator=np.random.default_rng(0))
    view = trade_off_view({"attacks": {"x": figures}, "unit": "record"}, CLAIM)
    assert "too few non-members" in view["words"][0]
