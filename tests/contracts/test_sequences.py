"""What every synthesizer of tables does where the rows of a person belong together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import privsynth
import privsynth.sampling.histories as histories
from privsynth.errors import RequestError, SchemaError
from privsynth.ledger.ledger import Ledger
from privsynth.models.tables.fitting import MixtureFitter
from privsynth.sampling.calibration import calibrated
from privsynth.sampling.histories import SequenceModel
from privsynth.sampling.plan import make_plan
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.rows import coded_blocks
from privsynth.sampling.walk import Walk
from privsynth.schema import Schema
from privsynth.synthesizers import TABLE_SYNTHESIZERS, MarginalSynthesizer
from privsynth.synthesizers.plan import plan
from tests.contracts.synthesizers import maker

KINDS = list(TABLE_SYNTHESIZERS.values())
CAP = 4
COLUMNS = {
    "visit": {"type": "id", "role": "key"},
    "who": {"type": "id", "role": "person_id"},
    "sex": {"type": "categorical", "categories": ["F", "M"], "per": "person", "role": "group"},
    "income": {"type": "integer", "low": 0, "high": 100, "per": "person", "missing": True},
    "day": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31", "role": "order"},
    "ill": {"type": "boolean", "role": "target"},
    "drug": {"type": "categorical", "categories": "private", "missing": True},
    "cost": {"type": "real", "decimals": 1, "low": 0, "high": "private"},
    "left": {"type": "datetime", "low": "2020-01-01", "high": "2021-12-31"},
}
STAYS = {"kind": "inequality", "columns": ["day", "left"]}


def schema(**changed) -> Schema:
    return Schema({**COLUMNS, **changed}, max_records_per_person=CAP, constraints=[STAYS])


def visits(n_persons: int = 600, seed: int = 0) -> pd.DataFrame:
    """Return visits of persons whose illness lasts, some with more visits than the cap."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, CAP + 3, n_persons)
    who = np.repeat(np.arange(n_persons), size)
    n = len(who)
    first = np.r_[True, who[1:] != who[:-1]]
    ill = np.zeros(n, dtype=bool)
    for i in range(n):
        ill[i] = rng.random() < (0.5 if first[i] else 0.95 if ill[i - 1] else 0.05)
    place = np.arange(n) - np.repeat(np.flatnonzero(first), size)
    day = pd.Timestamp("2020-01-03") + pd.to_timedelta(place * 20 + rng.integers(0, 19, n), unit="D")
    table = pd.DataFrame(
        {
            "who": who,
            "sex": np.where(who % 3 == 0, "F", "M"),
            "income": pd.Series((who * 7) % 101).where(who % 5 > 0),
            "day": day,
            "ill": ill,
            "drug": pd.Series(np.where(ill, "aspirin", "none")).where(rng.random(n) > 0.2),
            "cost": (10 * ill + rng.random(n)).round(1),
            "left": day + pd.to_timedelta(rng.integers(0, 9, n), unit="D"),
        }
    )
    return table.sample(frac=1.0, random_state=seed).reset_index(drop=True)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Every kind, fitted once."""
    folder, made = tmp_path_factory.mktemp("sequences"), {}

    def of(kind):
        if kind not in made:
            ledger = folder / f"{kind.name}.sqlite"
            made[kind] = maker(kind)().fit(visits(), schema=schema(), dataset="visits", ledger=ledger)
        return made[kind]

    return of


def check_persons(rows: pd.DataFrame, n_persons: int) -> None:
    """Check what holds of any drawn persons."""
    assert rows["who"].tolist() == sorted(rows["who"])
    assert set(rows["who"]) == set(range(1, n_persons + 1))
    assert rows["visit"].is_unique
    by_person = rows.groupby("who")
    assert by_person.size().between(1, CAP).all()
    for shared in ("sex", "income"):
        assert (by_person[shared].nunique(dropna=False) == 1).all()
    gaps = by_person["day"].diff().dropna()
    assert (gaps >= pd.Timedelta(days=1)).all()
    assert rows["day"].between(pd.Timestamp("2020-01-01"), pd.Timestamp("2020-12-31")).all()
    assert (rows["day"] <= rows["left"]).all()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_persons_are_drawn_with_all_their_rows(kind, fitted, tmp_path) -> None:
    model = fitted(kind)
    rows = model.sample(200, random_state=0)
    assert list(rows.columns) == list(COLUMNS)
    check_persons(rows, 200)
    assert model.guarantee_["unit"] == "person"
    assert not any("not modelled" in sentence for sentence in model.guarantee_["not_covered"])
    assert "day: type datetime, role order, low 2020-01-01" in "\n".join(model.guarantee_["public"])
    model.save(tmp_path / "m.privsynth")
    again = privsynth.load(tmp_path / "m.privsynth")
    assert again.schema_ == schema()
    pd.testing.assert_frame_equal(again.sample(200, random_state=0), rows)
    if not hasattr(model.settings_, "n_steps"):  # private steps are replayed from a tape only
        arrays = kind._arrays_of(model.model_)
        assert all(array.tobytes() == arrays[name].tobytes() for name, array in again.replay().items())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_asked_for_is_met_over_persons(kind, fitted) -> None:
    model = fitted(kind)
    rows = model.sample(
        90, balance=["sex"], conditions={"n_records": 3}, random_state=1, on_unsupported="warn"
    )
    check_persons(rows, 90)
    persons = rows.groupby("who").agg(sex=("sex", "first"), n=("sex", "size"))
    assert persons["sex"].value_counts().to_dict() == {"F": 45, "M": 45}
    assert set(persons["n"]) == {3}
    cells = model.support(90, balance=["sex"])
    assert cells["requested"].sum() == 90


def test_the_same_persons_are_drawn_whole_in_batches_and_into_files(fitted, tmp_path) -> None:
    model = fitted(MarginalSynthesizer)
    rows = model.sample(300, random_state=5)
    batches = list(model.sample_batches(300, batch_size=100, random_state=5))
    assert {len(batch) for batch in batches[:-1]} == {100}
    pd.testing.assert_frame_equal(pd.concat(batches, ignore_index=True), rows)
    told: list[tuple[int, int]] = []
    n = model.sample_to(
        tmp_path / "x.parquet",
        300,
        random_state=5,
        progress=lambda what, done, total: told.append((done, total)),
    )
    assert n == len(rows)
    assert all(done <= total for done, total in told)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x.parquet"), rows, check_dtype=False)
    assert len(model.sample(0)) == 0
    assert list(model.sample(0).columns) == list(COLUMNS)


def test_blocks_hold_whole_persons_and_memory_does_not_grow_with_their_number(
    fitted, tmp_path, monkeypatch
) -> None:
    model = fitted(MarginalSynthesizer)
    monkeypatch.setattr(histories, "PERSONS_AT_ONCE", 50)
    said: list[int] = []
    n = model.sample_to(
        tmp_path / "x.csv", 430, random_state=2, progress=lambda what, done, total: said.append(done)
    )
    assert len(said) == 9  # of 50 persons each, and 30 at the end
    assert (np.diff([0, *said]) <= 50 * CAP).all()
    check_persons(rows := pd.read_csv(tmp_path / "x.csv", parse_dates=["day", "left"]), 430)
    assert len(rows) == n
    model.sample_to(tmp_path / "y.csv", 430, random_state=2, jobs=2)
    assert (tmp_path / "y.csv").read_bytes() == (tmp_path / "x.csv").read_bytes()


@pytest.mark.parametrize(
    "asked",
    [
        {"conditions": {"ill": True}},
        {"balance": ["ill"]},
        {"balance": ["sex", "ill"]},
        {"proportions": {"ill": {True: 0.5, False: 0.5}}},
        {"proportions": [{"sex": {"F": 1.0}}, {"drug": {"aspirin": 1.0}}]},
        {"proportions": pd.DataFrame({"ill": [True, False], "share": [0.5, 0.5]})},
        {"proportions": pd.Series([0.5, 0.5], index=pd.Index([True, False], name="ill"))},
        {"parity": ("ill", ["sex"])},
        {"like": pd.DataFrame({"sex": ["F"], "ill": [True]})},
    ],
    ids=str,
)
def test_columns_of_rows_cannot_be_asked_for(asked, fitted) -> None:
    model = fitted(MarginalSynthesizer)
    for call in (model.sample, model.support, model.drawing, model.rebalancing_cost):
        with pytest.raises(RequestError, match=r"may differ between the rows of a person.*n_records"):
            call(10, **asked)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_known_persons_go_on(kind, fitted) -> None:
    model = fitted(kind)
    known = model.sample(40, random_state=3).groupby("who").head(2)
    known = known[known["day"] < pd.Timestamp("2020-12-20")]
    rows = model.complete(known, n_next=2, random_state=0)
    assert list(rows.columns) == list(COLUMNS)
    assert (rows.groupby("who").size() == 2).all()
    assert rows["who"].drop_duplicates().tolist() == known["who"].drop_duplicates().tolist()
    both = pd.concat([known, rows], ignore_index=True)
    assert both["visit"].is_unique
    for shared in ("sex", "income"):
        assert (both.groupby("who")[shared].nunique(dropna=False) == 1).all()
    assert (both.groupby("who")["day"].diff().dropna() >= pd.Timedelta(days=1)).all()
    assert (both["day"] <= both["left"]).all()


def test_dependence_lasts_from_row_to_row(tmp_path) -> None:
    """Illness lasts with 0.95: its lag-1 correlation is 0.9 in the law; rows dealt at random have none."""
    model = maker(MarginalSynthesizer)(epsilon=20.0).fit(
        visits(3000), schema=schema(), dataset="visits", ledger=tmp_path / "l.sqlite"
    )
    rows = model.sample(3000, random_state=0)
    before = rows.groupby("who")["ill"].shift()
    known = before.notna()
    correlation = np.corrcoef(before[known].astype(float), rows["ill"][known].astype(float))[0, 1]
    assert correlation > 0.7
    real = visits(3000).groupby("who").size().clip(upper=CAP).value_counts(normalize=True)
    drawn = rows.groupby("who").size().value_counts(normalize=True)
    assert real.sub(drawn, fill_value=0).abs().sum() / 2 < 0.05


def test_drawn_rows_hold_each_component_about_as_often_as_the_model_does(fitted) -> None:
    model = fitted(MarginalSynthesizer).model_
    plain = SequenceModel.of(model.schema, model.rows)
    plan = make_plan(model.persons, SampleRequest(n=2000), np.random.default_rng(1))
    ((persons, _),) = coded_blocks(plan, np.random.default_rng(1))
    off = []
    for each in (plain, model):
        tally = np.zeros((2, each.rows.mixture.n_components))
        walk = Walk(each.schema, each.rows, each.calibration, tally=tally)
        walk.rows(persons, np.random.default_rng(1))
        first = each.rows.mixture.blocks[each.rows.mixture.columns.index("first")].T
        wanted = first / first.sum(axis=1, keepdims=True)
        off.append(np.abs(tally / tally.sum(axis=1, keepdims=True) - wanted).sum(axis=1) / 2)
    assert (off[1] < 0.8 * off[0]).all()
    assert (calibrated(plain).calibration == model.calibration).all()  # the same wherever it is done


def test_without_noise_rows_are_learnt_as_finely_as_with_it(monkeypatch, tmp_path) -> None:
    least = []
    started = MixtureFitter.start
    monkeypatch.setattr(
        MixtureFitter,
        "start",
        lambda self, *args, **more: (least.append(self.least_variance), started(self, *args, **more))[1],
    )
    table = visits()
    model = maker(MarginalSynthesizer)(epsilon=None).fit(
        table, schema=schema(), dataset="v", ledger=tmp_path / "l.sqlite"
    )
    assert least == [1.0]  # a count is known to a unit at best
    aimed_at = model.settings_.n_bins
    assert model.model_.rows.domains["income"].n_bins <= aimed_at + 1 < table["income"].nunique()


def test_broken_persons_stop_before_anything_is_paid(tmp_path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    broken = visits().assign(sex=lambda t: np.where(t.index % 2, "F", "M"))
    with pytest.raises(SchemaError, match="column 'sex': the rows of one person hold different values"):
        maker(MarginalSynthesizer)().fit(broken, schema=schema(), dataset="visits", ledger=ledger)
    model = maker(MarginalSynthesizer)().fit(
        broken, schema=schema(), dataset="visits", ledger=ledger, on_violation="clip"
    )
    check_persons(model.sample(100, random_state=0), 100)
    assert model.guarantee_["noiseless_stops"] == 1


def test_rows_without_an_order_are_drawn_too(tmp_path) -> None:
    columns = {name: fields for name, fields in COLUMNS.items() if name != "day"}
    of = Schema(columns, max_records_per_person=CAP)
    model = maker(MarginalSynthesizer)().fit(visits(), schema=of, dataset="v", ledger=tmp_path / "l.sqlite")
    rows = model.sample(100, random_state=0)
    assert (rows.groupby("who")["sex"].nunique() == 1).all()
    assert rows.groupby("who").size().between(1, CAP).all()
    assert list(rows.columns) == list(columns)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_plan_speaks_of_persons_and_of_what_is_derived(kind) -> None:
    told = plan(schema(), 5000, 1.0, synthesizer=kind.name)
    assert told["unit"] == "person"
    assert sum(step["share"] for step in told["steps"]) == pytest.approx(1.0, abs=0.02)
    one_way = next(step for step in told["steps"] if step["purpose"] == "1-way marginals")
    assert (
        one_way["count"] == len(COLUMNS) - 2 + 3 + 1 + 4
    )  # n_records, start, first; gap; four of the row before


def test_names_of_persons_are_made_once_each(tmp_path) -> None:
    of = schema(name={"type": "text", "generator": "name", "per": "person"})
    model = maker(MarginalSynthesizer)().fit(visits(), schema=of, dataset="v", ledger=tmp_path / "l.sqlite")
    rows = model.sample(50, random_state=0)
    assert (rows.groupby("who")["name"].nunique() == 1).all()
    assert rows["name"].nunique() > 30
