"""What commands do where a schema or model is of linked tables: folders in the place of files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privsynth.cli.console import PROGRESS_ROWS, check_output_folder, print_result, progress_said, warn
from privsynth.errors import ParameterError

if TYPE_CHECKING:
    from privsynth.schema import Schema
    from privsynth.schema.linked import LinkedSchema
    from privsynth.synthesizers import LinkedSynthesizer

SUFFIX = ".csv"


def read_schema(path: Path) -> Schema | LinkedSchema:
    """Read the schema of a table, or of linked tables: the file says which.

    Raises:
        SchemaError: If it is neither.
    """
    from privsynth.schema import Schema
    from privsynth.schema.files import read_fields
    from privsynth.schema.linked import LinkedSchema, is_linked

    return LinkedSchema.load(path) if is_linked(read_fields(path)) else Schema.load(path)


def refuse_for_linked(flags: Mapping[str, object], *, what: str = "the schema") -> None:
    """Raise a `ParameterError` if a flag is set that means nothing of linked tables.

    Args:
        flags: Their values by name; None where they are not set.
        what: What says that tables are linked.
    """
    for flag, value in flags.items():
        if value is not None:
            raise ParameterError(f"{flag} is of single tables and images, and {what} is of linked tables")


def sample_linked(
    synthesizer: LinkedSynthesizer,
    folder: Path,
    wanted: dict[str, Any],
    *,
    seed: int | None,
    force: bool,
    jobs: int | None,
    as_json: bool,
    refused: dict[str, object],
) -> None:
    """Draw persons with all that belongs to them into a folder, each table in a file of its name.

    Args:
        synthesizer: A fitted one.
        folder: Where the files go; made if need be.
        wanted: What is asked for of persons.
        seed: Makes the result repeatable.
        force: Replace existing files.
        jobs: How many processes draw; one if None.
        as_json: Print JSON.
        refused: Flags that mean nothing here, by name; None where they are not set.

    Raises:
        ParameterError: If a flag is set that means nothing here, or the folder is named like a file.
        TableError: If a file cannot be written, or exists and ``force`` is not set.
    """
    refuse_for_linked(refused, what="the model")
    names = tuple(f"{name}{SUFFIX}" for name in synthesizer.schema_.tables)
    if folder.suffix:
        raise ParameterError(
            f"the model is of linked tables, which go into a folder; expected -o FOLDER, got {str(folder)!r}"
        )
    check_output_folder(folder, names, force=force)
    with progress_said(at_least=PROGRESS_ROWS) as progress:
        sizes = synthesizer.sample_to(
            folder,
            **wanted,
            suffix=SUFFIX,
            random_state=seed,
            force=force,
            jobs=1 if jobs is None else jobs,
            progress=progress,
        )
    drawing = {"rebalancing_cost": None, "not_covered": []} | synthesizer.drawing(**wanted)
    for sentence in synthesizer.lost_columns():
        warn(sentence)
    fields = {
        "output": str(folder),
        "rows": sizes,
        "unit": synthesizer.schema_.unit,
        "rebalancing_cost": drawing["rebalancing_cost"],
        "not_covered": drawing["not_covered"],
    }
    lines = [
        f"{sizes[synthesizer.schema_.person]} synthetic persons written to {folder}",
        *(f"  {file}: {n} rows" for file, n in zip(names, sizes.values(), strict=True)),
        synthesizer.schema_.rows_of_persons,
        *(f"not covered: {uncovered}" for uncovered in fields["not_covered"]),
    ]
    print_result(fields, "\n".join(lines), as_json=as_json)
