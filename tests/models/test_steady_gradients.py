"""What a record adds to a step of our own networks does not hang on the others in its batch, to the last bit.

Sums are whole numbers, so this rests on products of matrices: that a row is rounded alike wherever it stands.
No library promises it, so it is tested for those that we build with
(`privsynth.privacy.mechanisms.clipping`).
"""

from __future__ import annotations

import pytest
import torch

from privsynth.metrics.common.image_classifiers import FAMILIES, build
from privsynth.models.adversarial import REAL_LOSSES
from privsynth.models.images.networks import DiscriminatorNetwork
from privsynth.models.images.tensors import one_hot_cells
from privsynth.models.tables.denoiser import TableDenoiser
from privsynth.models.tables.discriminator import TableDiscriminator, one_hot
from privsynth.schema.image_shape import ImageShape
from tests.helpers.gradient_steps import check_a_record_adds_the_same_wherever_it_stands

N = 37
SHAPE = ImageShape(height=8, width=8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(sizes: tuple[int, ...]) -> torch.Tensor:
    return torch.stack([torch.randint(size, (N,), generator=seeded(size)) for size in sizes], dim=1)


@pytest.mark.parametrize("sizes", [(2, 3), (2, 5, 7, 9), (41, 2, 16, 90, 24)], ids=str)
@pytest.mark.parametrize("hidden", [(), (64, 64), (10, 5)], ids=str)
def test_of_the_discriminator_of_tables(sizes, hidden):
    check_a_record_adds_the_same_wherever_it_stands(
        lambda: TableDiscriminator(sizes, hidden=hidden, pairs=True, rng=seeded()),
        lambda network, rows: REAL_LOSSES["bce"](network(rows)),
        one_hot(codes(sizes), sizes),
    )


@pytest.mark.parametrize("sizes", [(2, 3, 2), (41, 2, 16, 90, 24)], ids=str)
@pytest.mark.parametrize("hidden", [0, 3, 32])
def test_of_the_denoiser(sizes, hidden):
    shares = [torch.full((size,), 1.0 / size, dtype=torch.float64) for size in sizes]

    def make() -> TableDenoiser:
        net = TableDenoiser(shares, n_given=1, hidden=hidden, rng=seeded())
        with torch.no_grad():
            for p in net.parameters():
                p.normal_(generator=seeded(1))
        return net

    check_a_record_adds_the_same_wherever_it_stands(make, lambda network, rows: -network(rows), codes(sizes))


@pytest.mark.parametrize(("architecture", "norm"), [("mlp", False), ("dcgan", False), ("dcgan", True)])
def test_of_discriminators_of_images(architecture, norm):
    cells = torch.randint(3, (N,), generator=seeded())
    rows = torch.cat([torch.rand(N, SHAPE.n_values, generator=seeded()), one_hot_cells(cells, 3)], dim=1)
    check_a_record_adds_the_same_wherever_it_stands(
        lambda: DiscriminatorNetwork(SHAPE, 3, architecture=architecture, width=8, norm=norm, rng=seeded()),
        lambda network, records: REAL_LOSSES["bce"](network(records)),
        rows,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_of_classifiers_of_images(family):
    rows = torch.cat(
        [
            2.0 * torch.rand(N, 64, generator=seeded()) - 1.0,
            torch.randint(10, (N, 1), generator=seeded()).float(),
        ],
        dim=1,
    )

    def make() -> torch.nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return build(family, (8, 8, 1), 10, width=8, is_private=True)

    def loss(network, records):
        pixels = records[:, :-1].unflatten(1, (1, 8, 8))
        return torch.nn.functional.cross_entropy(network(pixels), records[:, -1].long(), reduction="none")

    check_a_record_adds_the_same_wherever_it_stands(make, loss, rows)
