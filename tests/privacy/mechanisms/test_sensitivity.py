"""Each mechanism that is given noise says by how much one unit moves it; two neighbouring tables agree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from privsynth.accounting.budget import Spend
from privsynth.domains.encoding import DiscreteDomain, NumericDomain, NumericGrid
from privsynth.privacy.curator import MECHANISMS, Curator
from privsynth.privacy.mechanisms.base import DrawingMechanism, Exact, NoisyMechanism
from privsynth.privacy.mechanisms.counts import BoundCounts, Marginals
from privsynth.privacy.mechanisms.discovery import HeldByMany
from privsynth.privacy.mechanisms.vector_sums import VectorSums
from privsynth.privacy.mechanisms.votes import TeacherEnsemble, Votes
from privsynth.privacy.records import RecordsInMemory
from privsynth.records.conform import conform
from privsynth.releases.store import ReleaseStore
from privsynth.schema import Schema
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
    moved = []
    for name in more.arrays.keys() | fewer.arrays.keys():
        a, b = more.arrays[name], fewer.arrays[name]
        assert a.dtype == b.dtype == np.int64
        if isinstance(mechanism, HeldByMany):  # values that one unit alone holds are what delta pays for
            a, b = np.sort(a)[::-1][: len(b)], np.sort(b)[::-1]
        moved.append(float(np.linalg.norm((a - b).astype(float).ravel())))
    if isinstance(mechanism, Votes):  # each count is a release of its own
        moved = [float(np.abs(more.arrays["votes"] - fewer.arrays["votes"]).max())]
    assert max(moved) <= more.steps_per_unit
    if not isinstance(mechanism, HeldByMany):
        assert max(moved) > 0.9 * more.steps_per_unit  # and the noise is not for more than there is


def test_the_noise_is_that_of_the_event_which_was_charged():
    class Shrinking(type(mechanisms()[0])):
        """Says one level when it is charged and another afterwards: it is not on the list."""

    booked, store = [], ReleaseStore()
    curator = Curator(
        schema=UNITS["record"],
        allowance=Spend(mu_squared=1e-6, added_delta=0.0),
        store=store,
        records=conform(table(30, 1), UNITS["record"]),
        charge=lambda event, key: booked.append(event),
    )
    honest = Marginals(
        purpose="test", codings=codings(), sets=((("sex", "age")),) * 5, noise_multiplier=10_000.0
    )
    release = curator.release("counts", honest)
    noise = np.concatenate([release.arrays[str(i)].ravel() for i in range(5)])
    assert 0.9 < noise.std() / booked[0].noise_multiplier < 1.1  # 1,000 cells, beside which counts vanish
    with pytest.raises(TypeError, match="got a Shrinking"):
        curator.release("more", Shrinking(**vars(honest)))
    assert len(booked) == len(store) == 1


def test_more_releases_than_were_charged_are_refused_before_any_noise(monkeypatch):
    curator = Curator(
        schema=UNITS["record"],
        allowance=Spend(mu_squared=1.0, added_delta=0.0),
        store=ReleaseStore(),
        records=conform(table(30, 1), UNITS["record"]),
        charge=lambda event, key: None,
    )
    monkeypatch.setattr(Marginals, "n_releases", property(lambda self: 1))
    two = Marginals(purpose="test", codings=codings(), sets=(("sex",), ("age",)), noise_multiplier=10.0)
    with pytest.raises(ValueError, match="expected the 1 releases of 'test', got 2"):
        curator.release("counts", two)
    assert not len(curator.store)


def test_what_an_object_carries_in_the_place_of_its_class_is_not_called():
    curator = Curator(
        schema=UNITS["record"],
        allowance=Spend(mu_squared=1.0, added_delta=0.0),
        store=ReleaseStore(),
        records=conform(table(30, 1), UNITS["record"]),
        charge=lambda event, key: None,
    )
    own = codings()
    vars(own["sex"])["encode"] = lambda values: 1 / 0
    honest = Marginals(purpose="test", codings=own, sets=(("sex",),), noise_multiplier=10.0)
    vars(honest)["exact"] = lambda records: 1 / 0
    assert curator.release("counts", honest).arrays["0"].shape == (2,)
