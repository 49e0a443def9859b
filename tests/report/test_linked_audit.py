"""The audit of linked tables: what it says of how rows belong together, its page and its JSON."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import ParameterError, TableError
from privsynth.report import AuditReport, audit
from privsynth.report.compare import compare_reports, render_comparison
from privsynth.report.limits import QUICK
from privsynth.report.sections import verdicts_of
from privsynth.report.sections.links import MAX_PAIRS_LISTED
from tests.helpers.linked import SCHEMA, bank
from tests.report.test_page import Page
from tests.report.test_schema import errors

GUARANTEE = {
    "private": True,
    "epsilon": 1.0,
    "delta": 1e-6,
    "unit": "person",
    "statement": "one client with all rows below it",
}


@pytest.fixture(scope="module")
def tables() -> dict[str, dict[str, pd.DataFrame]]:
    return {"real": bank(800, 0), "holdout": bank(700, 1, first_id=10**6)}


@pytest.fixture(scope="module")
def faithful(tables) -> AuditReport:
    return audit(**tables, synthetic=bank(800, 3), schema=SCHEMA, guarantee=GUARANTEE)


def without_links(n: int, seed: int) -> dict[str, pd.DataFrame]:
    """Return tables in which every row belongs to a row drawn at random, and some to nobody."""
    tables, rng = bank(n, seed), np.random.default_rng(seed)
    tables["account"]["owner"] = rng.choice(tables["client"]["id"], len(tables["account"]))
    tables["trans"]["account"] = rng.choice(tables["account"]["account"], len(tables["trans"]))
    tables["card"].loc[:2, "client"] = -1
    return tables


def verdict_of(content: dict[str, Any]) -> dict[str, str]:
    (found,) = (v for v in verdicts_of(content) if v["section"] == "links")
    return found


def shown(report: AuditReport) -> str:
    return " ".join("".join(Page(report.to_html()).shown).split())


def test_tables_of_the_law_are_in_order_and_links_by_chance_are_not(tables, faithful) -> None:
    assert verdict_of(faithful.to_dict())["verdict"] == "ok"
    assert "Every synthetic row belongs to a row that is there." in shown(faithful)
    lost = audit(**tables, synthetic=without_links(800, 3), schema=SCHEMA)
    found = verdict_of(lost.to_dict())
    assert found["verdict"] == "attention"
    assert found["evidence"].startswith("3 rows of card belong to nobody; no better than independent links: ")
    assert "rows of account have more or fewer rows of trans than real ones" in found["evidence"]
    assert "Rows that belong to nobody: 3 of card" in shown(lost)
    compared = compare_reports({"faithful": faithful.to_dict(), "lost": lost.to_dict()})
    best = {row["measure"]: row["best"] for row in compared["figures"] if row["section"] == "Links"}
    assert best["TVD of a column of account with one above it"] == 0
    assert "with one above it" in render_comparison({"a": faithful.to_dict(), "b": lost.to_dict()})


def test_the_json_keeps_its_shape_and_counts_persons(faithful) -> None:
    content = faithful.to_dict()
    assert errors(content) == []
    assert content["settings"]["kind"] == "linked"
    assert content["tables"]["synthetic"]["n_units"] == 800
    assert content["tables"]["synthetic"]["by_table"]["client"] == 800
    assert content["fidelity"]["status"] == "not_assessed"
    for key in ("orphans", "links"):
        broken = copy.deepcopy(content)
        del broken["links"][key]
        assert errors(broken)


def test_the_page_tells_the_guarantee_of_a_person_with_all_rows(faithful) -> None:
    text = shown(faithful)
    assert "Audit of synthetic linked tables" in text
    assert "one client with all rows below it" in text
    assert "those of other tables belong to the rows that their keys name" in text
    assert "800 persons" in text
    n_pairs = sum(len(link["pairs"]) for link in faithful.links["links"])
    assert faithful.to_html().count('<td class="text">trans.') <= min(n_pairs, MAX_PAIRS_LISTED)
    assert "Links" in faithful._repr_html_()


def test_a_quick_audit_draws_whole_persons(tables) -> None:
    report = audit(**tables, synthetic=bank(800, 3), schema=SCHEMA, limits=replace(QUICK, max_rows=500))
    content = report.to_dict()
    used = content["links"]["n_persons"]["real"]
    assert used < 300
    assert content["tables"]["real"]["n_units"] == 800
    assert f"real: {used} of 800 persons were used, drawn at random" in content["left_out"]
    assert content["links"]["orphans"]["synthetic"] == dict.fromkeys(SCHEMA.tables, 0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"target": "rich"}, "an audit of linked tables takes no target"),
        ({"non_private": [bank(9)]}, "an audit of linked tables takes no non_private"),
        ({"synthetic": bank(9)["client"]}, "a folder, or a mapping of table names to tables; got DataFrame"),
        ({"schema": SCHEMA.tables["client"].schema}, "linked tables take a schema of linked tables"),
    ],
)
def test_what_does_not_go_with_linked_tables_is_refused(tables, given, told) -> None:
    with pytest.raises((ParameterError, TableError), match=told):
        audit(**({**tables, "synthetic": bank(9), "schema": SCHEMA} | given))
