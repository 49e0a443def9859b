"""Constraints between columns, as a schema declares them: public, or found under the budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from privsynth.errors import SchemaError
from privsynth.schema.column_facts import PRIVATE, Category
from privsynth.schema.columns import DISCRETE_TYPES, Column
from privsynth.schema.plain_values import category_text

MAX_COMBINATIONS = 5_000
Combination = tuple[Category | None, ...]


@dataclass(frozen=True)
class Inequality:
    """Each column is at most the next one that is not missing (less than it, if strict)."""

    columns: tuple[str, ...]
    strict: bool = False

    def __str__(self) -> str:
        return (" < " if self.strict else " <= ").join(self.columns)


@dataclass(frozen=True)
class Combinations:
    """Only these combinations of values occur.

    Attributes:
        columns: Names of the columns.
        allowed: The combinations, None for missing; ``"private"`` if they are found under the budget.
        n_determinants: How many of the first columns decide on the others; all of them if none is decided.
    """

    columns: tuple[str, ...]
    allowed: tuple[Combination, ...] | str
    n_determinants: int

    @property
    def is_private(self) -> bool:
        """Whether the combinations are found under the budget."""
        return self.allowed == PRIVATE

    def __str__(self) -> str:
        if self.n_determinants < len(self.columns):
            decided = self.columns[self.n_determinants]
            return f"{', '.join(self.columns[: self.n_determinants])} decides on {decided}"
        return f"fixed combinations of {', '.join(self.columns)}"


@dataclass(frozen=True)
class Sum:
    """The first column is the weighted sum of the others: it is computed and not learnt."""

    columns: tuple[str, ...]
    weights: tuple[float, ...]

    def __str__(self) -> str:
        terms = [
            name if weight == 1 else f"{weight:g} {name}"
            for name, weight in zip(self.columns[1:], self.weights, strict=True)
        ]
        return f"{self.columns[0]} = {' + '.join(terms)}"


@dataclass(frozen=True)
class Unique:
    """No value of a made-up column occurs twice; with a pattern, all are of its form."""

    columns: tuple[str, ...]
    pattern: str | None = None

    def __str__(self) -> str:
        return f"{self.columns[0]} is unique" + (f", of the form {self.pattern}" if self.pattern else "")


Constraint = Inequality | Combinations | Sum | Unique


def read_constraints(
    stated: Iterable[Mapping[str, Any]], columns: Mapping[str, Column]
) -> tuple[Constraint, ...]:
    """Read the constraints of a schema.

    Raises:
        SchemaError: If one is malformed, cannot be kept, contradicts a declared fact or another one.

    Privacy:
        Public: reads no record.
    """
    out = []
    for fields in stated:
        kind = fields.get("kind")
        if not isinstance(kind, str) or kind not in _READERS:
            raise SchemaError(
                f"constraints: a constraint of kind {kind!r} cannot be kept: there is no way to draw rows "
                f"that satisfy it without dropping others; known kinds are {', '.join(_READERS)}"
            )
        reader, keys = _READERS[kind]
        unknown = sorted(set(fields) - keys - {"kind", "columns"})
        if unknown:
            raise SchemaError(f"constraints: a constraint of kind {kind!r} has no {unknown[0]!r}")
        out.append(reader(fields, _named(fields, kind, columns)))
    _check_disjoint(out)
    return tuple(out)


def _named(fields: Mapping[str, Any], kind: Any, columns: Mapping[str, Column]) -> list[Column]:
    names = fields.get("columns")
    least = 1 if kind == "unique" else 2
    if not _is_list(names) or len(names) < least or len(set(map(str, names))) < len(names):
        raise SchemaError(
            f"constraints: {kind!r} needs 'columns', a list of at least {least} different columns"
        )
    for name in names:
        if not isinstance(name, str) or name not in columns:
            raise SchemaError(
                f"constraints: {kind!r} names the column {name!r}, which the schema does not have"
            )
    return [columns[name] for name in names]


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _names(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


# -- inequality ----------------------------------------------------------------------------------------


def _inequality(fields: Mapping[str, Any], columns: list[Column]) -> Inequality:
    strict = fields.get("strict", False)
    if not isinstance(strict, bool):
        raise SchemaError(f"constraints: 'strict' is true or false, got {strict!r}")
    constraint = Inequality(_names(columns), strict)
    for column in columns:
        if not (column.is_numeric and column.is_modelled):
            raise SchemaError(f"constraints: {constraint}: {column.name!r} is not a number line")
    first = columns[0]
    for column in columns[1:]:
        if column.line.scale(column) != first.line.scale(first):
            raise SchemaError(
                f"constraints: {constraint}: {column.name!r} has another step than {first.name!r}; give both "
                "the same type, and the same decimals or resolution"
            )
    if strict and first.step is not None and any(column.missing for column in columns[1:-1]):
        raise SchemaError(
            f"constraints: {constraint}: a strict chain cannot be kept across a column in its middle that "
            "may be missing; declare one strict inequality for each pair, or let it not be strict"
        )
    _check_bounds(constraint, columns)
    return constraint


def _check_bounds(constraint: Inequality, columns: list[Column]) -> None:
    """Refuse public bounds that leave no increasing values; a step apart, if strict."""
    step = (columns[0].step or 0.0) if constraint.strict else 0.0
    floor = None
    for column in columns:
        if column.missing:
            continue
        low, high = column.bounds
        if low is not None:
            floor = low if floor is None else max(floor + step, low)
        elif floor is not None:
            floor += step
        if floor is not None and high is not None and floor > high:
            raise SchemaError(
                f"constraints: {constraint} cannot hold: {column.name!r} ends at {column.high}, and the "
                "columns before it begin above that"
            )


# -- combinations --------------------------------------------------------------------------------------


def _fixed_combinations(fields: Mapping[str, Any], columns: list[Column]) -> Combinations:
    return _combinations(fields, columns, len(columns))


def _functional_dependency(fields: Mapping[str, Any], columns: list[Column]) -> Combinations:
    constraint = _combinations(fields, columns, len(columns) - 1)
    if not constraint.is_private:
        deciding = [combination[:-1] for combination in constraint.allowed]
        if len(set(deciding)) < len(deciding):
            raise SchemaError(
                f"constraints: {constraint}: two combinations begin alike and end differently, so nothing "
                "is decided"
            )
    return constraint


def _combinations(fields: Mapping[str, Any], columns: list[Column], n_determinants: int) -> Combinations:
    names = ", ".join(column.name for column in columns)
    for column in columns:
        if column.type not in DISCRETE_TYPES or not column.is_modelled:
            raise SchemaError(
                f"constraints: combinations of {names}: {column.name!r} is not a categorical or boolean "
                "column"
            )
    stated = fields.get("combinations")
    if stated == PRIVATE:
        return Combinations(_names(columns), PRIVATE, n_determinants)
    if not _is_list(stated) or not 0 < len(stated) <= MAX_COMBINATIONS:
        raise SchemaError(
            f"constraints: combinations of {names}: 'combinations' is a list of 1 to {MAX_COMBINATIONS} "
            'combinations if they are public, or "private" to find them under the budget'
        )
    allowed = []
    for combination in stated:
        if not _is_list(combination) or len(combination) != len(columns):
            raise SchemaError(
                f"constraints: combinations of {names}: expected {len(columns)} values, got {combination!r}"
            )
        allowed.append(
            tuple(_value(column, value) for column, value in zip(columns, combination, strict=True))
        )
    if len(set(allowed)) < len(allowed):
        raise SchemaError(f"constraints: combinations of {names}: the same combination is listed twice")
    return Combinations(_names(columns), tuple(allowed), n_determinants)


def _value(column: Column, value: Category | None) -> Category | None:
    """Return a value of a combination, checked against what the schema declares."""
    if value is None:
        if column.missing is False:
            raise SchemaError(f"constraints: a combination has {column.name!r} missing, which it never is")
        return None
    if not isinstance(value, Category):
        raise SchemaError(f"constraints: {value!r} in a combination is not a text, number or boolean")
    declared = column.labels
    if declared is not None and category_text(value) not in {category_text(v) for v in declared}:
        raise SchemaError(
            f"constraints: {value!r} in a combination is not among the values of {column.name!r}"
        )
    return value


# -- sums ----------------------------------------------------------------------------------------------


def _sum(fields: Mapping[str, Any], columns: list[Column]) -> Sum:
    total, *parts = columns
    weights = fields.get("weights", [1] * len(parts))
    if (
        not _is_list(weights)
        or len(weights) != len(parts)
        or not all(isinstance(w, int | float) and not isinstance(w, bool) and w != 0 for w in weights)
    ):
        raise SchemaError(f"constraints: the sum {total.name!r} needs one weight other than 0 for each part")
    constraint = Sum(_names(columns), tuple(float(w) for w in weights))
    for column in columns:
        if not column.has_number_format:
            raise SchemaError(f"constraints: {constraint}: {column.name!r} is not a number")
    if total.role is not None:
        raise SchemaError(
            f"constraints: {constraint}: {total.name!r} is computed, so it cannot be a {total.role}; "
            "give the role to a part"
        )
    if any(part.missing for part in parts) and not total.missing:
        raise SchemaError(
            f"constraints: {constraint}: a part may be missing, and then the sum is; let {total.name!r} be "
            "missing"
        )
    if total.type == "integer" and any(
        part.type != "integer" or weight != int(weight)
        for part, weight in zip(parts, constraint.weights, strict=True)
    ):
        raise SchemaError(
            f"constraints: {constraint}: {total.name!r} is an integer, and the sum need not be one"
        )
    _check_range_of_sum(constraint, total, parts)
    return constraint


def _check_range_of_sum(constraint: Sum, total: Column, parts: list[Column]) -> None:
    low, high = total.bounds
    if low is None and high is None:
        return
    smallest = largest = 0.0
    for part, weight in zip(parts, constraint.weights, strict=True):
        ends = [weight * end if end is not None else float("nan") for end in part.bounds]
        smallest, largest = smallest + min(ends), largest + max(ends)
    if not ((low is None or smallest >= low - 1e-9) and (high is None or largest <= high + 1e-9)):
        raise SchemaError(
            f"constraints: {constraint}: the parts may add up to less or more than 'low' and 'high' of "
            f"{total.name!r} allow; leave these out, since they follow from the parts, or narrow the parts"
        )


# -- keys ----------------------------------------------------------------------------------------------


def _unique(fields: Mapping[str, Any], columns: list[Column]) -> Unique:
    (column,) = columns if len(columns) == 1 else (None,)
    pattern = fields.get("pattern")
    if not isinstance(pattern, str | None):
        raise SchemaError(f"constraints: 'pattern' is a text, got {pattern!r}")
    if column is None or column.is_modelled or column.drop:
        raise SchemaError(
            "constraints: only a column that is made afresh (type 'id' or 'text', role 'key' or 'person_id') "
            f"can be unique, and {', '.join(_names(columns))} cannot: learnt values are drawn row by row, "
            "and making them differ would mean dropping rows"
        )
    return Unique(_names(columns), pattern)


def _check_disjoint(constraints: Sequence[Constraint]) -> None:
    """Refuse two constraints that would have to be kept together; computed columns stand alone."""
    owner: dict[str, Constraint] = {}
    computed = {c.columns[0]: c for c in constraints if isinstance(c, Sum)}
    for constraint in constraints:
        names = constraint.columns[:1] if isinstance(constraint, Sum) else constraint.columns
        for name in names:
            if name in owner:
                raise SchemaError(
                    f"constraints: {name!r} stands in two constraints, {owner[name]} and {constraint}; state "
                    "them as one"
                )
            owner[name] = constraint
        for name in constraint.columns[1:] if isinstance(constraint, Sum) else ():
            if name in computed:
                raise SchemaError(f"constraints: {constraint}: the part {name!r} is itself computed")


_READERS: dict[str, tuple[Callable[[Mapping[str, Any], list[Column]], Constraint], set[str]]] = {
    "inequality": (_inequality, {"strict"}),
    "fixed_combinations": (_fixed_combinations, {"combinations"}),
    "functional_dependency": (_functional_dependency, {"combinations"}),
    "sum": (_sum, {"weights"}),
    "unique": (_unique, {"pattern"}),
}
