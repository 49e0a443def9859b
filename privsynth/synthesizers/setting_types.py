"""Settings hold what their fields are declared to hold: whoever wrote them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import numpy as np
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from privsynth.errors import ParameterError

ALL_ITEMS = CollectionCheckStrategy.ALL_ITEMS


def check_setting_types(settings: Any) -> None:
    """Check the type of every setting, and of those of settings inside.

    Raises:
        ParameterError: If one is of another type than it is declared.

    Privacy:
        Public: reads no record.
    """
    declared = get_type_hints(type(settings))
    for field in fields(settings):
        value = getattr(settings, field.name)
        plain = value.item() if isinstance(value, np.generic) else value
        try:
            check_type(plain, declared[field.name], collection_check_strategy=ALL_ITEMS)
        except TypeCheckError:
            raise ParameterError(
                f"expected {field.name} of {type(settings).__name__} to be {field.type}, got {value!r:.40}"
            ) from None
        if is_dataclass(value):
            check_setting_types(value)
