"""Teachers and student of PATE-GAN, against the definition of their kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from privsynth.models.tables.discriminator import one_hot
from privsynth.models.tables.teachers import PairKernel, Student

SIZES = (2, 3)
KERNEL = PairKernel(SIZES, torch.tensor([0.5, 0.5, 0.2, 0.3, 0.5]))


def matched(n, *, agree, seed=0):
    """Return rows whose second column follows the first with probability ``agree``."""
    rng = np.random.default_rng(seed)
    first = rng.integers(2, size=n)
    second = np.where(rng.random(n) < agree, first, rng.integers(3, size=n))
    return torch.from_numpy(np.stack([first, second], axis=1))


def test_the_kernel_is_the_squared_product_of_centred_rows():
    a, b = torch.tensor([[0, 1]]), torch.tensor([[1, 1]])
    left = np.array([0.5, -0.5, -0.2, 0.7, -0.5])
    right = np.array([-0.5, 0.5, -0.2, 0.7, -0.5])
    found = KERNEL.between(KERNEL.centred(a), KERNEL.centred(b))
    assert float(found) == pytest.approx(float(left @ right) ** 2 / 2, rel=1e-6)


def test_a_teacher_prefers_what_its_records_have_and_fakes_have_not():
    records, fakes = matched(40, agree=1.0), matched(200, agree=0.0, seed=1)
    queries = torch.tensor([[0, 0], [1, 1], [0, 1], [1, 0]])
    scores = KERNEL.teacher(records, torch.ones(40, dtype=torch.bool), fakes, queries)
    assert (scores[:2] > 0).all()
    assert (scores[:2] > scores[2:].max()).all()


def test_padding_is_no_record():
    records, fakes, queries = matched(8, agree=1.0), matched(50, agree=0.0), matched(20, agree=0.5)
    padded = torch.cat([records, torch.full((5, 2), -1)])
    present = torch.arange(13) < 8
    alone = KERNEL.teacher(records, torch.ones(8, dtype=torch.bool), fakes, queries)
    assert torch.allclose(KERNEL.teacher(padded, present, fakes, queries), alone, atol=1e-6)
    none = KERNEL.teacher(padded, torch.zeros(13, dtype=torch.bool), fakes, queries)
    assert (none == 0).all()


def test_the_student_follows_votes_and_smooths_noise_away():
    queries = matched(400, agree=0.5)
    truth = torch.where(queries[:, 0] == queries[:, 1], 0.2, -0.2)
    rng = torch.Generator().manual_seed(0)
    noisy = truth + 0.6 * torch.randn(400, generator=rng)
    student = Student(KERNEL, queries, noisy, noise=0.6, spread=0.2)
    scores = student.score(one_hot(torch.tensor([[0, 0], [1, 1], [0, 1], [1, 0]]), SIZES))
    assert scores[:2].min() > scores[2:].max() + 0.1
    believing = Student(KERNEL, queries, noisy, noise=0.0, spread=0.2)
    rows = one_hot(queries, SIZES)
    assert student.score(rows).std() < believing.score(rows).std()


def test_a_student_of_one_constant_column_is_indifferent():
    kernel = PairKernel((1,), torch.ones(1))
    student = Student(kernel, torch.zeros(5, 1, dtype=torch.int64), torch.rand(5), noise=0.1, spread=0.1)
    assert student.score(torch.ones(3, 1)).tolist() == [0.0] * 3
