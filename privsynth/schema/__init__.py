"""What is public about a table or a set of images, and how it is written down. Reads no record.

A schema is written by the caller and read by everyone else: `schema` holds it, `columns`, `constraints` and
`image_shape` its parts, `times`, `number_format` and `dialect` how fields are written, `code_books` and `sdv`
what else one is read from. `linked` is the schema of several tables, `linked_tables` and `public_tables` its
parts.
"""

from __future__ import annotations

from privsynth.schema.column_facts import PRIVATE, RESOLUTION_SECONDS, Category
from privsynth.schema.column_types import whole_steps
from privsynth.schema.columns import DISCRETE_TYPES, TYPES, Column
from privsynth.schema.plain_values import category_text
from privsynth.schema.schema import ROWS_OF_HISTORIES, ROWS_OF_PERSONS, SCHEMA_VERSION, Schema
from privsynth.schema.times import datetime_to_step

__all__ = [
    "DISCRETE_TYPES",
    "PRIVATE",
    "RESOLUTION_SECONDS",
    "ROWS_OF_HISTORIES",
    "ROWS_OF_PERSONS",
    "SCHEMA_VERSION",
    "TYPES",
    "Category",
    "Column",
    "Schema",
    "category_text",
    "datetime_to_step",
    "whole_steps",
]
