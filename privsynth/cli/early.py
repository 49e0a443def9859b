"""What is found wrong before anything heavy is imported: a file that is not there, a column that is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from privsynth.schema import Schema
    from privsynth.schema.linked import LinkedSchema


def check_table(table: str, schema: Schema | LinkedSchema) -> None:
    """Raise the error that a command would end with if a table is not there or lacks a column.

    Tables in engines, pipes, images and linked tables are left to the command, and so are the helpers of
    torchrun, which read no table.

    Raises:
        SchemaError, TableError: As `privsynth.io.tables.open_table` and
            `privsynth.records.conform.check_has_columns` do.
    """
    from privsynth.io.files import is_url
    from privsynth.io.tables import open_table
    from privsynth.records.conform import check_has_columns, needed_columns
    from privsynth.schema import Schema

    if not isinstance(schema, Schema) or schema.image is not None or is_url(table) or "RANK" in os.environ:
        return
    if (path := Path(table)).exists() and not (path.is_file() or path.is_dir()):
        return  # a pipe gives its bytes once
    source = open_table(table, needed_columns(schema), schema=schema)
    try:
        check_has_columns(source.names, schema, "the table")
    finally:
        source.close()
