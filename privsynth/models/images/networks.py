"""Networks for images: generators and discriminators, perceptrons or convolutions, given a cell."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from privsynth.models.images.refiner import Refiner
from privsynth.models.images.tensors import as_planes, as_rows
from privsynth.schema.image_shape import ImageShape

ARCHITECTURES = ("mlp", "dcgan", "features")
PALEST, DARKEST = 0.02, 0.98  # pixels of a start beyond which its logit would leave nothing to learn


def start_weights(module: nn.Module, rng: torch.Generator) -> None:
    """Draw initial weights (He et al. 2015) from a generator of their own; global seeds are left alone."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            fan_in = float(layer.weight[0].numel())
            if isinstance(layer, nn.ConvTranspose2d):
                # At a stride of 2, a quarter of the kernel meets each value.
                fan_in = layer.weight.shape[0] * layer.weight[0, 0].numel() / 4
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / fan_in), generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def group_norm(n_channels: int) -> nn.GroupNorm:
    """Return a norm over groups of channels, which mixes no records: four groups, or what divides evenly."""
    return nn.GroupNorm(math.gcd(4, n_channels), n_channels)


def padded(planes: torch.Tensor, multiple: int) -> torch.Tensor:
    """Return planes with zeros below and at the right, so that both sides can be halved again and again."""
    height, width = planes.shape[-2:]
    return F.pad(planes, (0, -width % multiple, 0, -height % multiple))


class GeneratorNetwork(nn.Module):
    """Make images of a latent vector, a cell and, if there is one, an image to begin with.

    The output is a sigmoid, the logits of the start added to what the layers say; these begin at a hundredth,
    so that a generator with a start begins as good as that.

    Args:
        shape: Of the images.
        n_cells: Number of cells.
        architecture: ``"mlp"``, ``"dcgan"``, or ``"features"``: a small U-Net.
        latent_dim: Length of the latent vector.
        width: Hidden units of the perceptron, or channels of the convolutions.
        has_start: Whether images to begin with are given.
        rng: Of the initial weights.

    Attributes:
        floats_per_value: Floats in memory for each value drawn, at the widest layer.
    """

    def __init__(
        self,
        shape: ImageShape,
        n_cells: int,
        *,
        architecture: str,
        latent_dim: int,
        width: int,
        has_start: bool,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self.shape, self.has_start = shape, has_start
        self.floats_per_value = 128 if architecture == "features" else 8
        n_given = latent_dim + n_cells
        if architecture == "mlp":
            n_in = n_given + has_start * shape.n_values
            self.layers: nn.Module = nn.Sequential(
                *(nn.Linear(n_in, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()),
                nn.Linear(width, shape.n_values),
            )
            last: nn.Module = self.layers[-1]
        else:
            kind = Refiner if architecture == "features" else _Deconvolutions
            self.layers = kind(shape, n_given, width=width, has_start=has_start)
            last = self.layers.last
        start_weights(self, rng)
        if has_start:
            assert isinstance(last.weight, torch.Tensor)
            last.weight.data *= 0.01

    def forward(
        self, latent: torch.Tensor, one_hot: torch.Tensor, start: torch.Tensor | None
    ) -> torch.Tensor:
        """Return pixels from 0 to 1, ``(n, n_values)``."""
        given = torch.cat([latent, one_hot], dim=1)
        if start is None:
            return torch.sigmoid(self.layers(given))
        said = self.layers(torch.cat([given, start], dim=1))
        return torch.sigmoid(said + torch.logit(start.clamp(PALEST, DARKEST)))


class _Deconvolutions(nn.Module):
    """Transposed convolutions from a quarter of each side up, the start joining at full size."""

    def __init__(self, shape: ImageShape, n_given: int, *, width: int, has_start: bool) -> None:
        super().__init__()
        self.shape, self.n_given = shape, n_given
        self.small = (2 * width, -(-shape.height // 4), -(-shape.width // 4))
        self.first = nn.Linear(n_given, math.prod(self.small))
        self.up = nn.Sequential(
            *(group_norm(2 * width), nn.ReLU(), nn.ConvTranspose2d(2 * width, width, 4, 2, 1)),
            *(group_norm(width), nn.ReLU(), nn.ConvTranspose2d(width, width, 4, 2, 1), nn.ReLU()),
        )
        self.join = nn.Conv2d(width + has_start * shape.channels, width, 3, padding=1)
        self.last = nn.Conv2d(width, shape.channels, 3, padding=1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        given, start = rows[:, : self.n_given], rows[:, self.n_given :]
        x = self.up(self.first(given).view(-1, *self.small))
        x = x[:, :, : self.shape.height, : self.shape.width]
        if start.shape[1]:
            x = torch.cat([x, as_planes(start, self.shape)], dim=1)
        return as_rows(self.last(F.relu(self.join(x))))


class DiscriminatorNetwork(nn.Module):
    """Score rows of pixels and a one-hot cell: one output a cell, of which its own counts.

    Args:
        shape: Of the images.
        n_cells: Number of cells.
        architecture: ``"mlp"``, all of whose parameters lie in linear layers, so that a record's gradient
            norm comes from one backward pass; or ``"dcgan"``.
        width: Hidden units of the perceptron, or channels of the first convolution.
        norm: Whether the second convolution is followed by a GroupNorm; batch norm would mix records.
        rng: Of the initial weights.
    """

    def __init__(
        self,
        shape: ImageShape,
        n_cells: int,
        *,
        architecture: str,
        width: int,
        norm: bool,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self.shape, self.n_cells = shape, n_cells
        leak = nn.LeakyReLU(0.2)
        if architecture == "mlp":
            self.layers = nn.Sequential(
                *(nn.Linear(shape.n_values + n_cells, width), leak),
                *(nn.Linear(width, max(width // 2, 1)), leak, nn.Linear(max(width // 2, 1), n_cells)),
            )
        else:
            n_flat = 2 * width * -(-shape.height // 4) * -(-shape.width // 4)
            self.layers = nn.Sequential(
                *(nn.Conv2d(shape.channels, width, 4, 2, 1), leak, nn.Conv2d(width, 2 * width, 4, 2, 1)),
                *((group_norm(2 * width),) if norm else ()),
                *(leak, nn.Flatten(), nn.Linear(n_flat, n_cells)),
            )
        self.is_flat = architecture == "mlp"
        start_weights(self, rng)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the score of each row, ``(n,)``; rows are pixels, then the one-hot cell."""
        n_values = self.shape.n_values
        x = rows if self.is_flat else padded(as_planes(rows[:, :n_values], self.shape), 4)
        return (self.layers(x) * rows[:, n_values:]).sum(1)
