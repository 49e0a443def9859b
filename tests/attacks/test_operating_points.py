from __future__ import annotations

import numpy as np
import pytest

from privsynth.attacks.intervals import clopper_pearson
from privsynth.attacks.operating_points import read_out


def test_an_attack_that_never_errs_finds_all_at_every_rate() -> None:
    found = read_out(np.arange(3000.0) + 5000, np.arange(2000.0), generator=np.random.default_rng(0))
    for rate in ("0.1", "0.01", "0.001"):
        assert found["tpr_at_fpr"][rate]["tpr"] == 1.0
    assert found["auc"] == 1.0
    assert found["tpr_at_fpr"]["0.1"]["interval"] == list(clopper_pearson(3000, 3000))
    assert found["epsilon_lower_bound"] is None


def test_the_threshold_of_one_half_is_read_on_the_other() -> None:
    others = np.repeat([0.0, 1.0], [180, 20])  # one in ten scores 1
    found = read_out(np.repeat([0.0, 1.0], [50, 50]), others, generator=np.random.default_rng(0))
    point = found["tpr_at_fpr"]["0.1"]
    assert point["n_non_members"] == 100
    # the threshold half has at most ten above 0 in about half of the splits; else nobody may be accused
    assert (point["tpr"], point["n_true_positives"]) in [(0.5, 50), (0.0, 0)]
    assert point["fpr_interval"] == list(clopper_pearson(point["n_false_positives"], 100))


def test_measured_false_positive_rates_are_what_was_aimed_at() -> None:
    generator = np.random.default_rng(1)
    found = read_out(generator.normal(size=10), generator.normal(size=40_000), generator=generator)
    for rate in (0.1, 0.01):
        point = found["tpr_at_fpr"][f"{rate}"]
        assert abs(point["fpr"] - rate) < 5 * np.sqrt(2 * rate / 20_000)


def test_a_rate_that_too_few_outsiders_can_set_is_null_with_the_reason() -> None:
    found = read_out(np.arange(50.0), np.arange(60.0), generator=np.random.default_rng(0))
    point = found["tpr_at_fpr"]["0.01"]
    assert point["tpr"] is None
    assert point["interval"] is None
    assert point["reason"] == "needs 100 non-members to set the threshold, 30 are there"


def test_equal_scores_are_at_chance() -> None:
    found = read_out(np.zeros(30), np.zeros(40), generator=np.random.default_rng(0))
    assert found["auc"] == 0.5
    assert found["auc_interval"][0] < 0.5 < found["auc_interval"][1]
    assert found["tpr_at_fpr"]["0.1"]["tpr"] == pytest.approx(0.0)


def test_the_false_positive_rate_is_not_read_where_the_threshold_was_set() -> None:
    members = np.zeros(2)
    measured = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        found = read_out(members, generator.normal(size=200), generator=generator)
        measured.append(found["tpr_at_fpr"]["0.1"]["fpr"])
    assert max(measured) > 0.1 > min(measured)  # the half that set it never passes 0.1
