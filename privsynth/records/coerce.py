"""Read one raw column by its declaration: numbers, categories and persons out of whatever a table stores.

Every rule is applied once per distinct value and never once per row. What a value means depends on itself and
the declaration alone, never on the other rows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from privsynth.records.distinct import distinct
from privsynth.records.number_lines import READINGS, BrokenRules, NumberReading, fit
from privsynth.records.single_values import Single, Unreadable, as_text
from privsynth.schema import PRIVATE, Category, Column, category_text
from privsynth.schema.plain_values import MAX_GRID_INTEGER

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MISSING_RULE = "a field is missing, but 'missing' is not true"
_WHOLE_WITH_ZEROS = re.compile(r"(-?\d+)\.0+")
_TRUTH = {"false": 0, "0": 0, "0.0": 0, "true": 1, "1": 1, "1.0": 1}  # 1.0: a column with gaps


def conform_column(raw: pd.Series, column: Column) -> tuple[FloatArray | pd.Categorical, list[str]]:
    """Turn a raw column into its canonical form, and name the rules of the schema that it breaks.

    Args:
        raw: The column as the table stores it: texts, numbers, datetimes, booleans, or a mixture.
        column: Its declaration, with every fact declared.

    Returns:
        The column as violations are clipped (see `privsynth.records.conform.conform`): float64 with NaN for
        missing, or a categorical with code -1 for missing; and one sentence per broken rule, without values.

    Privacy:
        Not private: holds the records, and the broken rules tell something about them.
    """
    values, broken = read_column(raw, column)
    return values, list(broken)


def read_column(raw: pd.Series, column: Column) -> tuple[FloatArray | pd.Categorical, BrokenRules]:
    """Read a column as `conform_column` does, and say of each broken rule which rows break it, ``(n,)``.

    Privacy:
        Not private: holds the records.
    """
    values, rules = _numeric(raw, column) if column.is_numeric else _discrete(raw, column)
    return values, {rule: rows for rule, rows in rules.items() if rows.any()}


def rules_in_order(broken: Iterable[str], column: Column) -> list[str]:
    """Return the rules that parts of a column break in the order in which the whole column is told of them.

    Args:
        broken: In the order in which the parts were read.
        column: The declaration.
    """
    empty = pd.Series([], dtype=object)
    _, rules = _numeric(empty, column) if column.is_numeric else _discrete(empty, column)
    place = {rule: i for i, rule in enumerate(rules)}  # others, of unreadable fields, come first
    return sorted(dict.fromkeys(broken), key=lambda rule: place.get(rule, -1))


def person_codes(raw: pd.Series) -> IntArray:
    """Number the persons that a column names, 0 to n_persons - 1; see `read_persons`.

    Privacy:
        Not private: says which rows belong together.
    """
    return read_persons(raw)[0]


def read_persons(raw: pd.Series) -> tuple[IntArray, list[str]]:
    """Number the persons that a column names, 0 to n_persons - 1, and name the rules that it breaks.

    Ids match by their text, blanks around it stripped. A row with an empty id is a person of its own; rows
    whose ids cannot be read are one person together, since they may be.

    Privacy:
        Not private: says which rows belong together.
    """
    codes, names, rules = names_of_persons(raw)
    alone = codes < 0
    codes[alone] = len(names) + np.arange(alone.sum())
    return codes, rules


def names_of_persons(raw: pd.Series) -> tuple[IntArray, list[str | None], list[str]]:
    """Return the person of each row, the text by which each person is known, and the rules that are broken.

    Returns:
        ``(n,)`` positions among the persons that occur, -1 where a row is a person of its own; their texts,
        None for all that cannot be read; and one sentence per broken rule.

    Privacy:
        Not private: returns the records.
    """
    codes, values = distinct(raw, as_text)
    known: dict[str | None, int] = {"": -1}
    persons = [known.setdefault(_text(value), len(known) - 1) for value in values]
    codes = np.array([*persons, -1], dtype=np.int64)[codes]
    return codes, list(known)[1:], list(_unreadable(values))


# -- numbers and times ---------------------------------------------------------------------------------


def _numeric(raw: pd.Series, column: Column) -> tuple[FloatArray, BrokenRules]:
    reading = READINGS.get(column.type or "", NumberReading)(column)
    numbers = reading.stored(raw)
    codes, rules = None, BrokenRules()
    if numbers is not None:
        is_missing = np.isnan(numbers)
    else:
        codes, values = distinct(raw, reading.single)
        rules = _unreadable(values)
        numbers = np.array([reading.number(value) for value in values], dtype=np.float64)
        blanks, is_missing = blanks_of(column), np.isnan(numbers)
        is_missing[is_missing] = [_text(values[i]) in blanks for i in np.flatnonzero(is_missing)]
    if column.missing_values:
        is_missing |= np.isin(numbers, [reading.number(text) for text in column.missing_values])

    is_unreadable = ~np.isfinite(numbers) & ~is_missing
    numbers, broken = fit(np.where(is_missing | is_unreadable, np.nan, numbers), column)
    for rows in rules.values():
        is_unreadable &= ~rows
    rules |= {f"a field is not {reading.what}": is_unreadable} | broken | _missing_rule(is_missing, column)
    return numbers if codes is None else np.append(numbers, np.nan)[codes], _rows_that_break(rules, codes)


# -- categories ----------------------------------------------------------------------------------------


def _discrete(raw: pd.Series, column: Column) -> tuple[pd.Categorical, BrokenRules]:
    codes, values = distinct(raw, as_text)
    texts = [_text(value) for value in values]
    blanks = blanks_of(column)
    labels = _labels(column, texts, blanks)
    code_of = code_of_text(labels, is_boolean=column.type == "boolean")
    if column.type == "categorical" and column.categories != PRIVATE:
        code_of |= _other_spellings(code_of, labels, texts)
    is_missing = np.array([text in blanks for text in texts], dtype=bool)
    is_unknown = np.array([text is not None and text not in code_of for text in texts], dtype=bool)

    rules = {unknown_rule(column): is_unknown & ~is_missing}
    rules = _unreadable(values) | rules | _missing_rule(is_missing, column)
    other = next((code for text, code in code_of.items() if text.lower() == "other"), -1)
    unknown_code = other if column.type == "categorical" else -1
    label_codes = [
        -1 if text is None or text in blanks else code_of.get(text, unknown_code) for text in texts
    ]
    smallest = np.min_scalar_type(-max(len(labels), 1))
    row_codes = np.array([*label_codes, -1], dtype=smallest)[codes]
    return pd.Categorical.from_codes(row_codes, categories=_index(labels)), _rows_that_break(rules, codes)


def _labels(column: Column, texts: list[str | None], blanks: set[str]) -> Sequence[Category]:
    if column.type == "boolean":
        return column.boolean_values
    if isinstance(column.categories, tuple):
        return column.categories
    assert column.categories == PRIVATE, "the schema is complete"
    # texts whatever the table stores: one record must not change that
    return sorted({text for text in texts if text is not None} - blanks)


def code_of_text(labels: Sequence[Category], *, is_boolean: bool) -> dict[str, int]:
    """Map the texts that a table may hold to the position of their label; truth values ignore case.

    Public: reads no record.
    """
    code_of = {category_text(label): code for code, label in enumerate(labels)}
    if is_boolean and all(_TRUTH.get(text.lower()) == code for text, code in code_of.items()):
        return {spelling: code for text, code in _TRUTH.items() for spelling in _cases(text)}
    for text, code in list(code_of.items()):
        if text.lower() in ("false", "true"):
            for spelling in _cases(text):
                code_of.setdefault(spelling, code)
    return code_of


def _cases(text: str) -> tuple[str, str, str]:
    return text.lower(), text.title(), text.upper()


def _other_spellings(
    code_of: Mapping[str, int], labels: Sequence[Category], texts: Iterable[str | None]
) -> dict[str, int]:
    """Return the positions of declared numbers by texts that write them otherwise.

    A whole number may be followed by zeros (1.0, as pandas writes a column with gaps); what is declared as a
    number, not as a text, may be written in any way that means it (01, 1e0).
    """
    numbers = {
        float(label): code
        for code, label in enumerate(labels)
        if not isinstance(label, bool | str) and abs(label) < MAX_GRID_INTEGER
    }
    found = {}
    for text in texts:
        if text is None or text in code_of:
            continue
        whole = _WHOLE_WITH_ZEROS.fullmatch(text)
        code = code_of.get(whole[1]) if whole else numbers.get(_number(text))
        if code is not None:
            found[text] = code
    return found


def _number(text: str) -> float:
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def _index(labels: Sequence[Category]) -> pd.Index:
    is_one_type = len({type(label) for label in labels}) == 1
    return pd.Index(list(labels)) if is_one_type else pd.Index(list(labels), dtype=object)


# -- rules ---------------------------------------------------------------------------------------------


def unknown_rule(column: Column) -> str:
    """Return the rule that a value which is not listed breaks; public."""
    what = "not among its categories"
    if column.type == "boolean":
        no, yes = map(category_text, column.boolean_values)
        what = f"neither of its two values, {no} and {yes}; 'values' names others, false first"
    return f"a value is {what}"


def _unreadable(values: Iterable[Single]) -> BrokenRules:
    """Return which values cannot be read, by the rule that each breaks."""
    values = list(values)
    rules = BrokenRules()
    for i, value in enumerate(values):
        if isinstance(value, Unreadable):
            rules.setdefault(value.rule, np.zeros(len(values), dtype=bool))[i] = True
    return rules


def _missing_rule(is_missing: BoolArray, column: Column) -> BrokenRules:
    return {MISSING_RULE: is_missing} if column.missing is False else {}


def _rows_that_break(rules: BrokenRules, codes: IntArray | None) -> BrokenRules:
    """Turn rules that distinct values break into those that rows break; a row of code -1 is missing."""
    if codes is None:
        return rules
    return {rule: np.append(broken, rule == MISSING_RULE)[codes] for rule, broken in rules.items()}


def blanks_of(column: Column) -> set[str]:
    """Return the texts that are missing in a column; public."""
    return {"", *(text.strip() for text in column.missing_values)}


def _text(value: Single) -> str | None:
    """Return the text by which a value matches, None if it cannot be read."""
    return None if isinstance(value, Unreadable) else category_text(value)
