"""Flags that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TABLES = "CSV (.csv, .csv.gz) or Parquet file, folder of Parquet, or quoted pattern ('visits-*.csv')"
# texts, not paths: a path would take one slash out of what names a table elsewhere, as duckdb://
TablePath = Annotated[str, typer.Argument(metavar="TABLE", help=f"{TABLES}.")]
_RECORDS = typer.Argument(
    metavar="TABLE",
    help=f"{TABLES}; images: a folder of PNG or JPEG, an .npz or an idx file; linked tables: a folder; "
    "for fit by marginal, a table in an engine: duckdb://PATH#TABLE or "
    "postgresql://USER@HOST/DATABASE#TABLE.",
)
RecordsPath = Annotated[str, _RECORDS]
MaybeRecordsPath = Annotated[str | None, _RECORDS]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="Model file written by `privsynth fit`.")]
SchemaPath = Annotated[Path, typer.Option("--schema", help="Schema JSON.")]
LedgerPlace = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="FILE",
        help="Ledger file, or a team's: postgresql://USER@HOST/DATABASE; else $PRIVSYNTH_LEDGER, else in "
        "your data folder.",
    ),
]
Delta = Annotated[
    float, typer.Option(help="Probability that the guarantee fails; never derived from the data.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Makes the result repeatable.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing output.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; an error is JSON too, on stderr.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="No progress and no notes; warnings and errors are still said.")
]

Sheet = Annotated[
    Path | None,
    typer.Option(metavar="FILE.png", help="Contact sheet, for images: a row for each class and group."),
]
