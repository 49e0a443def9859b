"""Proposals: the way people write numbers, dates and answers is found, and every doubt is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from privsynth.records.coerce import conform_column
from privsynth.records.inference import propose
from privsynth.records.proposals import Proposal
from privsynth.schema import PRIVATE, Schema

N = 300
SWAP = str.maketrans(",.", ".,")
RNG = np.random.default_rng(0)


def proposed(name: str, texts: list[Any]) -> Proposal:
    """Propose a column, and check that what is proposed is a schema that its values fit."""
    raw = pd.Series(texts, name=name, dtype=object)
    proposal = propose(raw)
    column = Schema({name: proposal.fields}).columns[name]
    if column.is_modelled and not any("some are not" in note for note in proposal.notes):
        assert conform_column(raw, column)[1] == []
    return proposal


def numbers(write: str) -> list[str]:
    return [write.format(number) for number in RNG.uniform(1000, 99_999, N)]


NUMBERS: dict[str, tuple[list[str], str, str]] = {
    "thousands": (numbers("{:,.2f}"), "real", "1,234.5"),
    "whole thousands": (numbers("{:,.0f}"), "integer", "1,234.5"),
    "dollars": (numbers("${:,.2f}"), "real", "$1,234.5"),
    "plain dollars": (numbers("${:.2f}"), "real", "$1234.5"),
    "decimal comma": ([text.replace(".", ",") for text in numbers("{:.2f}")], "real", "1234,5"),
    "euros": ([text.translate(SWAP) for text in numbers("{:,.2f} €")], "real", "1.234,5€"),
    "francs": (numbers("CHF {:.2f}"), "real", "CHF 1234.5"),
    "percent": ([f"{number:.1f}%" for number in RNG.uniform(0, 100, N)], "real", "1234.5%"),
    "small decimal commas": ([f"0,{number:03d}" for number in range(N)], "real", "1234,5"),
    "kilograms": ([f"{number} kg" for number in range(N)], "integer", "1234.5 kg"),
}  # fmt: skip


@pytest.mark.parametrize(("texts", "kind", "written"), NUMBERS.values(), ids=NUMBERS.keys())
def test_numbers_as_people_write_them(texts: list[str], kind: str, written: str) -> None:
    proposal = proposed("amount", texts)
    assert (proposal.fields["type"], proposal.fields["format"]) == (kind, written)
    assert any("(format)" in note for note in proposal.notes)


def test_eight_digits_are_dates_where_all_of_them_are() -> None:
    days = [day.strftime("%Y%m%d") for day in pd.date_range("2019-01-01", periods=N)]
    for written in (days, [int(day) for day in days]):
        proposal = proposed("seen", written)
        assert (proposal.fields["type"], proposal.fields["resolution"]) == ("datetime", "day")
        assert "eight digits" in proposal.notes[0]
    assert proposed("x", [*days, "20191301"]).fields["type"] == "integer"


DATES: dict[str, tuple[str, str, str]] = {
    "day first": ("%d/%m/%Y", "%d/%m/%Y", "day"),
    "dotted": ("%d.%m.%Y", "%d.%m.%Y", "day"),
    "month first": ("%m/%d/%Y", "%m/%d/%Y", "day"),
    "named month": ("%d %b %Y", "%d %b %Y", "day"),
    "American": ("%B %d, %Y", "%B %d, %Y", "day"),
    "SAS": ("%d%b%Y", "%d%b%Y", "day"),
    "two digits": ("%d.%m.%y", "%d.%m.%y", "day"),
    "with time": ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M", "minute"),
    "halves of a day": ("%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M %p", "minute"),
}  # fmt: skip


@pytest.mark.parametrize(("write", "written", "resolution"), DATES.values(), ids=DATES.keys())
def test_dates_as_people_write_them(write: str, written: str, resolution: str) -> None:
    days = pd.date_range("2019-01-01", periods=N, freq="31h7min")
    proposal = proposed("seen", [day.strftime(write) for day in days])
    assert proposal.fields["type"] == "datetime"
    assert (proposal.fields["format"], proposal.fields["resolution"]) == (written, resolution)
    assert not any("cannot be told apart" in note for note in proposal.notes)


def test_a_date_whose_day_and_month_look_alike_is_said() -> None:
    proposal = proposed("seen", [f"{1 + i % 12:02d}/{1 + i % 9:02d}/2020" for i in range(N)])
    assert proposal.fields["format"] == "%d/%m/%Y"
    assert any("cannot be told apart" in note and "'%m/%d/%Y'" in note for note in proposal.notes)


@pytest.mark.parametrize("word", ["NA", "N/A", "NULL", "null", "None", "-", "?", ".", "nan", "Unknown"])
@pytest.mark.parametrize("value", ["{}", "{}.5", "2021-01-{:02d}", "${}"])
def test_words_for_missing_beside_numbers_and_dates(word: str, value: str) -> None:
    proposal = proposed("x", [word if i % 4 == 0 else value.format(10 + i % 19) for i in range(N)])
    assert proposal.fields["type"] in ("integer", "real", "datetime")
    assert proposal.fields["missing_values"] == [word]
    assert f"{word!r} taken as missing" in proposal.notes[0]


@pytest.mark.parametrize(
    ("false", "true"), [("N", "Y"), ("no", "yes"), ("No", "Yes"), ("f", "t"), ("nein", "ja"), ("off", "on")]
)
def test_booleans_as_people_write_them(false: str, true: str) -> None:
    proposal = proposed("smoker", [true, false, false] * 100)
    assert proposal.fields == {"type": "boolean", "values": [false, true], "missing": PRIVATE}
    assert repr(true) in proposal.notes[0]


def test_one_answer_in_several_spellings_is_said() -> None:
    proposal = proposed("smoker", ["Y", "y", "N"] * 100)
    assert proposal.fields["type"] == "categorical"
    assert "several spellings" in proposal.notes[0]


IDS: dict[str, tuple[str, list[Any], bool]] = {
    "persons": ("patient_id", [f"P{i // 3:04d}" for i in range(N)], True),
    "persons by number": ("PatientNbr", [i // 3 * 7 for i in range(N)], True),
    "rows": ("id", [str(i) for i in range(N)], False),
    "accounts": ("account", [str(10**17 + 7 * i) for i in range(N)], False),
    "long numbers": ("x", [2**60 + i % 5 for i in range(N)], True),
    "codes": ("barcode", [f"A{i * 37:05d}-{i}" for i in range(N)], False),
    "leading zeros": ("x", [f"{i * 37:08d}" for i in range(N)], False),
}  # fmt: skip


@pytest.mark.parametrize(("name", "values", "repeats"), IDS.values(), ids=IDS.keys())
def test_identifiers_are_not_learnt(name: str, values: list[Any], repeats: bool) -> None:
    proposal = proposed(name, values)
    assert proposal.fields == {"type": "id"}
    assert any("person_id" in note for note in proposal.notes) == repeats


TEXTS: dict[str, tuple[str, list[str], str]] = {
    "e-mails": ("contact", [f"user{i}@example.org" for i in range(N)], '"generator": "email"'),
    "names": ("surname", [f"Name{i}" for i in range(N)], '"generator": "name"'),
    "repeated names": ("full_name", [f"Ann B{i % 26} C{i % 90}" for i in range(N)], '"generator": "name"'),
    "free text": ("x", [f"came with pain in knee {i % 200}" for i in range(N)], "free text"),
    "unlike texts": ("x", ["".join(RNG.choice(list("abcdef"), 8)) for _ in range(N)], "nearly all"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "texts", "said"), TEXTS.values(), ids=TEXTS.keys())
def test_names_and_free_text_are_left_out_and_that_is_said(name: str, texts: list[str], said: str) -> None:
    proposal = proposed(name, texts)
    assert proposal.fields == {"type": "text", "drop": True}
    assert said in proposal.notes[0]


def test_what_pandas_writes_as_its_index_is_left_out() -> None:
    for name in ("", "Unnamed: 0"):
        proposal = proposed(name, [str(i) for i in range(N)])
        assert proposal.fields == {"type": "text", "drop": True}
        assert "row numbers" in proposal.notes[0]


@pytest.mark.parametrize("texts", [["", ""], [None, None], ["NA", "n/a", ""]])
def test_a_column_without_a_value_is_left_out(texts: list[str | None]) -> None:
    proposal = proposed("x", texts)
    assert proposal.fields == {"type": "text", "drop": True}
    assert "left out" in proposal.notes[0]


@pytest.mark.parametrize("value", [b"A1", pd.Timedelta("1h"), [1]], ids=["bytes", "duration", "list"])
def test_what_is_left_out_for_its_storage_is_said(value: object) -> None:
    proposal = propose(pd.Series([value] * 3, name="x", dtype=object))
    if proposal.fields == {"type": "text", "drop": True}:
        assert "left out" in proposal.notes[0]


def test_a_few_words_in_a_column_of_numbers_are_said_and_not_copied() -> None:
    proposal = proposed("score", ["see Dr Smith" if i == 7 else str(i % 90) for i in range(N)])
    assert proposal.fields == {"type": "integer", "low": PRIVATE, "high": PRIVATE, "missing": PRIVATE}
    assert "`privsynth check`" in proposal.notes[0]
    assert "Smith" not in str(proposal)


def test_no_private_list_is_drafted_in_silence() -> None:
    for texts in (["F", "M"] * 100, ["?", "F", "M"] * 100, ["02138", "10001", "02139"] * 100):
        proposal = proposed("x", texts)
        assert proposal.fields["categories"] == PRIVATE
        assert any("private list" in note for note in proposal.notes)
    assert any("'?'" in note for note in proposed("x", ["?", "F", "M"] * 100).notes)


@pytest.mark.parametrize("name", ["价格", "größe", "", "_", "№", "Дата рождения"])
def test_names_of_any_script_are_taken(name: str) -> None:
    assert proposed(name, ["7", "9"] * N).fields["type"] == "integer"


def test_numbers_that_often_mean_missing_are_said() -> None:
    notes = proposed("x", [-999 if i % 9 == 0 else i % 40 for i in range(N)]).notes
    assert any("often mean missing" in note for note in notes)


def test_a_separator_of_three_digits_is_said_to_be_in_doubt() -> None:
    assert any("'1.234,5'" in note for note in proposed("x", [f"{i}.{i * 3:03d}" for i in range(1, N)]).notes)
    assert any("'1234,5'" in note for note in proposed("x", [f"{i},{i * 3:03d}" for i in range(1, N)]).notes)


def test_notes_and_fields_hold_no_text_of_a_record() -> None:
    marked = [f"Zq{i}x marker {i % 7}" for i in range(N)]
    for texts in (marked, [f"{i} Zq" for i in range(N)], ["Zq" if i % 50 == 0 else str(i) for i in range(N)]):
        assert "Zq" not in str(propose(pd.Series(texts, name="x", dtype=object)))
