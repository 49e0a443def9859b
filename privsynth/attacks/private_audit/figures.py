"""The figures: hits of an attack, correct predictions, 1- and 2-way distances."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier

from privsynth.attacks.features import FeatureSpace
from privsynth.attacks.intervals import wilson
from privsynth.attacks.neighbours import nearest
from privsynth.attacks.private_audit.account import AuditAccount
from privsynth.attacks.private_audit.counts import SIDES, PrivateCounter
from privsynth.domains.coding import Coding, coding_of_breaks, coding_of_texts
from privsynth.records.codes import Discretiser
from privsynth.records.conform import Records
from privsynth.schema import Schema, category_text

FLAGGED_SHARE = 0.05  # of synthetic rows, that lie nearer to the others than the threshold
N_BINS, N_PAIR_BINS, MAX_PAIRS = 20, 6, 15
MAX_TRAINING_ROWS = 20_000

_OF_TRUTH = coding_of_texts(("true", "false"))


def paid_audit(
    *,
    real: Records,
    holdout: Records | None,
    synthetic: Records,
    schema: Schema,
    target: str | None,
    account: AuditAccount,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return figures that the budget covers: hits of an attack, correct predictions, 1- and 2-way distances.

    Args:
        real: Canonical members.
        holdout: Canonical outsiders of the same data set; without them hits have nothing to be held against.
        synthetic: Canonical released rows, all of them; with persons where their rows belong together, who
            then weigh as real ones do: each once.
        schema: Public description; columns with private facts are left out of the tables of counts.
        target: Column that a model of the synthetic rows predicts; must be categorical or boolean.
        account: What pays; opened before the records were read.
        random_state: Seed of the public choices.

    Returns:
        ``epsilon``, ``delta``, ``dataset``, ``unit``, ``events``; ``hits`` and ``predictions`` with rates and
        intervals that allow for sampling and noise; ``one_way`` and ``two_way`` distances with the distance
        that noise alone gives.

    Raises:
        BudgetExceededError: If the data set's limit would be passed; nothing has been counted.
        LedgerError: If the ledger refuses for another reason.

    Privacy:
        Accounted: one run of Gaussian events in the ledger, add_or_remove_one: reserved before records are
        read, and each charged before it is counted. No unit may be in both tables, which `load_tables` of
        `privsynth.metrics.common.tables` refuses.
    """
    generator = np.random.default_rng([random_state, 2])
    rows, sides = _without_values_of_records(synthetic, real, holdout)
    budget = account.budget
    out: dict[str, Any] = {
        "status": "assessed",
        "epsilon": budget.epsilon,
        "delta": budget.delta,
        "dataset": budget.dataset,
        "given": schema.given,
        "unit": schema.unit,
        "is_secret": budget.secret.is_secret,
    }
    counter = PrivateCounter(sides, schema, account)
    members = PrivateCounter([real], schema, account)
    out["hits"] = _hits(counter, rows, generator)
    out["predictions"] = _predictions(counter, rows, target, generator)
    fine, coarse = (_public_codings(schema, n_bins=n) for n in (N_BINS, N_PAIR_BINS))
    singles: list[tuple[str, ...]] = [(name,) for name in fine]
    pairs = _pairs(list(coarse), target, generator)
    out["one_way"] = _tables(members, synthetic, singles, fine, "one_way")
    out["two_way"] = _tables(members, synthetic, pairs, coarse, "two_way")
    return out | {"events": [event.to_dict() for event in account.events]}


def _without_values_of_records(
    synthetic: Records, real: Records, holdout: Records | None
) -> tuple[Records, list[Records]]:
    """Keep only categories that synthetic rows have: those of the records must not shape any rule."""
    released = synthetic.frame
    kept = {
        name: released[name].cat.remove_unused_categories().cat.categories
        for name in released.columns
        if isinstance(released[name].dtype, pd.CategoricalDtype)
    }

    def cut(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{name: frame[name].cat.set_categories(known) for name, known in kept.items()})

    def of(side: Records) -> Records:
        return Records(cut(side.frame), side.persons)

    return of(synthetic), [of(side) for side in (real, holdout) if side is not None]


def _hits(
    counter: PrivateCounter, synthetic: Records, generator: np.random.Generator
) -> dict[str, Any] | None:
    """Count the units with a row nearer to a synthetic row than most of these are to each other.

    None where a single synthetic row, or person, has no other to be near to.
    """
    n_units = (
        len(synthetic.frame) if synthetic.persons is None else int(synthetic.persons.max(initial=-1)) + 1
    )
    if n_units < 2:
        return None
    space = FeatureSpace.fit([synthetic.frame])
    points = space.place(synthetic.frame)
    halves = np.array_split(generator.permutation(n_units), 2)
    if synthetic.persons is not None:  # rows of one person are near each other
        halves = [np.flatnonzero(np.isin(synthetic.persons, half)) for half in halves]
    first, second = (points[half] for half in halves)
    threshold = float(np.quantile(nearest(second, first, 1).distance[:, 0], FLAGGED_SHARE))

    def is_hit(side: Records) -> np.ndarray:
        """Say of each row whether its unit has a row so near."""
        near = nearest(space.place(side.frame), points, 1).distance[:, 0] <= threshold
        return near if side.persons is None else (np.bincount(side.persons, weights=near) > 0)[side.persons]

    def hits(side: Records) -> dict[str, pd.Series]:
        return {"hit": _truths(is_hit(side))}

    noisy, sigma = counter.count("units near synthetic rows", "hits", hits, {"hit": _OF_TRUTH}, [("hit",)])
    return {"threshold": threshold, **_rates(noisy[0], sigma)}


def _predictions(
    counter: PrivateCounter, records: Records, target: str | None, generator: np.random.Generator
) -> dict[str, Any] | None:
    """Count how much of each unit a model of the synthetic rows predicts right."""
    synthetic = records.frame
    if target is None or counter.schema.columns[target].is_numeric or synthetic.shape[1] < 2:
        return None
    known = [name for name in synthetic.columns if name != target]
    discretiser = Discretiser.of_quantiles([synthetic[known]], n_bins=64)
    rows = generator.permutation(len(synthetic))[:MAX_TRAINING_ROWS]
    labels = synthetic[target].cat.codes.to_numpy()[rows]
    if len(np.unique(labels)) < 2:
        return None
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=0)
    model.fit(
        discretiser.matrix(synthetic.iloc[rows][known]).astype(np.float64),
        labels,
        sample_weight=None if records.persons is None else _weights(records)[rows],
    )

    def is_right(side: Records) -> np.ndarray:
        guessed: np.ndarray = model.predict(discretiser.matrix(side.frame[known]).astype(np.float64))
        return guessed == side.frame[target].cat.codes.to_numpy()

    def right(side: Records) -> dict[str, pd.Series]:
        return {"right": _truths(is_right(side))}

    noisy, sigma = counter.count(
        "correct predictions", "predictions", right, {"right": _OF_TRUTH}, [("right",)]
    )
    return {"target": target, **_rates(noisy[0], sigma)}


def _tables(
    counter: PrivateCounter,
    synthetic: Records,
    sets: list[tuple[str, ...]],
    codings: Mapping[str, Coding],
    kind: str,
) -> list[dict[str, Any]]:
    """Return the total variation between noisy tables of counts of members and those of synthetic rows."""

    def fields(side: Records) -> dict[str, pd.Series]:
        return {name: side.frame[name] for name in codings}

    purpose = f"{'1' if kind == 'one_way' else '2'}-way counts"
    noisy, sigma = counter.count(purpose, kind, fields, codings, sets)
    codes = {name: coding.encode(synthetic.frame[name]) for name, coding in codings.items()}
    weights = _weights(synthetic)
    out = []
    for names, (table,) in zip(sets, noisy, strict=True):
        sizes = [codings[name].size for name in names]
        joint = np.ravel_multi_index([codes[name] for name in names], sizes)
        released = np.bincount(joint, weights, minlength=table.size).reshape(sizes)
        total = max(float(table.sum()), 1.0)
        distance = np.abs(table / total - released / weights.sum()).sum() / 2
        by_noise = table.size * sigma * math.sqrt(2 / math.pi) / total / 2
        out.append({"columns": list(names), "tv": min(1.0, float(distance)), "tv_of_noise": by_noise})
    return out


def _weights(released: Records) -> np.ndarray:
    """Return what each released row weighs: each person once, where rows belong to persons."""
    if released.persons is None:
        return np.ones(len(released.frame))
    return 1.0 / np.bincount(released.persons)[released.persons]


def _public_codings(schema: Schema, *, n_bins: int) -> dict[str, Coding]:
    """Return a coding of each column with public facts: equal bins or categories, the last for missing."""
    out: dict[str, Coding] = {}
    for column in schema.modelled:
        low, high = column.bounds if column.is_numeric else (None, None)
        if low is not None and high is not None:
            out[column.name] = coding_of_breaks(np.linspace(low, high, n_bins + 1)[1:-1])
        elif column.labels is not None:
            out[column.name] = coding_of_texts(map(category_text, column.labels))
    return out


def _truths(truths: np.ndarray) -> pd.Series:
    return pd.Series(pd.Categorical.from_codes(np.where(truths, 0, 1), ["true", "false"]))


def _pairs(columns: list[str], target: str | None, generator: np.random.Generator) -> list[tuple[str, ...]]:
    """Return pairs with the target first, then others at random; public."""
    pairs = list(itertools.combinations(columns, 2))
    order = generator.permutation(len(pairs))
    ranked = sorted(order, key=lambda i: target not in pairs[i])
    return [pairs[i] for i in ranked[:MAX_PAIRS]]


def _rates(noisy: np.ndarray, sigma: float, confidence: float = 0.95) -> dict[str, Any]:
    """Return the share of each side, with an interval that allows for sampling and for the noise.

    The score interval of the share, widened on either side by what the noise of both counts adds.
    """
    out: dict[str, Any] = {"noise_std": sigma}
    z = float(norm.ppf((1 + confidence) / 2))
    for name, (yes, no, _) in zip(SIDES, noisy, strict=False):
        total = max(float(yes + no), 1.0)
        rate = min(1.0, max(0.0, float(yes) / total))
        low, high = wilson(rate, total, confidence=confidence)
        noise = z * sigma * math.hypot(1 - rate, rate) / total
        interval = [rate - math.hypot(rate - low, noise), rate + math.hypot(high - rate, noise)]
        out[name] = {
            "rate": rate,
            "interval": [max(0.0, interval[0]), min(1.0, interval[1])],
            "n_units": total,
        }
    return out
