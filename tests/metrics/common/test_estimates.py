from __future__ import annotations

import math

import numpy as np
import pytest

from privsynth.metrics.common.estimates import figure, percentile_interval


def test_an_undefined_number_is_null() -> None:
    found = figure(math.nan, interval=[0.1, math.inf], ceiling=np.float64(0.5))
    assert found == {"value": None, "interval": None, "ceiling": 0.5, "floor": None}
    assert type(found["ceiling"]) is float


def test_an_interval_needs_half_of_its_replicates() -> None:
    replicates = np.r_[np.linspace(0, 1, 101), [math.nan] * 50]
    assert percentile_interval(replicates) == pytest.approx([0.025, 0.975])
    assert percentile_interval(np.r_[replicates, [math.nan] * 60]) is None
    assert percentile_interval(np.empty(0)) is None
