"""Read one raw column by its declaration: numbers, categories and persons out of whatever a table stores.

Every rule is applied once per distinct value and never once per row, so ten million rows cost seconds.
What a value means depends on itself and the declaration alone, never on the other rows.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from privsynth.errors import SchemaError
from privsynth.number_format import NumberFormat
from privsynth.schema import PRIVATE, Category, Column, category_text, datetime_to_step

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
BrokenRules = dict[str, BoolArray]  # a sentence for each rule that some value breaks, and where

NUMBER_HINT = "words for missing go into 'missing_values'; separators, currency or percent need a 'format'"
MISSING_RULE = "a field is missing, but 'missing' is not true"
_TIME_WITHOUT_ZONE = re.compile(r"[T ]\d[^zZ+-]*$")
_TRUTH = {"false": 0, "0": 0, "true": 1, "1": 1}


def conform_column(raw: pd.Series, column: Column) -> tuple[FloatArray | pd.Categorical, list[str]]:
    """Turn a raw column into its canonical form, and name the rules of the schema that it breaks.

    Args:
        raw: The column as the table stores it: texts, numbers, datetimes, booleans, or a mixture.
        column: Its declaration, with every fact declared.

    Returns:
        The column as violations are clipped (see `privsynth.sources.conform`): float64 with NaN for
        missing, or a categorical with code -1 for missing; and one sentence per broken rule, without values.

    Privacy:
        Not private: holds the records, and the broken rules tell something about them.
    """
    values, broken = read_column(raw, column)
    return values, list(broken)


def read_column(raw: pd.Series, column: Column) -> tuple[FloatArray | pd.Categorical, BrokenRules]:
    """Read a column as `conform_column` does, and say of each broken rule which rows break it.

    Privacy:
        Not private: holds the records.
    """
    raw, is_foreign = _single_values(raw, booleans_as_text=not column.is_numeric)
    values, broken = _numeric(raw, column) if column.is_numeric else _discrete(raw, column)
    foreign = {"a field is not one number, text or date": is_foreign} if is_foreign.any() else {}
    return values, foreign | broken


def person_codes(raw: pd.Series) -> IntArray:
    """Number the persons that a column names, 0 to n_persons - 1.

    Ids match by their text, blanks around it stripped. A row with an empty id is a person of its own.

    Privacy:
        Not private: says which rows belong together.
    """
    codes, distinct = _distinct(_single_values(raw, booleans_as_text=True)[0])
    if not pd.api.types.is_numeric_dtype(raw.dtype):
        names = np.array([_text(value) or None for value in distinct], dtype=object)
        codes = np.append(pd.factorize(names)[0], -1)[codes]
    codes = codes.astype(np.int64)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes


# -- numbers and times ---------------------------------------------------------------------------------


def _numeric(raw: pd.Series, column: Column) -> tuple[FloatArray, BrokenRules]:
    parse = partial(_numbers, written=column.number_format)
    if column.type == "datetime":
        parse = partial(_steps_of_texts, resolution_seconds=column.resolution_seconds)
    numbers = _stored_numbers(raw, column)
    if numbers is not None:
        codes, is_blank = None, np.isnan(numbers)
    else:
        codes, distinct = _distinct(raw)
        numbers = parse(distinct)
        blanks = _blanks(column)
        is_blank = np.isnan(numbers)
        is_blank[is_blank] = [_text(value) in blanks for value in distinct[is_blank]]
    if column.missing_values:
        is_blank |= np.isin(numbers, parse(column.missing_values))

    is_unreadable = ~np.isfinite(numbers) & ~is_blank
    what = "an ISO-8601 date or time" if column.type == "datetime" else f"a finite number ({NUMBER_HINT})"
    numbers, rules = _fit(np.where(is_blank | is_unreadable, np.nan, numbers), column)
    rules = {f"a field is not {what}": is_unreadable, **rules, **_missing_rule(is_blank, column)}
    return numbers if codes is None else np.append(numbers, np.nan)[codes], _broken_rows(rules, codes)


def _stored_numbers(raw: pd.Series, column: Column) -> FloatArray | None:
    """Return a column that is stored as what it is declared to be, None if its fields have to be parsed."""
    if column.type == "datetime":
        if not pd.api.types.is_datetime64_any_dtype(raw.dtype):
            return None
        return _steps(pd.DatetimeIndex(raw), column.resolution_seconds)
    if not pd.api.types.is_numeric_dtype(raw.dtype):
        return None
    return raw.to_numpy(dtype=np.float64, na_value=np.nan)


def _fit(numbers: FloatArray, column: Column) -> tuple[FloatArray, BrokenRules]:
    """Move numbers onto the column's grid and into its public bounds; name the rules they broke.

    A real off its ``decimals`` is rounded and breaks no rule. A number counts as outside only if its
    rounded value is outside too.
    """
    broken: BrokenRules = {}
    rounded = numbers
    low, high = column.bounds
    if column.type == "integer":
        rounded = np.rint(numbers)
        broken["a value is not a whole number"] = np.abs(numbers - rounded) > 0
    elif column.type == "real" and column.decimals is not None:
        with np.errstate(all="ignore"):  # a number too large to be rounded stays as it is
            tried = np.round(numbers, column.decimals)
        rounded = np.where(np.isfinite(tried), tried, numbers)
    if low is not None or high is not None:
        is_low = np.fmax(numbers, rounded) < (-np.inf if low is None else low)
        is_high = np.fmin(numbers, rounded) > (np.inf if high is None else high)
        public = [f"{which}={getattr(column, which)}" for which in ("low", "high")]
        shown = [text for text, bound in zip(public, (low, high), strict=True) if bound is not None]
        broken[f"a value is outside the public bounds ({', '.join(shown)})"] = is_low | is_high
        rounded = np.clip(rounded, low, high)
    return rounded + 0.0, broken  # -0.0 becomes 0.0


def _numbers(
    values: Sequence[object] | npt.NDArray[np.object_], written: NumberFormat | None = None
) -> FloatArray:
    """Return values as numbers, NaN where they are none."""
    if written is not None:
        values = [written.plain_text(value) if isinstance(value, str) else value for value in values]
    # Beside a fraction pandas reads every number by itself; without one, whole numbers of 17 digits and more
    # are rounded otherwise, and one record would change how others are read.
    parsed = pd.to_numeric(np.array([*values, 0.5], dtype=object), errors="coerce")
    return np.asarray(parsed[:-1], dtype=np.float64)


def _steps_of_texts(values: Iterable[object], *, resolution_seconds: int) -> FloatArray:
    """Return ISO-8601 texts as whole steps since 1970 (UTC if they name no zone), NaN where they are none."""
    texts = [_text(value) for value in values]
    # "now" is no date; a time without a zone gets one, since pandas would take over that of an earlier text
    dated = [
        None if not text[:4].isdigit() else f"{text}Z" if _TIME_WITHOUT_ZONE.search(text) else text
        for text in texts
    ]
    steps = _steps(pd.to_datetime(dated, format="ISO8601", errors="coerce", utc=True), resolution_seconds)
    for i in np.flatnonzero(np.isnan(steps)):  # years that nanoseconds cannot hold, such as 9999
        try:
            steps[i] = datetime_to_step(texts[i], resolution_seconds, "a field")
        except SchemaError:
            continue
    return steps


def _steps(moments: pd.DatetimeIndex, resolution_seconds: int) -> FloatArray:
    utc = moments.tz_convert(None) if moments.tz is not None else moments
    seconds = utc.to_numpy().astype("datetime64[s]")  # numpy rounds down, also before 1970
    steps = (seconds.astype(np.int64) // resolution_seconds).astype(np.float64)
    return np.where(np.isnat(seconds), np.nan, steps)


# -- categories ----------------------------------------------------------------------------------------


def _discrete(raw: pd.Series, column: Column) -> tuple[pd.Categorical, BrokenRules]:
    codes, distinct = _distinct(raw)
    texts = [_text(value) for value in distinct]
    blanks = _blanks(column)
    labels = _labels(column, texts, blanks)
    code_of = _code_of_text(labels, is_boolean=column.type == "boolean")
    is_blank = np.array([text in blanks for text in texts], dtype=bool)
    is_unknown = np.array([text not in code_of for text in texts], dtype=bool) & ~is_blank

    what = "neither of its two values" if column.type == "boolean" else "not among its categories"
    rules = {f"a value is {what}": is_unknown, **_missing_rule(is_blank, column)}
    other = next((code for text, code in code_of.items() if text.lower() == "other"), -1)
    unknown_code = other if column.type == "categorical" else -1
    label_codes = [
        -1 if blank else code_of.get(text, unknown_code) for text, blank in zip(texts, is_blank, strict=True)
    ]
    smallest = np.min_scalar_type(-max(len(labels), 1))
    row_codes = np.array([*label_codes, -1], dtype=smallest)[codes]
    return pd.Categorical.from_codes(row_codes, categories=_index(labels)), _broken_rows(rules, codes)


def _labels(column: Column, texts: list[str], blanks: set[str]) -> Sequence[Category]:
    if column.type == "boolean":
        return column.boolean_values
    if isinstance(column.categories, tuple):
        return column.categories
    assert column.categories == PRIVATE, "the schema is complete"
    return sorted(set(texts) - blanks)  # texts whatever the table stores: one record must not change that


def _code_of_text(labels: Sequence[Category], *, is_boolean: bool) -> dict[str, int]:
    """Map the texts that a table may hold to the position of their label; truth values ignore case."""
    code_of = {category_text(label): code for code, label in enumerate(labels)}
    if is_boolean and all(_TRUTH.get(text.lower()) == code for text, code in code_of.items()):
        code_of = dict(_TRUTH)
    for text, code in list(code_of.items()):
        if text.lower() in ("false", "true"):
            for spelling in (text.lower(), text.title(), text.upper()):
                code_of.setdefault(spelling, code)
    return code_of


def _index(labels: Sequence[Category]) -> pd.Index:
    is_one_type = len({type(label) for label in labels}) == 1
    return pd.Index(list(labels)) if is_one_type else pd.Index(list(labels), dtype=object)


# -- broken rules --------------------------------------------------------------------------------------


def _missing_rule(is_blank: BoolArray, column: Column) -> BrokenRules:
    return {MISSING_RULE: is_blank} if column.missing is False else {}


def _broken_rows(rules: BrokenRules, codes: IntArray | None) -> BrokenRules:
    """Turn rules broken by distinct values into those broken by rows; a row of code -1 is empty."""
    if codes is None:
        return {rule: rows for rule, rows in rules.items() if rows.any()}
    of_rows = {rule: np.append(values, rule == MISSING_RULE)[codes] for rule, values in rules.items()}
    return {rule: rows for rule, rows in of_rows.items() if rows.any()}


# -- distinct values -----------------------------------------------------------------------------------


def _distinct(raw: pd.Series) -> tuple[IntArray, npt.NDArray[np.object_]]:
    """Return each row's position among the distinct values, -1 for NaN and None, and those values."""
    codes, values = pd.factorize(raw)
    return codes, np.asarray(values, dtype=object)


def _single_values(raw: pd.Series, *, booleans_as_text: bool) -> tuple[pd.Series, BoolArray]:
    """Turn a column of Python objects into texts, numbers and None, each by itself.

    Equal objects of different types (1 and True, two kinds of date) would be one distinct value, and its
    text would depend on which row comes first.

    Returns:
        The column, and which rows held objects that are no single value; they become missing.
    """
    is_foreign = np.zeros(len(raw), dtype=bool)
    if isinstance(raw.dtype, pd.CategoricalDtype) and raw.dtype.categories.dtype == object:
        if all(type(value) is str for value in raw.dtype.categories):
            return raw, is_foreign  # texts, and each stands for itself
        raw = raw.astype(object)
    if raw.dtype != object:
        return raw, is_foreign
    values = raw.to_numpy(dtype=object, copy=True)
    kinds = np.fromiter(map(type, values), dtype=object, count=len(values))
    for row in np.flatnonzero(~pd.Index(kinds).isin([str, float, type(None)])):
        values[row], is_foreign[row] = _single_value(values[row], booleans_as_text=booleans_as_text)
    return pd.Series(values, name=raw.name, dtype=object), is_foreign


def _single_value(value: object, *, booleans_as_text: bool) -> tuple[object, bool]:
    """Return an object as a text, a number or None, and whether it is none of these."""
    if isinstance(value, bool | np.bool_):
        return (("true" if value else "false") if booleans_as_text else float(value)), False
    if isinstance(value, int | np.integer):
        return (int(value), False) if abs(int(value)) < 2**1023 else (None, True)
    if isinstance(value, float | np.floating):
        return float(value), False
    if isinstance(value, Decimal):
        return (None, True) if value.is_nan() else (float(value), False)
    if isinstance(value, str):
        return str(value), False
    if value is pd.NaT or value is pd.NA:
        return None, False
    if isinstance(value, dt.date | np.datetime64):
        return (None, False) if pd.isna(value) else (_iso(value), False)
    return None, True


def _iso(value: dt.date | np.datetime64) -> str:
    """Return a date or time as ISO-8601, the same for every type that means the same."""
    if isinstance(value, np.datetime64):
        return str(np.datetime_as_string(value.astype("datetime64[us]"))).removesuffix(".000000")
    return value.isoformat()


def _blanks(column: Column) -> set[str]:
    return {"", *(text.strip() for text in column.missing_values)}


def _text(value: object) -> str:
    return category_text(value.item() if isinstance(value, np.generic) else value)
