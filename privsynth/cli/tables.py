"""``privsynth schema`` and ``privsynth split``: what comes before a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import check_output, print_result
from privsynth.cli.options import AsJson, Force, SchemaPath, Seed, TablePath


def schema(
    table: TablePath,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the schema goes.")],
    infer: Annotated[
        bool, typer.Option("--infer", help="Read the values to find types; the guarantee then says so.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Draft a schema to complete by hand.

    Without --infer no value is read.
    """
    from privsynth.drafting import draft_schema
    from privsynth.writing import written_aside

    check_output(output, force=force)
    draft = draft_schema(table, infer=infer)
    with written_aside(output, force=force) as aside:
        draft.save(aside)
    undeclared = {c.name: facts for c in draft.columns.values() if (facts := c.undeclared_facts())}
    lines = [f"draft written to {output}"]
    lines += [f"  {name}: declare {', '.join(facts)}" for name, facts in undeclared.items()]
    lines.append("then give roles (target, group, person_id) and check that every fact in it may be public")
    fields = {"schema": str(output), "undeclared": undeclared}
    print_result(fields, "\n".join(lines), as_json=as_json)


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
        read_table(table), declared, output, holdout=holdout, random_state=seed, force=force
    )
    fields = {"train": str(train), "holdout": str(held_out)}
    print_result(fields, f"train: {train}\nholdout: {held_out}", as_json=as_json)
