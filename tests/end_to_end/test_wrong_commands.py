"""Wrong commands are answered before torch and whatever else takes seconds is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from privsynth.cli import main
from privsynth.schema import Schema

HEAVY = ("torch", "opacus", "sklearn", "scipy.stats", "plotly", "sdmetrics", "fairlearn")
RUN = f"""
import contextlib, io, json, sys
from privsynth.cli import main
answers = []
for command in json.loads(sys.stdin.read()):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            main(command)
            code = 0
        except SystemExit as stopped:
            code = stopped.code
    answers.append([code, said.getvalue(), [name for name in {HEAVY!r} if name in sys.modules]])
print(json.dumps(answers))
"""
FIT = ["fit", "t.csv", "--schema", "s.json", "-o", "m.privsynth"]
AUDIT = ["audit", "--synthetic", "t.csv", "--schema", "s.json", "-o", "out"]
WRONG = [
    (["fit", "t.csv", "--epsilon", "1", "-o", "m"], "fit needs a --schema"),
    ([*FIT, "--epsilon", "much"], "expected --epsilon to be a number"),
    (["fit", "no.csv", *FIT[2:], "--epsilon", "1"], "there is no file 'no.csv'"),
    (["fit", "other.csv", *FIT[2:], "--epsilon", "1"], "has no column 'age'"),
    (["fit", "t.csv", "--schema", "no.json", "--epsilon", "1", "-o", "m"], "no schema file 'no.json'"),
    (["plan", "--schema", "no.json", "--epsilon", "1", "--rows", "9"], "no schema file 'no.json'"),
    (["plan", "--schema", "s.json", "--epsilon", "1"], "expected --rows"),
    (["sample", "no.privsynth", "-n", "5", "-o", "o.csv"], "no model file 'no.privsynth'"),
    (["sample", "no.privsynth", "-n", "5", "--where", "age", "-o", "o.csv"], "expected --where"),
    (["show", "no.privsynth"], "no model file 'no.privsynth'"),
    (AUDIT, "expected --real"),
    ([*AUDIT, "--real", "no.csv"], "no file 'no.csv'"),
    (["check", "no.csv", "--schema", "s.json"], "no file 'no.csv'"),
    (["split", "no.csv", "--schema", "s.json", "-o", "parts"], "no file 'no.csv'"),
    (["schema", "no.csv", "-o", "new.json"], "no file 'no.csv'"),
    (["report", "no.json", "-o", "page.html"], "no file 'no.json'"),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, list[str]]]:
    folder = tmp_path_factory.mktemp("wrong")
    Schema({"age": {"type": "integer", "low": 0, "high": 99}}).save(folder / "s.json")
    (folder / "t.csv").write_text("age\n30\n", encoding="utf-8")
    (folder / "other.csv").write_text("Age \n30\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps([command for command, _ in WRONG]),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return [(code, said, heavy) for code, said, heavy in json.loads(done.stdout)]


@pytest.mark.parametrize("i", range(len(WRONG)), ids=[" ".join(command[:3]) for command, _ in WRONG])
def test_a_wrong_command_is_answered_before_anything_heavy_is_imported(
    i: int, answers: list[tuple[int, str, list[str]]]
) -> None:
    code, said, heavy = answers[i]
    assert code != 0
    assert WRONG[i][1] in said
    assert heavy == []


def test_a_fit_by_counts_imports_no_accountant_of_steps_and_no_optimizer_of_opacus() -> None:
    seen = "import sys, privsynth.synthesizers.tables.marginal; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout
    assert "torch" in modules.split()
    assert not {"opacus", "dp_accounting"} & set(modules.split())


def test_a_table_that_is_opened_twice_is_warned_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Schema({"age": {"type": "integer", "low": 0, "high": 99}}).save("s.json")
    Path("t.csv").write_text("age;sex\n30;F\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["fit", "t.csv", "--schema", "s.json", "--epsilon", "-1", "-o", "m.privsynth"])
    assert capsys.readouterr().err.count("is read as split at semicolon") == 1
