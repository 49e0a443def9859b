"""Cells that a spreadsheet would evaluate are written as texts, and come back exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.io.spreadsheets import FORMULA_SIGNS, spreadsheet_safe
from privsynth.io.tables import write_table
from privsynth.schema import Schema
from tests.helpers.commands import run

TEXTS = ["=1+1", "+1", "-x", "@a", "\tb", "'d", "'=e", "", "plain", "a=b", None]


@pytest.mark.parametrize("kind", [object, "category"])
def test_no_text_begins_as_a_formula_does_and_the_way_back_is_exact(tmp_path: Path, kind: object) -> None:
    assert spreadsheet_safe(pd.DataFrame({"t": ["\rc"]}))["t"].tolist() == ["'\rc"]
    frame = pd.DataFrame({"t": pd.Series(TEXTS, dtype=kind), "n": np.arange(len(TEXTS)) - 3})
    write_table(frame, tmp_path / "t.csv", in_spreadsheets=True)
    back = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert not back["t"].str.startswith(FORMULA_SIGNS[:-1]).any()
    plain = [text[1:] if text.startswith("'") else text for text in back["t"]]
    assert plain == [text or "" for text in TEXTS]
    assert back["n"].tolist() == frame["n"].tolist()
    assert frame["t"].tolist()[:-1] == TEXTS[:-1]
    write_table(frame, tmp_path / "raw.csv")
    assert "'=1+1" not in (tmp_path / "raw.csv").read_text()


def test_sample_writes_them_so_on_request(tmp_path: Path) -> None:
    model = tmp_path / "model.privsynth"
    schema = Schema.from_dict({"columns": {"t": {"type": "categorical", "categories": ["=1+1", "-x", "b"]}}})
    table = pd.DataFrame({"t": ["=1+1", "-x", "b"] * 40})
    synthesizer = privsynth.MarginalSynthesizer(epsilon=None, random_state=0)
    synthesizer.fit(table, schema=schema, ledger=tmp_path / "ledger.sqlite").save(model)
    done = run("sample", model, "-n", 20, "-o", tmp_path / "t.csv", "--spreadsheet-safe")
    assert done.code == 0, done.err
    assert set(pd.read_csv(tmp_path / "t.csv")["t"]) == {"'=1+1", "'-x", "b"}
    privsynth.load(model).sample_to(tmp_path / "t.parquet", n=20, in_spreadsheets=True)
    assert set(pd.read_parquet(tmp_path / "t.parquet")["t"]) == {"=1+1", "-x", "b"}
