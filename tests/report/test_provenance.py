"""How the rows were drawn: from a request to the page, also through files that anyone may have written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from privsynth import MarginalSynthesizer, Schema, public_report
from privsynth.cli import main
from privsynth.report.provenance import drawing_in_words, drawing_of
from tests.helpers.models import model_of, with_blocks


@pytest.fixture
def synthesizer() -> MarginalSynthesizer:
    made = MarginalSynthesizer(epsilon=None)
    made.model_ = with_blocks(model_of(["sex", "ill"], k=1, n_units=1000), sex=[[0.8, 0.2]])
    return made


def test_rows_carry_what_their_request_moved_also_through_parquet(
    synthesizer: MarginalSynthesizer, tmp_path: Path
) -> None:
    rows = synthesizer.sample(100, balance=["sex"], random_state=0)
    cost = rows.attrs["rebalancing_cost"]
    assert (cost["columns"], cost["total_variation"]) == (["sex"], pytest.approx(0.3))
    assert cost == synthesizer.rebalancing_cost(100, balance=["sex"])
    synthesizer.sample_to(tmp_path / "rows.parquet", 100, balance=["sex"], random_state=0)
    assert pd.read_parquet(tmp_path / "rows.parquet").attrs["rebalancing_cost"] == cost
    assert synthesizer.sample(100).attrs == {}
    assert synthesizer.sample(100, conditions={"sex": "F"}).attrs == {}  # no share is set
    for source in (rows, tmp_path / "rows.parquet"):
        found = public_report(synthetic=source, schema=synthesizer.model_.schema)
        assert found.drawing == {"rebalancing_cost": cost, "not_covered": []}
        assert "moves 30.0% of them to other combinations" in found.to_html()


def test_a_public_table_that_rows_follow_is_named_on_the_page(synthesizer: MarginalSynthesizer) -> None:
    rows = synthesizer.sample(100, like=pd.DataFrame({"sex": ["F", "M"]}))
    page = public_report(synthetic=rows, schema=synthesizer.model_.schema).to_html()
    assert "which was taken as public: the rows follow its distribution" in page


def test_the_cost_of_parity_names_what_is_decorrelated(synthesizer: MarginalSynthesizer) -> None:
    model = with_blocks(model_of(["sex", "ill", "age"], k=2, n_units=1000), sex=[[0.8, 0.2], [0.2, 0.8]])
    synthesizer.model_ = model
    cost = synthesizer.rebalancing_cost(
        1000, parity={"target": "ill", "groups": ["sex"], "decorrelate": ["age"]}
    )
    words = " ".join(drawing_in_words(drawing_of({"rebalancing_cost": cost})))
    assert "Drawn without regard to the groups: age" in words


def test_what_a_file_claims_is_taken_over_only_in_the_right_form() -> None:
    told = {
        "rebalancing_cost": {
            "columns": ["a", 3],
            "decorrelated": "b",
            "total_variation": float("nan"),
            "effective_share": "much",
            "largest_weight": 2,
            "largest_weight_cell": ["x"],
        },
        "not_covered": [{"x": 1}],
    }
    found = drawing_of(told)
    assert found is not None
    assert found["not_covered"] == []
    assert found["rebalancing_cost"] == {
        "columns": ["a"],
        "decorrelated": [],
        "divergence": None,
        "total_variation": None,
        "effective_share": None,
        "largest_weight": 2.0,
        "largest_weight_cell": None,
    }
    assert drawing_in_words(found) == []
    assert drawing_of({"rebalancing_cost": 3, "not_covered": "all"}) is None


def test_a_parquet_file_with_strange_attrs_is_read_without_them(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    from privsynth.io.arrow import ATTRS_KEY
    from privsynth.io.tables import read_table

    for content in (b"[1]", b"{", b"\xff"):
        fields = pa.table({"a": [1]}).replace_schema_metadata({ATTRS_KEY: content})
        pyarrow.parquet.write_table(fields, tmp_path / "rows.parquet")
        assert read_table(tmp_path / "rows.parquet").attrs == {}


def test_an_audit_is_told_the_request_behind_a_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRIVSYNTH_LEDGER", str(tmp_path / "ledger.sqlite"))
    rng = np.random.default_rng(0)
    sex = np.where(rng.random(600) < 0.8, "F", "M")
    pd.DataFrame({"sex": sex, "ill": rng.random(600) < 0.5}).to_csv(tmp_path / "t.csv", index=False)
    schema = Schema({"sex": {"type": "categorical", "categories": ["F", "M"]}, "ill": {"type": "boolean"}})
    schema.save(tmp_path / "s.json")
    (tmp_path / "r.json").write_text(json.dumps({"n": 200, "balance": ["sex"]}))

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    given = ("--schema", tmp_path / "s.json")
    assert run("fit", tmp_path / "t.csv", *given, "--epsilon", "none", "-o", tmp_path / "m.privsynth")[0] == 0
    drawn = ("sample", tmp_path / "m.privsynth", "--request", tmp_path / "r.json", "-o", tmp_path / "s.csv")
    code, out, _ = run(*drawn)
    moved = re.search(r"moved by the request, against the model's own shares: ([0-9.]+)% of the rows", out)
    assert (code, float(moved[1]) if moved else None) == (0, pytest.approx(30, abs=6))
    audited = (
        "audit",
        "--public",
        *given,
        "--synthetic",
        tmp_path / "s.csv",
        "--request",
        tmp_path / "r.json",
    )
    code, _, err = run(*audited, "-o", tmp_path / "page")
    assert (code, "expected --model beside --request" in err) == (2, True)
    assert run(*audited, "--model", tmp_path / "m.privsynth", "-o", tmp_path / "page")[0] == 0
    report = json.loads((tmp_path / "page" / "report.json").read_text())
    assert report["drawing"]["rebalancing_cost"]["total_variation"] == pytest.approx(0.3, abs=0.06)
