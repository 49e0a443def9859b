"""A fit of linked tables as a whole, in two worlds: with and without a person of many extreme rows below.

What the noise hides is first worked out from what the person moves, which takes no luck; with ``-m audit`` it
is then read off many fits.
"""

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
from privsynth.errors import BudgetExceededError
from privsynth.models.tables.fitting import FitOptions
from privsynth.releases.store import Release
from privsynth.sampling import calibration
from privsynth.schema.linked import LinkedSchema
from privsynth.synthesizers import LinkedSynthesizer
from privsynth.synthesizers import run as ledger_run
from privsynth.synthesizers.linked import doors
from privsynth.synthesizers.linked.marginal import LinkedSettings
from privsynth.synthesizers.tables.select_measure_fit import MarginalSettings
from tests.audit.test_mechanisms import FALSE_ALARM

EPSILON, DELTA = 4.0, 1e-5
RUNS = 100  # in each world
CAP, MANY = 6, 9  # of each level: 36 rows of a person are used, of 81
SETTINGS = LinkedSettings(
    table=MarginalSettings(
        n_rounds=1, steps_per_round=3, final_steps=3, fit=FitOptions(n_components=8), selection_share=0.1
    )
)
WORDS = {"type": "categorical", "categories": ["plain", "extreme"]}
CHILD = {"max_records_per_parent": CAP, "columns": {"word": WORDS, "ill": {"type": "boolean"}}}
SCHEMA = LinkedSchema(
    {
        "client": {"key": "id", "columns": {"word": WORDS, "ill": {"type": "boolean"}}},
        "stay": {"parent": "client", "parent_key": "client", "key": "id", **CHILD},
        "drug": {"parent": "stay", "parent_key": "stay", **CHILD},
    },
    person="client",
)
FIXED = tuple(
    f"{table}/counts/{what}" for table in SCHEMA.tables for what in ("units", "one-way", "before")
)  # releases that are made in every run


def tables(with_target: bool) -> dict[str, pd.DataFrame]:
    """Return twelve persons of one or two rows each; in one world another one, with many like no other."""
    n = 12 + with_target
    client = pd.DataFrame({"id": range(n)}).assign(target=lambda t: t["id"] == 12)
    stay = pd.DataFrame({"client": np.repeat(client["id"], [*[1, 2] * 6, *[MANY] * with_target])})
    stay = stay.reset_index(drop=True).assign(id=lambda t: t.index, target=lambda t: t["client"] == 12)
    drug = pd.DataFrame({"stay": np.repeat(stay["id"], np.where(stay["target"], MANY, 1))})
    drug = drug.reset_index(drop=True).assign(target=lambda t: stay["target"].to_numpy()[t["stay"]])
    return {
        name: table.assign(word=np.where(table["target"], "extreme", "plain"), ill=table["target"])
        for name, table in (("client", client), ("stay", stay), ("drug", drug))
    }


def is_fixed(key: str) -> bool:
    """Whether a release is made in every run: of few persons, prev.X is not counted by itself."""
    return key.startswith(FIXED) and "/one-way/prev." not in key


def releases(with_target: bool, epsilon: float | None, ledger: Path) -> dict[str, Release]:
    """Fit once, through the front door, and return the releases of every run by their keys."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = LinkedSynthesizer(
            epsilon=epsilon, delta=DELTA, settings=SETTINGS, random_state=0, device="cpu"
        ).fit(tables(with_target), schema=SCHEMA, dataset="d", ledger=ledger)
    return {release.key: release for release in fitted.releases_ if is_fixed(release.key)}


@pytest.fixture(autouse=True)
def short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "TRIAL_ROWS", 50)
    monkeypatch.setattr(calibration, "FEWEST_PERSONS", 20)


@pytest.fixture(params=["each row weighs a unit", "shares are taken for percentages"])
def bug(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Plant a bug: rows of a person that each weigh a unit, or shares of tables that do not add up."""
    weigh, part = memory.weigh_records, doors.part_of

    def each_row_a_unit(*arguments, **options):
        weighting = weigh(*arguments, **options)
        return replace(weighting, weights=np.full_like(weighting.weights, weighting.units_per_one))

    def hundredfold(spend: Spend, share: float) -> Spend:
        return part(spend, 100 * share)

    if "unit" in request.param:
        monkeypatch.setattr(memory, "weigh_records", each_row_a_unit)
    else:
        monkeypatch.setattr(doors, "part_of", hundredfold)
        monkeypatch.setattr(ledger_run.Account, "charge", lambda self, event, key: None)
    return str(request.param)


def claimed() -> float:
    return float(np.sqrt(Spend.of_budget(epsilon=EPSILON, delta=DELTA).mu_squared))


def differences(folder: Path) -> dict[tuple[str, str], np.ndarray]:
    """Return by how much the target moves each array, from fits without privacy."""
    without, with_target = (releases(w, None, folder / "exact.sqlite") for w in (False, True))
    return {
        (key, name): np.round(array - without[key].arrays[name], 2)
        for key, release in with_target.items()
        for name, array in release.arrays.items()
    }


def noise(made: dict[str, Release], key: str) -> float:
    return float(made[key].event["noise_multiplier"])


def exact_mu(folder: Path) -> float:
    """Return how far apart the two worlds are: what the fixed releases give away of the target."""
    made = releases(True, EPSILON, folder / "noisy.sqlite")
    moved = differences(folder)
    return float(
        np.sqrt(sum(float((move**2).sum()) / noise(made, key) ** 2 for (key, _), move in moved.items()))
    )


def shown(folder: Path) -> float:
    """Return the mu that the fits of both worlds show, by the log-likelihood ratio of their releases."""
    moved = differences(folder)

    def scores(with_target: bool) -> np.ndarray:
        out = []
        for run in range(RUNS):
            made = releases(with_target, EPSILON, folder / f"{with_target}-{run // 25}.sqlite")
            out.append(
                sum(
                    float((made[key].arrays[name] * move).sum()) / noise(made, key) ** 2
                    for (key, name), move in moved.items()
                )
            )
        return np.array(out)

    without, with_target = scores(False), scores(True)
    refuse_identical_runs(np.r_[without, with_target][:, None])
    return audit_scores(
        without, with_target, n_validation=RUNS // 5, confidence=1 - FALSE_ALARM, delta=DELTA
    ).mu


def test_the_target_moves_every_release_and_all_together_by_no_more_than_is_claimed(tmp_path: Path) -> None:
    moved = differences(tmp_path)
    assert {key.partition("/")[0] for key, _ in moved} == set(SCHEMA.tables)
    assert all(np.abs(move).sum() > 0.5 for move in moved.values())
    ones = [move for (key, _), move in moved.items() if "/before" not in key]
    assert all(np.abs(move).sum() <= 1.05 for move in ones)  # however many rows the person has, and where
    assert 0.5 * claimed() < exact_mu(tmp_path) <= claimed()


def test_a_planted_bug_moves_the_releases_by_more_than_is_claimed(bug: str, tmp_path: Path) -> None:
    assert exact_mu(tmp_path) > 3 * claimed()  # so far apart that every run tells the worlds


def test_the_ledger_stops_a_fit_whose_shares_do_not_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LinkedSettings, "shares_of", lambda self, schema: dict.fromkeys(schema.tables, 1.0))
    with pytest.raises(BudgetExceededError, match="would bring this run to"):
        releases(True, EPSILON, tmp_path / "l.sqlite")


@pytest.mark.audit
def test_a_person_of_many_rows_is_seen_no_better_than_claimed(tmp_path: Path) -> None:
    assert shown(tmp_path) <= claimed()


@pytest.mark.audit
def test_a_planted_bug_is_seen_in_the_releases(bug: str, tmp_path: Path) -> None:
    assert shown(tmp_path) > claimed()
