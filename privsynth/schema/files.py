"""Read the file of a schema or code book: JSON, or YAML that means the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from privsynth.errors import SchemaError

_SCALARS = {  # those of JSON and no others: in YAML 1.1 the category "no" would be false, 2020-01-01 no text
    "null": r"~|null|",
    "bool": r"true|false",
    "int": r"[-+]?[0-9]+",
    "float": r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?",
}


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
        return _of_yaml(text) if is_yaml(path) else json.loads(text, object_pairs_hook=_no_duplicates)
    except FileNotFoundError:
        raise SchemaError(f"there is no schema file {str(path)!r}") from None
    except OSError as error:
        raise SchemaError(f"the schema file {str(path)!r} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, _NotYamlError):
        raise SchemaError(
            f"the schema file {str(path)!r} cannot be read: it is not {kind} in UTF-8"
        ) from None


class _NotYamlError(Exception):
    """The text is no YAML, or holds what JSON has not."""


def _of_yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # as yaml declares it

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            pairs = [
                (str(self.construct_object(k, deep)), self.construct_object(v, True)) for k, v in node.value
            ]
            return _no_duplicates(pairs)

    for tag, pattern in _SCALARS.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), None)
    try:
        return yaml.load(text, Loader)  # a subclass of SafeLoader
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
