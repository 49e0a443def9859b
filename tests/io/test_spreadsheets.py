"""Cells that a spreadsheet would evaluate are written as texts, and come back exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.io.spreadsheets import FORMULA_SIGNS, spreadsheet_safe
from privsynth.io.tables import write_table
from tests.fuzz.targets import OLDER
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


def test_sample_writes_them_so_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = []

    def spied(frame: pd.DataFrame) -> pd.DataFrame:
        changed.append(len(frame))
        return spreadsheet_safe(frame)

    monkeypatch.setattr("privsynth.synthesizers.tables.sampler.spreadsheet_safe", spied)
    model = OLDER / "marginal.privsynth"
    done = run("sample", model, "-n", 20, "-o", tmp_path / "t.csv", "--spreadsheet-safe")
    assert (done.code, sum(changed)) == (0, 20), done.err
    assert len(pd.read_csv(tmp_path / "t.csv")) == 20
    privsynth.load(model).sample_to(tmp_path / "t.parquet", n=20, in_spreadsheets=True)
    assert sum(changed) == 20
