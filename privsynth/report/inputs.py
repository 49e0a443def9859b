"""What an audit is given: tables or images, as the schema says."""

from __future__ import annotations

from typing import Any

import pandas as pd

from privsynth.errors import ParameterError
from privsynth.metrics.common.tables import Table, Tables
from privsynth.metrics.common.units import n_units
from privsynth.records.conform import Records
from privsynth.records.images import ImageSource
from privsynth.schema.images import LabelledImages

TABLES = ("real", "synthetic", "holdout", "reference")


def as_images(source: Table | ImageSource) -> ImageSource:
    """Return a source of images; raises a `ParameterError` if it is a frame.

    Privacy:
        Not private: returns what it is given.
    """
    if isinstance(source, pd.DataFrame):
        raise ParameterError(
            "expected images, as the schema says: LabelledImages, (pixels, labels) or a path; got a frame"
        )
    return source


def as_table(source: Table | ImageSource) -> Table:
    """Return a source of a table; raises a `ParameterError` if it holds images.

    Privacy:
        Not private: returns what it is given.
    """
    if isinstance(source, tuple | LabelledImages):
        raise ParameterError(
            "expected a table, as the schema says, got images; to audit images, add their shape to the "
            'schema: "image": {"height": ..., "width": ..., "channels": ...}'
        )
    return source


def described(tables: Tables) -> dict[str, Any]:
    """Return the numbers of rows and units of each table, or of the labels of each set of images.

    Privacy:
        Not private: exact counts.
    """
    given: dict[str, Records | None] = {name: getattr(tables, name) for name in TABLES}
    given["twin"] = tables.non_private[0] if tables.non_private else None
    return {
        name: None if records is None else {"n_rows": len(records.frame), "n_units": n_units(records)}
        for name, records in given.items()
    }
