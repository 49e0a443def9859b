"""Teachers that share no record: one unit is one teacher, and every vote is paid for."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2

from privsynth.accounting.budget import Spend
from privsynth.domains.encoding import DiscreteDomain
from privsynth.errors import ParameterError
from privsynth.models.tables.teachers import PairKernel
from privsynth.privacy.mechanisms import votes as votes_module
from privsynth.privacy.mechanisms.votes import TeacherEnsemble, Votes, count_votes
from privsynth.privacy.randomness import OsEntropy
from privsynth.records.conform import conform
from privsynth.releases.store import ReleaseStore
from privsynth.schema import Schema
from privsynth.synthesizers.fitting import door_to_table
from tests.helpers.chi_square import FALSE_ALARM, fits
from tests.helpers.predictable import PredictableSourceForTests

SIZES = (2, 3, 4)
KERNEL = PairKernel(SIZES, torch.cat([torch.full((size,), 1.0 / size) for size in SIZES]))


def rows_of(n, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([rng.integers(size, size=n) for size in SIZES], axis=1))


def teachers_changed_by_leaving_out_one(ensemble, *, n=60):
    """Return, for each record, how many teachers' records differ when it is left out."""
    records = rows_of(n)
    teachers = ensemble.assign(n, PredictableSourceForTests(0))
    whole, present = ensemble.divide(records.__getitem__, teachers)
    changed = []
    for i in range(n):
        kept = np.arange(n) != i
        less, there = ensemble.divide(records[kept].__getitem__, teachers[kept])
        differs = (less != whole).flatten(1).any(1) | (there != present).any(1)
        changed.append(int(differs.sum()))
    return changed


class Overlapping(TeacherEnsemble):
    """The planted bug: each teacher also sees its neighbour's records."""

    def divide(self, take, teachers):
        also = (teachers + 1) % self.n_teachers
        return super().divide(lambda at: take(at % len(teachers)), np.r_[teachers, also])


def test_removing_a_record_changes_exactly_one_teacher():
    sizes = {"n_teachers": 7, "part_size": 40}
    assert set(teachers_changed_by_leaving_out_one(TeacherEnsemble(**sizes))) == {1}
    assert set(teachers_changed_by_leaving_out_one(Overlapping(**sizes))) == {2}  # it would be seen


def test_a_teacher_with_more_than_its_part_leaves_the_rest_out_and_changes_no_other():
    ensemble = TeacherEnsemble(n_teachers=7, part_size=3)
    _, present = ensemble.divide(rows_of(60).__getitem__, ensemble.assign(60, PredictableSourceForTests(0)))
    assert int(present.sum(1).max()) == 3
    assert set(teachers_changed_by_leaving_out_one(ensemble)) == {0, 1}  # 0: those that are left out anyway


def test_removing_a_record_moves_every_count_by_at_most_one():
    ensemble, records = TeacherEnsemble(n_teachers=9, part_size=40), rows_of(60)
    fakes, queries = rows_of(50, seed=1), rows_of(200, seed=2)
    teachers = ensemble.assign(60, PredictableSourceForTests(0))
    teacher = partial(KERNEL.teacher, fakes=fakes, queries=queries)
    whole = count_votes(teacher, *ensemble.divide(records.__getitem__, teachers), n_queries=200)
    moved = []
    for i in range(60):
        kept = np.arange(60) != i
        parts = ensemble.divide(records[kept].__getitem__, teachers[kept])
        moved.append(np.abs(count_votes(teacher, *parts, n_queries=200) - whole).max())
    assert max(moved) == 1


def test_a_teacher_among_others_votes_as_it_does_alone():
    ensemble = TeacherEnsemble(n_teachers=150, part_size=12)  # more than are in memory together
    parts, present = ensemble.divide(
        rows_of(600).__getitem__, ensemble.assign(600, PredictableSourceForTests(3))
    )
    fakes, queries = rows_of(50, seed=1), rows_of(30, seed=2)
    alone = torch.stack([KERNEL.teacher(p, t, fakes, queries) for p, t in zip(parts, present, strict=True)])
    assert len({tuple(scores.tolist()) for scores in alone}) > 140  # each has learnt something of its own
    teacher = partial(KERNEL.teacher, fakes=fakes, queries=queries)
    together = count_votes(teacher, parts, present, n_queries=30)
    assert together.tolist() == (alone > 0).sum(0).tolist()
    assert 0 < together.mean() < 150


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 1e9, 0.0, -1.0])
def test_whatever_a_teacher_returns_is_one_vote_or_none(score):
    def strange(records, present):
        return torch.full((6,), score) + 0.0 * present.sum()

    parts = TeacherEnsemble(n_teachers=5, part_size=2).divide(rows_of(4).__getitem__, np.arange(4))
    votes = count_votes(strange, *parts, n_queries=6)
    assert votes.tolist() == [5 if score > 0 else 0] * 6


def test_a_teacher_without_records_does_not_vote():
    parts = TeacherEnsemble(n_teachers=3, part_size=2).divide(rows_of(1).__getitem__, np.array([1]))
    teacher = partial(KERNEL.teacher, fakes=rows_of(20), queries=rows_of(40))
    assert count_votes(teacher, *parts, n_queries=40).max() == 1


def test_units_are_given_to_teachers_uniformly_and_independently():
    teachers = TeacherEnsemble(n_teachers=5, part_size=1).assign(20_000, OsEntropy())
    assert fits(np.bincount(teachers, minlength=5), np.full(5, 0.2))
    pairs = teachers[:-1:2] * 5 + teachers[1::2]
    assert fits(np.bincount(pairs, minlength=25), np.full(25, 0.04))
    shuffled = np.random.default_rng(0).permutation(np.repeat(np.arange(5), 4000))
    assert np.bincount(shuffled).std() == 0 < np.bincount(teachers).std()  # and not in equal parts


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0)])
def test_a_panel_has_teachers_and_they_have_records(sizes):
    with pytest.raises(ParameterError, match="n_teachers >= 1 and part_size >= 1"):
        TeacherEnsemble(n_teachers=sizes[0], part_size=sizes[1])


# -- through the curator -------------------------------------------------------------------------------------

FIELDS = {
    name: {"type": "categorical", "categories": list(range(k))} for name, k in zip("abc", SIZES, strict=True)
}
SCHEMA = Schema(FIELDS)
CODINGS = {
    name: DiscreteDomain(SCHEMA.columns[name], tuple(range(k)), False, False).coding
    for name, k in zip("abc", SIZES, strict=True)
}
PANEL = TeacherEnsemble(n_teachers=20, part_size=60)


def a_curator(*, schema=SCHEMA, frame=None, charged=None, secret=None, mu_squared=100.0):
    frame = pd.DataFrame(rows_of(400).numpy(), columns=list("abc")) if frame is None else frame
    charged = [] if charged is None else charged
    return door_to_table(
        schema=schema,
        allowance=Spend(mu_squared, 0.0),
        store=ReleaseStore(),
        records=conform(frame, schema, on_violation="error"),
        charge=lambda event, key: charged.append(event),
        secret=secret,
    )


def ask(curator, index=0, *, noise=4.0, n=50, teacher=None):
    queries = partial(KERNEL.teacher, fakes=rows_of(40, seed=1), queries=rows_of(n, seed=2 + index))
    release = curator.release(
        f"votes/{index}",
        Votes(
            purpose="votes of teachers",
            codings=CODINGS,
            ensemble=PANEL,
            teacher=teacher or queries,
            n_queries=n,
            noise_multiplier=noise,
        ),
    )
    return release.arrays["votes"]


def test_every_vote_costs_one_over_sigma_squared_whether_used_or_not():
    charged = []
    curator = a_curator(charged=charged)
    before = curator.remaining("")
    for index in range(3):
        ask(curator, index, noise=4.0, n=50)
    assert sum(event.mu_squared for event in charged) == pytest.approx(3 * 50 / 16, rel=1e-12)
    assert before - curator.remaining("") == pytest.approx(3 * 50 / 16, rel=1e-12)
    assert {(event.mechanism, event.count, event.delta) for event in charged} == {("gaussian", 50, 0.0)}


def test_the_charge_does_not_depend_on_how_teachers_agree():
    charges = []
    for score in (1.0, -1.0):
        charged = []

        def agreeing(records, present, score=score):
            return torch.full((50,), score) + 0.0 * present.sum()

        ask(a_curator(charged=charged), teacher=agreeing)
        charges.append(charged)
    assert charges[0] == charges[1]


def test_votes_are_counts_with_whole_noise_of_the_size_that_is_charged():
    def all_agree(records, present):
        return torch.ones(20_000) + 0.0 * present.sum()

    noise = ask(a_curator(mu_squared=1e6), noise=7.0, n=20_000, teacher=all_agree) - PANEL.n_teachers
    assert (noise == np.rint(noise)).all()
    statistic = float((noise**2).sum()) / (7.0**2 + 1 / 12)  # rounding adds a twelfth
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], df=20_000)
    assert low < statistic < high
    assert 0.95**2 * statistic < low  # 5 % too little noise would be seen


def test_the_partition_is_drawn_once_and_rounds_have_noise_of_their_own(monkeypatch):
    seen = []

    def watching(teacher, parts, present, *, n_queries):
        seen.append(parts)
        return np.zeros(n_queries, dtype=np.int64)

    monkeypatch.setattr(votes_module, "count_votes", watching)
    curator = a_curator()
    first, second = ask(curator, 0), ask(curator, 1)
    assert torch.equal(seen[0], seen[1])
    assert (first != second).any()
    curator._records._drawn.clear()  # the planted bug, a partition for each round, would be seen
    ask(curator, 2)
    assert not torch.equal(seen[0], seen[2])


def test_a_person_is_one_row_of_one_teacher(monkeypatch):
    seen = []
    original = TeacherEnsemble.divide

    def watching(self, take, teachers):
        seen.append((take(np.arange(len(teachers))), teachers))
        return original(self, take, teachers)

    monkeypatch.setattr(TeacherEnsemble, "divide", watching)
    frame = pd.DataFrame(rows_of(300).numpy(), columns=list("abc")).assign(who=np.arange(300) // 3)
    schema = Schema({**FIELDS, "who": {"type": "id", "role": "person_id"}}, max_records_per_person=3)
    ask(a_curator(schema=schema, frame=frame))
    records, teachers = seen[0]
    assert len(records) == len(teachers) == 100


def test_votes_that_were_not_paid_for_are_not_counted():
    with pytest.raises(ParameterError, match="expected 49 scores of a teacher, got \\(50,\\)"):
        ask(a_curator(), n=49, teacher=lambda records, present: torch.ones(50) + 0.0 * present.sum())


def test_nothing_is_read_without_a_charge():
    def refuse(event, key):
        raise RuntimeError("refused")

    curator = a_curator()
    curator._charge = refuse
    with pytest.raises(RuntimeError, match="refused"):
        ask(curator)
    assert not curator._records._drawn
    assert not len(curator.store)
