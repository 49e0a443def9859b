"""What README shows works: the Python lines run, the flags exist, the schema loads, CI finds its command."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from privsynth import Schema
from privsynth.cli import app
from privsynth.schema.linked import LinkedSchema
from privsynth.synthesizers.plan import plan

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRIVSYNTH_LEDGER", "ledger.sqlite")
    names: dict[str, Any] = {}
    for code in blocks("python"):
        exec(code, names)
    assert names["balanced"].groupby(["sex", "ill"]).size().tolist() == [250] * 4
    assert names["young_women"]["age"].between(18, 40).all()
    assert names["again"].guarantee_ == names["synthesizer"].guarantee_
    assert names["drawn"].images.shape == (100, 8, 8, 1)
    assert set(names["drawn"].labels["digit"]) == {3, 8}


def test_every_command_and_flag_that_is_shown_exists() -> None:
    commands: Any = typer.main.get_command(app)
    shown = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    lines = [shlex.split(line, comments=True) for line in shown if line.startswith("privsynth ")]
    assert len(lines) >= 9
    for _, *words in lines:
        command = commands
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        known = {flag for parameter in command.params for flag in parameter.opts}
        assert not {word for word in words if word.startswith("-")} - known, words


def test_the_schemas_that_are_shown_are_complete(tmp_path: Path) -> None:
    fields = [json.loads(text) for text in blocks("json")]
    linked = [each for each in fields if "tables" in each]
    assert len(linked) == 1
    (tmp_path / "district.csv").write_text("district_id\nPraha\nBrno\n", encoding="utf-8")
    (tmp_path / "linked.json").write_text(json.dumps(linked[0]), encoding="utf-8")
    assert list(LinkedSchema.load(tmp_path / "linked.json").tables) == ["client", "account", "trans"]
    shown = [Schema.from_dict(each) for each in fields if "tables" not in each]
    assert [schema.is_sequential for schema in shown] == [False, True]
    for schema in shown:
        plan(schema, 5_000, epsilon=1.0)


def test_the_command_that_ci_runs_is_found_once() -> None:
    lines = [line for line in README.splitlines() if ".venv/bin/python -m pytest" in line]
    assert len(lines) == 1
    assert lines[0].count(" && ") == 2
