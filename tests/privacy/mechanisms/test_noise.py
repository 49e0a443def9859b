"""The noise that is added is the noise that is booked, on the grid, from a secret source."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from privsynth.errors import ParameterError
from privsynth.privacy.mechanisms.noise import LARGEST_STD, add_gaussian_noise
from privsynth.privacy.randomness import OsEntropy, standard_gumbels, standard_normals, uniforms
from tests.helpers.predictable import PredictableSourceForTests

FALSE_ALARM = 1e-6
N = 200_000


@pytest.mark.parametrize(("sigma", "units_per_one"), [(0.7, 65_536), (3.0, 1), (40.0, 1), (40.0, 65_536)])
def test_noise_has_the_scale_that_is_booked(sigma, units_per_one):
    noise = add_gaussian_noise(
        np.zeros(N, dtype=np.int64), noise_multiplier=sigma, units_per_one=units_per_one, secret=OsEntropy()
    )
    rounding = 1 / 12 / units_per_one**2  # rounding adds the variance of a uniform step
    statistic = float((noise**2).sum()) / (sigma**2 + rounding)
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], df=N)
    assert low < statistic < high
    assert 0.97**2 * statistic < low  # 3 % too little noise would be caught


def test_counts_are_not_shifted_and_stay_on_the_grid():
    counts = np.arange(N, dtype=np.int64) * 3
    noisy = add_gaussian_noise(counts, noise_multiplier=2.0, units_per_one=65_536, secret=OsEntropy())
    assert np.array_equal(noisy * 65_536, np.rint(noisy * 65_536))
    shift = float((noisy - counts / 65_536).mean())
    assert abs(shift) < 5.5 * 2.0 / np.sqrt(N)


def test_the_noise_of_a_count_does_not_depend_on_the_count():
    # c + round(Z), not round(c * something + Z): the same secret bytes give the same noise
    a = add_gaussian_noise(
        np.array([5, 900]), noise_multiplier=4.0, units_per_one=1, secret=PredictableSourceForTests(3)
    )
    b = add_gaussian_noise(
        np.array([0, 0]), noise_multiplier=4.0, units_per_one=1, secret=PredictableSourceForTests(3)
    )
    assert (a - [5, 900]).tolist() == b.tolist()


@pytest.mark.parametrize("level", [0.0, -1.0, np.nan, np.inf])
def test_a_missing_noise_level_is_refused(level):
    with pytest.raises(ParameterError, match="a noise_multiplier above 0"):
        add_gaussian_noise(
            np.zeros(1, dtype=np.int64), noise_multiplier=level, units_per_one=1, secret=OsEntropy()
        )


@pytest.mark.parametrize("units_per_one", [1, 2**36])
def test_noise_that_no_integer_holds_is_refused_and_just_below_it_is_noise(units_per_one):
    """Beyond 64 bits it would become one constant: counts would come out exact."""

    def noisy(level):
        return add_gaussian_noise(
            np.zeros(1000, dtype=np.int64),
            noise_multiplier=level,
            units_per_one=units_per_one,
            secret=OsEntropy(),
        )

    largest = LARGEST_STD / units_per_one
    with pytest.raises(ParameterError, match="that 64-bit integers can hold"):
        noisy(1.001 * largest)
    assert 0.8 < noisy(largest).std() / largest < 1.2
    assert np.iinfo(np.int64).max > 9.3 * LARGEST_STD  # further out no draw lies


def test_normals_and_gumbels_have_their_distributions():
    assert kstest(standard_normals(N, OsEntropy()), "norm").pvalue > FALSE_ALARM
    assert kstest(standard_gumbels(N, OsEntropy()), "gumbel_r").pvalue > FALSE_ALARM
    assert kstest(uniforms(N, OsEntropy()), "uniform").pvalue > FALSE_ALARM


def test_no_noise_is_used_twice():
    # Long vectors are drawn part by part. Where two cells share their noise, their difference is exact.
    assert len(np.unique(np.abs(standard_normals(N, OsEntropy())))) == N


def test_the_two_normals_of_one_radius_are_independent():
    # First and second half share their radii, which would show in the squares, whose variance is 2. Each of
    # the three statistics is standard normal but for 1/sqrt(n), so 5.5 is a false alarm of 1e-7.
    first, second = standard_normals(2 * N, OsEntropy()).reshape(2, N)
    for a, b, size in (
        (first, second, 1.0),
        (first**2 - 1, second**2 - 1, 2.0),
        (first, second**2 - 1, 2**0.5),
    ):
        assert abs(float((a * b).mean())) * N**0.5 / size < 5.5
    assert abs(float(((first**2 - 1) * (first**2 - 1)).mean())) * N**0.5 / 2.0 > 5.5  # power: equal radii
    assert len(standard_normals(0, OsEntropy())) == 0
    assert len(standard_normals(3, OsEntropy())) == 3


def test_extreme_bytes_give_finite_values():
    class Extreme(PredictableSourceForTests):
        def read(self, n_bytes: int) -> bytes:
            return (b"\x00" * 8 + b"\xff" * 8 + b"\x01" + b"\x00" * 7 + b"\xfe" + b"\xff" * 7)[:n_bytes]

    assert np.isfinite(standard_normals(4, Extreme(0))).all()
    assert np.isfinite(standard_gumbels(4, Extreme(0))).all()
    assert np.abs(standard_normals(4, Extreme(0))).max() > 9.0


def test_the_least_noise_has_all_of_its_bits():
    # Sums of vectors of persons lie 2^-36 apart. Noise that comes in coarse steps about zero, 2^-26 and more
    # as logarithms of doubles just below 1 do, would show in what it hardly moves where that lay.
    class Extreme(PredictableSourceForTests):
        def read(self, n_bytes: int) -> bytes:
            either_end = np.r_[np.arange(1000), -1 - np.arange(1000)].astype("<i8")  # of the words of radii
            return either_end.tobytes() + bytes(n_bytes - either_end.nbytes)

    radii = np.sort(np.abs(standard_normals(4000, Extreme(0))[:2000]))
    near_zero = radii[radii < 1e-3]
    assert len(np.unique(near_zero)) == len(near_zero) > 100
    assert 0 < np.diff(near_zero, prepend=0.0).max() < 2.0**-31


def test_the_secret_source_ignores_and_leaves_global_seeds():
    np.random.seed(0)  # noqa: NPY002  # the point: global seeds have no say
    before = np.random.get_state()[1].copy()  # noqa: NPY002  # the point: global seeds have no say
    first = standard_normals(8, OsEntropy())
    np.random.seed(0)  # noqa: NPY002  # the point: global seeds have no say
    second = standard_normals(8, OsEntropy())
    assert not np.array_equal(first, second)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002  # the point: global seeds have no say
    assert OsEntropy.is_secret
    assert not PredictableSourceForTests(0).is_secret
