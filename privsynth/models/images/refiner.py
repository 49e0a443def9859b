"""A small U-Net that makes an image out of a draw of prototypes, a cell and a latent vector."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from privsynth.models.images.tensors import as_planes, as_rows
from privsynth.schema.image_shape import ImageShape


class Refiner(nn.Module):
    """Halve an image twice, add what cell and latent vector say, and double it again.

    Rows are latent vector and one-hot cell, then the image to begin with, if there is one. It can change
    shapes: what it sees at the coarsest level is a quarter of each side.

    Args:
        shape: Of the images.
        n_given: Length of latent vector and one-hot cell together.
        width: Channels at full size; twice as many below.
        has_start: Whether images to begin with are given.
    """

    def __init__(self, shape: ImageShape, n_given: int, *, width: int, has_start: bool) -> None:
        super().__init__()
        self.shape, self.n_given, self.has_start = shape, n_given, has_start
        self.small = (2 * width, -(-shape.height // 4), -(-shape.width // 4))
        self.given = nn.Linear(n_given, math.prod(self.small))
        self.begin = nn.Conv2d(shape.channels, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 4, 2, 1)
        self.further = nn.Conv2d(2 * width, 2 * width, 4, 2, 1)
        self.middle = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.up = nn.ConvTranspose2d(2 * width, 2 * width, 4, 2, 1)
        self.further_up = nn.ConvTranspose2d(2 * width, width, 4, 2, 1)
        self.last = nn.Conv2d(2 * width, shape.channels, 3, padding=1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return logits to add to those of the start, ``(n, n_values)``."""
        given, start = rows[:, : self.n_given], rows[:, self.n_given :]
        height, width = 4 * self.small[1], 4 * self.small[2]
        if self.has_start:
            image = as_planes(start, self.shape)
        else:
            image = rows.new_zeros(len(rows), self.shape.channels, self.shape.height, self.shape.width)
        image = F.pad(image, (0, width - self.shape.width, 0, height - self.shape.height))
        full = F.leaky_relu(self.begin(image), 0.2)
        half = F.leaky_relu(self.down(full), 0.2)
        quarter = F.leaky_relu(self.further(half) + self.given(given).view(-1, *self.small), 0.2)
        quarter = quarter + F.leaky_relu(self.middle(quarter), 0.2)
        back = half + F.leaky_relu(self.up(quarter), 0.2)
        joined = torch.cat([full, F.leaky_relu(self.further_up(back), 0.2)], dim=1)
        out = self.last(joined)[:, :, : self.shape.height, : self.shape.width]
        return as_rows(out)
