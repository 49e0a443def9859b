"""``privsynth sample``: from a model to synthetic rows or images."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from privsynth.cli.console import PROGRESS_ROWS, print_result, progress_said, warn
from privsynth.cli.options import AsJson, Force, ModelPath, Seed, Sheet
from privsynth.errors import ParameterError

if TYPE_CHECKING:
    from privsynth.synthesizers import AnySynthesizer


class OnUnsupported(StrEnum):
    """What to do with a cell that the model knows nothing about."""

    ERROR = "error"
    WARN = "warn"
    DROP = "drop"


def sample(
    model: ModelPath,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="CSV (.csv, .csv.gz) or Parquet file; of images an .npz file, or a folder for PNG files; of "
            "linked tables a folder.",
        ),
    ],
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            help="Rows, or persons with all their rows where these belong together; by default the model's "
            "noisy count, which is of persons if it knows them.",
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Condition; a repeated column is a set, LOW..HIGH an inclusive range, nothing is missing.",
        ),
    ] = None,
    balance: Annotated[
        str | None, typer.Option(metavar="A,B", help="Columns whose combinations get equally many rows.")
    ] = None,
    balance_missing: Annotated[
        bool,
        typer.Option("--balance-missing", help="Balance missing as a value; else such rows are left out."),
    ] = False,
    proportions: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Table with a column 'share' or 'count', or JSON of marginals."),
    ] = None,
    like: Annotated[
        str | None, typer.Option(metavar="TABLE", help="Public rows whose distribution is taken over.")
    ] = None,
    parity: Annotated[
        str | None, typer.Option(metavar="TARGET:A,B", help="The same label rates in every group.")
    ] = None,
    request: Annotated[Path | None, typer.Option(help="JSON that says the same as the flags.")] = None,
    complete: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Fill in these partial rows, taken as public, or go on with these persons; stands alone.",
        ),
    ] = None,
    n_next: Annotated[
        int | None,
        typer.Option(
            "--next",
            metavar="K",
            help="With --complete: so many more rows of each person; else to their last.",
        ),
    ] = None,
    on_unsupported: Annotated[
        OnUnsupported | None, typer.Option(help="What to do with cells without support; 'error' by default.")
    ] = None,
    spreadsheet_safe: Annotated[
        bool,
        typer.Option(
            "--spreadsheet-safe",
            help="In CSV files, put an apostrophe before texts that a spreadsheet would take for formulas.",
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes that draw; the rows are the same whatever their number."),
    ] = None,
    sheet: Sheet = None,
    seed: Seed = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Draw synthetic rows or images, conditioned and balanced, or fill in partial rows."""
    from privsynth.cli.images import check_sample_output, check_sheet, completing, write_sheet
    from privsynth.cli.linked import sample_linked
    from privsynth.cli.request import drawing_by, read_request, refuse_beside_complete
    from privsynth.synthesizers import load

    wanted = read_request(
        n=n,
        where=where or [],
        balance=balance,
        balance_missing=balance_missing,
        proportions=proportions,
        like=like,
        parity=parity,
        on_unsupported=on_unsupported.value if on_unsupported else None,
        file=request,
    )
    synthesizer = load(model)
    from privsynth.io.blocks import write_blocks
    from privsynth.sampling.completion import COMPLETED_NOT_COVERED
    from privsynth.synthesizers import LinkedSynthesizer

    if isinstance(synthesizer, LinkedSynthesizer):
        sample_linked(
            synthesizer,
            output,
            wanted,
            seed=seed,
            force=force,
            jobs=jobs,
            as_json=as_json,
            refused={
                "--complete": complete,
                "--next": n_next,
                "--sheet": sheet,
                "--spreadsheet-safe": spreadsheet_safe or None,
            },
        )
        return
    if spreadsheet_safe and (synthesizer.schema_.image is not None or complete is not None):
        raise ParameterError("--spreadsheet-safe is for tables that are drawn; leave it out")
    if jobs is not None and (synthesizer.schema_.image is not None or complete is not None):
        raise ParameterError("--jobs is for tables that are drawn; leave it out")
    check_sample_output(synthesizer, output, force=force)
    check_sheet(sheet, synthesizer.name, force=force)
    columns = [column.name for column in synthesizer.schema_.output_columns]
    if n_next is not None and complete is None:
        raise ParameterError(
            "--next goes on with the persons of --complete TABLE; name the table, or leave it out"
        )
    if complete is not None:
        refuse_beside_complete(wanted)
        what = "rows completed and" if not synthesizer.schema_.is_sequential else "rows that follow"
        rows = completing(synthesizer).complete(complete, n_next=n_next, random_state=seed)
        write_blocks(iter([rows]), output, types=rows, force=force, progress=lambda done: None)
        n_rows, columns = len(rows), [str(name) for name in rows.columns]
        drawing: dict[str, Any] = {"rebalancing_cost": None, "not_covered": [COMPLETED_NOT_COVERED]}
    else:
        what = "synthetic rows" if synthesizer.schema_.image is None else "synthetic images"
        with progress_said(at_least=PROGRESS_ROWS) as progress:
            of_tables: dict[str, Any] = {"in_spreadsheets": True} if spreadsheet_safe else {}
            of_tables |= {} if jobs is None else {"jobs": jobs}
            n_rows = synthesizer.sample_to(
                output, **wanted, **of_tables, random_state=seed, force=force, progress=progress
            )
        drawing = drawing_by(synthesizer, wanted)
    write_sheet(synthesizer, sheet, force=force, seed=seed)
    _print_drawn(
        synthesizer,
        output,
        what,
        n_rows=n_rows,
        columns=columns,
        drawing=drawing,
        is_completed=complete is not None,
        as_json=as_json,
    )


def _print_drawn(
    synthesizer: AnySynthesizer,
    output: Path,
    what: str,
    *,
    n_rows: int,
    columns: list[str],
    drawing: dict[str, Any],
    is_completed: bool,
    as_json: bool,
) -> None:
    """Say what was written, what is not in it, and what the guarantee does not cover of it."""
    left_out = [name for name in synthesizer.schema_.columns if name not in columns]
    unit, rows_of_persons = synthesizer.schema_.unit, synthesizer.rows_of_persons
    persons = drawing.get("persons")
    for sentence in synthesizer.lost_columns():
        warn(sentence)
    fields = {"output": str(output), "rows": n_rows, "unit": unit, "columns": columns, **drawing}
    carried = [name for name in columns if name not in synthesizer.schema_.columns]
    lines = [
        f"{n_rows} {what} written to {output}"
        if persons is None
        else f"{persons} synthetic persons with {n_rows} rows written to {output}",
        *([rows_of_persons] if rows_of_persons is not None and not is_completed else []),
        *([f"carried along as given: {', '.join(map(repr, carried))}"] if carried else []),
        *([f"left out, as the schema says: {', '.join(map(repr, left_out))}"] if left_out else []),
        *(f"not covered: {uncovered}" for uncovered in drawing["not_covered"]),
    ]
    moved = (drawing["rebalancing_cost"] or {}).get("total_variation")
    if moved is not None:
        drawn = what.rpartition(" ")[2] if persons is None else "persons"
        lines.insert(1, f"moved by the request, against the model's own shares: {moved:.1%} of the {drawn}")
    print_result(fields, "\n".join(lines), as_json=as_json)
