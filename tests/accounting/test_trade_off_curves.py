from __future__ import annotations

import math

import pytest

from privsynth.accounting.trade_off import allowed_tpr, replace_one
from privsynth.errors import ParameterError


@pytest.mark.parametrize(("fpr", "tpr"), [(0.1, 0.27184), (0.01, 0.02719), (0.001, 0.002728)])
def test_the_curve_has_its_closed_form_values(fpr: float, tpr: float) -> None:
    assert allowed_tpr(fpr, epsilon=1.0, delta=1e-5) == pytest.approx(tpr, rel=2e-4)


def test_the_largest_advantage_is_the_hyperbolic_tangent_of_half_epsilon() -> None:
    largest = max(allowed_tpr(i / 10_000, 1.0, 0.0) - i / 10_000 for i in range(10_001))
    assert largest == pytest.approx(math.tanh(0.5), abs=1e-4)


def test_the_curve_starts_at_delta_and_never_passes_one() -> None:
    assert allowed_tpr(0.0, 1.0, 0.25) == 0.25
    assert allowed_tpr(0.0, 0.0, 0.0) == 0.0
    assert allowed_tpr(1.0, 5.0, 1e-6) == 1.0
    assert allowed_tpr(0.5, 1e6, 0.0) == 1.0  # no overflow


def test_replacing_one_is_as_weak_as_two_changes() -> None:
    epsilon, delta = replace_one(1.0, 1e-5)
    assert (epsilon, delta) == pytest.approx((2.0, (1 + math.e) * 1e-5))
    composed = allowed_tpr(allowed_tpr(0.01, 1.0, 1e-5), 1.0, 1e-5)
    assert allowed_tpr(0.01, epsilon, delta) == pytest.approx(composed)  # one change after the other


def test_a_rate_outside_zero_and_one_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"fpr=1\.5"):
        allowed_tpr(1.5, 1.0, 0.0)
