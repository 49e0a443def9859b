"""Where types were read from the records, no epsilon is printed without saying so in the same sentence."""

from __future__ import annotations

import re

import pytest

from privsynth.cli.statement import describe_guarantee
from privsynth.report.compare import _run
from privsynth.report.sections.guarantee import guarantee_verdict
from privsynth.report.text import guarantee_in_words
from privsynth.schema import Schema
from privsynth.synthesizers.guarantee import guarantee_statement
from privsynth.synthesizers.plan import describe_plan, plan

GIVEN = "given the types, which were read from the records"
COLUMNS = {"age": {"type": "integer", "low": 0, "high": 99}, "ill": {"type": "boolean"}}


def statement(schema):
    return guarantee_statement(
        schema=schema,
        epsilon=1.5,
        delta=1e-6,
        releases=(),
        dataset="clinic",
        on_violation="clip",
        is_secret=True,
    )


PRINTED = {
    "statement": lambda schema: statement(schema)["statement"],
    "show": lambda schema: describe_guarantee(statement(schema)),
    "plan": lambda schema: describe_plan(plan(schema, 1000, 1.5, 1e-6)),
    "report": lambda schema: "\n".join(guarantee_in_words(statement(schema))),
    "verdict": lambda schema: guarantee_verdict(statement(schema), 1000)["evidence"],
    "verdict on a large delta": lambda schema: guarantee_verdict(statement(schema), 10**7)["evidence"],
}


@pytest.mark.parametrize("printed", PRINTED.values(), ids=PRINTED)
def test_what_the_types_were_read_from_stands_beside_every_epsilon(printed):
    read = printed(Schema(COLUMNS, types_from_records=True))
    sentences = [line for line in re.split(r"\.\s|\n|;", read) if "1.5" in line]
    assert sentences
    assert all(GIVEN in line for line in sentences)
    assert "given" not in printed(Schema(COLUMNS))


def test_reports_side_by_side_say_it_in_the_cell_of_the_epsilon():
    report = {"guarantee": statement(Schema(COLUMNS, types_from_records=True)), "tables": {}}
    assert _run("one", report)["given"] == f", {GIVEN}"
    assert _run("one", report | {"guarantee": statement(Schema(COLUMNS))})["given"] == ""


def test_all_that_was_read_is_inside_the_budget_but_the_types():
    assert "All else that was read" in statement(Schema(COLUMNS, types_from_records=True))["statement"]
    assert "All that was read" in statement(Schema(COLUMNS))["statement"]
