"""CSV as other programs write it: how it is written is found in its first line, or declared."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privsynth.errors import SchemaError, TableError
from privsynth.io.csv_files import open_csv
from privsynth.io.tables import open_table, read_table
from privsynth.records.conform import conform
from privsynth.schema import Schema
from privsynth.schema.dialect import CsvDialect

TYPES = {
    "kind": {"type": "categorical", "categories": ["ja", "Größe"]},
    "pay": {"type": "real", "low": 0, "high": 1e7, "decimals": 2},
}


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def quietly(path: Path, schema: Schema | None = None) -> list[list[Any]]:
    """Read a file as a list of rows, both ways, and without what is said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame, fields = read_table(path, schema), open_table(path, schema=schema)
    columns = [fields.column(name).astype(object).tolist() for name in fields.names]
    assert frame.to_numpy().tolist() == [list(row) for row in zip(*columns, strict=True)]
    return frame.to_numpy().tolist()


# -- what is found in the first line ---------------------------------------------------------------------

FOUND: dict[str, tuple[str, list[str]]] = {
    "comma": ("kind,pay,n", ["kind", "pay", "n"]),
    "semicolon": ("kind;pay;n", ["kind", "pay", "n"]),
    "tab": ("kind\tpay\tn", ["kind", "pay", "n"]),
    "bar": ("kind|pay|n", ["kind", "pay", "n"]),
    "quoted names": ('"kind";"pay, in EUR";"n"', ["kind", "pay, in EUR", "n"]),
    "a semicolon in a name": ('"kind; of pay",pay,n', ["kind; of pay", "pay", "n"]),
    "more commas than semicolons": ("a;b,pay,n", ["a;b", "pay", "n"]),
    "a line for Excel": ("sep=;\nkind;pay;n", ["kind", "pay", "n"]),
    "blank lines before it": ("\n  \r\n\nkind;pay;n", ["kind", "pay", "n"]),
    "a line break in a name": ('"ki\nnd";pay;n', ["ki\nnd", "pay", "n"]),
    "carriage returns": ("kind;pay;n\r", ["kind", "pay", "n"]),
}


@pytest.mark.parametrize(("first", "names"), FOUND.values(), ids=FOUND)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_a_dialect_is_found_in_the_first_line(
    first: str, names: list[str], encoding: str, suffix: str, tmp_path: Path
) -> None:
    delimiter = next((d for d in ";\t|" if len(names) == len(first.splitlines()[-1].split(d))), ",")
    row = delimiter.join(["Größe", '"1;,|2\n3"', "4"])
    text = f"{first}\n{row}\n"
    path = written(tmp_path / f"t.{suffix}", text, encoding)
    if suffix.endswith("gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert quietly(path) == [["Größe", "1;,|2\n3", "4"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_table(path).columns.tolist() == names


def test_what_is_found_is_said_once_unless_it_is_plain_or_declared(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "kind;pay\nja;1\n", "utf-16")
    with pytest.warns(
        UserWarning, match=r"'.*t\.csv' is read as split at semicolon ';' and in UTF-16"
    ) as said:
        read_table(path)
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_table(path, Schema(TYPES, csv={"delimiter": ";", "encoding": "utf-16"}))
        read_table(written(tmp_path / "t.csv", "kind,pay\nja,1\n", "utf-8-sig"))


def test_a_first_line_with_two_readings_is_asked_about_unless_the_schema_knows_its_columns(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "t.csv", "pay, net;kind;n\n1,5;ja;2\n")
    with pytest.raises(TableError, match=r"split in several ways \(2 at comma ',' and 3 at semicolon ';'\)"):
        read_table(path)
    assert quietly(path, Schema({**TYPES, "kind": {"type": None}})) == [["1,5", "ja", "2"]]


def test_a_file_of_another_dialect_than_declared_is_read_as_it_is(tmp_path: Path) -> None:
    declared = Schema(TYPES, csv={"delimiter": ";", "decimal": ",", "encoding": "cp1252"})
    path = written(tmp_path / "t.csv", "kind,pay\nGröße,1.234\n")
    assert quietly(path, declared) == [["Größe", "1.234"]]


def test_only_the_first_line_is_read_to_find_the_dialect(tmp_path: Path) -> None:
    records = b"\xff\xfe;;;|||\t\t\n"
    (tmp_path / "t.csv").write_bytes(b"kind,pay\n" + records)
    assert open_csv(tmp_path / "t.csv").names == ["kind", "pay"]


# -- what is declared ------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ",", "^", " "])
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "cp850"])
def test_numbers_and_texts_of_a_declared_dialect_come_out_right(
    delimiter: str, encoding: str, tmp_path: Path
) -> None:
    rows = [("kind", "pay"), ("ja", "12,50"), ("Größe", "1.234.567,8"), ("ja", "7"), ("ja", "1.000")]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path = written(tmp_path / "t.csv", text.getvalue(), encoding)
    dialect = {"delimiter": delimiter, "decimal": ",", "encoding": encoding}
    schema = Schema.from_dict(Schema(TYPES, csv=dialect).to_dict())
    for table in (read_table(path, schema), open_table(path, schema=schema)):
        frame = conform(table, schema).frame
        assert frame["pay"].tolist() == [12.5, 1234567.8, 7.0, 1000.0]
        assert frame["kind"].tolist() == ["ja", "Größe", "ja", "ja"]


def test_a_decimal_point_where_commas_are_declared_is_no_number(tmp_path: Path) -> None:
    schema = Schema(TYPES, csv={"delimiter": ";", "decimal": ","})
    path = written(tmp_path / "t.csv", "kind;pay\nja;12.50\n")
    table = open_table(path, schema=schema)
    with pytest.raises(SchemaError, match="column 'pay': a field is not a finite number"):
        conform(table, schema)


def test_decimal_commas_hold_for_numbers_without_a_format_of_their_own(tmp_path: Path) -> None:
    schema = Schema(
        {
            "code": {"type": "categorical", "categories": ["1,5", "2.5"]},
            "x": {"type": "real", "low": 0, "high": 9},
            "y": {"type": "real", "low": 0, "high": 9, "format": "1234.5"},
        },
        csv={"delimiter": ";", "decimal": ","},
    )
    path = written(tmp_path / "t.csv", "code;x;y\n1,5;1,5;1.5\n2.5;2;2\n")
    assert conform(open_table(path, schema=schema), schema).frame.to_numpy().tolist() == [
        ["1,5", 1.5, 1.5],
        ["2.5", 2.0, 2.0],
    ]


def test_rows_that_are_not_real_may_be_plain(tmp_path: Path) -> None:
    schema = Schema(TYPES, csv={"delimiter": ",", "decimal": ",", "encoding": "cp1252"})
    ours = written(tmp_path / "ours.csv", "kind,pay\nGröße,1.234\n")
    theirs = written(tmp_path / "theirs.csv", "kind,pay\nGröße,1.234\n", "cp1252")
    for path in (ours, theirs):
        assert read_table(path, schema, is_real=False).to_numpy().tolist() == [["Größe", "1.234"]]
    assert read_table(theirs, schema).to_numpy().tolist() == [["Größe", "1234"]]


DIALECTS: dict[str, tuple[Any, str]] = {
    "no object": (";", "expected 'csv' to be an object with delimiter, decimal, encoding, header"),
    "unknown key": ({"sep": ";"}, "csv: unknown key 'sep'; known are delimiter, decimal, encoding, header"),
    "two signs": ({"delimiter": "||"}, "csv: expected 'delimiter' to be one sign"),
    "a letter": ({"delimiter": "x"}, "csv: expected 'delimiter' to be one sign"),
    "a quote": ({"delimiter": '"'}, "csv: expected 'delimiter' to be one sign"),
    "no text": ({"delimiter": 1}, "csv: expected 'delimiter' to be one sign"),
    "decimal": ({"decimal": "'"}, "csv: expected 'decimal' to be"),
    "encoding": ({"encoding": "ansi-de"}, "csv: expected 'encoding' to name an encoding"),
    "no encoding of texts": ({"encoding": "base64"}, "csv: expected 'encoding' to name an encoding"),
    "header": ({"header": "no"}, "csv: expected 'header' to be true or false, got 'no'"),
}


@pytest.mark.parametrize(("dialect", "message"), DIALECTS.values(), ids=DIALECTS)
def test_a_dialect_that_is_none_is_refused(dialect: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Schema(TYPES, csv=dialect)


def test_a_schema_keeps_its_dialect() -> None:
    schema = Schema(TYPES, csv={"delimiter": "\t", "header": False})
    assert schema.csv == CsvDialect(delimiter="\t", header=False)
    assert Schema.from_dict(schema.to_dict()) == schema
    assert schema.to_dict()["csv"] == {"delimiter": "\t", "header": False}
    assert "csv" not in Schema(TYPES).to_dict()


# -- files without a header ------------------------------------------------------------------------------

RECORDS = {
    "numbers": "39,State-gov,77516\n50,Private,83311\n",
    "blanks after commas": "39, State-gov, 77516\n",
    "one number": "F,SECRET,12.5\n",
    "money": 'F,SECRET,"$1,200.50"\n',
    "percent": "F,SECRET,5%\n",
    "date": "F,SECRET,2021-03-31\n",
    "date of Europe": "F,SECRET,31.03.2021\n",
    "time": "F,SECRET,2021-03-31T08:30:00\n",
    "time of day": "F,SECRET,08:30\n",
    "a sign for missing": "F,SECRET,?\n",
    "negative": "F,SECRET,-1\n",
    "truth": "F,SECRET,TRUE\n",
    "two alike": "SECRET,F,SECRET\n",
    "two blanks": "SECRET,,\n",
    "semicolons": "F;SECRET;12.5\n",
}


@pytest.mark.parametrize("text", RECORDS.values(), ids=RECORDS)
def test_a_first_line_that_looks_like_a_record_is_asked_about_and_never_quoted(
    text: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "t.csv", text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for ask in (
            lambda: open_csv(path, ask=True),
            lambda: read_table(path, Schema({"a": {"type": "id"}, "b": {"type": "id"}})),
        ):
            with pytest.raises(TableError) as caught:
                ask()
            assert re.search(r"--names A,B,C.*\"csv\": {\"header\": false}", str(caught.value))
            for field in ("SECRET", "State", "39", "12", "2021", "31"):
                assert field not in str(caught.value).replace(str(path), "")


NAMES = {
    "words": "age,sex,n_visits\n1,F,2\n",
    "numbers within": "x1,2nd visit,q_3a\n1,F,2\n",
    "counted from 0": "0,1,2,3\n5,6,7,8\n",
    "counted from 1": "1,2,3,4\n5,6,7,8\n",
    "an index": ",age,sex\n0,1,F\n",
    "an index of counted columns": ",0,1,2,3\n0,5,6,7,8\n",
    "a comma at the end": "age,sex,\n1,F,\n",
}


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES)
def test_names_are_taken_for_names(text: str, tmp_path: Path) -> None:
    names = text.splitlines()[0].split(",")
    assert open_csv(written(tmp_path / "t.csv", text), ask=True).names == names


def test_names_that_look_like_values_are_taken_if_declared_or_known(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "country,2019,2020\nX,1,2\n")
    file = open_csv(path, CsvDialect(header=True), ask=True)
    assert (file.names, file.dialect) == (["country", "2019", "2020"], CsvDialect(header=True))
    assert quietly(path, Schema({"2019": {"type": "integer", "low": 0, "high": 9}})) == [["X", "1", "2"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_columns_of_the_schema_name_those_of_a_file_without_a_header(
    delimiter: str, tmp_path: Path
) -> None:
    names = {"age": {"type": "integer", "low": 0, "high": 99}, "job": {"type": "text", "drop": True}}
    schema = Schema(names, csv={"header": False})
    path = written(tmp_path / "t.csv", f"\n39{delimiter}SECRET\n50{delimiter}x\n")
    assert quietly(path, schema) == [["39", "SECRET"], ["50", "x"]]
    with_header = written(tmp_path / "h.csv", f"age{delimiter}job\n39{delimiter}SECRET\n")
    assert quietly(with_header, schema) == [["39", "SECRET"]]
    too_many = Schema({**names, "sex": {"type": "id"}}, csv={"header": False})
    with pytest.raises(
        TableError, match=r"its first line has .* field.* but there are 3 names: name all"
    ) as caught:
        quietly(path, too_many)
    assert "SECRET" not in str(caught.value)


# -- lines that cannot be read ---------------------------------------------------------------------------

RAGGED: dict[str, tuple[str, str]] = {
    "a field too many": ("a,b\n1,2\n3,4,5\n", "line 3 has 3 fields at comma ',', where there are 2 names"),
    "a field too few": ("a,b\n1,2\n3\n", "line 3 has 1 field at"),
    "behind blank lines": ("\n\na,b\n\n1,2\n\n3\n", "line 7 has 1 field at"),
    "behind quoted lines": ('a,b\n"1\n\n2",2\n3\n', "line 5 has 1 field at"),
    "that begins with quoted lines": ('a,b\n1,2\n"1\n\n2",2,3\n', "line 3 has 3 fields at"),
    "with a header of two lines": ('"a\nb",c\n1,2\n3\n', "line 4 has 1 field at"),
    "with carriage returns": ("a,b\r1,2\r3\r", "line 3 has 1 field at"),
    "of Windows": ("a,b\r\n1,2\r\n3\r\n", "line 3 has 1 field at"),
    "of semicolons": ("a;b\n1;2\n3;4;5\n", "line 3 has 3 fields at semicolon"),
    "an open quote": ('a,b\n1,2\n"SECRET,4\n5,6\n', "line 3 opens a quote that is never closed"),
    "an open quote at the end": ('a,b\n1,2\n3,"SECRET\n5,6\n', "line 3 opens a quote that is never closed"),
    "an open quote in the header": ('"a,b\n1,SECRET\n', "a quote in its first line is never closed"),
}


@pytest.mark.parametrize(("text", "message"), RAGGED.values(), ids=RAGGED)
@pytest.mark.parametrize("only", [None, ["a"]])
def test_a_line_that_cannot_be_read_is_named_by_its_number(
    text: str, message: str, only: list[str] | None, tmp_path: Path
) -> None:
    path = written(tmp_path / "t.csv", text)
    schema = Schema({"a": {"type": "id"}}, csv={"delimiter": ";" if ";" in text else ","})
    with pytest.raises(TableError, match=message) as caught:
        open_table(path, only, schema=schema).n_rows  # noqa: B018  # reads the records
    assert "SECRET" not in str(caught.value)


def test_a_field_may_hold_the_last_lines_of_a_file(tmp_path: Path) -> None:
    assert quietly(written(tmp_path / "t.csv", 'a,b\n1,"x\ny\n"\n')) == [["1", "x\ny\n"]]
    assert quietly(written(tmp_path / "t.csv", 'a,b\n1,5" pipe\n')) == [["1", '5" pipe']]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_line_in_another_encoding_is_named_and_the_way_on(encoding: str, tmp_path: Path) -> None:
    schema = Schema(TYPES, csv={"encoding": encoding})
    (tmp_path / "t.csv").write_bytes(b"kind,pay\nja,1\nSECRET\x81\xff,2\n")
    with pytest.raises(
        TableError, match=r"line 3 is not in .*--encoding cp1252.*\"encoding\": \"cp1252\""
    ) as caught:
        read_table(tmp_path / "t.csv", schema)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_file_in_utf16_without_a_mark_is_asked_about(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "kind,pay\nja,1\n", "utf-16-le")
    with pytest.raises(TableError, match=r"the first line of .* holds NUL characters; declare its encoding"):
        read_table(path)
    assert quietly(path, Schema(TYPES, csv={"encoding": "utf-16-le"})) == [["ja", "1"]]


@pytest.mark.parametrize("text", ["a,b\n", "a,b", "\na,b\n\n", "a,b\r\n", codecs.BOM_UTF8.decode() + "a,b"])
def test_a_header_alone_is_a_table_without_rows(text: str, tmp_path: Path) -> None:
    frame = read_table(written(tmp_path / "t.csv", text))
    assert (frame.columns.tolist(), len(frame)) == (["a", "b"], 0)
    assert open_table(tmp_path / "t.csv", ["b"]).n_rows == 0


# -- every field by itself -------------------------------------------------------------------------------

PECULIAR = [
    "flu",
    "flu\0",
    "\0",
    "e\u0301",
    "é",
    " flu",
    "flu ",
    '"',
    '""',
    "a\nb",
    "a\r\nb",
    ",",
    ";",
    "NA",
    "1.0",
]
FIELD = st.sampled_from(PECULIAR) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(FIELD, min_size=width, max_size=width), min_size=1, max_size=8)
)


@given(
    rows=TABLES,
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
@example(rows=[["flu", "1"], ["flu\0", "1"], ["flu", "1\0"]], delimiter=",", encoding="utf-8")
@settings(max_examples=200, deadline=None)
def test_a_field_is_the_text_that_was_written_whatever_stands_beside_it(
    rows: list[list[str]], delimiter: str, encoding: str
) -> None:
    """The oracle is the writer: quoted by the rule of RFC 4180, each field comes back as it went."""

    def line(fields: list[str]) -> str:
        return delimiter.join('"' + field.replace('"', '""') + '"' for field in fields) + "\n"

    names = [f"column {i}" for i in range(len(rows[0]))]
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "t.csv", line(names) + "".join(map(line, rows)), encoding)
        assert quietly(path) == rows
