"""Nothing that a fit leaves or says holds a record, as text or as codes, or how many there are.

Every synthesizer, from Python and from the command line, with records and with persons. Looked through are
the model file, the store of paid releases with its checkpoints, the ledger, what is printed, warned, logged
and told as progress, what is kept in memory, the statement, and what a drawn file says beside its rows.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from privsynth.cli import main
from privsynth.errors import PrivsynthError
from privsynth.io.images import write_images
from privsynth.ledger.ledger import Ledger
from privsynth.schema import Schema
from privsynth.schema.images import LabelledImages
from privsynth.schema.linked import LinkedSchema
from privsynth.synthesizers import LinkedSynthesizer, MarginalSynthesizer, load
from privsynth.synthesizers.images.base import ImageSynthesizer
from privsynth.synthesizers.linked.marginal import LinkedSettings
from tests.contracts.synthesizers import QUICK_SETTINGS, as_records, maker
from tests.helpers.leaks import CodedRows, counts_in

N_ROWS = 70_001  # primes, so that no sum or product of anything else is one of them
N_PERSONS = 65_543
N_MARKED = 200  # records with texts and numbers of their own
EPSILON = 0.1  # noise of hundreds in every total: by chance none is exact
TRIES = 3  # a leak is there every time
DELTA = 1e-3  # so large that the warning of it is given

COLUMNS = {
    "group": {"type": "categorical", "categories": ["a", "b"], "role": "group"},
    "ill": {"type": "boolean", "role": "target"},
    "name": {"type": "categorical", "categories": "private"},
    "number": {"type": "integer", "low": 0, "high": 10**12},
    **{f"c{i}": {"type": "categorical", "categories": list(range(16))} for i in range(8)},
}


def _without_role(column: dict[str, object]) -> dict[str, object]:
    return {name: fact for name, fact in column.items() if name != "role"}


SCHEMAS = {
    "record": Schema(COLUMNS),
    "person": Schema({"who": {"type": "id", "role": "person_id"}, **COLUMNS}, max_records_per_person=3),
}


@dataclasses.dataclass(frozen=True)
class Marked:
    """A table, and what of it must not be seen."""

    frame: pd.DataFrame
    schema: Schema
    texts: list[str]
    numbers: list[int]


@cache
def marked(unit: str) -> Marked:
    rng = np.random.default_rng(0)
    letters = rng.choice(list("abcdefghijklmnop"), (N_MARKED, 32))
    texts = ["".join(row) for row in letters]
    numbers = rng.integers(10**11, 10**12, N_MARKED)
    frame = pd.DataFrame(
        {
            "group": rng.choice(["a", "b"], N_ROWS),
            "ill": rng.random(N_ROWS) < 0.5,
            "name": [*texts, *["common"] * (N_ROWS - N_MARKED)],
            "number": [*numbers, *[5] * (N_ROWS - N_MARKED)],
            **{f"c{i}": rng.integers(0, 16, N_ROWS) for i in range(8)},
        }
    )
    if unit == "person":
        frame["who"] = np.minimum(np.arange(N_ROWS), N_PERSONS - 1)
        frame.loc[N_PERSONS:, "who"] = rng.permutation(N_PERSONS)[: N_ROWS - N_PERSONS]
    return Marked(frame, SCHEMAS[unit], texts, [int(n) for n in numbers])


def coded_rows(synthesizer, source, schema: Schema) -> CodedRows:
    """Return the lint for the codes that the model's own domains give the records."""
    model = synthesizer.model_
    domains = (model.table if isinstance(synthesizer, ImageSynthesizer) else model).domains
    frame = synthesizer._read(source, schema, "error").frame
    codes = np.column_stack([domain.coding.encode(frame[name]) for name, domain in domains.items()])
    return CodedRows(codes)


def markers_in(data: bytes, table: Marked, source: object) -> set[str]:
    found = {"a text" for text in table.texts if text.encode() in data}
    for number in table.numbers:
        encodings = [str(number).encode(), np.int64(number).tobytes(), np.float64(number).tobytes()]
        found |= {"a number" for encoding in encodings if encoding in data}
    for image in getattr(source, "images", ())[:N_MARKED]:
        found |= {"an image" for encoding in (image, image.astype("f4") / 255) if encoding.tobytes() in data}
    return found


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def by_python(kind, source, schema: Schema | LinkedSchema, folder: Path, caplog) -> dict[str, bytes]:
    """Fit and save; return what was said."""
    told: list[object] = []
    make = linked_maker if kind is LinkedSynthesizer else maker(kind)
    synthesizer = make(epsilon=EPSILON, delta=DELTA)
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        synthesizer.fit(
            source,
            schema=schema,
            dataset="d",
            ledger=folder / "ledger.sqlite",
            releases_path=folder / "m.partial",
            progress=lambda *said: told.append(said),
        )
    synthesizer.save(folder / "m.privsynth")
    said = [str(warning.message) for warning in warned]
    assert any("delta" in message for message in said)
    return {
        "progress": repr(told).encode(),
        "warnings": repr(said).encode(),
        "memory": (repr(vars(synthesizer)) + repr(vars(synthesizer.model_))).encode(),
    }


def by_command_line(kind, source, schema: Schema, folder: Path, monkeypatch, capfd) -> dict[str, bytes]:
    """Fit and show; return what was said, and what the store of paid releases held before it was deleted."""
    monkeypatch.setattr(kind, "settings_type", quick_type(kind))
    monkeypatch.setenv("PRIVSYNTH_LEDGER", str(folder / "ledger.sqlite"))
    told: dict[str, bytes] = {}
    unlink = Path.unlink

    def keep(path: Path, **named: bool) -> None:
        if path.suffix == ".partial" and path.exists():
            told["store"] = path.read_bytes()
        unlink(path, **named)

    monkeypatch.setattr(Path, "unlink", keep)
    read = folder.parent / "read"
    read.mkdir(exist_ok=True)
    schema.save(read / "schema.json")
    if isinstance(source, LabelledImages):
        records = read / "records.npz"
        write_images([source], records, force=True)
    else:
        records = read / "records.parquet"
        source.to_parquet(records)
    model = folder / "m.privsynth"
    fit = ["fit", records, "--schema", read / "schema.json", "--synthesizer", kind.name]
    for arguments in (
        [*fit, "--epsilon", EPSILON, "--delta", DELTA, "-o", model, "--json"],
        ["show", model],
        ["ledger", "show"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        assert not stopped.value.code
    assert len(told) == 1
    printed = capfd.readouterr()
    return told | {"stdout": printed.out.encode(), "stderr": printed.err.encode()}


def quick_type(kind):
    """Return the type of the settings with the quick ones as its defaults: the command line has no flags."""
    quick = QUICK_SETTINGS[kind]
    types = get_type_hints(type(quick))
    fields = [
        (f.name, types[f.name], dataclasses.field(default_factory=lambda name=f.name: getattr(quick, name)))
        for f in dataclasses.fields(quick)
    ]
    return dataclasses.make_dataclass("Quick", fields, bases=(type(quick),), frozen=True, kw_only=True)


def leaks(fit: Callable[..., dict[str, bytes]], kind, table: Marked, folder: Path, capfd, caplog) -> set[str]:
    """Fit once; return what was found, and where."""
    folder.mkdir()
    source, schema = as_records(maker(kind)(), table.frame, table.schema)
    told = fit(kind, source, schema, folder)
    synthesizer = load(folder / "m.privsynth")
    rows = coded_rows(synthesizer, source, schema)
    left = files_in(folder) | told
    printed = capfd.readouterr()
    left |= {"printed": (printed.out + printed.err).encode(), "logs": caplog.text.encode()}
    left["statement"] = json.dumps(synthesizer.guarantee_).encode()
    assert sum(map(len, left.values())) > 30_000
    if not isinstance(synthesizer, ImageSynthesizer):
        drawn = folder.parent / "drawn.parquet"
        synthesizer.sample_to(drawn, 20, random_state=0, force=True)
        left["beside drawn rows"] = repr(pq.read_schema(drawn).metadata).encode()
    counts = [len(table.frame), *([N_PERSONS] if table.schema.person_id else [])]
    return {
        f"{what} in {Path(name).name}"
        for name, data in left.items()
        for what in counts_in(data, counts) | rows.found_in(data) | markers_in(data, table, source)
    }


@pytest.mark.parametrize(
    ("unit", "route"),
    [
        ("record", "Python"),
        ("person", "command line"),
        pytest.param("person", "Python", marks=pytest.mark.slow),
        pytest.param("record", "command line", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("kind", QUICK_SETTINGS, ids=lambda kind: kind.name)
def test_no_record_and_no_number_of_records_is_left_or_said(
    kind, unit, route, tmp_path, monkeypatch, capfd, caplog
):
    def fit(*arguments) -> dict[str, bytes]:
        if route == "Python":
            return by_python(*arguments, caplog)
        return by_command_line(*arguments, monkeypatch, capfd)

    for attempt in range(TRIES):
        found = leaks(fit, kind, marked(unit), tmp_path / str(attempt), capfd, caplog)
        if not found:
            return
    pytest.fail(f"found in every one of {TRIES} fits: {sorted(found)}")


def linked_maker(**arguments) -> LinkedSynthesizer:
    settings = LinkedSettings(table=QUICK_SETTINGS[MarginalSynthesizer])
    return LinkedSynthesizer(settings=settings, random_state=0, device="cpu", **arguments)


ABOVE = ("group", "c0", "c1", "c2", "c3")
LINKED = LinkedSchema(
    {
        "client": {"key": "id", "columns": {name: _without_role(COLUMNS[name]) for name in ABOVE}},
        "visit": {
            "parent": "client",
            "parent_key": "who",
            "max_records_per_parent": 2,
            "columns": {name: _without_role(of) for name, of in COLUMNS.items() if name not in ABOVE},
        },
    },
    person="client",
)


@pytest.mark.slow
def test_no_record_of_linked_tables_and_no_number_of_them_is_left_or_said(tmp_path, capfd, caplog):
    table = marked("person")
    first = table.frame.drop_duplicates("who")
    tables = {
        "client": first[["who", *ABOVE]].rename(columns={"who": "id"}).reset_index(drop=True),
        "visit": table.frame.drop(columns=list(ABOVE)),
    }
    for attempt in range(TRIES):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        left = by_python(LinkedSynthesizer, tables, LINKED, folder, caplog)
        synthesizer = load(folder / "m.privsynth")
        printed = capfd.readouterr()
        left |= files_in(folder) | {"printed": (printed.out + printed.err + caplog.text).encode()}
        left["statement"] = json.dumps(synthesizer.guarantee_).encode()
        assert sum(map(len, left.values())) > 30_000
        views = synthesizer._read(synthesizer._open(tables, LINKED), LINKED, "error")
        found = set()
        for name, view in views.items():
            domains = synthesizer.model_.views[name].domains
            codes = [domain.coding.encode(view.frame[column]) for column, domain in domains.items()]
            rows = CodedRows(np.column_stack(codes))
            found |= {
                f"{what} of {name} in {Path(where).name}"
                for where, data in left.items()
                for what in counts_in(data, [N_ROWS, N_PERSONS])
                | rows.found_in(data)
                | markers_in(data, table, None)
            }
        if not found:
            return
    pytest.fail(f"found in every one of {TRIES} fits: {sorted(found)}")


@pytest.mark.parametrize("unit", SCHEMAS)
def test_no_refusal_tells_of_a_record_or_of_their_number(unit, tmp_path):
    table = marked(unit)
    book = Ledger(tmp_path / "ledger.sqlite")
    book.set_limit("limited", epsilon=0.05, delta=DELTA)
    broken = table.frame.assign(number=np.r_[table.frame["number"].to_numpy()[:-1], -7_654_321])
    foreign = table.frame.assign(group=np.r_[["Zebra-77"], table.frame["group"].to_numpy()[1:]])
    for frame, named in ((table.frame, "limit"), (broken, "number"), (foreign, "group")):
        synthesizer = maker(MarginalSynthesizer)(epsilon=EPSILON, delta=DELTA)
        dataset = "limited" if named == "limit" else named  # the ledger is asked before a record is read
        with pytest.raises(PrivsynthError, match=named) as refused:
            synthesizer.fit(frame, schema=table.schema, dataset=dataset, ledger=book)
        said = (str(refused.value) + repr(vars(refused.value))).encode()
        assert not counts_in(said, [N_ROWS, N_PERSONS])
        assert not markers_in(said, table, None)
        assert b"7654321" not in said.replace(b"_", b"").replace(b",", b"")
        assert b"Zebra" not in said
