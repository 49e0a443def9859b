"""Each mechanism that is given noise says by how much one unit moves it; two neighbouring tables agree."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event
from privsynth.counting.memory import RecordsInMemory
from privsynth.domains.encoding import DiscreteDomain, NumericDomain, NumericGrid
from privsynth.privacy.curator import MECHANISMS, Curator
from privsynth.privacy.mechanisms import selection
from privsynth.privacy.mechanisms.base import DrawingMechanism, Exact, NoisyMechanism
from privsynth.privacy.mechanisms.counts import BoundCounts, Marginals
from privsynth.privacy.mechanisms.discovery import HeldByMany
from privsynth.privacy.mechanisms.selection import TableSelection
from privsynth.privacy.mechanisms.vector_sums import VectorSums
from privsynth.privacy.mechanisms.votes import TeacherEnsemble, Votes
from privsynth.privacy.units import CUT_GRID, PERSON_GRID, Weighting, count_cut_table
from privsynth.records.conform import conform
from privsynth.releases.store import ReleaseStore
from privsynth.schema import Schema
from privsynth.synthesizers.fitting import door_to_table
from tests.helpers.predictable import PredictableSourceForTests

COLUMNS = {
    "sex": {"type": "categorical", "categories": ["F", "M"]},
    "age": {"type": "integer", "low": 0, "high": 99},
    "town": {"type": "categorical", "categories": "private"},
}
UNITS = {
    "record": Schema(COLUMNS),
    "person": Schema({"who": {"type": "id", "role": "person_id"}, **COLUMNS}, max_records_per_person=4),
}


def codings():
    sex, age = UNITS["record"].columns["sex"], UNITS["record"].columns["age"]
    grid = NumericGrid.between(0, 99, discrete=True)
    return {
        "sex": DiscreteDomain(sex, ("F", "M"), False, False).coding,
        "age": NumericDomain(age, grid, np.arange(100), np.ones(100), False).coding,
    }


def embedding(record):
    """Map a record to a vector far longer than 1, which has to be cut."""
    return record[0], torch.stack([record[1].float(), -record[1].float(), torch.tensor(3.0)])


def teacher(records, present):
    """Vote for rows that some of the teacher's records have the sex of."""
    return torch.stack([((records[:, 0] == sex) & present).sum() - 0.5 for sex in (0.0, 1.0)])


def mechanisms() -> list[NoisyMechanism]:
    level = {"purpose": "test", "noise_multiplier": 1.0}
    columns = UNITS["record"].columns
    sets = ((), ("sex",), ("sex", "age"))
    return [
        Marginals(codings=codings(), sets=sets, **level),
        Marginals(codings=codings(), sets=sets[1:], norms=(1.0, 0.3), **level),
        BoundCounts(column=columns["age"], **level),
        HeldByMany(of=(columns["town"],), delta=0.1, max_values=9, **level),
        HeldByMany(of=(columns["town"], columns["age"]), delta=0.1, max_values=9, **level),
        VectorSums(codings=codings(), embedding=embedding, n_cells=2, n_values=3, **level),
        Votes(
            codings=codings(),
            ensemble=TeacherEnsemble(n_teachers=40, part_size=8),
            teacher=teacher,
            n_queries=2,
            **level,
        ),
    ]


def table(n_units: int, n_rows: int) -> pd.DataFrame:
    """Return rows of units; those of the last are like no other."""
    unit = np.repeat(np.arange(n_units), n_rows)
    last = unit == 40
    return pd.DataFrame(
        {
            "who": unit.astype(str),
            "sex": np.where(unit % 3 == 0, "F", "M"),
            "age": np.where(last, 97, unit % 90),
            "town": np.where(last, "Ulm", "Bonn"),
        }
    )


def curator_of(unit: str, n_rows: int, *, mu_squared: float = 1.0) -> tuple[Curator, list[Event]]:
    """Return the curator of 30 units of so many rows, and where it books what it charges."""
    booked: list[Event] = []
    curator = door_to_table(
        schema=UNITS[unit],
        allowance=Spend(mu_squared=mu_squared, added_delta=0.0),
        store=ReleaseStore(),
        records=conform(table(30, n_rows), UNITS[unit]),
        charge=lambda event, key: booked.append(event),
    )
    return curator, booked


def exact(mechanism: NoisyMechanism, unit: str, n_units: int) -> Exact:
    schema = UNITS[unit]
    records = RecordsInMemory(
        conform(table(n_units, 1 if unit == "record" else 6), schema),
        max_records_per_person=schema.max_records_per_person,
        secret=PredictableSourceForTests(5),
    )
    if isinstance(mechanism, Votes):  # other units keep their teachers: each is drawn by itself
        persons = records.weighting.persons
        rows = np.arange(n_units) if persons is None else np.unique(persons, return_index=True)[1]
        teachers = np.random.default_rng(0).integers(0, mechanism.ensemble.n_teachers, 41)
        records.once(mechanism.ensemble, lambda secret: (rows, teachers[:n_units]))
    return mechanism.exact(records)


def test_all_that_are_given_noise_are_tried_here():
    assert {type(m) for m in mechanisms()} == {k for k in MECHANISMS if issubclass(k, NoisyMechanism)}
    assert all(issubclass(kind, NoisyMechanism | DrawingMechanism) for kind in MECHANISMS)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("mechanism", mechanisms(), ids=lambda m: type(m).__name__)
def test_one_unit_moves_each_array_by_at_most_what_is_declared(mechanism, unit):
    # The last unit's rows stand at the end, so that the same secret bytes fall to all others.
    more, fewer = exact(mechanism, unit, 41), exact(mechanism, unit, 40)
    assert more.steps_per_unit == fewer.steps_per_unit > 0
    moved, one = [], more.steps_per_unit
    assert more.steps_of == fewer.steps_of
    for name in more.arrays.keys() | fewer.arrays.keys():
        a, b = more.arrays[name], fewer.arrays[name]
        assert a.dtype == b.dtype == np.int64
        if isinstance(mechanism, HeldByMany):  # values that one unit alone holds are what delta pays for
            a, b = np.sort(a)[::-1][: len(b)], np.sort(b)[::-1]
        moved.append(
            float(np.linalg.norm((a - b).astype(float).ravel())) * one / more.steps_of.get(name, one)
        )
    if isinstance(mechanism, Votes):  # each count is a release of its own
        moved = [float(np.abs(more.arrays["votes"] - fewer.arrays["votes"]).max())]
    assert max(moved) <= one
    if not isinstance(mechanism, HeldByMany):
        assert min(moved) > 0.9 * one  # and the noise is not for more than there is


def test_the_noise_is_that_of_the_event_which_was_charged():
    class Shrinking(type(mechanisms()[0])):
        """Says one level when it is charged and another afterwards: it is not on the list."""

    curator, booked = curator_of("record", 1, mu_squared=1e-6)
    honest = Marginals(
        purpose="test", codings=codings(), sets=((("sex", "age")),) * 5, noise_multiplier=10_000.0
    )
    release = curator.release("counts", honest)
    noise = np.concatenate([release.arrays[str(i)].ravel() for i in range(5)])
    assert 0.9 < noise.std() / booked[0].noise_multiplier < 1.1  # 1,000 cells, beside which counts vanish
    with pytest.raises(TypeError, match="got a Shrinking"):
        curator.release("more", Shrinking(**vars(honest)))
    assert len(booked) == len(curator.store) == 1


def test_more_releases_than_were_charged_are_refused_before_any_noise(monkeypatch):
    curator, _ = curator_of("record", 1)
    monkeypatch.setattr(Marginals, "n_releases", property(lambda self: 1))
    two = Marginals(purpose="test", codings=codings(), sets=(("sex",), ("age",)), noise_multiplier=10.0)
    with pytest.raises(ValueError, match="expected the 1 releases of 'test', got 2"):
        curator.release("counts", two)
    assert not len(curator.store)


def test_what_an_object_carries_in_the_place_of_its_class_is_not_called():
    curator, _ = curator_of("record", 1)
    own = codings()
    vars(own["sex"])["encode"] = lambda values: 1 / 0
    honest = Marginals(purpose="test", codings=own, sets=(("sex",),), noise_multiplier=10.0)
    vars(honest)["exact"] = lambda records: 1 / 0
    assert curator.release("counts", honest).arrays["0"].shape == (2,)


# -- tables whose units are cut in length ----------------------------------------------------------------

CELLS = list(itertools.product(range(-1, 2), range(2)))  # of two columns; -1 is counted nowhere
NORMS = (0.2, 1 / 3, 0.67, 1.0)


def cut_counts(histories, norm):
    """Return the cut table of persons, each a list of cells, as a curator would have it made."""
    rows = [(person, *cell) for person, cells in enumerate(histories) for cell in cells]
    persons, *codes = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    n_rows = np.bincount(persons)[persons]
    weighting = Weighting(
        rows=None, weights=PERSON_GRID // n_rows, units_per_one=PERSON_GRID, max_records=9, persons=persons
    )
    return count_cut_table(codes, (2, 2), weighting, norm)


@pytest.mark.parametrize("norm", NORMS)
def test_no_history_moves_a_cut_table_by_more_than_its_norm(norm):
    others = [[(0, 0), (0, 1), (0, 1)], [(1, 1)], [(1, 0), (-1, 0)]]
    before, longest = cut_counts(others, norm), 0
    declared = math.ceil(norm * CUT_GRID)
    for n_rows in (1, 2, 3, 4, 5):
        for history in itertools.combinations_with_replacement(CELLS, n_rows):
            moved = cut_counts([*others, list(history)], norm) - before
            assert (moved >= 0).all()
            squares = sum(int(steps) ** 2 for steps in moved.flat)  # in whole numbers of any size
            assert squares <= declared**2
            longest = max(longest, squares)
    assert math.isqrt(longest) > (1 - 1e-3) * declared  # no more noise than it takes


@given(
    st.lists(st.lists(st.sampled_from(CELLS), min_size=1, max_size=9), min_size=1, max_size=5),
    st.sampled_from(NORMS),
)
def test_a_cut_table_is_the_sum_of_its_persons_own_tables_each_cut(histories, norm):
    alone = [cut_counts([history], norm) for history in histories]
    assert (cut_counts(histories, norm) == sum(alone)).all()
    for history, cut in zip(histories, alone, strict=True):
        steps = PERSON_GRID // len(history)
        own = {cell: history.count(cell) * steps for cell in set(history) if cell[0] >= 0}
        length = math.sqrt(sum(n**2 for n in own.values())) / PERSON_GRID
        for cell in itertools.product(range(2), range(2)):
            whole = own.get(cell, 0) / PERSON_GRID * CUT_GRID
            exact = whole * min(1.0, norm / length) if whole else 0.0
            assert exact - 1 - 1e-6 <= cut[cell] <= exact


def test_a_cut_table_is_released_over_its_norm_with_the_booked_noise():
    norm, n_sets = 0.25, 40
    curator, booked = curator_of("person", 4)
    sets = ((("sex", "age")),) * n_sets
    noise = {"purpose": "test", "noise_multiplier": 10.0}
    release = curator.release("cut", Marginals(codings=codings(), sets=sets, norms=(norm,) * n_sets, **noise))
    assert booked == [Marginals(codings=codings(), sets=sets, **noise).event]  # the cost is that of any table
    assert release.facts == {"cut_sets": [["sex", "age"]] * n_sets, "norms": [norm] * n_sets}
    found = np.stack([release.arrays[str(i)] for i in range(n_sets)])
    # a person's rows lie in one cell: cut to a quarter and released over a quarter, each counts once
    exact = np.zeros(found.shape[1:])
    np.add.at(exact, ((np.arange(30) % 3 != 0).astype(int), np.arange(30)), 1.0)
    left = (found - exact).ravel()  # 8,000 cells of noise
    assert abs(left.mean()) < 5 * 10 / math.sqrt(len(left))
    assert 0.96 < left.std() / 10 < 1.04  # 5 deviations of the deviation of 8,000 cells


@pytest.mark.parametrize("norm", [0.2, 0.25, 1.0 / 3.0])
def test_the_steps_of_a_cut_table_are_its_norm_rounded_up(norm):
    level = {"purpose": "test", "noise_multiplier": 1.0}
    cut = exact(Marginals(codings=codings(), sets=(("sex",),), norms=(norm,), **level), "person", 3)
    (steps,) = cut.steps_of.values()
    assert 0 <= steps - norm * 2**24 < 1


@pytest.mark.parametrize("unit", UNITS)
def test_one_unit_moves_every_score_of_a_selection_by_at_most_one(unit, monkeypatch):
    """By what the mechanism itself makes of records, whatever the norms that tables are cut to later."""
    scores = []

    def noted(scored, *, epsilon0, sensitivity, n_select, secret):
        assert sensitivity == 1.0
        scores.append(scored)
        return np.arange(n_select)

    monkeypatch.setattr(selection, "exponential_mechanism", noted)
    candidates = (("sex",), ("sex", "age"))
    sizes = [math.prod(codings()[name].size for name in columns) for columns in candidates]
    chosen = TableSelection(
        purpose="test",
        codings=codings(),
        candidates=candidates,
        expected=lambda: (np.zeros(size) for size in sizes),
        noise_std=(0.2, 0.7),
        epsilon0=1.0,
        n_select=1,
    )
    for n_units in (41, 40):
        schema = UNITS[unit]
        records = RecordsInMemory(
            conform(table(n_units, 1 if unit == "record" else 6), schema),
            max_records_per_person=schema.max_records_per_person,
            secret=PredictableSourceForTests(5),
        )
        chosen.draw(records, PredictableSourceForTests(6))
    moved = np.abs(scores[0] - scores[1])
    assert (moved <= 1 + 1e-9).all()
    assert (moved > 0.9).all()


def test_as_many_norms_as_sets_are_asked_for():
    one_short = Marginals(
        purpose="test", codings=codings(), sets=(("sex",), ("age",)), norms=(0.5,), noise_multiplier=1.0
    )
    with pytest.raises(ValueError, match="zip"):
        exact(one_short, "person", 3)
