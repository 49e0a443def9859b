"""How the command line speaks: whatever the console, whoever listens, for people and for scripts."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from privsynth import errors
from privsynth.cli import main
from privsynth.errors import BudgetExceededError, PrivsynthError

NAMES = "naïve,größe,价格"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "


def started(*arguments: str, at: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "privsynth", *arguments],
        cwd=at,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prices.csv").write_text(f"{NAMES}\n1,2,3\n4,5,6\n", encoding="utf-8")
    return tmp_path


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Call the command line in this process; return code, stdout and stderr."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return int(stopped.value.code or 0), printed.out, printed.err


def error_of(err: str) -> dict[str, Any]:
    """Return the error that stands in the one line of stderr."""
    (line,) = err.splitlines()
    fields = json.loads(line)["error"]
    assert list(fields) == ["kind", "code", "message", "next"]
    return fields


# -- any console ----------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8", "cp932"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_console_of_any_encoding_shows_the_result(folder: Path, encoding: str, as_json: bool) -> None:
    flags = ["--json"] if as_json else []
    arguments = ("--quiet", "schema", "prices.csv", "-o", "s.json", *flags)
    done = started(*arguments, at=folder, PYTHONIOENCODING=encoding)
    out, err = done.communicate()
    assert (done.returncode, err) == (0, b"")
    assert list(json.loads((folder / "s.json").read_text(encoding="utf-8"))["columns"]) == NAMES.split(",")
    if as_json:
        assert list(json.loads(out.decode(encoding))["undeclared"]) == NAMES.split(",")
    else:
        assert "draft written to s.json" in out.decode(encoding)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_name_that_is_no_text_is_shown_escaped(folder: Path, as_json: bool) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    done = started("schema", name, "-o", "s.json", *["--json"] * as_json, at=folder)
    out, err = done.communicate()
    assert (done.returncode, out) == (2, b"")
    said = error_of(err.decode("utf-8"))["message"] if as_json else err.decode("utf-8")
    assert "caf" in said
    assert "unexpected" not in said


@pytest.mark.parametrize("command", [[], ["fit"], ["sample"], ["audit"], ["report"], ["ledger", "limit"]])
def test_help_is_shown_on_a_console_of_ascii(folder: Path, command: list[str]) -> None:
    done = started(*command, "--help", at=folder, PYTHONIOENCODING="ascii")
    out, err = done.communicate()
    assert (done.returncode, err) == (0, b"")
    assert b"Usage: " in out


def test_who_stops_listening_is_left_in_peace(folder: Path) -> None:
    with started("--quiet", "schema", "prices.csv", "-o", "s.json", at=folder) as done:
        assert done.stdout is not None
        assert done.stderr is not None
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 0
    assert (folder / "s.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["--quiet", "schema", "prices.csv", "-o", "s.json"], ["--help"]])
def test_a_result_that_cannot_be_printed_is_an_error_in_one_line(folder: Path, arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "privsynth", *arguments]
        done = subprocess.run(command, cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode in (1, 2)
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"error: .*No space left on device.*", line)


def test_nobody_needs_to_hear_the_notes(folder: Path) -> None:
    with open("/dev/full" if Path("/dev/full").exists() else os.devnull, "w") as full:
        command = [sys.executable, "-m", "privsynth", "ledger", "show", "--ledger", "none.sqlite"]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=full, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "")


# -- errors for scripts ---------------------------------------------------------------------------


def test_every_error_has_a_kind_of_its_own() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, PrivsynthError)]
    kinds = [c.kind for c in classes]
    assert len(set(kinds)) == len(kinds)
    assert all(re.fullmatch("[a-z_]+", kind) for kind in kinds)


def test_what_works_next_ends_the_message() -> None:
    error = BudgetExceededError("nothing is left", next="privsynth ledger show")
    assert (str(error), error.next) == ("nothing is left; privsynth ledger show", "privsynth ledger show")
    assert (str(BudgetExceededError("nothing is left")), BudgetExceededError("x").next) == (
        "nothing is left",
        None,
    )


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (("schema", "none.csv", "-o", "s.json"), "table", 2),
        (("show", "prices.csv"), "model_file", 2),
        (("plan", "--schema", "prices.csv", "--rows", "9", "--epsilon", "1"), "schema", 2),
        (("ledger", "close", "--dataset", "none"), "ledger", 3),
        (("schema", "prices.csv"), "usage", 2),
        (("schema", "prices.csv", "--what"), "usage", 2),
        (("nonsense",), "usage", 2),
        (("plan", "--schema", "s", "--rows", "many", "--epsilon", "1"), "usage", 2),
    ],
)
def test_an_error_is_one_json_object_for_scripts(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    kind: str,
    code: int,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PRIVSYNTH_LEDGER", "ledger.sqlite")
    found, out, err = called(capsys, *arguments, "--json")
    said = error_of(err)
    assert (found, out) == (code, "")
    assert (said["kind"], said["code"]) == (kind, code)
    assert said["message"]
    if kind == "usage":
        assert said["next"].endswith("--help")


@pytest.mark.parametrize(
    ("raised", "kind", "code", "said"),
    [
        (KeyboardInterrupt(), "interrupted", 130, "nothing was written"),
        (ValueError("of Mrs Jones"), "unexpected", 1, "unexpected ValueError"),
        (MemoryError(), "system", 1, "not enough memory"),
        (PermissionError(13, "Permission denied", "here"), "system", 1, "'here': Permission denied"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_no_error_ends_raw(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    kind: str,
    code: int,
    said: str,
    as_json: bool,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("privsynth.records.drafting.draft", fail)
    arguments = ("schema", folder / "prices.csv", "-o", folder / "s.json")
    found, _, err = called(capsys, *arguments, *["--json"] * as_json)
    assert found == code
    assert "Jones" not in err
    if as_json:
        fields = error_of(err)
        assert (fields["kind"], fields["code"]) == (kind, code)
        assert said in fields["message"]
    else:
        (line,) = err.splitlines()
        assert said in line


# -- progress -------------------------------------------------------------------------------------


def fit(folder: Path, *flags: str) -> tuple[str, ...]:
    (folder / "g.csv").write_text("g\n" + "a\nb\n" * 50)
    (folder / "g.json").write_text(
        json.dumps({"columns": {"g": {"type": "categorical", "categories": ["a", "b"]}}})
    )
    arguments = ["fit", "g.csv", "--schema", "g.json", "--epsilon", "1", "-o", "m.privsynth"]
    return (*arguments, "--ledger", "ledger.sqlite", *flags)


def test_progress_that_goes_to_a_file_has_the_time_in_each_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    _, _, err = called(capsys, *fit(folder))
    steps = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert steps
    assert all(re.match(STAMP, line) for line in steps)


@pytest.mark.parametrize("before", [False, True])
def test_quiet_leaves_out_progress_and_keeps_errors_and_warnings(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    monkeypatch.chdir(folder)
    arguments = ("--quiet", *fit(folder)) if before else fit(folder, "--quiet")
    code, out, err = called(capsys, *arguments)
    assert code == 0
    assert "model written" in out
    assert all(line.startswith("warning: ") for line in err.splitlines())
    another = ["2" if argument == "1" else argument for argument in arguments]
    code, out, err = called(capsys, *another)  # a model of other settings exists
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def test_a_terminal_shows_a_bar_whatever_the_columns_are_called(folder: Path) -> None:
    name = "[/red] [b"  # what the bar's own markup would stumble over
    (folder / "odd.csv").write_text(f"{name}\n" + "1\n2\n" * 50)
    columns = {name: {"type": "integer", "low": "private", "high": "private"}}
    (folder / "odd.json").write_text(json.dumps({"columns": columns}))
    terminal, end = pty.openpty()
    command = ["fit", "odd.csv", "--schema", "odd.json", "--epsilon", "5", "-o", "m.privsynth"]
    done = subprocess.run(
        [sys.executable, "-m", "privsynth", *command, "--ledger", "l.sqlite"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=end,
    )
    os.close(end)
    shown = os.read(terminal, 1_000_000).decode("utf-8", errors="replace")
    os.close(terminal)
    assert done.returncode == 0, shown
    assert not re.search(STAMP, shown)
