"""The shadow-model attack: it finds what counts give away, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.attacks.intervals import auc_interval
from privsynth.attacks.membership import attack_rows
from privsynth.attacks.shadow import Shadows, _balanced_coins, likelihood_ratios, shadow_attack
from privsynth.errors import ParameterError
from tests.attacks.test_membership import draw

FALSE_ALARM = 1e-6
TARGETS = 60


def marginals_without_noise(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A generator of two pairs of columns, exact: it copies no row, but its counts follow each record."""
    generator = np.random.default_rng(seed)
    pairs = [
        table[names].iloc[generator.integers(0, len(table), 3000)].reset_index(drop=True)
        for names in (["x", "c"], ["y", "d"])
    ]
    return pd.concat(pairs, axis=1)[list(table.columns)]


def nothing_but_the_source(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A generator that ignores its records."""
    return draw(400, 10_000 + seed % 100_000)


def attack(refit, seed: int, n_fits: int = 32) -> dict:
    members, outsiders, others = draw(TARGETS, seed), draw(TARGETS, seed + 1), draw(20, seed + 2)
    synthetic = refit(pd.concat([others, members], ignore_index=True), 7)
    return shadow_attack(
        members=members, outsiders=outsiders.set_axis(range(TARGETS, 2 * TARGETS)), others=others,
        reference=draw(400, seed + 3),
        synthetic=synthetic, refit=refit, n_fits=n_fits, n_jobs=1, confidence=1 - FALSE_ALARM,
    )  # fmt: skip


def test_refits_find_what_marginals_give_away() -> None:
    found = attack(marginals_without_noise, 100)
    shadow = found["shadow_marginal_queries"]
    assert shadow["auc_interval"][0] > 0.5
    assert shadow["auc"] > 0.7
    assert shadow["n_members"] == shadow["n_non_members"] == TARGETS


def test_a_generator_that_ignores_its_records_gives_nothing_away() -> None:
    for name, figures in attack(nothing_but_the_source, 200, n_fits=8).items():
        low, high = figures["auc_interval"]
        assert low <= 0.5 <= high, name


def test_ratios_are_those_of_the_normal_distributions() -> None:
    included = np.array([[True, False], [False, True], [True, False], [False, True]])
    scores = np.where(included, 3.0, 1.0) + np.array([[0.1], [0.1], [-0.1], [-0.1]])
    shadows = Shadows(included, {"x": scores})
    ratios = likelihood_ratios(shadows, "x", np.array([3.0, 1.0]))
    variance = 4 * 0.1**2 / 2  # four residuals of 0.1, two means estimated
    assert ratios == pytest.approx([2**2 / (2 * variance), -(2**2) / (2 * variance)], rel=1e-6)


def test_each_target_is_in_half_of_the_fits_by_coins_of_its_own() -> None:
    coins = _balanced_coins(10, 500, np.random.default_rng(0))
    assert coins.sum(axis=0).tolist() == [5] * 500
    assert len(np.unique(coins, axis=1).T) > 200


def test_fits_that_share_their_randomness_are_refused() -> None:
    with pytest.raises(ParameterError, match="gave the same rows"):
        attack(lambda table, seed: draw(100, 1), 300, n_fits=8)
    with pytest.raises(ParameterError, match="n_fits >= 8"):
        attack(nothing_but_the_source, 300, n_fits=4)


def test_shadows_beat_the_attack_without_them() -> None:
    members, outsiders, others = draw(TARGETS, 100), draw(TARGETS, 101), draw(20, 102)
    synthetic = marginals_without_noise(pd.concat([others, members], ignore_index=True), 7)
    rows = pd.concat([members, outsiders], ignore_index=True)
    alone = attack_rows(rows, synthetic=synthetic, reference=draw(400, 103)).scores["marginal_queries"]
    auc = auc_interval(alone[:TARGETS], alone[TARGETS:]).auc
    assert attack(marginals_without_noise, 100)["shadow_marginal_queries"]["auc"] > auc - 0.05
