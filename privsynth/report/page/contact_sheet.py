"""Contact sheets: rows of small images as one PNG, for a page that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from privsynth.io.images import contact_sheet
from privsynth.metrics.common.image_features import Seen
from privsynth.metrics.common.images import ImageTables
from privsynth.metrics.fidelity.memorisation import nearest_real

MAX_CLASSES = 12
PER_CLASS = 10
_PAPER = 255


def drawn_images(images: ImageTables, generator: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """Draw the synthetic images of a sheet: class in words, positions of at most `PER_CLASS` images.

    Images are drawn by chance, never chosen. Without a known class there is one row, of all.

    Privacy:
        Post-processing: reads synthetic images and the public schema.
    """
    target = images.target
    frame = images.tables.synthetic.frame
    listed = []
    if target is not None:
        labels = target.labels(frame)
        for code, value in list(enumerate(target.classes))[:MAX_CLASSES]:
            members = np.flatnonzero(labels == code)
            if len(members):
                listed.append((str(value), generator.permutation(members)[:PER_CLASS]))
    return listed or [("all", generator.permutation(len(frame))[:PER_CLASS])]


def sheets(seen: Seen, *, random_state: int = 0) -> dict[str, Any]:
    """Return the sheet of synthetic images and, place by place, that of the nearest real ones.

    Returns:
        ``classes``, one a row; ``synthetic`` and ``nearest``: data URIs of PNG images; ``per_class``.

    Privacy:
        Not private: ``nearest`` holds real images as they are.
    """
    images = seen.images
    listed = drawn_images(images, np.random.default_rng(random_state))
    nearest = [nearest_real(seen, rows) for _, rows in listed]
    shown = data_uri(sheet([images.pixels["real"][rows] for rows in nearest]))
    return {**_synthetic(images, listed), "nearest": shown}


def public_sheet(images: ImageTables, *, random_state: int = 0) -> dict[str, Any]:
    """Return the sheet of synthetic images alone; see `sheets`.

    Privacy:
        Post-processing: reads synthetic images and the public schema.
    """
    listed = drawn_images(images, np.random.default_rng(random_state))
    return {**_synthetic(images, listed), "nearest": None}


def _synthetic(images: ImageTables, listed: Sequence[tuple[str, np.ndarray]]) -> dict[str, Any]:
    return {
        "classes": [name for name, _ in listed],
        "per_class": PER_CLASS,
        "synthetic": data_uri(sheet([images.pixels["synthetic"][rows] for _, rows in listed])),
    }


def sheet(rows: Sequence[np.ndarray]) -> Image.Image:
    """Lay rows of images out, `PER_CLASS` places each; those without an image stay white.

    Args:
        rows: Each ``(n, height, width, channels)`` uint8 with n at most `PER_CLASS`; of one shape.

    Privacy:
        Not private: holds the images given.
    """
    paper = np.full((len(rows) * PER_CLASS, *rows[0].shape[1:]), _PAPER, np.uint8)
    for i, row in enumerate(rows):
        paper[i * PER_CLASS : i * PER_CLASS + len(row)] = row
    return contact_sheet(paper, n_columns=PER_CLASS)


def data_uri(picture: Image.Image) -> str:
    """Return a picture as the data URI of a PNG.

    Privacy:
        Not private: holds the picture given.
    """
    held = io.BytesIO()
    picture.save(held, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode("ascii")
