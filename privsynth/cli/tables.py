"""``privsynth schema``, ``check`` and ``split``: what comes before a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import check_output, print_result, say
from privsynth.cli.options import AsJson, Force, SchemaPath, Seed, TablePath
from privsynth.errors import SchemaError


def schema(
    table: TablePath,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the schema goes.")],
    infer: Annotated[
        bool, typer.Option("--infer", help="Read the values to find types; the guarantee then says so.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Draft a schema to complete by hand: of a table, or from a code book.

    Without --infer no value is read.
    """
    from privsynth.drafting import draft
    from privsynth.writing import written_aside

    check_output(output, force=force)
    drafted = draft(table, infer=infer)
    with written_aside(output, force=force) as aside:
        drafted.schema.save(aside)
    undeclared = {c.name: facts for c in drafted.schema.columns.values() if (facts := c.undeclared_facts())}
    lines = [f"draft written to {output}"]
    lines += [f"  {name}: declare {', '.join(facts)}" for name, facts in undeclared.items()]
    lines.append("then give roles (target, group, person_id) and check that every fact in it may be public")
    is_stored = drafted.schema.types_from_records
    next_steps = _next_steps(table, output, infer=infer, is_stored=is_stored, is_open=bool(undeclared))
    for name, notes in drafted.notes.items():
        say(f"{name or '(no name)'}: {'; '.join(notes)}")
    for step in next_steps:
        say(f"next: {step}")
    fields = {"schema": str(output), "undeclared": undeclared, "notes": drafted.notes, "next": next_steps}
    print_result(fields, "\n".join(lines), as_json=as_json)


def _next_steps(table: Path, output: Path, *, infer: bool, is_stored: bool, is_open: bool) -> list[str]:
    """Say which ways lead from a draft to a schema that a fit takes."""
    steps = [f"`privsynth check {table} --schema {output}` shows you what in the table breaks the schema"]
    if infer:
        return [
            f"go through {output}: its types were read from the records, and the guarantee says so",
            *steps,
        ]
    if is_open:
        ways = (
            f"no value was read, so fill in {output} by hand, turn a code book into it (`privsynth schema "
            f"--from FILE -o {output} --force`), or let `privsynth schema {table} -o {output} --infer "
            "--force` propose types from the values, which the guarantee then says"
        )
        steps = [ways, *steps]
    if is_stored:
        steps.append(
            f"types are as {table} stores them, which its values may have decided: the guarantee says so; "
            f'where they were declared, as in a database, set "types_from_records" in {output} to false'
        )
    return steps


def check(
    table: TablePath,
    schema_path: SchemaPath,
    as_json: AsJson = False,
) -> None:
    """Show you what in a table breaks its schema, with counts and examples.

    The output quotes records, and no guarantee covers it. Exits with 2 where something breaks the schema.
    """
    from privsynth.checking import check as check_table
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

    The parts are DIR/train.parquet and DIR/holdout.parquet.
    """
    from privsynth.schema import Schema
    from privsynth.sources import read_table
    from privsynth.splitting import write_split

    declared = Schema.load(schema_path)
    train, held_out = write_split(
        read_table(table, declared), declared, output, holdout=holdout, random_state=seed, force=force
    )
    by = (
        "rows: the schema names no person"
        if declared.person_id is None
        else f"persons ({declared.person_id})"
    )
    fields = {"train": str(train), "holdout": str(held_out), "unit": declared.unit}
    print_result(fields, f"train: {train}\nholdout: {held_out}\nsplit by {by}", as_json=as_json)
