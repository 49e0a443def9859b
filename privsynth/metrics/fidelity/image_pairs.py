"""Image against image: squared error, peak signal-to-noise ratio, structural similarity.

For reconstructions, and for each image beside the nearest of another set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from privsynth.errors import ParameterError
from privsynth.metrics.common.estimates import number
from privsynth.metrics.fidelity.image_distances import require_torchmetrics

WINDOW = 7
"""Side of the uniform window of structural similarity, in pixels, as in scikit-image."""

_BLOCK = 1024
PairScores = dict[str, np.ndarray]


def pair_scores(first: np.ndarray, second: np.ndarray) -> PairScores:
    """Compare images one by one.

    Args:
        first: ``(n, height, width, channels)`` uint8.
        second: As many images of the same shape.

    Returns:
        ``mse``: mean squared error of pixels (0 to 255); ``psnr``: peak signal-to-noise ratio in dB, inf
        where both are equal; ``ssim``: structural similarity, at most 1, mean over uniform windows of
        `WINDOW` pixels around each pixel, mirrored at the borders; NaN for smaller images. Each ``(n,)``
        float64.

    Raises:
        ParameterError: If the shapes differ, or torchmetrics is not installed.

    Privacy:
        Not private: figures of the images given.

    References:
        Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
        similarity", IEEE TIP 2004.
    """
    require_torchmetrics()
    if first.shape != second.shape or first.ndim != 4:
        raise ParameterError(
            f"expected two arrays (n, height, width, channels) of one shape, got {first.shape} and "
            f"{second.shape}"
        )
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    out = {name: np.full(len(first), np.nan) for name in ("mse", "psnr", "ssim")}
    for start in range(0, len(first), _BLOCK):
        rows = slice(start, start + _BLOCK)
        one, other = (
            torch.from_numpy(np.moveaxis(images[rows], 3, 1).astype(np.float64)) for images in (first, second)
        )
        out["mse"][rows] = (one - other).square().mean(dim=(1, 2, 3)).numpy()
        out["psnr"][rows] = peak_signal_noise_ratio(
            one, other, data_range=255.0, reduction="none", dim=(1, 2, 3)
        ).numpy()
        if min(first.shape[1:3]) >= WINDOW:
            similarity = structural_similarity_index_measure(
                one, other, gaussian_kernel=False, kernel_size=WINDOW, data_range=255.0, reduction="none"
            )
            assert isinstance(similarity, torch.Tensor)
            out["ssim"][rows] = similarity.numpy()
    return out


def summary_of(scores: PairScores, chosen: np.ndarray | None = None) -> dict[str, Any]:
    """Return the means over images, JSON-able, and how many pairs are equal pixel by pixel.

    ``psnr`` is that of the mean squared error: the mean of ratios is infinite as soon as one pair is equal.

    Privacy:
        Not private: figures of the images compared.
    """
    chosen = np.ones(len(scores["mse"]), dtype=bool) if chosen is None else chosen
    if not chosen.any():
        return {"n": 0, "mse": None, "psnr": None, "ssim": None, "identical": None}
    mse = float(scores["mse"][chosen].mean())
    return {
        "n": int(chosen.sum()),
        "mse": mse,
        "psnr": number(10 * np.log10(255.0**2 / mse)) if mse else None,
        "ssim": number(float(scores["ssim"][chosen].mean())),
        "identical": float((scores["mse"][chosen] == 0).mean()),
    }


def reconstruction(
    original: np.ndarray,
    reconstructed: np.ndarray,
    columns: pd.DataFrame | None = None,
    *,
    by: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare images with what a model makes of them, over all and within each class or group.

    Args:
        original: ``(n, height, width, channels)`` uint8.
        reconstructed: The same images, in the same order.
        columns: Classes and groups, n rows.
        by: Columns within whose values figures are given, each for itself.

    Returns:
        ``overall`` and ``by_group``, a list of ``{"group": {column: value}, ...}``; each with ``n``, ``mse``,
        ``psnr`` (dB, of the mean squared error; null without any), ``ssim`` (null below `WINDOW` pixels) and
        ``identical``, the share of equal pairs.

    Raises:
        ParameterError: If shapes or lengths differ, or a column is not there.

    Privacy:
        Not private: figures of the images given.
    """
    scores = pair_scores(original, reconstructed)
    groups: list[dict[str, Any]] = []
    for name in by:
        if columns is None or name not in columns.columns or len(columns) != len(original):
            raise ParameterError(f"expected columns with one row an image and a column {name!r}")
        values = columns[name].to_numpy()
        for value in pd.unique(columns[name].dropna()):
            groups.append({"group": {name: _plain(value)}, **summary_of(scores, values == value)})
    return {"overall": summary_of(scores), "by_group": sorted(groups, key=lambda g: str(g["group"]))}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
