"""Adaptive generation: a group that is planted weak gains, on rows of the source too; others do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.metrics import make_scorer, recall_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import privsynth
from privsynth import MarginalSynthesizer, Schema, augment_for
from privsynth.errors import ParameterError, RequestError, UnsupportedRequestError
from privsynth.rebalancing.search import FALSE_ALARM

SCHEMA = Schema(
    {
        "x": {"type": "categorical", "categories": ["a", "b", "c", "d"]},
        "town": {"type": "categorical", "categories": ["A", "B", "C"], "role": "group"},
        "ill": {"type": "boolean", "role": "target"},
    }
)


def source(n: int, seed: int, *, share: float = 0.06, apart: bool = True) -> pd.DataFrame:
    """Return rows of a large town, where b means ill and a does not, and a small one: d means ill, c not."""
    rng = np.random.default_rng(seed)
    is_small, is_high = rng.random(n) < share, rng.random(n) < 0.5
    x = np.array(["a", "b", "c", "d"])[is_high + 2 * (is_small & apart)]
    ill = rng.random(n) < np.where(is_high, 0.85, 0.15)
    return pd.DataFrame({"x": x, "town": np.where(is_small, "B", "A"), "ill": ill})


def fitted(table: pd.DataFrame) -> MarginalSynthesizer:
    return MarginalSynthesizer(epsilon=None, random_state=0).fit(table, schema=SCHEMA)


@pytest.fixture(scope="module")
def synthesizer() -> MarginalSynthesizer:
    return fitted(source(6000, 0))


def tree(**settings: int) -> Pipeline:
    """Return a tree on the columns as zeros and ones."""
    coded = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["x", "town"]))
    return make_pipeline(coded, DecisionTreeClassifier(**settings, random_state=0))


def coarse_tree() -> Pipeline:
    """Return a tree that cannot split a town with few rows."""
    return tree(min_samples_leaf=400)


def test_a_planted_weak_group_gains_on_rows_of_the_source_too(synthesizer: MarginalSynthesizer) -> None:
    found = augment_for(coarse_tree(), synthesizer, base=4000, cv=3, n_validation=500)
    assert found.worst_group.before < 0.6  # the tree finds too few rows of the small town to split it
    assert found.worst_group.after > 0.7
    assert found.worst_group.interval[0] > 0.15
    assert found.overall.interval[1] > -0.01
    added = found.counts.groupby("town")["count"].sum()
    assert added.idxmax() == "B"
    assert len(found.rows) == found.counts["count"].sum() <= 4000
    assert len(found.table) == 4000 + len(found.rows)
    sizes = found.rows.groupby(["town", "ill"]).size()
    assert sizes.to_dict() == found.counts.set_index(["town", "ill"])["count"].to_dict()
    assert found.left_out.to_dict("list") == {"town": ["C"]}  # nobody lives there
    assert found.history["kept"].any()

    fresh = source(4000, 9, share=0.5)
    small = fresh[fresh["town"] == "B"]
    hits = [
        coarse_tree().fit(rows[["x", "town"]], rows["ill"]).score(small[["x", "town"]], small["ill"])
        for rows in (found.table.iloc[:4000], found.table)
    ]
    assert hits[0] < 0.6
    assert hits[1] > 0.8


def test_where_no_group_is_weak_next_to_nothing_is_added() -> None:
    # Chance may keep a trial in a round in twenty; with other seeds than chosen here it would in some.
    synthesizer = fitted(source(6000, 1, share=0.4, apart=False))
    deep = tree(min_samples_leaf=20)
    kept = n_rounds = 0
    for seed in range(3):
        found = augment_for(
            deep, synthesizer, base=2000, cv=3, n_validation=300, random_state=seed, max_added=0.5
        )
        kept += int(found.history["kept"].sum())
        n_rounds += len(found.history)
        assert found.worst_group.interval[0] < 0.02
    assert n_rounds >= 3
    assert kept <= 5 * FALSE_ALARM * n_rounds + 1


def test_a_gain_that_costs_the_others_too_much_is_not_bought() -> None:
    # Three in ten of the large town are ill and eight in ten of the small one; who says the same of everybody
    # is right about 70 % and 20 %, or about 30 % and 80 %.
    rng = np.random.default_rng([4, 1])
    rows = source(6000, 4)
    rows["ill"] = rng.random(6000) < np.where(rows["town"] == "B", 0.8, 0.3)
    synthesizer = fitted(rows)
    settings = {"base": 2000, "cv": 3, "n_validation": 300, "scoring": "accuracy"}
    blind = DummyClassifier(strategy="most_frequent")
    careful = augment_for(blind, synthesizer, max_loss=0.1, **settings)
    assert (len(careful.rows), careful.worst_group.after) == (0, pytest.approx(0.2, abs=0.06))
    reckless = augment_for(blind, synthesizer, max_loss=1.0, **settings)
    assert reckless.worst_group.after == pytest.approx(0.3, abs=0.06)
    assert reckless.overall.after < reckless.overall.before - 0.2


def test_the_minority_gains_without_groups(synthesizer: MarginalSynthesizer) -> None:
    rare = source(6000, 2)
    rare = rare[~rare["ill"] | (np.arange(len(rare)) % 12 == 0)].reset_index(drop=True)
    recall = make_scorer(recall_score, pos_label=True)
    found = augment_for(
        coarse_tree(), fitted(rare), base=3000, groups=[], scoring=recall, cv=3, n_validation=1500,
        max_added=2.0,
    )  # fmt: skip
    assert found.worst_group.before < 0.1
    assert found.worst_group.after > 0.5
    assert found.worst_group == found.overall
    assert found.counts["ill"].tolist() == [True]
    assert found.by_group.columns.tolist() == ["before", "after"]


def test_a_base_that_is_given_is_kept_and_a_seed_repeats_the_choice(synthesizer: MarginalSynthesizer) -> None:
    base = source(2000, 5)
    runs = [
        augment_for(
            coarse_tree(), synthesizer, base=base, cv=2, n_validation=300, max_added=0.4, random_state=3
        )
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(runs[0].table.iloc[:2000], base)
    pd.testing.assert_frame_equal(runs[0].table, runs[1].table)
    pd.testing.assert_frame_equal(runs[0].history, runs[1].history)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"target": "shoe"}, ParameterError, "no group as the target, got 'shoe'"),
        ({"target": "town"}, ParameterError, "no group as the target, got 'town'"),
        ({"cv": 1}, ParameterError, "expected cv to be a whole number >= 2"),
        ({"max_added": 0}, ParameterError, "expected max_added > 0"),
        ({"groups": ["shoe"]}, RequestError, "shoe"),
        ({"base": pd.DataFrame({"x": ["a"]})}, ParameterError, "found no column 'town'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    synthesizer: MarginalSynthesizer, arguments: dict, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        augment_for(coarse_tree(), synthesizer, **arguments)


def test_groups_that_nobody_is_in_are_refused(synthesizer: MarginalSynthesizer) -> None:
    few = fitted(source(30, 3, share=0.0))
    with pytest.raises(
        UnsupportedRequestError, match="no group of x, town has 50 units behind each of 2 labels"
    ):
        augment_for(coarse_tree(), few, groups=["x", "town"], base=100)


def test_it_is_public() -> None:
    assert privsynth.augment_for is augment_for
    assert privsynth.Augmentation.__name__ == "Augmentation"
