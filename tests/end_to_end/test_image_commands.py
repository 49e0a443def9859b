"""Images on the command line: the whole way from files to files, and errors that cost nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from privsynth.io.images import write_images
from privsynth.ledger.ledger import Ledger
from privsynth.synthesizers import ImageGANSynthesizer
from privsynth.synthesizers.images.gan import ImageGANSettings
from tests.helpers.commands import run
from tests.helpers.digits import DIGITS, digits


@pytest.fixture(autouse=True)
def own_ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("PRIVSYNTH_LEDGER", str(tmp_path / "ledger.sqlite"))


@pytest.fixture
def files(tmp_path) -> Path:
    write_images([digits()[0]], tmp_path / "digits")
    DIGITS.save(tmp_path / "s.json")
    return tmp_path


def test_from_a_folder_of_images_to_balanced_ones(files):
    model = files / "m.privsynth"
    code, out, err = run(
        *("fit", files / "digits", "--schema", files / "s.json", "--epsilon", 10, "--delta", 1e-5),
        *("--synthesizer", "image-feature", "--sheet", files / "fit.png", "-o", model, "--json"),
    )
    assert code == 0, err
    assert json.loads(out)["guarantee"]["epsilon_spent"] <= 10
    assert "prototypes of the images (2/6)" in err
    assert [d.dataset for d in Ledger(files / "ledger.sqlite").datasets()] == ["digits"]
    with Image.open(files / "fit.png") as sheet:
        assert sheet.size == (12 * 50 + 2, 10 * 50 + 2)

    code, out, err = run(
        *("sample", model, "-n", 40, "--balance", "digit", "--where", "digit=3", "--where", "digit=8"),
        *("--on-unsupported", "warn", "--seed", 1, "--sheet", files / "s.png", "-o", files / "out"),
    )
    assert code == 0, err
    written, moved = out.splitlines()
    assert written == f"40 synthetic images written to {files / 'out'}"
    assert moved.startswith("moved by the request, against the model's own shares: ")
    assert moved.endswith("% of the images")
    labels = pd.read_csv(files / "out" / "labels.csv")
    assert labels["digit"].value_counts().to_dict() == {3: 20, 8: 20}
    with Image.open(files / "out" / labels["file"][0]) as image:
        assert image.size == (8, 8)

    code, _, err = run("sample", model, "-n", 5, "-o", files / "out.npz", "--json")
    assert code == 0, err
    with np.load(files / "out.npz") as arrays:
        assert arrays["images"].shape == (5, 8, 8, 1)
        assert arrays["digit"].shape == (5,)
    assert run("show", model)[0] == 0


def test_sheets_are_written_as_images_are_learnt(files, monkeypatch):
    @dataclass(frozen=True, kw_only=True)
    class Quick(ImageGANSettings):
        n_steps: int = 2

    monkeypatch.setattr(ImageGANSynthesizer, "settings_type", Quick)
    fit = ("fit", files / "digits", "--schema", files / "s.json", "--synthesizer", "image-gan")
    fit = (*fit, "--epsilon", 10, "--delta", 1e-5, "--grids", files / "grids")
    assert run(*fit, "-o", files / "m.privsynth")[0] == 0
    sheets = sorted(file.name for file in (files / "grids").iterdir())
    assert sheets == ["step-000000.png", "step-000001.png", "step-000002.png"]
    with Image.open(files / "grids" / sheets[0]) as sheet:
        assert sheet.size == (10 * 50 + 2, 10 * 50 + 2)
    code, _, err = run(*fit, "-o", files / "again.privsynth")
    assert code == 2
    assert "holds the sheets of another fit" in err
    assert len(Ledger(files / "ledger.sqlite").datasets()[0].runs) == 1
    assert not (files / "again.privsynth.partial").exists()


def test_the_plan_of_images(files):
    code, out, _ = run(
        *("plan", "--schema", files / "s.json", "--rows", 60_000, "--epsilon", 1),
        *("--synthesizer", "image-feature"),
    )
    assert code == 0
    assert "prototypes of the images" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--synthesizer", "image-feature", "--grids", "g"], "and image-feature takes none; leave it out"),
        (["--synthesizer", "image-gan", "--grids", "missing/g"], "sheets cannot be written to"),
        (["--synthesizer", "marginal"], "the schema describes images, and this synthesizer learns tables"),
        (["--synthesizer", "image-feature", "--sheet", "s.pdf"], "expected --sheet to end in .png"),
        (["--synthesizer", "marginal", "--sheet", "s.png"], "--sheet shows images, and marginal makes rows"),
    ],
)
def test_mistakes_are_one_line_and_cost_nothing(files, arguments, message):
    code, _, err = run(
        *("fit", files / "digits", "--schema", files / "s.json", "--epsilon", 1, "-o", files / "m.privsynth"),
        *arguments,
    )
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (files / "m.privsynth").exists()
    assert not (files / "ledger.sqlite").exists() or not Ledger(files / "ledger.sqlite").datasets()


def test_an_image_model_does_not_write_tables(files):
    model = files / "m.privsynth"
    fit = ("fit", files / "digits", "--schema", files / "s.json", "--synthesizer", "image-feature")
    assert run(*fit, "--epsilon", "none", "-o", model)[0] == 0
    code, _, err = run("sample", model, "-o", files / "out.csv")
    assert code == 2
    assert "expected a name ending in .npz, or a name without suffix" in err
    pd.DataFrame({"digit": [3, None]}).to_csv(files / "partial.csv", index=False)
    code, _, err = run("sample", model, "--complete", files / "partial.csv", "-o", files / "out")
    assert code == 2
    assert "--complete fills in rows, and image-feature makes images" in err
    assert not (files / "out").exists()
