"""Image against image, by hand and by loops over windows."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import ParameterError
from privsynth.metrics.fidelity.image_pairs import WINDOW, pair_scores, reconstruction


def test_errors_by_hand() -> None:
    black = np.zeros((3, 8, 8, 1), np.uint8)
    shade = black.copy()
    shade[1] = 16
    shade[2, 0, 0] = 255
    found = pair_scores(black, shade)
    assert found["mse"].tolist() == [0.0, 256.0, 255.0**2 / 64]
    assert found["psnr"][0] == np.inf
    assert found["psnr"][1] == pytest.approx(24.0484, abs=1e-4)  # 10 log10(255² / 16²)
    assert found["psnr"][2] == pytest.approx(18.0618, abs=1e-4)  # 10 log10(64)
    assert found["ssim"][0] == pytest.approx(1.0)


def test_similarity_against_loops_over_windows() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 256, (2, 2, 10, 9, 3), dtype=np.uint8)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def similarity(one: np.ndarray, other: np.ndarray) -> float:
        found = []
        reach = WINDOW // 2
        one, other = (
            np.pad(image.astype(float), [(reach, reach), (reach, reach), (0, 0)], mode="reflect")
            for image in (one, other)
        )
        for channel in range(3):
            for top in range(10):
                for left in range(9):
                    window = (slice(top, top + WINDOW), slice(left, left + WINDOW), channel)
                    x, y = one[window], other[window]
                    covariance = ((x - x.mean()) * (y - y.mean())).mean()
                    found.append(
                        (2 * x.mean() * y.mean() + c1)
                        * (2 * covariance + c2)
                        / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (x.var() + y.var() + c2))
                    )
        return float(np.mean(found))

    expected = [similarity(one, other) for one, other in zip(first, second, strict=True)]
    assert pair_scores(first, second)["ssim"] == pytest.approx(expected, rel=1e-6)


def test_images_smaller_than_the_window_have_no_similarity() -> None:
    found = pair_scores(np.zeros((2, 6, 20, 1), np.uint8), np.ones((2, 6, 20, 1), np.uint8))
    assert np.isnan(found["ssim"]).all()
    assert found["mse"].tolist() == [1.0, 1.0]


def test_reconstructions_by_class_and_group() -> None:
    original = np.zeros((4, 8, 8, 1), np.uint8)
    made = original.copy()
    made[0], made[1], made[2] = 10, 20, 30
    columns = pd.DataFrame({"digit": [1, 1, 2, 2], "sex": ["F", "M", "F", None]})
    found = reconstruction(original, made, columns, by=["digit", "sex"])
    assert found["overall"]["mse"] == pytest.approx((100 + 400 + 900) / 4)
    assert found["overall"]["identical"] == 0.25
    by_group = {tuple(g["group"].items()): g for g in found["by_group"]}
    assert by_group[("digit", 1),]["mse"] == pytest.approx(250.0)
    assert by_group[("sex", "F"),]["mse"] == pytest.approx(500.0)
    assert by_group[("sex", "F"),]["psnr"] == pytest.approx(10 * np.log10(255**2 / 500))
    assert set(by_group) == {(("digit", 1),), (("digit", 2),), (("sex", "F"),), (("sex", "M"),)}
    equal = reconstruction(original, original)["overall"]
    assert (equal["mse"], equal["psnr"], equal["ssim"], equal["identical"]) == (0.0, None, 1.0, 1.0)


def test_what_cannot_be_compared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.zeros((2, 8, 8, 1), np.uint8)
    with pytest.raises(ParameterError, match="of one shape"):
        pair_scores(images, images[:1])
    with pytest.raises(ParameterError, match="a column 'digit'"):
        reconstruction(images, images, by=["digit"])
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(ParameterError, match=r"pip install 'privsynth\[images\]'"):
        pair_scores(images, images)
