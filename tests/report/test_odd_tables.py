"""Audits of odd tables: every section gives figures, or says why it gives none; nothing ends raw."""

from __future__ import annotations

import html.parser
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.attacks.private_audit import AuditBudget
from privsynth.errors import SchemaError, TableError
from privsynth.schema import Schema

COLUMNS: dict[str, dict[str, Any]] = {
    "years": {"type": "integer", "low": 0, "high": 120},
    "iron": {"type": "real", "low": 0, "high": 400, "decimals": 0, "missing": True},
    "ward": {"type": "categorical", "categories": ["n", "s", "w"], "role": "group", "missing": True},
    "back": {"type": "boolean", "role": "target", "missing": True},
}
SCHEMA = Schema(COLUMNS)
SECTIONS = ("fidelity", "utility", "fairness", "interpretability", "membership", "disclosure")


def table(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    years = rng.integers(20, 95, n)
    return pd.DataFrame(
        {
            "years": years,
            "iron": np.where(rng.random(n) < 0.3, np.nan, rng.normal(150, 40, n).clip(0, 400).round()),
            "ward": rng.choice(["n", "s", "w"], n),
            "back": pd.array(rng.random(n) < 0.15 + 0.4 * (years > 70), dtype="boolean"),
        }
    )


def with_column(frame: pd.DataFrame, name: str, value: object) -> pd.DataFrame:
    dtype = frame[name].dtype
    return frame.assign(**{name: pd.Series([value] * len(frame), index=frame.index).astype(dtype)})


REAL, HOLDOUT, SYNTHETIC = table(160, 1), table(80, 2), table(160, 3)
TABLES: dict[str, dict[str, pd.DataFrame]] = {
    "one synthetic row": {"synthetic": table(1, 4)},
    "two synthetic rows": {"synthetic": table(2, 4)},
    "one real row": {"real": table(1, 4)},
    "one row held out": {"holdout": table(1, 4)},
    "one row everywhere": {"real": table(1, 4), "synthetic": table(1, 5), "holdout": table(1, 6)},
    "a thousand times more synthetic rows": {"real": table(20, 4), "synthetic": table(20_000, 5)},
    "the released rows are the real ones": {"synthetic": REAL},
    "all tables are one": {"synthetic": REAL, "holdout": REAL},
    "one row again and again": {
        "real": pd.concat([table(1, 4)] * 90), "synthetic": pd.concat([table(1, 4)] * 90),
    },
    "hardly a known number": {"synthetic": SYNTHETIC.assign(iron=[50.0, 60.0] + [np.nan] * 158)},
    "a class of one row": {"real": REAL.assign(back=pd.array([True] + [False] * 159, dtype="boolean"))},
}  # fmt: skip
for name, value, what in [
    ("iron", np.nan, "a number that is never known"),
    ("iron", 7.0, "a constant number"),
    ("ward", None, "a group that is never known"),
    ("ward", "n", "a single group"),
    ("back", pd.NA, "a target that is never known"),
    ("back", True, "a single class"),
]:
    one = {"synthetic": with_column(SYNTHETIC, name, value)}
    TABLES[f"{what} in the synthetic table"] = one
    TABLES[f"{what} in the real table"] = {"real": with_column(REAL, name, value)}
    TABLES[f"{what} anywhere"] = one | {
        "real": with_column(REAL, name, value),
        "holdout": with_column(HOLDOUT, name, value),
    }


class Page(html.parser.HTMLParser):
    """Counts what is opened and not closed."""

    VOID = frozenset({"meta", "link", "br", "hr", "img", "input", "col", "path", "rect", "line", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def assert_whole(report: Any, folder: Any) -> None:
    report.save(folder)
    fields = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    for section in SECTIONS:
        assert fields[section]["status"] == "assessed" or fields[section]["reason"]
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert ">nan<" not in text.lower()


@pytest.mark.parametrize("what", TABLES)
def test_every_section_gives_figures_or_a_reason(what, tmp_path):
    tables = {"real": REAL, "holdout": HOLDOUT, "synthetic": SYNTHETIC} | TABLES[what]
    assert_whole(privsynth.audit(**tables, schema=SCHEMA, quick=True), tmp_path)


@pytest.mark.parametrize("kept", [["years"], ["ward"], ["back"], ["iron"]])
def test_a_table_of_one_column_is_judged(kept, tmp_path):
    schema = Schema({name: COLUMNS[name] for name in kept})
    tables = {"real": REAL[kept], "holdout": HOLDOUT[kept], "synthetic": SYNTHETIC[kept]}
    assert_whole(privsynth.audit(**tables, schema=schema, quick=True), tmp_path)


@pytest.mark.parametrize("which", ["real", "holdout", "synthetic"])
def test_a_table_without_rows_or_a_column_is_named(which):
    tables = {"real": REAL, "holdout": HOLDOUT, "synthetic": SYNTHETIC}
    with pytest.raises(TableError, match=f"expected the {which} table to have rows, got none"):
        privsynth.audit(**tables | {which: tables[which][:0]}, schema=SCHEMA, quick=True)
    with pytest.raises(SchemaError, match=f"^the {which} table has no column 'ward'"):
        privsynth.audit(**tables | {which: tables[which].drop(columns="ward")}, schema=SCHEMA, quick=True)


def test_a_public_page_of_one_row_is_written(tmp_path):
    report = privsynth.public_report(synthetic=with_column(table(1, 4), "iron", np.nan), schema=SCHEMA)
    report.save(tmp_path)
    assert (tmp_path / "report.html").exists()
    with pytest.raises(TableError, match="expected the synthetic table to have rows, got none"):
        privsynth.public_report(synthetic=SYNTHETIC[:0], schema=SCHEMA)


def test_a_paid_audit_of_one_row_leaves_out_what_needs_two(tmp_path):
    budget = AuditBudget(epsilon=1.0, delta=1e-6, dataset="wards", ledger=tmp_path / "ledger.sqlite")
    report = privsynth.audit(real=REAL, holdout=HOLDOUT, synthetic=table(1, 4), schema=SCHEMA, budget=budget)
    report.save(tmp_path / "page")
    assert report.paid is not None
    assert report.paid["hits"] is None


def pictures(n: int, seed: int, labels: list[str] | None = None) -> privsynth.LabelledImages:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"kind": rng.choice(["a", "b"], n) if labels is None else labels})
    return privsynth.LabelledImages(rng.integers(0, 255, (n, 8, 8, 1)).astype(np.uint8), frame)


OF_IMAGES = Schema(
    {"kind": {"type": "categorical", "categories": ["a", "b"], "role": "target"}},
    image={"height": 8, "width": 8, "channels": 1},
)


def test_images_with_a_class_of_one_image_are_judged():
    odd = pictures(31, 2, ["a"] + ["b"] * 30)
    report = privsynth.audit(
        real=pictures(40, 1), synthetic=odd, holdout=pictures(30, 3), schema=OF_IMAGES, quick=True
    )
    assert report.fidelity["status"] == "assessed"


def test_a_single_image_held_out_is_refused_in_words():
    with pytest.raises(TableError, match="expected at least two persons or images in the holdout images"):
        privsynth.audit(
            real=pictures(40, 1),
            synthetic=pictures(40, 2),
            holdout=pictures(1, 3),
            schema=OF_IMAGES,
            quick=True,
        )
