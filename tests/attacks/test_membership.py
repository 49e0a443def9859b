"""The attacks on a released table: each finds the leak that it is made for, and none where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.attacks.intervals import auc_interval
from privsynth.attacks.membership import ATTACKS, attack_rows
from privsynth.attacks.queries import agreement_counts, rarity
from privsynth.records.codes import Discretiser

FALSE_ALARM = 1e-6
N = 1500


def draw(n: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng([5, seed])
    x = generator.normal(size=n)
    y = x + generator.normal(0, 0.5, n)
    y[generator.random(n) < 0.05] = np.nan
    codes = generator.integers(0, 6, (n, 2))
    c, d = (pd.Categorical.from_codes(codes[:, i], categories=list("abcdef")) for i in (0, 1))
    return pd.DataFrame({"x": x, "y": y, "c": c, "d": d})


MEMBERS, OTHERS, REFERENCE, FRESH = draw(N, 0), draw(N, 1), draw(N, 2), draw(N, 3)


def aucs(synthetic: pd.DataFrame, confidence: float = 0.95) -> dict[str, tuple[float, float, float]]:
    rows = pd.concat([MEMBERS, OTHERS], ignore_index=True)
    found = attack_rows(rows, synthetic=synthetic, reference=REFERENCE).scores
    assert set(found) == set(ATTACKS)
    return {name: auc_interval(s[:N], s[N:], confidence=confidence) for name, s in found.items()}


def test_a_fresh_sample_is_at_chance_for_every_attack() -> None:
    for name, (_, low, high) in aucs(FRESH, 1 - FALSE_ALARM).items():
        assert low < 0.5 < high, name


def test_a_full_copy_is_found_by_every_attack() -> None:
    found = aucs(MEMBERS, 1 - FALSE_ALARM)
    for name, (auc, low, _) in found.items():
        assert low > 0.5, name
        # one record in 1,500 moves a marginal by little, and four columns in 16 bins repeat by chance
        assert auc > {"marginal_queries": 0.5, "query_classifier": 0.7}.get(name, 0.9), name


def test_jittered_copies_are_found_too() -> None:
    generator = np.random.default_rng(0)
    jittered = MEMBERS.assign(x=MEMBERS["x"] + generator.normal(0, 0.02, N))
    found = aucs(jittered, 1 - FALSE_ALARM)
    for name in ("density_ratio", "nearest", "nearest_calibrated", "ensemble"):
        assert found[name][1] > 0.6, name


def test_a_noiseless_marginal_model_is_found_by_the_marginal_attack() -> None:
    # Exact 2-way marginals of few members, sampled: no row is copied, but every member's cells are fuller.
    few, others, reference = MEMBERS[:60], OTHERS[:600], REFERENCE
    generator = np.random.default_rng(1)
    pairs = few.iloc[generator.integers(0, 60, 20_000)].reset_index(drop=True)
    mixed = pairs.assign(**few[["c", "d"]].iloc[generator.integers(0, 60, 20_000)].reset_index(drop=True))
    rows = pd.concat([few, others], ignore_index=True)
    scores = attack_rows(rows, synthetic=mixed, reference=reference).scores["marginal_queries"]
    assert auc_interval(scores[:60], scores[60:], confidence=1 - FALSE_ALARM).low > 0.6


def test_attacks_are_blind_to_the_order_of_rows() -> None:
    rows = pd.concat([MEMBERS, OTHERS], ignore_index=True)
    order = np.random.default_rng(4).permutation(len(rows))
    straight = attack_rows(rows, synthetic=FRESH, reference=REFERENCE)
    shuffled = attack_rows(rows.iloc[order].reset_index(drop=True), synthetic=FRESH, reference=REFERENCE)
    for name in ATTACKS:
        assert shuffled.scores[name] == pytest.approx(straight.scores[name][order], abs=1e-5), name


def test_counts_of_agreement_are_those_of_a_loop() -> None:
    discretiser = Discretiser.of_quantiles([FRESH, REFERENCE])
    asked, table = discretiser.matrix(MEMBERS[:40]), discretiser.matrix(FRESH[:200])
    for columns in [(0,), (2, 3), (0, 1, 2, 3)]:
        expected = [
            sum(all(row[j] == other[j] for j in columns) for other in table.tolist())
            for row in asked.tolist()
        ]
        assert agreement_counts(asked, table, columns).tolist() == expected


def test_missing_and_unseen_values_have_codes_of_their_own() -> None:
    discretiser = Discretiser.of_quantiles([FRESH, REFERENCE])
    odd = FRESH[:3].assign(
        x=[np.nan, -1e9, 1e9], c=pd.Categorical([None, "a", "f"], categories=list("abcdef"))
    )
    codes = discretiser.matrix(odd)
    assert codes[0, 0] == 0
    assert codes[0, 2] == 0
    assert codes[1, 0] == 1
    assert codes[2, 0] == 16


def test_lonely_rows_and_rare_values_are_the_most_exposed() -> None:
    odd = draw(1, 9).assign(x=50.0, y=-50.0)
    found = attack_rows(pd.concat([OTHERS, odd], ignore_index=True), synthetic=FRESH, reference=REFERENCE)
    assert found.isolation.argmax() == N
    discretiser = Discretiser.of_quantiles([FRESH])
    rare = discretiser.matrix(REFERENCE[:2].assign(c=pd.Categorical(["a", "a"], categories=list("abcdef"))))
    table = discretiser.matrix(REFERENCE[REFERENCE["c"] != "a"])
    assert (
        rarity(rare, table) > rarity(discretiser.matrix(REFERENCE[REFERENCE["c"] != "a"][:50]), table).max()
    ).all()


def test_tables_of_one_column_and_of_constants_are_attacked() -> None:
    constant = pd.DataFrame({"x": np.ones(60)})
    found = attack_rows(constant, synthetic=constant, reference=constant)
    assert all(np.isfinite(scores).all() for scores in found.scores.values())
