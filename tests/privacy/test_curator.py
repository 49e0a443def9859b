"""The curator: charge first, then read; never above the allowance; nothing twice; replay without records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom, chi2

from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event, Gaussian
from privsynth.accounting.step_plan import StepPlan
from privsynth.counting.memory import RecordsInMemory
from privsynth.domains.coding import NumberCoding
from privsynth.domains.encoding import DiscreteDomain, NumericDomain, NumericGrid
from privsynth.errors import BudgetExceededError, ReplayError
from privsynth.privacy.curator import MECHANISMS, Curator
from privsynth.privacy.mechanisms import discovery, selection
from privsynth.privacy.mechanisms.clipping import RecordClipper
from privsynth.privacy.mechanisms.counts import BoundCounts, Marginals
from privsynth.privacy.mechanisms.discovery import HeldByMany
from privsynth.privacy.mechanisms.gradient_steps import StepBlock
from privsynth.privacy.mechanisms.selection import TableSelection
from privsynth.privacy.mechanisms.vector_sums import VectorSums
from privsynth.privacy.mechanisms.votes import TeacherEnsemble, Votes
from privsynth.records.conform import conform
from privsynth.releases.store import Release, ReleaseStore
from privsynth.schema import Schema
from privsynth.synthesizers.fitting import door_to_table
from tests.helpers.predictable import PredictableSourceForTests

SCHEMA = Schema(
    {
        "sex": {"type": "categorical", "categories": ["F", "M"]},
        "town": {"type": "categorical", "categories": "private"},
        "age": {"type": "integer", "low": 0, "high": 99},
        "pay": {"type": "real", "low": "private", "high": "private"},
    }
)
FALSE_ALARM = 1e-6
ALLOWANCE = Spend(mu_squared=1.0, added_delta=1e-3)


def table(n=300):
    return pd.DataFrame(
        {
            "sex": ["F", "M", "F"] * (n // 3),
            "town": ["Ulm", "Bonn", "Rome"] * (n // 3),
            "age": np.arange(n) % 100,
            "pay": np.linspace(10.0, 900.0, n),
        }
    )


def codings():
    age = SCHEMA.columns["age"]
    grid = NumericGrid.between(0, 99, discrete=True)
    return {
        "sex": DiscreteDomain(SCHEMA.columns["sex"], ("F", "M"), False, False).coding,
        "age": NumericDomain(age, grid, np.arange(100), np.ones(100), False).coding,
    }


class Book:
    """Records the order of charges and whether the records had been read for them yet."""

    def __init__(self):
        self.charged: list[tuple[str, Event]] = []

    def __call__(self, event, key):
        self.charged.append((key, event))


def curator(store=None, *, frame=None, allowance=ALLOWANCE, charge=None, seed=0):
    return door_to_table(
        schema=SCHEMA,
        allowance=allowance,
        store=store if store is not None else ReleaseStore(),
        records=conform(table() if frame is None else frame, SCHEMA),
        charge=charge or Book(),
        secret=PredictableSourceForTests(seed),
    )


def count(c, key="counts", noise=4.0):
    return c.release(
        key,
        Marginals(
            purpose="test",
            codings=codings(),
            sets=(
                ("sex",),
                ("sex", "age"),
            ),
            noise_multiplier=noise,
        ),
    )


def held_by_many(*columns, noise_multiplier=5.0, delta=1e-4, max_values=9):
    return HeldByMany(
        purpose="test",
        of=columns,
        noise_multiplier=noise_multiplier,
        delta=delta,
        max_values=max_values,
    )


def test_counts_are_the_true_ones_plus_noise_of_the_booked_scale():
    release = count(curator(), noise=2.0)
    assert release.arrays["0"] == pytest.approx([200, 100], abs=6 * 2.0)
    assert release.arrays["1"].shape == (2, 100)
    assert release.event["count"] == 2


def test_every_table_of_a_release_has_noise_of_its_own():
    release = curator().release(
        "c", Marginals(purpose="test", codings=codings(), sets=tuple([("sex",)] * 500), noise_multiplier=1e6)
    )
    noise = np.stack([release.arrays[str(i)] for i in range(500)]) / 1e6  # the counts vanish beside it
    statistic = float((noise**2).sum())
    assert chi2.ppf(FALSE_ALARM / 2, df=1000) < statistic < chi2.ppf(1 - FALSE_ALARM / 2, df=1000)
    assert 0.75**2 * statistic < chi2.ppf(FALSE_ALARM / 2, df=1000)  # a quarter less would be seen
    exact = np.abs(noise) < 1e-3  # by chance one cell in a thousand; one in fifty without noise would be seen
    assert exact.sum() <= binom.ppf(1 - FALSE_ALARM, noise.size, 1e-3)


def test_every_draw_of_a_selection_is_charged():
    book = Book()
    sets = [("sex",), ("age",), ("sex", "age")]
    expected = [np.zeros(2), np.zeros(100), np.zeros(200)]
    chosen = curator(charge=book).release(
        "x",
        TableSelection(
            purpose="t",
            codings=codings(),
            candidates=sets,
            expected=lambda: expected,
            noise_std=1.0,
            epsilon0=0.1,
            n_select=2,
        ),
    )
    assert len(chosen.facts["selected"]) == 2
    ((_, event),) = book.charged
    assert (event.mechanism, event.epsilon0, event.count) == ("exponential", 0.1, 2)


def test_every_mechanism_is_charged_before_it_reads():
    class Refused(Exception):
        pass

    def refuse(event, key):
        raise Refused

    c = curator(charge=refuse)
    c._records.frame = pd.DataFrame()  # any read would raise another error
    age, town, pay = (SCHEMA.columns[name] for name in ("age", "town", "pay"))
    level = {"purpose": "test", "noise_multiplier": 5.0}
    of_codes = {"purpose": "test", "codings": codings()}
    mechanisms = [
        Marginals(codings=codings(), sets=(("sex",),), **level),
        BoundCounts(column=pay, **level),
        held_by_many(town),
        held_by_many(age),
        held_by_many(town, town),
        VectorSums(
            codings=codings(), embedding=lambda r: (r[0], r[:1].float()), n_cells=2, n_values=1, **level
        ),
        Votes(
            codings=codings(),
            ensemble=TeacherEnsemble(n_teachers=2, part_size=2),
            teacher=lambda records, present: records[:1, 0].float(),
            n_queries=1,
            **level,
        ),
        TableSelection(
            **of_codes,
            candidates=[("sex",)],
            expected=lambda: [np.zeros(2)],
            noise_std=1.0,
            epsilon0=0.1,
            n_select=1,
        ),
        StepBlock(**of_codes, plan=small_plan()),
    ]
    assert {type(mechanism) for mechanism in mechanisms} == set(MECHANISMS)
    for key, mechanism in enumerate(mechanisms):
        with pytest.raises(Refused):
            c.release(str(key), mechanism)
    assert len(c.store) == 0


def one_table(records, columns, by_column):
    (table,) = records.tables([columns], by_column)
    return table


def test_tables_are_the_same_when_asked_for_again():
    records, by_column = conform(table(), SCHEMA), codings()
    exact = RecordsInMemory(records, max_records_per_person=None, secret=PredictableSourceForTests(0))
    by_hand = np.zeros((2, 100), dtype=np.int64)
    np.add.at(by_hand, (table()["sex"].eq("M").to_numpy().astype(int), table()["age"].to_numpy()), 1)
    for _ in range(2):
        assert np.array_equal(one_table(exact, ("sex", "age"), by_column), by_hand)
        assert one_table(exact, ("age",), by_column).tolist() == by_hand.sum(axis=0).tolist()
    halves = replace(by_column["age"], code_of_cell=np.arange(100) // 50, size=2)
    assert (
        one_table(exact, ("age",), {"age": halves}).tolist()
        == by_hand.reshape(2, 2, 50).sum(axis=(0, 2)).tolist()
    )


def test_a_charge_above_the_allowance_is_refused_before_anything_is_charged():
    book = Book()
    c = curator(charge=book)
    count(c, noise=1.5)  # costs 2 / 2.25 = 0.89
    with pytest.raises(BudgetExceededError, match="would pass the budget of this run"):
        count(c, "more", noise=4.0)  # would cost another 0.125
    assert [key for key, _ in book.charged] == ["counts"]
    assert c.remaining("more") == pytest.approx(1 - 2 / 2.25)


def test_discovery_deltas_are_limited_too():
    c = curator()
    town = SCHEMA.columns["town"]
    c.release("a", held_by_many(town, noise_multiplier=50.0, delta=6e-4, max_values=9))
    with pytest.raises(BudgetExceededError, match="would pass the budget"):
        c.release("b", held_by_many(town, noise_multiplier=50.0, delta=6e-4, max_values=9))


def test_discovered_values_are_sorted_not_in_order_of_appearance():
    for seed in range(5):
        release = curator(seed=seed).release(
            "v",
            held_by_many(SCHEMA.columns["town"], noise_multiplier=2.0, delta=1e-4, max_values=9),
        )
        assert release.facts["values"] == ["Bonn", "Rome", "Ulm"]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_decides_nothing_of_what_is_discovered(seed):
    # Many values of equal counts, more than may be published: which ones are must not tell whose row leads.
    frame = table(600).assign(pay=np.arange(600) % 40, age=np.arange(600) % 20)
    backward = frame.iloc[::-1].reset_index(drop=True)
    town, age, pay = (SCHEMA.columns[name] for name in ("town", "age", "pay"))
    level = {"noise_multiplier": 2.0, "delta": 1e-4, "max_values": 7}

    def found(rows, buy):
        return buy(curator(frame=rows, seed=seed)).facts

    for buy in (
        lambda c: c.release("v", held_by_many(pay, **level)),
        lambda c: c.release(
            "c",
            HeldByMany(
                purpose="test",
                of=(
                    town,
                    age,
                ),
                **level,
            ),
        ),
    ):
        assert found(frame, buy) == found(backward, buy)
        assert [len(values) for values in found(frame, buy).values()] == [7]


def test_combinations_held_by_many_are_published_sorted_and_those_of_few_are_not():
    frame = table(600)
    frame.loc[:3, "town"] = "Oslo"  # four records: two of them F, which is all that Oslo has
    columns = [SCHEMA.columns["town"], SCHEMA.columns["sex"]]
    book = Book()
    release = curator(frame=frame, charge=book).release(
        "c", held_by_many(*columns, noise_multiplier=5.0, delta=1e-4, max_values=9)
    )
    # threshold: 1 + 5 * 3.72 = 19.6, ten deviations below the 200 of each pair and three above four
    assert release.facts["combinations"] == [["Bonn", "M"], ["Rome", "F"], ["Ulm", "F"]]
    ((key, event),) = book.charged
    assert (key, event.mechanism, event.delta, event.count) == ("c", "thresholded_gaussian", 1e-4, 1)
    assert event.purpose == "test"


def test_a_combination_of_one_record_is_published_no_more_often_than_delta():
    # one record holds a pair that nobody else holds; delta 0.05, of 2,000 draws 100 are expected at most
    frame = table(6)
    frame.loc[0, "town"] = "Oslo"
    columns = [SCHEMA.columns["town"], SCHEMA.columns["sex"]]
    roomy = Spend(mu_squared=100.0, added_delta=0.5)
    found = 0
    for seed in range(2000):
        release = curator(frame=frame, allowance=roomy, seed=seed).release(
            "c", held_by_many(*columns, noise_multiplier=2.0, delta=0.05, max_values=9)
        )
        found += ["Oslo", "F"] in release.facts["combinations"]
    assert found < 100 + 4.76 * np.sqrt(2000 * 0.05 * 0.95)  # false alarm 1e-6
    assert found > 100 - 4.76 * np.sqrt(2000 * 0.05 * 0.95)  # the threshold is not needlessly high


def test_a_stored_release_is_served_again_and_not_charged_again():
    store, book = ReleaseStore(), Book()
    first = count(curator(store, charge=book))
    resumed = curator(store, charge=book, seed=99)
    again = count(resumed)
    assert np.array_equal(first.arrays["1"], again.arrays["1"])
    assert len(book.charged) == 1
    assert resumed.remaining("next") == ALLOWANCE.mu_squared - 2 / 4.0**2  # it stays spent


def test_without_records_a_curator_replays_and_nothing_else():
    store = ReleaseStore()
    first = count(curator(store))
    replayed = Curator(schema=SCHEMA, allowance=ALLOWANCE, store=store)
    assert np.array_equal(count(replayed).arrays["0"], first.arrays["0"])
    with pytest.raises(ReplayError, match="is not stored, and there are no records"):
        count(replayed, "other")


def test_a_stored_release_of_another_level_is_refused():
    store = ReleaseStore()
    count(curator(store), noise=4.0)
    with pytest.raises(ReplayError, match="made under other settings"):
        count(curator(store), noise=5.0)


def test_a_lost_charge_stays_spent_and_is_paid_again():
    store, book = ReleaseStore(), Book()
    event = Gaussian(purpose="test", noise_multiplier=4.0, count=2)
    store.append(Release(key="counts", event=event.to_dict(), lost=True))
    c = curator(store, charge=book)
    assert c.remaining("counts") == pytest.approx(1 - 0.125)
    count(c)
    assert c.remaining("rest") == pytest.approx(1 - 0.25)
    assert len(book.charged) == 1


def test_the_selection_prefers_the_table_that_the_model_has_wrong():
    hits = 0
    for seed in range(50):
        c = curator(seed=seed)
        release = c.release(
            "s",
            TableSelection(
                purpose="test",
                codings=codings(),
                candidates=[("sex",), ("age",)],
                expected=lambda: [np.array([200.0, 100.0]), np.full(100, 1.0)],
                noise_std=0.1,
                epsilon0=1.0,
                n_select=1,
            ),
        )
        hits += release.facts["selected"] == [1]
    assert hits == 50


def test_neighbours_differ_by_at_most_one_unit_under_the_same_noise():
    # The same secret bytes on both tables: what differs is the record alone, 1 in L1 in each table.
    whole = count(curator(seed=5))
    rest = count(curator(seed=5, frame=table().drop(index=17)))
    for name in ("0", "1"):
        assert np.abs(whole.arrays[name] - rest.arrays[name]).sum() == 1


class ByRank:
    """A coding from outside: the code of a row hangs on the others, so one record could move them all."""

    size = 2

    def encode(self, values):
        return (values.to_numpy() > np.median(values)).astype(np.int64)


class Renamed(NumberCoding):
    """A subclass, whose `encode` could be anything."""


@pytest.mark.parametrize("kind", ["foreign", "subclass"])
def test_a_coding_that_could_look_at_other_rows_is_refused(kind):
    foreign = ByRank() if kind == "foreign" else Renamed(**vars(codings()["age"]))
    c, mixed = curator(), {**codings(), "age": foreign}
    level = {"noise_multiplier": 4.0}
    calls = [
        lambda: c.release("c", Marginals(purpose="t", codings=mixed, sets=(("sex",),), **level)),
        lambda: c.release(
            "x",
            TableSelection(
                purpose="t",
                codings=mixed,
                candidates=[("sex",)],
                expected=lambda: [np.zeros(2)],
                noise_std=1.0,
                epsilon0=0.1,
                n_select=1,
            ),
        ),
        lambda: c.release(
            "v",
            VectorSums(
                purpose="t",
                codings=mixed,
                embedding=lambda r: (r[0], r[:1].float()),
                n_cells=2,
                n_values=1,
                **level,
            ),
        ),
        lambda: c.steps("g", StepBlock(purpose="t", codings=mixed, plan=small_plan())),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="codings are data"):
            call()
    assert [release.key for release in c.store] == [
        "g"
    ]  # the block was paid for, and no step of it was taken


PERSONS = Schema(
    {
        "who": {"type": "id", "role": "person_id"},
        "sex": {"type": "categorical", "categories": ["F", "M"]},
        "town": {"type": "categorical", "categories": "private"},
    },
    max_records_per_person=4,
)


def of_persons(n_persons, n_rows):
    """Return a curator with hardly any noise; each person has rows of one sex."""
    frame = pd.DataFrame({"who": np.repeat(np.arange(n_persons), n_rows).astype(str), "town": "Ulm"})
    frame["sex"] = np.where(frame["who"].astype(int) % 2, "M", "F")
    return door_to_table(
        schema=PERSONS,
        allowance=Spend(mu_squared=1e15, added_delta=0.5),
        store=ReleaseStore(),
        records=conform(frame, PERSONS),
        charge=Book(),
    )


@pytest.mark.parametrize("n_rows", [1, 3, 9])
def test_one_person_more_moves_counts_vectors_and_scores_by_what_is_booked(n_rows, monkeypatch):
    sex = {"sex": DiscreteDomain(PERSONS.columns["sex"], ("F", "M"), False, False).coding}
    asked = []

    def note(scores, *, sensitivity, **levels):
        asked.append((scores, sensitivity))
        return np.arange(1)

    monkeypatch.setattr(selection, "exponential_mechanism", note)

    def one_each(record):
        return torch.tensor(0), torch.ones(1)

    def released(c):
        level = {"noise_multiplier": 1e-6}
        counts = c.release("c", Marginals(purpose="test", codings=sex, sets=(("sex",),), **level)).arrays["0"]
        vectors = c.release(
            "v", VectorSums(purpose="test", codings=sex, embedding=one_each, n_cells=1, n_values=1, **level)
        ).arrays["sums"]
        expected = [np.array([2.0, 2.0])]
        c.release(
            "s",
            TableSelection(
                purpose="test",
                codings=sex,
                candidates=[("sex",)],
                expected=lambda: expected,
                noise_std=1.0,
                epsilon0=1.0,
                n_select=1,
            ),
        )
        return counts, vectors

    more, fewer = released(of_persons(6, n_rows)), released(of_persons(5, n_rows))
    for a, b in zip(more, fewer, strict=True):
        assert 0.9 < np.abs(a - b).sum() < 1 + 1e-4  # a person counts once, however many rows are theirs
    (scores, sensitivity), (before, _) = asked
    assert 0.9 < np.abs(scores - before).max() / sensitivity <= 1


def test_values_of_persons_have_the_threshold_of_all_of_their_rows(monkeypatch):
    used = []
    right = discovery.discovery_threshold
    monkeypatch.setattr(
        discovery, "discovery_threshold", lambda *a, **k: used.append(k["max_records"]) or right(*a, **k)
    )
    level = {"noise_multiplier": 2.0, "delta": 1e-4, "max_values": 9}
    of_persons(5, 2).release("v", held_by_many(PERSONS.columns["town"], **level))
    curator().release("v", held_by_many(SCHEMA.columns["town"], **level))
    assert used == [4, 1]


def test_no_release_holds_anything_that_was_not_booked():
    release = count(curator())
    assert set(release.header()) - {"columns"} == {"key", "event", "facts"}  # public names
    assert set(release.facts) == {"sets"}
    assert set(release.arrays) == {"0", "1"}


def small_plan(**changes):
    fields = {
        "n_steps": 3,
        "sample_rate": 0.1,
        "noise_multiplier": 4.0,
        "max_grad_norm": 1.0,
        "expected_batch_size": 30.0,
        "slack": 1e-7,
    }
    return StepPlan(**{**fields, **changes})


def steps_of(c, key="steps", **changes):
    return c.steps(key, StepBlock(purpose="test", codings=codings(), plan=small_plan(**changes)))


def take(steps, network):
    clipper = RecordClipper(network, lambda d, x: d(x.float())[:, 0], max_grad_norm=1.0)
    steps.noisy_gradient(clipper, steps.optimizer(torch.optim.SGD(network.parameters(), lr=0.1)))
    return [p.grad.clone() for p in network.parameters()]


def test_a_block_of_steps_is_charged_whole_before_records_are_encoded():
    class Refused(Exception):
        pass

    def refuse(event, key):
        assert (event.mechanism, event.count, event.delta) == ("sampled_gaussian", 3, 1e-7)
        raise Refused

    c = curator(charge=refuse)
    c._records.frame = pd.DataFrame()  # any read would raise another error
    with pytest.raises(Refused):
        steps_of(c)


def test_a_block_has_one_counter_however_often_it_is_asked_for():
    book = Book()
    c = curator(charge=book)
    network = torch.nn.Linear(2, 1)
    take(steps_of(c), network)
    take(steps_of(c), network)
    assert steps_of(c).n_begun == 2
    assert len(book.charged) == 1
    take(steps_of(c), network)
    with pytest.raises(BudgetExceededError, match="all 3 private steps"):
        take(steps_of(c), network)
    with pytest.raises(ReplayError, match="planned otherwise"):
        steps_of(c, n_steps=4)


def test_a_resumed_block_goes_on_behind_the_steps_that_were_begun(tmp_path):
    book, network = Book(), torch.nn.Linear(2, 1)
    store = ReleaseStore(tmp_path / "run.partial")
    steps = steps_of(curator(store, charge=book))
    take(steps, network)
    take(steps, network)
    store.close()
    again = steps_of(curator(ReleaseStore(tmp_path / "run.partial"), charge=book))
    assert again.n_begun == 2
    assert len(book.charged) == 1
    take(again, network)
    with pytest.raises(BudgetExceededError):
        take(again, network)


def test_steps_are_replayed_from_their_tape_without_records():
    store, network = ReleaseStore(), torch.nn.Linear(2, 1)
    c = curator(store)
    c.tape = []
    steps = steps_of(c)
    first = [take(steps, network) for _ in range(2)]
    replay = Curator(schema=SCHEMA, allowance=ALLOWANCE, store=store)
    replay.tape = c.tape
    again = steps_of(replay)
    assert all(torch.equal(a, b) for old in first for a, b in zip(old, take(again, network), strict=True))
    with pytest.raises(ReplayError, match="not on the tape"):
        take(again, network)
