"""The JSON that others script against keeps its shape."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest

import privsynth.report
from privsynth.report import AuditReport, audit, public_report
from privsynth.schema import Schema

SCHEMA = json.loads(
    (Path(privsynth.report.__file__).parent / "report.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
Draw = Callable[[int, int], pd.DataFrame]


def errors(content: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(content)]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_full_audit_is_valid(report: AuditReport) -> None:
    assert errors(report.to_dict()) == []


def test_audits_of_little_are_valid(draw: Draw, schema: Schema) -> None:
    columns = {column.name: {**column.to_dict(), "role": None} for column in schema.modelled}
    bare = audit(real=draw(60, 0), synthetic=draw(60, 1), schema=Schema(columns), quick=True)
    assert errors(bare.to_dict()) == []
    number = audit(
        real=draw(200, 0), synthetic=draw(200, 1), holdout=draw(150, 2), schema=schema, target="pay",
        quick=True, non_private=lambda: draw(200, 3), guarantee={"private": False},
    )  # fmt: skip
    assert errors(number.to_dict()) == []
    assert errors(public_report(synthetic=draw(60, 1), schema=schema).to_dict()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("fidelity", "tv_2way", "value"), "0.1"),
        (("fidelity", "two_sample", "p_value"), 1.5),
        (("verdicts", 0, "verdict"), "safe"),
        (("fairness", "by_group", 0, "group"), "F"),
        (("utility", "status"), "not_assessed"),  # without a reason
        (("report_version",), 2),
    ],
)
def test_what_breaks_the_shape_is_found(report: AuditReport, path: tuple[Any, ...], value: object) -> None:
    content: Any = copy.deepcopy(report.to_dict())
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert errors(content)


def test_a_key_that_is_missing_is_found(report: AuditReport) -> None:
    for section, key in (("fidelity", "support"), ("utility", "ranking"), ("fairness", "privacy_effect")):
        content = copy.deepcopy(report.to_dict())
        del content[section][key]
        assert errors(content), key
