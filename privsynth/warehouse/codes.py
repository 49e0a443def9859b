"""Codings in an engine's SQL: each value is looked up by itself, as `privsynth.domains.coding` does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from privsynth.domains.coding import NumberCoding, TextCoding
from privsynth.schema import Category, category_text
from privsynth.warehouse.dialects import Dialect

OUTSIDE = -1


def code_of_number(coding: NumberCoding, number: str, d: Dialect) -> str:
    """Return the code of a number or tick, NULL for missing, as SQL; `OUTSIDE` is counted nowhere."""
    if not len(coding.edges):
        return str(coding.missing)
    first, last = float(coding.edges[0]), float(coding.edges[-1])
    inside = number if coding.low <= first else f"GREATEST({number}, {d.number(coding.low)})"
    inside = inside if coding.high >= last else f"LEAST({inside}, {d.number(coding.high)})"
    codes = np.asarray(coding.code_of_cell)
    begins = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])  # neighbours of one code are one cell
    edges, codes = np.asarray(coding.edges)[begins], codes[begins]
    n = len(edges)
    is_unit = n > 2 and (np.diff(edges) == 1).all() and (codes == np.arange(n)).all()
    if is_unit and float(first).is_integer():
        least, most = d.number(0.0), d.number(float(n - 1))
        low = f"{d.floor(inside)} - {d.number(first)}"
        code = f"CAST(LEAST(GREATEST({low}, {least}), {most}) AS INTEGER)"
    else:
        code = d.cell(inside, edges.tolist(), codes.tolist())
    return f"CASE WHEN {number} IS NULL THEN {coding.missing} ELSE {code} END"


def code_of_position(coding: TextCoding, position: str, labels: Sequence[Category]) -> str:
    """Return the code of a label by its position, NULL for missing, as SQL."""
    codes = [coding.code_of.get(category_text(label), coding.other) for label in labels]
    code = position
    if codes != list(range(len(labels))):
        code = " ".join(f"WHEN {i} THEN {code}" for i, code in enumerate(codes))
        code = f"CASE {position} {code} ELSE {coding.other} END"
    return f"CASE WHEN {position} IS NULL THEN {coding.missing} ELSE {code} END"


def code_of_key(coding: TextCoding, key: str, d: Dialect) -> str:
    """Return the code of a text by its bytes, NULL for missing, as SQL."""
    code = d.code(key, list(coding.code_of.items()), coding.other)
    return f"CASE WHEN {key} IS NULL THEN {coding.missing} ELSE {code} END"
