"""``privsynth schema``, ``check`` and ``split``: what comes before a fit."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from privsynth.cli.console import check_output, print_result, say
from privsynth.cli.options import TABLES, AsJson, Force, SchemaPath, Seed, TablePath
from privsynth.errors import ParameterError, SchemaError

if TYPE_CHECKING:
    from privsynth.schema import Schema


def schema(
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the schema goes.")],
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help=f"{TABLES}.")] = None,
    code_book: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Code book instead of a table: SDV, Frictionless, pandera, or a CSV of columns.",
        ),
    ] = None,
    infer: Annotated[
        bool, typer.Option("--infer", help="Read the values to find types; the guarantee then says so.")
    ] = False,
    delimiter: Annotated[
        str | None, typer.Option(help="What separates the fields of a CSV file, or 'tab'; else it is found.")
    ] = None,
    decimal: Annotated[
        str | None, typer.Option(help="',' if the numbers of a CSV file have decimal commas.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of a CSV file, such as cp1252, if it is not UTF-8.")
    ] = None,
    names: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Columns of a CSV file without a line of names.")
    ] = None,
    max_records: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="With --from, where the code book names persons: rows used of each at most."
        ),
    ] = None,
    header: Annotated[
        bool, typer.Option("--header", help="The first line holds names, though it looks like a record.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Draft a schema to complete by hand: of a table, or from a code book.

    Without --infer no value is read. How a CSV file is written goes into the draft.
    """
    import csv

    from privsynth.io.atomic import written_aside
    from privsynth.io.files import is_url
    from privsynth.records.drafting import draft
    from privsynth.schema.code_books import OF_ALL, schema_from_code_book
    from privsynth.schema.dialect import CsvDialect

    if (table is None) == (code_book is None) or (infer and table is None):
        raise ParameterError(
            "expected a TABLE, which --infer goes with, or --from FILE, a code book; one of the two"
        )
    if header and names is not None:
        raise ParameterError("expected --names, for a file without a line of names, or --header, got both")
    if max_records is not None and code_book is None:
        raise ParameterError(
            'expected --max-records beside --from only; in the draft of a table set "max_records_per_person" '
            "by hand, with the role of the column that names persons"
        )
    check_output(output, force=force)
    dialect = CsvDialect(
        delimiter="\t" if delimiter in ("tab", "\\t") else delimiter,
        decimal=decimal,
        encoding=encoding,
        header=True if header else None,
    )
    if code_book is not None:
        book = schema_from_code_book(code_book, max_records_per_person=max_records)
        drafted, notes = book.schema, book.notes
    else:
        assert table is not None
        made = draft(
            table,
            infer=infer,
            csv=dialect if dialect.to_dict() else None,
            names=None if names is None else [name.strip() for name in next(csv.reader([names]), [])],
        )
        drafted, notes = made.schema, made.notes
    with written_aside(output, force=force) as aside:
        drafted.save(aside)
    undeclared = {c.name: facts for c in drafted.columns.values() if (facts := c.undeclared_facts())}
    lines = [f"draft written to {output}"]
    lines += [f"  {name}: declare {', '.join(facts)}" for name, facts in undeclared.items()]
    lines.append("then give roles (target, group, person_id) and check that every fact in it may be public")
    if drafted.person_id is not None or any(c.type == "id" for c in drafted.columns.values()):
        lines.append(
            'where the rows of a person belong together, say so: "role": "order" of the column that orders '
            'them, "per": "person" of the columns that they share'
        )
    is_stored = drafted.types_from_records
    next_steps = [
        f"`privsynth check {quote(table or 'TABLE')} --schema {output}` shows what in it breaks the schema"
    ]
    if is_url(table):  # the values of a table in an engine stay there
        next_steps = [
            f"no value was read: fill in {output} by hand, or turn a code book into it (`privsynth schema "
            f"--from FILE -o {output} --force`); then `privsynth fit` takes the same address"
        ]
    elif table is not None:
        next_steps = [
            *_ways_on(table, output, infer=infer, is_stored=is_stored, is_open=bool(undeclared)),
            *next_steps,
        ]
    written = drafted.csv
    if written is not None and written.delimiter == ";" and written.decimal is None and not infer:
        next_steps.append(f'if its numbers have decimal commas, add "decimal": "," to "csv" in {output}')
    nameless = "the code book" if code_book else "(no name)"
    for name, sentences in notes.items():
        say(f"{nameless if name == OF_ALL else name}: {'; '.join(sentences)}")
    for step in next_steps:
        say(f"next: {step}")
    fields = {"schema": str(output), "undeclared": undeclared, "notes": notes, "next": next_steps}
    print_result(fields, "\n".join(lines), as_json=as_json)


def _ways_on(table: str, output: Path, *, infer: bool, is_stored: bool, is_open: bool) -> list[str]:
    """Say which ways lead from the draft of a table to a schema that a fit takes."""
    if infer:
        return [f"go through {output}: its types were read from the records, and the guarantee says so"]
    ways = []
    if is_open:
        ways.append(
            f"no value was read, so fill in {output} by hand, turn a code book into it (`privsynth schema "
            f"--from FILE -o {output} --force`), or let `privsynth schema {quote(table)} -o {output} --infer "
            "--force` propose types from the values, which the guarantee then says"
        )
    if is_stored:
        ways.append(
            f"types are as {table} stores them, which its values may have decided: the guarantee says so; "
            f'where they were declared, as in a database, set "types_from_records" in {output} to false'
        )
    return ways


def check(
    table: TablePath,
    schema_path: SchemaPath,
    as_json: AsJson = False,
) -> None:
    """Show you what in a table breaks its schema, with counts and examples.

    The output quotes records, and no guarantee covers it. Exits with 2 where something breaks the schema.
    """
    from privsynth.records.checking import check as check_table
    from privsynth.schema import Schema

    result = check_table(table, Schema.load(schema_path))
    print_result(result.to_dict(), str(result), as_json=as_json)
    if not result.is_clean:
        raise typer.Exit(SchemaError.exit_code)


def split(
    table: TablePath,
    schema_path: SchemaPath,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the two parts.")],
    holdout: Annotated[float, typer.Option(help="Probability that a person is held out.")] = 0.2,
    seed: Seed = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Set a holdout aside, by whole persons.

    The parts are DIR/train.parquet and DIR/holdout.parquet; where the schema is of linked tables, the folders
    DIR/train and DIR/holdout.
    """
    from privsynth.cli.linked import read_schema
    from privsynth.records.splitting import write_split
    from privsynth.schema.linked import LinkedSchema

    declared = read_schema(schema_path)
    tables = (
        [t.schema for t in declared.tables.values()] if isinstance(declared, LinkedSchema) else [declared]
    )
    for each in tables:
        _check_numbers_are_known(each)
    train, held_out = write_split(table, declared, output, holdout=holdout, random_state=seed, force=force)
    by = (
        "rows: the schema names no person"
        if declared.person_id is None
        else f"persons ({declared.person_id})"
    )
    fields = {"train": str(train), "holdout": str(held_out), "unit": declared.unit}
    print_result(fields, f"train: {train}\nholdout: {held_out}\nsplit by {by}", as_json=as_json)


def _check_numbers_are_known(schema: Schema) -> None:
    """Raise a `SchemaError` if the parts of a split would hold decimal commas that later pass for texts."""
    typeless = [column.name for column in schema.columns.values() if column.type is None]
    if typeless and schema.csv is not None and schema.csv.decimal == ",":
        raise SchemaError(
            f"column {typeless[0]!r} has no type, so it is not known whether it holds numbers with decimal "
            "commas; give each column its type before the split"
        )
