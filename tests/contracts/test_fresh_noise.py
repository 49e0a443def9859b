"""Every release and every step of every synthesizer has noise, and steps a batch, of its own.

Two fits of each kind, on the same records and with the same ``random_state``, under watch: records, persons,
histories and linked tables. No noise of one may follow from another's, and no release may draw fewer secret
bytes than its noise is made of.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm

from privsynth.domains.encoding import DiscreteDomain
from privsynth.ledger.ledger import Ledger
from privsynth.privacy.mechanisms.discovery import HeldByMany
from privsynth.privacy.mechanisms.selection import TableSelection
from privsynth.records.conform import conform
from privsynth.releases.kinds import kind_of
from privsynth.schema import Schema
from privsynth.synthesizers import LinkedSynthesizer, MarginalSynthesizer
from privsynth.synthesizers.linked.marginal import LinkedSettings
from tests.audit.mechanisms import curator_of
from tests.contracts.synthesizers import QUICK_SETTINGS, as_records, maker
from tests.helpers.linked import SCHEMA as BANK
from tests.helpers.linked import bank
from tests.helpers.tables import QUICK
from tests.helpers.watched import BYTES_OF_A_NORMAL, BYTES_OF_A_UNIFORM, FIRST, Watch

FALSE_ALARM = 1e-6
N_UNITS = 400
ROWS_OF_A_PERSON = 2

COLUMNS = {
    "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
    "ill": {"type": "boolean", "role": "target"},
    "town": {"type": "categorical", "categories": "private"},
    "age": {"type": "integer", "low": 0, "high": 99},
    "pay": {"type": "real", "low": "private", "high": "private"},
}
PERSONS = {"who": {"type": "id", "role": "person_id"}, **COLUMNS}
SCHEMAS = {
    "record": Schema(COLUMNS),
    "person": Schema(PERSONS, max_records_per_person=3),
}
HISTORIES = Schema({**PERSONS, "sex": {**COLUMNS["sex"], "per": "person"}}, max_records_per_person=3)


def table(unit):
    n = N_UNITS * (1 if unit == "record" else ROWS_OF_A_PERSON)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "sex": rng.choice(["F", "M"], n),
            "ill": rng.random(n) < 0.5,
            "town": rng.choice(["Bonn", "Rome", "Ulm"], n),
            "age": rng.integers(0, 100, n),
            "pay": rng.choice([0.0, 1500.0, *rng.uniform(1024, 2047, 50)], n),
        }
    )
    return frame if unit == "record" else frame.assign(who=np.arange(n) % N_UNITS)


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    """Return a function that gives two watched fits, made once."""

    @cache
    def two(kind, unit):
        return [fitted(kind, unit, tmp_path_factory.mktemp("ledger")) for _ in range(2)]

    return two


def fitted(kind, unit, folder):
    if kind is LinkedSynthesizer:
        synthesizer = kind(settings=LinkedSettings(table=QUICK), epsilon=8.0, delta=1e-4, device="cpu")
        with Watch() as watch:
            synthesizer.fit(
                bank(N_UNITS // 2), schema=BANK, dataset="d", ledger=Ledger(folder / "ledger.sqlite")
            )
        return synthesizer, watch
    settings = QUICK_SETTINGS[kind]
    if hasattr(settings, "n_steps"):  # few records in a batch: gradients are noise, more or less
        settings = replace(settings, batch_size=8)
    synthesizer = maker(kind)(settings=settings, epsilon=8.0, delta=1e-4)
    rows = table(unit)
    if unit == "history":
        rows["sex"] = rows.groupby("who")["sex"].transform("first")
    source, whole = as_records(synthesizer, rows, HISTORIES if unit == "history" else SCHEMAS[unit])
    with Watch() as watch:
        synthesizer.fit(source, schema=whole, dataset="d", ledger=Ledger(folder / "ledger.sqlite"))
    return synthesizer, watch


CASES = [
    *((kind, unit) for unit in SCHEMAS for kind in QUICK_SETTINGS),
    (MarginalSynthesizer, "history"),
    (LinkedSynthesizer, "family"),
]
every_case = pytest.mark.parametrize(
    ("kind", "unit"), CASES, ids=[f"{unit}-{kind.name}" for kind, unit in CASES]
)
every_unit = pytest.mark.parametrize("unit", SCHEMAS)
every_trained_kind = pytest.mark.parametrize(
    "kind",
    [kind for kind in QUICK_SETTINGS if hasattr(QUICK_SETTINGS[kind], "n_steps")],
    ids=lambda kind: kind.name,
)


@every_case
def test_every_release_draws_the_secret_bytes_that_its_noise_takes(fits, kind, unit):
    synthesizer, watch = fits(kind, unit)[0]
    needed = dict(watch.needed)
    for release in synthesizer.releases_:
        n_cells = sum(array.size for array in release.arrays.values())
        needed[release.key] = needed.get(release.key, 0) + BYTES_OF_A_NORMAL * n_cells
        assert kind_of(release) == "steps" or needed[release.key] > 0
    if unit == "person":
        needed[FIRST] = BYTES_OF_A_UNIFORM * N_UNITS * ROWS_OF_A_PERSON  # the cut
    if kind.name == "pategan":
        needed["votes/000"] += BYTES_OF_A_UNIFORM * N_UNITS  # the teacher of each unit
    settings = synthesizer.settings_
    assert len(watch.batches) == len(watch.gradients) == getattr(settings, "n_steps", 0)
    for key, n_bytes in needed.items():
        assert watch.n_drawn(key) >= n_bytes, key


@every_case
def test_no_secret_byte_is_drawn_twice(fits, kind, unit):
    read = [part for _, watch in fits(kind, unit) for parts in watch.drawn.values() for part in parts]
    beginnings = [part[:16] for part in read if len(part) >= 16]
    assert len(beginnings) > 10
    assert len(set(beginnings)) == len(beginnings)


@every_case
def test_every_array_that_is_released_has_gone_through_the_noise(fits, kind, unit):
    synthesizer, watch = fits(kind, unit)[0]
    for release in synthesizer.releases_:
        if release.arrays:
            assert len(release.arrays) == len(watch.noisy[release.key]), release.key
            for array, noisy in zip(release.arrays.values(), watch.noisy[release.key], strict=True):
                assert np.array_equal(array, noisy), release.key


def unrelated(first, second):
    """Whether two sequences of standard noise of one length are uncorrelated."""
    correlation = float(first @ second) / np.sqrt(float(first @ first) * float(second @ second))
    return abs(correlation) * np.sqrt(len(first)) < norm.isf(FALSE_ALARM / 2)


@every_case
def test_no_two_releases_share_their_noise(fits, kind, unit):
    """Between the two fits, and between a release and the next of its kind in one fit."""
    of_kind = [defaultdict(list), defaultdict(list)]
    for (synthesizer, watch), out in zip(fits(kind, unit), of_kind, strict=True):
        for release in synthesizer.releases_:
            if watch.noise[release.key]:
                out[kind_of(release)].append(np.concatenate(watch.noise[release.key]))
    compared = 0
    for name in of_kind[0]:
        first, second = (out[name] for out in of_kind)
        for pairs in (list(zip(first, second, strict=False)), list(itertools.pairwise(first))):
            parts = [(a[: len(b)], b[: len(a)]) for a, b in pairs]
            a, b = (np.concatenate([part[i] for part in parts] or [[]]) for i in (0, 1))
            if len(a) < 30:  # too few to tell; a list that is found may have so few values
                continue
            assert unrelated(a, b), name
            assert not unrelated(a, a)  # what is shared would be seen
            compared += 1
    assert compared >= 2


@every_case
def test_no_two_cells_share_their_noise(fits, kind, unit):
    for _, watch in fits(kind, unit):
        noise = np.concatenate([array for arrays in watch.noise.values() for array in arrays])
        for lag in (1, 2, 3):
            assert unrelated(noise[lag:], noise[:-lag])


@every_trained_kind
@every_unit
def test_no_two_steps_share_their_batch_or_their_noise(fits, kind, unit):
    (_, first), (_, second) = fits(kind, unit)
    for batches, others in (
        (first.batches, second.batches),
        (first.batches[1:], first.batches[:-1]),
    ):
        n = sum(map(len, batches))
        shared = sum(len(np.intersect1d(a, b)) for a, b in zip(batches, others, strict=True))
        # each unit of a batch is in the other by chance, at the rate of its size among all
        most = binom.isf(FALSE_ALARM, n, max(map(len, others)) / N_UNITS)
        assert shared <= most < 0.8 * n
    for gradients, others in (
        (first.gradients, second.gradients),
        (first.gradients[1:], first.gradients[:-1]),
    ):
        parts = [(a[: len(b)], b[: len(a)]) for a, b in zip(gradients, others, strict=True)]
        a, b = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        assert len(a) > 200
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.6  # signal of a batch of 8 beside the noise; shared: near 1


def test_what_is_found_and_what_is_chosen_changes_with_the_noise():
    """Bytes may be drawn and not be used: values at the threshold and tables of equal scores, ten times."""
    names = [f"x{i}" for i in range(8)]
    schema = Schema(
        {
            "town": {"type": "categorical", "categories": "private"},
            **{name: {"type": "boolean"} for name in names},
        }
    )
    towns = np.repeat([f"town {i}" for i in range(60)], 9)
    frame = pd.DataFrame({"town": towns, **dict.fromkeys(names, [True, False] * (len(towns) // 2))})
    codings = {
        name: DiscreteDomain(schema.columns[name], (False, True), False, False).coding for name in names
    }
    found, chosen = set(), set()
    for _ in range(10):
        held = curator_of(conform(frame, schema), schema)
        level = {"noise_multiplier": 2.0, "delta": 1e-4, "max_values": 60}  # a value in two passes
        values = held.release("v", HeldByMany(purpose="test", of=(schema.columns["town"],), **level)).facts[
            "values"
        ]
        assert 0 < len(values) < 60
        found.add(tuple(values))
        selection = TableSelection(
            purpose="test",
            codings=codings,
            candidates=[(name,) for name in names],
            expected=lambda: [np.zeros(2)] * 8,
            noise_std=1.0,
            epsilon0=0.1,
            n_select=4,
        )
        release = held.release("s", selection)
        chosen.add(tuple(release.facts["selected"]))
    assert len(found) == 10  # of 2^60 sets
    assert len(chosen) > 5  # of 1,680 orders
