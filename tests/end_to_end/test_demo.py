"""The demo: the whole loop on the RAND table."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from privsynth.cli import main
from privsynth.cli.demo_run import OUTPUTS
from privsynth.ledger.ledger import Ledger

pytest.importorskip("statsmodels", reason="the RAND table comes in its wheel (extra `demo`)")


def test_the_demo_splits_fits_samples_and_audits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made" / "demo"
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--out", str(folder), "--epsilon", "2", "--json"])
    assert not stopped.value.code
    result = json.loads(capsys.readouterr().out)
    assert (result["folder"], result["epsilon"], result["groups"]) == (str(folder), 2.0, ["sex", "race"])
    assert {name for name in OUTPUTS if not (folder / name).exists()} == set()

    train, holdout = (pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "holdout"))
    assert len(train) + len(holdout) == 20_190
    assert not set(train["zper"]) & set(holdout["zper"])
    (summary,) = Ledger(folder / "ledger.sqlite").datasets()
    assert (summary.dataset, summary.runs[0].status) == ("rand-hie", "finished")
    assert summary.epsilon <= 2.0

    rows, balanced = (pd.read_csv(folder / f"{name}.csv") for name in ("synthetic", "balanced"))
    for drawn in (rows, balanced):
        years = drawn.groupby("zper")["year"]
        assert years.apply(lambda of_person: of_person.diff().dropna().gt(0).all()).all()
        assert years.size().between(1, 5).all()
        assert (drawn["age"] >= drawn.groupby("zper")["age"].shift().fillna(0)).all()
        assert (drawn.groupby("zper")[["plan", "sex", "income"]].nunique() == 1).all(axis=None)
    assert balanced["zper"].nunique() == rows["zper"].nunique()
    sizes = balanced.drop_duplicates("zper").groupby(["sex", "race"]).size()
    assert (len(sizes), sizes.max() - sizes.min() <= 1) == (4, True)
    report = json.loads((folder / "report" / "report.json").read_text())
    assert report["guarantee"]["epsilon"] == 2.0
    assert report["membership"]["status"] == "assessed"
    assert report["sequences"]["status"] == "assessed"
    assert result["verdicts"] == report["verdicts"]


def test_the_demo_replaces_nothing_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "balanced.csv").write_text("mine")
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert "balanced.csv" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["balanced.csv"]


def test_a_budget_out_of_range_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--out", str(tmp_path / "demo"), "--epsilon", "0"])
    assert stopped.value.code == 2
    assert "epsilon=0" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
