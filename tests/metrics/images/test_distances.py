"""Distances against independent arithmetic: scipy's matrix square root, and loops over pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from privsynth.metrics.fidelity.image_distances import (
    frechet_distance,
    inception_style_score,
    kernel_distance,
)


def features(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(5).normal(size=(6, 6))
    return (generator.normal(size=(n, 6)) @ mixing + shift).astype(np.float32)


def test_frechet_distance_by_hand() -> None:
    # both have variance 2 in their one feature; means 1 and 5
    assert frechet_distance(np.array([[0.0], [2.0]]), np.array([[4.0], [6.0]])) == pytest.approx(16.0)
    # equal means; variances 2 and 8: (sqrt 8 - sqrt 2)² = 2
    assert frechet_distance(np.array([[0.0], [2.0]]), np.array([[-1.0], [3.0]])) == pytest.approx(2.0)


def test_frechet_distance_against_the_matrix_square_root() -> None:
    first, second = features(200, 0), features(150, 1, shift=0.7)
    s1, s2 = np.cov(first.T), np.cov(second.T)
    means = first.mean(0) - second.mean(0)
    expected = means @ means + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-6)


def test_frechet_distance_does_not_lose_digits_far_from_zero() -> None:
    first, second = features(200, 0), features(150, 1)
    near, far = frechet_distance(first, second), frechet_distance(first + 1000, second + 1000)
    assert far == pytest.approx(near, rel=1e-2)


def test_kernel_distance_against_loops_over_pairs() -> None:
    first, second = features(12, 0).astype(np.float64), features(12, 1, shift=0.5).astype(np.float64)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 6 + 1) ** 3)

    n = 12
    within = sum(kernel(x[i], x[j]) for x in (first, second) for i in range(n) for j in range(n) if i != j)
    between = sum(kernel(a, b) for a in first for b in second)
    expected = within / (n * (n - 1)) - 2 * between / n**2
    assert kernel_distance(first, second, seed=0) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_of_one_source_is_around_zero() -> None:
    apart = kernel_distance(features(400, 0), features(400, 2, shift=1.0), seed=0)
    found = [kernel_distance(features(400, s), features(400, 100 + s), seed=0) for s in range(20)]
    assert min(found) < 0 < max(found)  # unbiased: it falls on both sides
    assert abs(np.mean(found)) < 0.1 * apart


def test_score_of_clear_and_of_blurred_classes() -> None:
    clear = np.eye(4)[np.tile(np.arange(4), 50)] * 100
    assert inception_style_score(clear, seed=0) == pytest.approx(4.0, rel=0.05)
    assert inception_style_score(clear[:, :1].repeat(4, 1) * 0, seed=0) == pytest.approx(1.0)
    one_class = np.tile([100.0, 0, 0, 0], (200, 1))
    assert inception_style_score(one_class, seed=0) == pytest.approx(1.0)


def test_too_few_images_are_undefined() -> None:
    one = features(1, 0)
    assert np.isnan(frechet_distance(one, features(9, 1)))
    assert np.isnan(kernel_distance(features(9, 1), one, seed=0))
    assert np.isnan(inception_style_score(one, seed=0))


def test_the_global_generator_of_torch_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = kernel_distance(features(60, 0), features(60, 1), seed=7)
    inception_style_score(features(60, 0), seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    assert kernel_distance(features(60, 0), features(60, 1), seed=7) == first
