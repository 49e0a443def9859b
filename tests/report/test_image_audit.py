"""The audit of images: one report like that of a table, pictures on the page and none in the JSON."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import privsynth.report
from privsynth.cli import main
from privsynth.errors import ParameterError
from privsynth.metrics.common.image_classifiers import Training
from privsynth.report import AuditReport, audit, public_report
from privsynth.report.compare import compare_reports, render_comparison
from privsynth.report.limits import ImageLimits
from privsynth.report.page.contact_sheet import data_uri, sheet
from privsynth.schema import Schema
from privsynth.schema.images import LabelledImages
from tests.report.conftest import GUARANTEE

EVIL = '"><img src=https://example.org/x.png onerror=alert(1)>'
CLASSES = [EVIL, *(f"d{digit}" for digit in range(1, 5))]
SCHEMA = Schema(
    {"digit": {"type": "categorical", "categories": CLASSES, "role": "target"}},
    image={"height": 8, "width": 8},
)
SHORT = ImageLimits(
    families=("logistic_regression",), training=Training(n_epochs=5), max_queries=50, n_bootstrap=20
)
Set = tuple[np.ndarray, pd.DataFrame]


def part(first: int, last: int) -> Set:
    held = load_digits(n_class=5)
    order = np.random.default_rng(0).permutation(len(held.target))[first:last]
    pixels = (held.images[order] * (255 / 16)).astype(np.uint8)[..., None]
    return pixels, pd.DataFrame({"digit": [CLASSES[label] for label in held.target[order]]})


@pytest.fixture(scope="module")
def report() -> AuditReport:
    return audit(
        real=part(0, 300), synthetic=part(300, 600), holdout=part(600, 900), schema=SCHEMA,
        guarantee=GUARANTEE, limits=SHORT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def of_copies() -> AuditReport:
    return audit(
        real=part(0, 300), synthetic=part(0, 300), holdout=part(600, 900), schema=SCHEMA, limits=SHORT
    )


class Pictures(HTMLParser):
    """Collects the images of a page, and every address it names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shown: list[dict[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.shown.append(dict(attrs))


def pixels_of(uri: str | None) -> np.ndarray:
    assert uri is not None
    kind, text = uri.split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def cells(paper: np.ndarray, n_rows: int) -> np.ndarray:
    """Cut a sheet of 8 x 8 images, six times enlarged, back into (n_rows, 10, 8, 8)."""
    side = 50  # of an image and the gap behind it
    return np.array(
        [
            [paper[2 + side * i : side * (i + 1) : 6, 2 + side * j : side * (j + 1) : 6] for j in range(10)]
            for i in range(n_rows)
        ]
    )


def test_the_json_is_valid_and_holds_no_picture(report: AuditReport, of_copies: AuditReport) -> None:
    schema = json.loads((Path(privsynth.report.__file__).parent / "report.schema.json").read_text("utf-8"))
    for found in (report, of_copies):
        content = found.to_dict()
        assert list(jsonschema.Draft202012Validator(schema).iter_errors(content)) == []
        text = json.dumps(content, allow_nan=False)
        assert "data:image" not in text
        assert "pictures" not in content
    del content["fidelity"]["nearest"]
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(content))


def test_a_fresh_draw_passes_and_copies_are_a_problem(report: AuditReport, of_copies: AuditReport) -> None:
    verdicts = {v["section"]: v for v in report.verdicts if v["section"] != "fairness"}
    assert {section: v["verdict"] for section, v in verdicts.items()} == {
        "guarantee": "ok",
        "membership": "ok",
        "disclosure": "not_assessed",
        "fidelity": "ok",
        "utility": "ok",
    }
    assert "rows" not in " ".join(v["question"] + v["evidence"] for v in verdicts.values())
    assert "Trained directly under the same epsilon" in verdicts["utility"]["evidence"]
    copied = {v["section"]: v for v in of_copies.verdicts}
    assert copied["membership"]["verdict"] == "problem"
    assert "real images stand among the synthetic images" in copied["membership"]["evidence"]
    assert copied["guarantee"]["verdict"] == "not_assessed"


def test_noise_needs_attention() -> None:
    pixels, labels = part(300, 600)
    noise = np.random.default_rng(0).permuted(pixels.reshape(-1)).reshape(pixels.shape)
    found = audit(
        real=part(0, 300), synthetic=(noise, labels), holdout=part(600, 900), schema=SCHEMA, limits=SHORT
    )
    verdicts = {v["section"]: v["verdict"] for v in found.verdicts}
    assert verdicts["fidelity"] == verdicts["utility"] == "attention"
    assert verdicts["membership"] != "problem"


def test_the_page_shows_synthetic_images_beside_the_nearest_real_ones(report: AuditReport) -> None:
    synthetic, nearest = Pictures(report.to_html()).shown
    assert "Contact sheet of synthetic images" in (synthetic["alt"] or "")
    assert "nearest real image" in (nearest["alt"] or "")
    pixels, labels = part(300, 600)
    shown = cells(pixels_of(synthetic["src"]), 5)
    beside = cells(pixels_of(nearest["src"]), 5)
    real = part(0, 300)[0][..., 0].astype(float)
    for code, row in enumerate(shown):
        of_class = pixels[(labels["digit"] == CLASSES[code]).to_numpy(), ..., 0]
        for j, image in enumerate(row):
            assert (of_class == image).all(axis=(1, 2)).any()  # a synthetic image of this class
            errors = ((real - image) ** 2).sum(axis=(1, 2))
            assert ((beside[code, j] - image.astype(float)) ** 2).sum() == errors.min()  # none is nearer


def test_texts_of_the_schema_stay_texts(report: AuditReport) -> None:
    page = report.to_html()
    assert EVIL not in page
    assert all(picture["src"].startswith("data:") for picture in Pictures(page).shown)
    assert "img-src data: blob:" in page


def test_a_public_page_reads_and_shows_no_real_image() -> None:
    synthetic = part(300, 600)
    found = public_report(synthetic=synthetic, schema=SCHEMA, guarantee=GUARANTEE)
    page = found.to_html()
    (shown,) = Pictures(page).shown
    row = cells(pixels_of(shown["src"]), 1)[0, 0]
    assert (synthetic[0][..., 0] == row).all(axis=(1, 2)).any()
    assert "reads no real record" in page
    assert found.membership["status"] == "not_assessed"
    assert "nearest real" not in page


def test_a_public_page_speaks_of_images() -> None:
    schema = Schema(
        {"digit": {"type": "categorical", "categories": CLASSES, "role": "group"}},
        image={"height": 8, "width": 8},
    )
    page = public_report(synthetic=part(300, 600), schema=schema).to_html()
    assert "Intervals cover the drawing of images from the model" in page
    of_rows = public_report(synthetic=part(300, 600)[1], schema=Schema(schema.columns)).to_html()
    assert "Intervals cover the drawing of rows from the model" in of_rows


def test_a_request_behind_the_images_is_said_and_excuses_their_shares() -> None:
    cost = {"columns": ["digit"], "total_variation": 0.25, "decorrelated": []}
    pixels, labels = part(300, 600)
    labels.attrs["rebalancing_cost"] = cost
    for source in (LabelledImages(pixels, labels), (pixels, labels)):
        told = public_report(synthetic=source, schema=SCHEMA)
        assert told.drawing is not None
        assert told.drawing["rebalancing_cost"]["total_variation"] == 0.25
    found = audit(
        real=part(0, 300), synthetic=(pixels, labels), holdout=part(600, 900), schema=SCHEMA, limits=SHORT
    )
    evidence = {v["section"]: v["evidence"] for v in found.verdicts}
    assert "The images were drawn by a request on digit" in evidence["fidelity"]
    for page in (told.to_html(), found.to_html()):
        assert "The images were drawn by a request on digit, which moves 25.0% of them" in page


def test_what_is_said_of_a_guarantee_speaks_of_images() -> None:
    none = {"private": False, "epsilon": None, "delta": None}
    found = public_report(synthetic=part(300, 600), schema=SCHEMA, guarantee=none)
    assert found.verdicts[0]["action"].startswith("Treat the images as the records themselves")
    assert "The synthetic images may hold records as they are." in found.to_html()
    assert (
        "The synthetic rows may hold"
        in public_report(synthetic=part(300, 600)[1], schema=Schema(SCHEMA.columns), guarantee=none).to_html()
    )


def test_the_rates_that_the_verdict_on_groups_speaks_of_stand_on_the_page() -> None:
    schema = Schema(
        {
            "even": {"type": "boolean", "role": "target"},
            "half": {"type": "categorical", "categories": ["first", "second"], "role": "group"},
        },
        image=SCHEMA.image.to_dict(),
    )

    def labelled(first: int, last: int, *, biased: bool = False) -> Set:
        pixels, labels = part(first, last)
        even, is_first = labels["digit"].isin(["d2", "d4"]), np.arange(len(labels)) % 2 == 0
        halves = np.where(is_first, "first", "second")
        return pixels, pd.DataFrame({"even": even & ~(is_first & biased), "half": halves})

    found = audit(
        real=labelled(0, 300), synthetic=labelled(300, 600, biased=True), holdout=labelled(600, 900),
        schema=schema, limits=SHORT,
    )  # fmt: skip
    evidence = [v["evidence"] for v in found.verdicts if v["section"] == "fairness"]
    assert "the target rate of half=first is off" in evidence[0]
    page = found.to_html()
    assert "The target rate is the share of <strong>even = True</strong>" in page
    (first,) = [g for g in found.fairness["by_group"] if g["group"] == {"half": "first"}]
    assert f'<td class="n">{first["target_rate"]["real"]:.1%}</td><td class="n">0.0%</td>' in page


def test_images_of_unknown_class_are_shown_too() -> None:
    columns = {"digit": {**SCHEMA.columns["digit"].to_dict(), "missing": True}}
    pixels, labels = part(300, 320)
    found = public_report(
        synthetic=(pixels, labels.assign(digit=None)), schema=Schema(columns, image=SCHEMA.image.to_dict())
    )
    (shown,) = Pictures(found.to_html()).shown
    assert len(cells(pixels_of(shown["src"]), 1)[0]) == 10
    assert found.pictures["classes"] == ["all"]


def test_a_page_made_from_json_alone_says_that_it_holds_no_image(report: AuditReport) -> None:
    from privsynth.report.page.page import render

    page = render(json.loads(json.dumps(report.to_dict())))
    assert Pictures(page).shown == []
    assert "which holds no image" in page


def test_what_was_drawn_by_chance_is_said(report: AuditReport) -> None:
    told = " ".join(report.left_out)
    assert "50 synthetic and holdout images were asked" in told
    assert "logistic_regression instead of cnn, mlp, logistic_regression" in told
    assert re.search(r"What was drawn by chance or left out", report.to_html())


def test_audits_of_images_can_be_compared(report: AuditReport, of_copies: AuditReport) -> None:
    both = {"fresh": report.to_dict(), "copies": of_copies.to_dict()}
    found = compare_reports(both)
    measures = [figure["measure"] for figure in found["figures"]]
    assert "Fréchet classifier distance" in measures
    assert "accuracy, logistic regression" in measures
    assert "Fréchet classifier distance" in render_comparison(both)
    assert "Fréchet classifier distance" in report._repr_html_()


def test_images_and_tables_do_not_mix() -> None:
    table = part(0, 50)[1]
    with pytest.raises(ParameterError, match="expected images, as the schema says"):
        audit(real=part(0, 50), synthetic=table, schema=SCHEMA)
    with pytest.raises(ParameterError, match="got images; to audit images, add their shape"):
        audit(real=table, synthetic=part(0, 50), schema=Schema(SCHEMA.columns))
    with pytest.raises(ParameterError, match="an audit of images takes no non_private"):
        audit(real=part(0, 50), synthetic=part(50, 90), schema=SCHEMA, non_private=table)


def test_a_sheet_leaves_places_white_and_shows_colour() -> None:
    red = np.zeros((1, 48, 48, 3), np.uint8)
    red[..., 0] = 200
    shown = pixels_of(data_uri(sheet([red, red.repeat(2, axis=0)])))
    assert shown.shape == (102, 502, 3)
    assert shown[10, 10].tolist() == [200, 0, 0]
    assert shown[10, 60].tolist() == [255, 255, 255]
    assert shown[60, 60].tolist() == [200, 0, 0]


def test_the_command_line_audits_npz_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, (pixels, labels) in {
        "real": part(0, 200), "synthetic": part(300, 500), "holdout": part(600, 800)
    }.items():  # fmt: skip
        np.savez(tmp_path / f"{name}.npz", images=pixels, digit=labels["digit"].to_numpy().astype(str))
    SCHEMA.save(tmp_path / "schema.json")
    paths = [f"--{name}={tmp_path / name}.npz" for name in ("real", "synthetic", "holdout")]
    schema = ["--schema", str(tmp_path / "schema.json")]
    with pytest.raises(SystemExit) as done:
        main(["audit", *paths, *schema, "--quick", "-o", str(tmp_path / "out")])
    assert done.value.code == 0
    assert "Do the synthetic images look like the real ones?" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.html").exists()
    public = ["audit", "--public", paths[1], *schema, "-o", str(tmp_path / "public")]
    with pytest.raises(SystemExit) as done:
        main(public)
    assert done.value.code == 0
    assert "nearest real" not in (tmp_path / "public" / "report.html").read_text("utf-8")
