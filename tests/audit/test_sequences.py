"""A fit of sequences as a whole, in two worlds: with and without a person of many extreme rows."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from privsynth.accounting.budget import Spend
from privsynth.attacks.two_worlds import audit_scores, refuse_identical_runs
from privsynth.counting import memory
from privsynth.models.tables.fitting import FitOptions
from privsynth.releases.store import Release
from privsynth.sampling import calibration
from privsynth.schema import Schema
from privsynth.synthesizers import MarginalSynthesizer
from privsynth.synthesizers.tables.select_measure_fit import MarginalSettings
from tests.audit.test_mechanisms import FALSE_ALARM

EPSILON, DELTA = 4.0, 1e-5
CAP, MANY = 20, 30
RUNS = 60  # in each world
SETTINGS = MarginalSettings(
    n_rounds=2, steps_per_round=5, final_steps=5, fit=FitOptions(n_components=16), selection_share=0.1
)
SCHEMA = Schema(
    {
        "who": {"type": "id", "role": "person_id"},
        "kind": {"type": "categorical", "categories": ["plain", "extreme"], "per": "person"},
        "day": {"type": "integer", "low": 1, "high": 40, "role": "order"},
        "event": {"type": "categorical", "categories": ["plain", "extreme"]},
        "ill": {"type": "boolean"},
    },
    max_records_per_person=CAP,
)
FIXED = ("counts/units", "counts/one-way", "counts/before")  # releases that are made in every run


def table(with_target: bool) -> pd.DataFrame:
    """Return twelve persons of one or two rows; in one world another one, of many rows like no other."""
    size = np.array([*[1, 2] * 6, *[MANY] * with_target])
    who = np.repeat(np.arange(len(size)), size)
    target = who == 12
    first = np.flatnonzero(np.r_[True, who[1:] != who[:-1]])
    words = np.where(target, "extreme", "plain")
    day = 1 + np.arange(len(who)) - np.repeat(first, size) + 5 * target
    return pd.DataFrame({"who": who, "kind": words, "day": day, "event": words, "ill": target})


def is_fixed(key: str) -> bool:
    """Whether a release is made in every run: of few persons, prev.X is not counted by itself."""
    return key.startswith(FIXED) and "/one-way/prev." not in key


def releases(with_target: bool, epsilon: float | None, ledger: Path) -> dict[str, Release]:
    """Fit once, through the front door, and return the releases of every run by their keys."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = MarginalSynthesizer(
            epsilon=epsilon, delta=DELTA, settings=SETTINGS, random_state=0, device="cpu"
        ).fit(table(with_target), schema=SCHEMA, ledger=ledger)
    return {release.key: release for release in fitted.releases_ if is_fixed(release.key)}


def differences(ledger: Path) -> dict[tuple[str, str], np.ndarray]:
    """Return by how much the target moves each array, from fits without privacy."""
    without, with_target = (releases(w, None, ledger) for w in (False, True))
    return {
        (key, name): np.round(array - without[key].arrays[name], 2)
        for key, release in with_target.items()
        for name, array in release.arrays.items()
    }


def scores(with_target: bool, moved: dict[tuple[str, str], np.ndarray], folder: Path) -> np.ndarray:
    """Return the log-likelihood ratio of the Gaussian releases of many fits, up to a constant."""
    out = []
    for run in range(RUNS):
        made = releases(with_target, EPSILON, folder / f"{with_target}-{run // 50}.sqlite")
        out.append(
            sum(
                float((made[key].arrays[name] * move).sum()) / made[key].event["noise_multiplier"] ** 2
                for (key, name), move in moved.items()
            )
        )
    return np.array(out)


def shown(folder: Path) -> float:
    """Return the mu that the fits of both worlds show."""
    moved = differences(folder / "exact.sqlite")
    without, with_target = (scores(w, moved, folder) for w in (False, True))
    refuse_identical_runs(np.r_[without, with_target][:, None])
    audit = audit_scores(
        without, with_target, n_validation=RUNS // 5, confidence=1 - FALSE_ALARM, delta=DELTA
    )
    return audit.mu


@pytest.fixture(autouse=True)
def short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "TRIAL_ROWS", 50)
    monkeypatch.setattr(calibration, "FEWEST_PERSONS", 20)


def claimed() -> float:
    return float(np.sqrt(Spend.of_budget(epsilon=EPSILON, delta=DELTA).mu_squared))


def test_the_target_moves_every_release(tmp_path: Path) -> None:
    moved = differences(tmp_path / "exact.sqlite")
    assert len(moved) >= 10
    assert all(np.abs(move).sum() > 0.5 for move in moved.values())
    ones = [move for (key, _), move in moved.items() if not key.startswith("counts/before")]
    assert all(np.abs(move).sum() <= 1.05 for move in ones)  # however many rows the person has


def test_a_person_of_many_rows_is_seen_no_better_than_claimed(tmp_path: Path) -> None:
    assert shown(tmp_path) <= claimed()


def test_rows_that_each_weigh_a_unit_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = memory.weigh_records

    def each_row_a_unit(*arguments, **options):

        weighting = honest(*arguments, **options)
        return replace(weighting, weights=np.full_like(weighting.weights, weighting.units_per_one))

    monkeypatch.setattr(memory, "weigh_records", each_row_a_unit)
    assert shown(tmp_path) > claimed()
