"""Through which network images are seen, and that it knows only whom it may know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from privsynth.errors import ParameterError, PrivsynthError, SchemaError, TableError
from privsynth.metrics.common.image_features import (
    INCEPTION_VARIABLE,
    InceptionNetwork,
    PixelComponents,
    inception_weights,
    see,
)
from privsynth.metrics.common.images import ImageTables, load_images
from privsynth.schema import Schema
from tests.metrics.images.conftest import COLUMNS, SHAPE


def test_the_network_does_not_know_who_is_attacked(
    images: ImageTables, real, fresh, holdout, schema: Schema
) -> None:
    seen = see(images, random_state=3)
    name, known = seen.reference
    assert name == "holdout"
    assert set(known) | set(seen.compared[1]) == set(range(597))
    assert not set(known) & set(seen.compared[1])
    # other members, other synthetic images, other compared ones: the same network
    changed = holdout[0].copy()
    changed[seen.compared[1]] = 0
    again = see(load_images(fresh, real, schema=schema, holdout=(changed, holdout[1])), random_state=3)
    assert (again.features["synthetic"] == seen.features["real"]).all()
    assert "half of the holdout" in seen.network.description
    assert seen.network.name == "classifier"
    assert np.mean(seen.features["holdout"][known] ** 2) == pytest.approx(1.0, rel=1e-5)


def test_a_reference_set_spares_the_holdout(real, fresh, holdout, schema: Schema) -> None:
    extra = (holdout[0][:300], holdout[1][:300])
    rest = (holdout[0][300:], holdout[1][300:])
    seen = see(load_images(real, fresh, schema=schema, holdout=rest, reference=extra))
    assert (seen.reference[0], len(seen.reference[1])) == ("reference", 300)
    assert (seen.compared[0], len(seen.compared[1])) == ("holdout", 297)


def test_without_a_holdout_half_of_the_real_images_are_compared(real, fresh, schema: Schema) -> None:
    seen = see(load_images(real, fresh, schema=schema))
    assert not seen.has_holdout
    assert seen.reference[0] == seen.compared[0] == "real"
    assert len(seen.reference[1]) == len(seen.compared[1]) == 300


def test_persons_stay_on_one_side(real, fresh, holdout, schema: Schema) -> None:
    columns = {"patient": {"type": "id", "role": "person_id"}, **schema.columns}
    of_persons = Schema(columns, image=SHAPE, max_records_per_person=3)
    sides = [
        (pixels, frame.assign(patient=[f"{start}-{i // 3}" for i in range(len(frame))]))
        for start, (pixels, frame) in (("r", real), ("h", holdout))
    ]
    images = load_images(sides[0], fresh, schema=of_persons, holdout=sides[1])
    first, second = images.halves("holdout", np.random.default_rng(0))
    persons = images.records("holdout").persons
    assert not set(persons[first]) & set(persons[second])
    with pytest.raises(ParameterError, match="share persons"):
        load_images(sides[0], fresh, schema=of_persons, holdout=sides[0])


def test_without_classes_pixels_are_compared(real, fresh, holdout) -> None:
    ink = Schema(
        {"ink": {"type": "categorical", "categories": ["light", "dark"], "role": "group"}}, image=SHAPE
    )
    sets = [(pixels, frame[["ink"]]) for pixels, frame in (real, fresh, holdout)]
    seen = see(load_images(sets[0], sets[1], schema=ink, holdout=sets[2]))
    assert seen.network.name == "pixel"
    assert seen.network.logits(real[0]) is None


def test_components_keep_equal_images_equal_and_others_apart(real) -> None:
    from sklearn.decomposition import PCA

    images = real[0]
    pixel_components = PixelComponents.fit(images, seed=0)
    twice = pixel_components.features(np.concatenate([images[:5], images[:5]]))
    assert twice[:5] == pytest.approx(twice[5:], abs=1e-5)  # rounding depends on the place in a block
    flat = images.reshape(600, -1) / 255.0
    exact = PCA(64).fit_transform(flat)  # 64 pixels, 64 components: a rotation
    distances = np.linalg.norm(
        pixel_components.features(images)[:50, None] - pixel_components.features(images)[None, :50], axis=2
    )
    expected = np.linalg.norm(exact[:50, None] - exact[None, :50], axis=2)
    assert distances == pytest.approx(expected, abs=1e-3)


def test_nothing_is_fetched_and_a_named_file_must_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(INCEPTION_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert inception_weights() is None
    monkeypatch.setenv(INCEPTION_VARIABLE, str(tmp_path / "weights.pth"))
    with pytest.raises(TableError, match="there is no such file"):
        inception_weights()


def test_inception_is_used_where_its_weights_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real, fresh, schema: Schema
) -> None:
    pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.manual_seed(0)
    untrained = tmp_path / "weights.pth"  # of the right shape; what they hold does not matter here
    monkeypatch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
    torch.save({}, untrained)
    made = FeatureExtractorInceptionV3("made", ["2048"], feature_extractor_weights_path=str(untrained))
    monkeypatch.undo()
    torch.save(made.state_dict(), untrained)
    monkeypatch.setenv(INCEPTION_VARIABLE, str(untrained))
    few = [(pixels[:6], frame[:6]) for pixels, frame in (real, fresh)]
    seen = see(load_images(few[0], few[1], schema=schema))
    assert isinstance(seen.network, InceptionNetwork)
    assert seen.features["synthetic"].shape == (6, 2048)
    logits = seen.network.logits(few[0][0])
    assert logits is not None
    assert logits.shape == (6, 1008)


def test_inception_looks_once_and_never_takes_new_images_for_old_ones() -> None:
    looked_at: list[int] = []

    def means(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        looked_at.append(len(images))
        found = images.double().mean(dim=(1, 2, 3))[:, None]
        return found, -found

    network = InceptionNetwork.__new__(InceptionNetwork)  # without the weights
    network._network, network._seen = means, None
    for shade in range(20):  # each array is gone before the next one, which may lie in its place
        assert network.features(np.full((3, 2, 2, 1), shade, np.uint8)).tolist() == [[shade]] * 3
    images = np.full((3, 2, 2, 1), 7, np.uint8)
    looked_at.clear()
    assert (network.features(images) == -network.logits(images)).all()
    assert looked_at == [3]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((np.zeros((2, 8, 8)), pd.DataFrame({"digit": [1, 2]})), "expected images as uint8"),
        ((np.zeros((0, 8, 8), np.uint8), pd.DataFrame({"digit": [], "ink": []})), "to have rows, got none"),
        ((np.zeros((2, 9, 8), np.uint8), pd.DataFrame({"digit": [1, 2], "ink": "dark"})), "of shape"),
        ("nowhere.npz", "there is no file"),
    ],
)
def test_sets_that_cannot_be_read_are_refused(real, schema: Schema, source, message: str) -> None:
    with pytest.raises(PrivsynthError, match=message):
        load_images(real, source, schema=schema)


def test_a_schema_of_a_table_is_refused(real) -> None:
    with pytest.raises(SchemaError, match='for images it needs "image"'):
        load_images(real, real, schema=Schema(COLUMNS))


def test_files_of_another_size_are_converted_and_noted(real, fresh, schema: Schema, tmp_path: Path) -> None:
    from PIL import Image

    for i in range(3):
        Image.fromarray(np.full((16, 16) if i else (8, 8), 100 + i, np.uint8)).save(tmp_path / f"{i}.png")
    pd.DataFrame({"file": ["0.png", "1.png", "2.png"], "digit": 1, "ink": "dark"}).to_csv(
        tmp_path / "labels.csv", index=False
    )
    images = load_images(real, tmp_path, schema=schema)
    assert images.pixels["synthetic"][:, 0, 0, 0].tolist() == [100, 101, 102]
    assert images.pixels["synthetic"].shape == (3, 8, 8, 1)
    (note,) = images.tables.notes
    assert note.startswith("Some files of the synthetic images are not of 8 x 8 pixels")


def test_an_npz_file_is_read(real, fresh, schema: Schema, tmp_path: Path) -> None:
    path = tmp_path / "real.npz"
    columns = {name: real[1][name].to_numpy().astype(kind) for name, kind in (("digit", int), ("ink", str))}
    np.savez(path, images=real[0][..., 0], **columns)
    images = load_images(path, fresh, schema=schema)
    assert (images.pixels["real"] == real[0]).all()
    assert (images.records("real").frame["digit"].astype(int) == real[1]["digit"]).all()
