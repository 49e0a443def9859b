"""The file of a schema or code book: JSON, or YAML that means the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from privsynth.errors import SchemaError
from privsynth.errors.json_text import check_bounds, json_value

_TAG = "tag:yaml.org,2002:"
_SCALARS = {  # those of JSON and no others: in YAML 1.1 the category "no" would be false, and 010 would be 8
    "null": r"~|null|",
    "bool": r"true|false",
    "int": r"[-+]?(?:0|[1-9][0-9]*)",
    "float": r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?",
}
_KINDS = {_TAG + name for name in (*_SCALARS, "str", "seq", "map")}  # all that JSON can hold


def is_yaml(path: str | Path) -> bool:
    """Whether a file's name announces YAML."""
    return Path(path).suffix.lower() in (".yaml", ".yml")


def read_fields(path: str | Path) -> Any:
    """Return the objects of a JSON or YAML file.

    Raises:
        SchemaError: If there is no such file, it cannot be parsed, or a key stands twice in one object.
    """
    kind = "YAML" if is_yaml(path) else "JSON"
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        fields = _of_yaml(text) if is_yaml(path) else json_value(text, object_pairs_hook=_no_duplicates)
        check_bounds(fields)
        return fields
    except FileNotFoundError:
        raise SchemaError(f"there is no schema file {str(path)!r}") from None
    except OSError as error:
        raise SchemaError(f"the schema file {str(path)!r} cannot be read: {error.strerror}") from None
    except SchemaError:
        raise
    except (UnicodeDecodeError, json.JSONDecodeError, _NotYamlError):
        raise SchemaError(
            f"the schema file {str(path)!r} cannot be read: it is not {kind} in UTF-8"
        ) from None
    except (ValueError, RecursionError):
        raise SchemaError(
            f"the schema file {str(path)!r} cannot be read: it is nested too deeply or too large, or has a "
            "number beyond 1e308"
        ) from None


def write_fields(path: str | Path, fields: Mapping[str, Any]) -> None:
    """Write the objects of a schema as JSON."""
    text = json.dumps(fields, indent=1, ensure_ascii=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def refuse_unknown(what: str, fields: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raise a `SchemaError` if an object has a key that is not known.

    Args:
        what: What the object describes, as the message names it.
        fields: The object.
        known: Names of all keys that it may have.
    """
    unknown = sorted(set(fields) - known)
    if unknown:
        raise SchemaError(f"unknown key {unknown[0]!r} in {what}; known are {', '.join(sorted(known))}")


class _NotYamlError(Exception):
    """The text is no YAML, or holds what JSON has not."""


def _of_yaml(text: str) -> Any:
    import yaml

    class JsonLoader(yaml.SafeLoader):
        """Reads what JSON can hold; any other tag is refused, those of times and sets too."""

        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # as yaml declares it
        yaml_constructors = {  # noqa: RUF012  # as yaml declares it
            tag: make
            for tag, make in yaml.SafeLoader.yaml_constructors.items()
            if tag is None or tag in _KINDS  # None: what refuses a tag that is not known
        }

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            pairs = [
                (self.construct_scalar(key), self.construct_object(value, True)) for key, value in node.value
            ]
            return _no_duplicates(pairs)

    for name, pattern in _SCALARS.items():
        JsonLoader.add_implicit_resolver(_TAG + name, re.compile(rf"^(?:{pattern})$"), None)
    try:
        loader = JsonLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except SchemaError:
        raise
    except (yaml.YAMLError, ValueError):
        raise _NotYamlError from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SchemaError(f"the key {twice!r} stands twice in one object of the schema")
    return out
