"""What ``privsynth sample`` is asked for, out of flags and a request file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privsynth.errors import RequestError
from privsynth.errors.json_text import json_value

if TYPE_CHECKING:
    from privsynth.synthesizers.images.base import ImageSynthesizer
    from privsynth.synthesizers.tables.base import TableSynthesizer

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {  # of the values in a request file
    "n": ((int,), "a whole number"),
    "conditions": ((dict,), "an object of column: condition"),
    "balance": ((list,), "a list of columns"),
    "balance_missing": ((bool,), "true or false"),
    "proportions": ((dict, list, str), "an object, a list, or the name of a file"),
    "like": ((str,), "the name of a file"),
    "parity": ((list, dict), "a target and groups"),
    "on_unsupported": ((str,), "'error', 'warn' or 'drop'"),
}


def read_request(
    *,
    n: int | None,
    where: Sequence[str],
    balance: str | None,
    balance_missing: bool,
    proportions: str | None,
    like: str | None,
    parity: str | None,
    on_unsupported: str | None,
    file: Path | None,
) -> dict[str, Any]:
    """Put flags and request file together; nothing may be said twice.

    Args:
        n: Number of rows.
        where: Conditions ``column=value``.
        balance: Column names between commas.
        balance_missing: Whether missing is one of their values.
        proportions: Table with a column ``share`` or ``count``, or JSON.
        like: Table of public rows.
        parity: ``target:group,group``.
        on_unsupported: What to do with cells without support.
        file: JSON object of what the flags say.

    Returns:
        Arguments of a synthesizer's ``sample``.

    Raises:
        RequestError: If a flag or the file is malformed, or both set the same thing.
    """
    flags: dict[str, Any] = {
        "n": n,
        "conditions": conditions_of(where) or None,
        "balance": _names(balance) if balance is not None else None,
        "balance_missing": balance_missing or None,
        "proportions": _proportions(proportions) if proportions else None,
        "like": like,
        "parity": _parity(parity) if parity is not None else None,
        "on_unsupported": on_unsupported,
    }
    stated = {key: value for key, value in flags.items() if value is not None}
    from_file = read_request_file(file) if file else {}
    twice = sorted(set(stated) & set(from_file))
    if twice:
        raise RequestError(f"{twice[0]!r} is set by a flag and in {str(file)!r}; leave one out")
    return from_file | stated


def drawing_by(synthesizer: TableSynthesizer | ImageSynthesizer, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return how far a request moves what is drawn, None if it sets no shares, and what is not covered."""
    return {"rebalancing_cost": None, "not_covered": []} | synthesizer.drawing(**wanted)


def refuse_beside_complete(wanted: Mapping[str, Any]) -> None:
    """Raise a `RequestError` if rows are to be drawn and partial rows to be filled in by one command."""
    if wanted:
        raise RequestError(
            f"--complete fills in the rows that it is given, so {', '.join(map(repr, sorted(wanted)))} "
            "cannot be asked for beside it; leave one out"
        )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _proportions(table: str) -> Any:
    return _read_json(Path(table), "proportions") if table.lower().endswith(".json") else table


def _parity(text: str) -> dict[str, Any]:
    """Read ``target:group,group``.

    Example:
        >>> _parity("income:sex,race")
        {'target': 'income', 'groups': ['sex', 'race']}
    """
    target, colon, groups = text.partition(":")
    if not (target and colon and groups):
        raise RequestError(f"expected --parity TARGET:GROUP,GROUP, got {text!r}")
    return {"target": target.strip(), "groups": _names(groups)}


def conditions_of(where: Sequence[str]) -> dict[str, Any]:
    """Read ``column=value`` flags: a repeated column is a set, an empty value missing.

    Example:
        >>> conditions_of(["age=18..30", "sex=F", "sex=X"])
        {'age': '18..30', 'sex': ['F', 'X']}
        >>> conditions_of(["age="])
        {'age': None}
    """
    values: dict[str, list[Any]] = {}
    for text in where:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise RequestError(f"expected --where column=value, got {text!r}")
        values.setdefault(name, []).append(value or None)
    return {name: listed[0] if len(listed) == 1 else listed for name, listed in values.items()}


def read_request_file(path: Path) -> dict[str, Any]:
    """Read a request that stands in a JSON file.

    Raises:
        RequestError: If it is malformed.
    """
    fields = _read_json(path, "request")
    if not isinstance(fields, dict) or set(fields) - set(_KINDS):
        raise RequestError(
            f"the request {str(path)!r}: expected an object with the keys {', '.join(_KINDS)} only"
        )
    for key, value in fields.items():
        kinds, name = _KINDS[key]
        is_wrong = not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        if value is not None and is_wrong:
            raise RequestError(f"the request {str(path)!r}: {key!r} is not {name}")
    return {key: value for key, value in fields.items() if value is not None}


def _read_json(path: Path, what: str) -> Any:
    try:
        return json_value(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"the {what} {str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError:
        raise RequestError(f"the {what} {str(path)!r} is not JSON in UTF-8") from None
