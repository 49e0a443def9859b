"""Sums of vectors: one unit moves them by at most one, whatever the map does, and noise is what is booked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from privsynth.accounting.budget import Spend
from privsynth.counting.memory import RecordsInMemory
from privsynth.domains.encoding import DiscreteDomain
from privsynth.errors import BudgetExceededError, ParameterError
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.vector_sums import STEPS_PER_ONE, VectorSums, sum_vectors
from privsynth.privacy.randomness import OsEntropy
from privsynth.privacy.units import weigh_records
from privsynth.records.conform import Records
from privsynth.releases.store import ReleaseStore
from privsynth.schema import Schema
from privsynth.synthesizers.fitting import door_to_table

FALSE_ALARM = 1e-6
N_CELLS, N_VALUES = 3, 40


def wild(record: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Map a record to a cell, now and then none, and to a vector that may be far too long, or no number."""
    vector = torch.exp(record[1]) * torch.sin(record[2] + torch.arange(N_VALUES))
    vector = torch.where(record[3] > 2.0, torch.nan, vector)
    return torch.floor(record[0]).long(), torch.where(record[3] < -2.0, torch.inf, vector)


def summed(records: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    tensor = torch.from_numpy(records.astype(np.float32)).view(len(records), 4)
    return sum_vectors(wild, tensor, weights, n_cells=N_CELLS, n_values=N_VALUES)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.floats(-6, 40))
def test_one_record_more_moves_the_sums_by_at_most_one(seed: int, n: int, log_length: float) -> None:
    rng = np.random.default_rng(seed)
    records = rng.normal([1.0, 0.0, 0.0, 0.0], [2.0, 3.0, 9.0, 1.5], (n + 1, 4))
    records[n, 1] = log_length
    moved = summed(records) - summed(records[:n])
    length = np.sqrt(np.square(moved.astype(np.float64)).sum())
    assert length <= STEPS_PER_ONE
    cell = int(np.floor(records[n, 0].astype(np.float32)))
    if 0 <= cell < N_CELLS and abs(records[n, 3]) < 2 and log_length > 2:
        assert length > 0.999 * STEPS_PER_ONE  # a long vector is scaled to the bound, not below it


def test_rounding_lengthens_no_vector_beyond_the_bound() -> None:
    """Every value may be rounded up, by half a step at most: of many values that is much in length."""
    lengths = []
    for n_values in range(20_000, 20_012):
        sums = sum_vectors(
            lambda record: (torch.zeros((), dtype=torch.int64), record.expand(n_values)),  # noqa: B023  # called here
            torch.full((1, 1), 9.0),
            None,
            n_cells=1,
            n_values=n_values,
        )
        lengths.append(np.linalg.norm(sums.astype(np.float64)) / STEPS_PER_ONE)
    assert 0.9998 < max(lengths) <= 1.0


def test_sums_do_not_depend_on_order_or_company() -> None:
    records = np.random.default_rng(0).normal([1.0, 0.0, 0.0, 0.0], [1.0, 2.0, 9.0, 1.0], (500, 4))
    alone = sum(summed(records[i : i + 1]) for i in range(500))
    assert np.array_equal(summed(records), alone)
    assert np.array_equal(summed(records[::-1].copy()), alone)
    assert np.abs(alone).sum() > 0


def test_how_a_record_is_rounded_does_not_depend_on_how_many_there_are() -> None:
    """Products of few rows are rounded otherwise than those of many: who is nearest may hang on it."""
    rng = torch.Generator().manual_seed(0)
    prototypes, waves = torch.rand(200, 64, generator=rng), torch.randn(64, N_VALUES, generator=rng)
    records = torch.rand(40, 64, generator=rng)
    twins = torch.cat([prototypes, prototypes[:, torch.randperm(64, generator=rng)]])

    def nearest(record: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (twins @ record).argmax(), record @ waves  # and all digits of a long vector

    sums = [
        sum_vectors(nearest, records[:n], None, n_cells=len(twins), n_values=N_VALUES)
        for n in range(len(records) + 1)
    ]
    for n, record in enumerate(records):
        alone = sum_vectors(nearest, record[None], None, n_cells=len(twins), n_values=N_VALUES)
        assert np.array_equal(sums[n + 1] - sums[n], alone)


def test_short_vectors_are_kept_as_they_are() -> None:
    vector = torch.linspace(-0.1, 0.1, N_VALUES)
    sums = sum_vectors(
        lambda record: (torch.zeros((), dtype=torch.int64), vector + 0 * record[0]),
        torch.zeros(7, 1),
        None,
        n_cells=1,
        n_values=N_VALUES,
    )
    assert np.abs(sums[0] / STEPS_PER_ONE - 7 * vector.double().numpy()).max() < 7 * 1e-5 * 0.1 + 7e-6


def test_a_map_of_another_shape_is_refused() -> None:
    with pytest.raises(ParameterError, match="expected a cell and 40 values of a record"):
        sum_vectors(lambda r: (r[0].long(), r), torch.zeros(3, 4), None, n_cells=1, n_values=N_VALUES)


def test_vectors_of_low_precision_are_refused() -> None:
    with pytest.raises(ParameterError, match="float32 or float64"):
        sum_vectors(lambda r: (r[0].long(), r.half()), torch.zeros(3, 4), None, n_cells=1, n_values=4)


def test_a_map_that_looks_at_other_records_cannot_be_written() -> None:
    seen: list[tuple[int, ...]] = []

    def nosy(record: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(tuple(record.shape))
        return torch.zeros((), dtype=torch.int64), record / (1e-9 + record.sum())

    sum_vectors(nosy, torch.rand(50, 4), None, n_cells=1, n_values=4)
    assert set(seen) == {(4,)}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4))
def test_a_person_with_many_records_moves_the_sums_by_at_most_one_unit(
    seed: int, n_rows: int, cap: int
) -> None:
    rng = np.random.default_rng(seed)
    persons = np.r_[np.repeat(np.arange(5), 2), np.full(n_rows, 5)]
    records = rng.normal([1.0, 2.0, 0.0, 0.0], [2.0, 2.0, 9.0, 1.5], (len(persons), 4))
    weighting = weigh_records(persons, max_records_per_person=cap, secret=OsEntropy())
    kept = weighting.rows
    others = weighting.persons != 5
    with_all = summed(records[kept], weighting.weights)
    without = summed(records[kept][others], weighting.weights[others])
    length = np.sqrt(np.square((with_all - without).astype(np.float64)).sum())
    assert length <= STEPS_PER_ONE * weighting.units_per_one


# -- through the curator ---------------------------------------------------------------------------------

SCHEMA = Schema({"digit": {"type": "categorical", "categories": ["a", "b"]}}, image={"height": 2, "width": 2})
CODINGS = {"digit": DiscreteDomain(SCHEMA.columns["digit"], ("a", "b"), False, False).coding}


def curator(n: int = 100, charge=None, **arguments) -> Curator:
    codes = pd.Categorical.from_codes(np.arange(n) % 2, categories=["a", "b"])
    images = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 2, 2, 1))
    return door_to_table(
        schema=SCHEMA,
        allowance=Spend(1.0, 0.0),
        store=ReleaseStore(),
        records=Records(pd.DataFrame({"digit": codes}), None, images),
        charge=charge or (lambda event, key: None),
        **arguments,
    )


def buy(c: Curator, noise: float = 2.0, n_values: int = 5):
    def embedding(record: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return record[0].long(), torch.full((n_values,), 0.01) + 0 * record[1]

    return c.release(
        "s",
        VectorSums(
            purpose="sums",
            codings=CODINGS,
            embedding=embedding,
            n_cells=2,
            n_values=n_values,
            noise_multiplier=noise,
        ),
    )


def test_a_record_is_its_codes_and_its_image() -> None:
    def embedding(record: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros((), dtype=torch.int64), record[:5].float() / 1000.0

    c = curator(3)
    release = c.release(
        "s",
        VectorSums(
            purpose="sums", codings=CODINGS, embedding=embedding, n_cells=1, n_values=5, noise_multiplier=1.0
        ),
    )
    assert release.arrays["sums"].shape == (1, 5)
    rows = c._records.rows(CODINGS).take(slice(None))
    assert rows.tolist() == [
        [0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1],
        [0, 2, 2, 2, 2],
    ]


def test_the_images_of_a_person_are_cut_with_the_rows() -> None:
    persons = np.repeat(np.arange(20), 5)[::-1].copy()
    codes = pd.Categorical.from_codes(persons % 2, categories=["a", "b"])
    images = np.broadcast_to(persons.astype(np.uint8)[:, None, None, None], (100, 2, 2, 1))
    records = Records(pd.DataFrame({"digit": codes}), persons, images)
    held = RecordsInMemory(records, max_records_per_person=3, secret=OsEntropy())
    held = held.rows(CODINGS).take(slice(None))
    shades, counts = np.unique(held[:, 1].numpy(), return_counts=True)
    assert shades.tolist() == list(range(20))
    assert set(counts) == {3}
    assert torch.equal(held[:, 0], held[:, 1] % 2)  # each with its own label


def test_the_noise_is_the_noise_that_is_booked() -> None:
    release = buy(curator(), noise=2.0, n_values=20_000)
    assert release.event["noise_multiplier"] == 2.0
    assert release.event["mechanism"] == "gaussian"
    residual = release.arrays["sums"] - 50 * 0.01 / np.maximum(1.0, 0.01 * np.sqrt(20_000))
    stat, df = float(np.square(residual).sum() / 4.0), residual.size
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], df=df)
    assert low < stat < high
    assert 0.95**2 * stat < low  # 5 % too little noise would be caught


def test_released_values_lie_on_the_grid() -> None:
    values = buy(curator()).arrays["sums"] * STEPS_PER_ONE
    assert np.array_equal(values, np.rint(values))
    assert not np.array_equal(values, np.rint(values / 16) * 16)


def test_it_charges_before_it_reads_and_never_beyond_the_allowance() -> None:
    class Refused(Exception):
        pass

    def refuse(event, key):
        raise Refused

    c = curator(charge=refuse)
    c._records.frame = pd.DataFrame()  # any read would raise another error
    with pytest.raises(Refused):
        buy(c)
    with pytest.raises(BudgetExceededError):
        buy(curator(), noise=0.9)
