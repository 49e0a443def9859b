"""The audit of linked tables: what it says of how rows belong together, its page and its JSON."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import ParameterError, TableError
from privsynth.metrics import links
from privsynth.report import AuditReport, audit
from privsynth.report.compare import compare_reports, render_comparison
from privsynth.report.page.page import render
from privsynth.report.report import plain
from privsynth.report.sections import verdicts_of
from privsynth.report.sections.links import MAX_PAIRS_LISTED
from tests.helpers.linked import SCHEMA, bank
from tests.report.test_page import Page
from tests.report.test_schema import errors
from tests.report.test_sections import LITTLE

SOME = replace(LITTLE, max_rows=None)

GUARANTEE = {
    "private": True,
    "epsilon": 1.0,
    "delta": 1e-6,
    "unit": "person",
    "statement": "one client with all rows below it",
}


@pytest.fixture(scope="module")
def tables() -> dict[str, dict[str, pd.DataFrame]]:
    return {"real": bank(600, 0), "holdout": bank(500, 1, first_id=10**6)}


@pytest.fixture(scope="module")
def faithful(tables) -> AuditReport:
    return audit(**tables, synthetic=bank(600, 3), schema=SCHEMA, guarantee=GUARANTEE, limits=SOME)


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


def words_of(page: str) -> str:
    return " ".join("".join(Page(page).shown).split())


def test_tables_of_the_law_are_in_order_and_links_by_chance_are_not(tables, faithful) -> None:
    content = faithful.to_dict()
    assert verdict_of(content)["verdict"] == "ok"
    assert "Every synthetic row belongs to a row that is there." in words_of(faithful.to_html())
    lost = copy.deepcopy(content)
    lost["links"] = plain(links(**tables, synthetic=without_links(600, 3), schema=SCHEMA))
    found = verdict_of(lost)
    assert found["verdict"] == "attention"
    assert found["evidence"].startswith("3 rows of card belong to nobody; no better than independent links: ")
    assert "rows of account have more or fewer rows of trans than real ones" in found["evidence"]
    assert "Rows that belong to nobody: 3 of card" in words_of(render(lost))
    compared = compare_reports({"faithful": content, "lost": lost})
    best = {row["measure"]: row["best"] for row in compared["figures"] if row["section"] == "Links"}
    assert best["TVD of a column of account with one above it"] == 0
    assert "with one above it" in render_comparison({"a": content, "b": lost})


def test_each_table_is_judged_and_the_worst_are_named(faithful) -> None:
    content = copy.deepcopy(faithful.to_dict())
    for of in content["by_table"]["tables"]:
        for key in ("tv_2way", "tv_3way"):
            of["fidelity"][key] = {"value": 0.02, "interval": None, "ceiling": 0.01, "floor": 0.3}
    looks, follows = (v for v in verdicts_of(content) if v["section"] == "by_table")
    assert (looks["verdict"], follows["verdict"]) == ("ok", "ok")
    assert [of["table"] for of in content["by_table"]["tables"]] == list(SCHEMA.tables)
    assert [of["table"] for of in content["by_table"]["tables"] if of["sequences"]] == ["trans"]
    text = words_of(faithful.to_html())
    assert "AUC of the next 'big'" in text
    assert "sdmetrics, intertable trends" in text
    broken = copy.deepcopy(content)
    account, trans = broken["by_table"]["tables"][1:3]
    account["fidelity"]["tv_2way"] = {"value": 0.4, "interval": None, "ceiling": 0.01, "floor": 0.3}
    for lag in trans["sequences"]["lags"]:
        lag["tv"] = {"value": 0.3, "interval": None, "ceiling": 0.01, "floor": 0.3}
    looks, follows = (v for v in verdicts_of(broken) if v["section"] == "by_table")
    assert (looks["verdict"], follows["verdict"]) == ("attention", "attention")
    assert looks["evidence"].startswith("account: 2-way marginals are farther")
    assert follows["evidence"].startswith("trans: No better than independent rows")


ODD = {
    "no holdout": (bank(60), bank(60, 2), None),
    "one synthetic person": (bank(60), {name: t[:1] for name, t in bank(60, 2).items()}, bank(50, 1, 10**6)),
    "no synthetic row below": (
        bank(60),
        {name: t if name == "client" else t[:0] for name, t in bank(60, 2).items()},
        bank(50, 1, 10**6),
    ),
    "no real row below": (
        {name: t if name == "client" else t[:0] for name, t in bank(60).items()},
        bank(60, 2),
        bank(50, 1, 10**6),
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_tables_end_in_words(case) -> None:
    real, synthetic, holdout = ODD[case]
    report = audit(real=real, synthetic=synthetic, holdout=holdout, schema=SCHEMA, limits=LITTLE)
    content = report.to_dict()
    assert errors(content) == []
    json.dumps(content, allow_nan=False)
    Page(report.to_html())
    assert {"links", "by_table"} <= {verdict["section"] for verdict in content["verdicts"]}


def test_the_json_keeps_its_shape_and_counts_persons(faithful) -> None:
    content = faithful.to_dict()
    assert errors(content) == []
    assert content["settings"]["kind"] == "linked"
    assert content["tables"]["synthetic"]["n_units"] == 600
    assert content["tables"]["synthetic"]["by_table"]["client"] == 600
    assert content["fidelity"]["status"] == "not_assessed"
    for section, key in (("links", "orphans"), ("links", "sdmetrics"), ("by_table", "tables")):
        broken = copy.deepcopy(content)
        del broken[section][key]
        assert errors(broken)


def test_the_page_tells_the_guarantee_of_a_person_with_all_rows(faithful) -> None:
    text = words_of(faithful.to_html())
    assert "Audit of synthetic linked tables" in text
    assert "one client with all rows below it" in text
    assert "those of other tables belong to the rows that their keys name" in text
    assert "600 persons" in text
    assert "--public" not in text  # there is no such page of linked tables
    n_pairs = sum(len(link["pairs"]) for link in faithful.links["links"])
    assert faithful.to_html().count('<td class="text">trans.') <= min(n_pairs, MAX_PAIRS_LISTED)
    assert "Links" in faithful._repr_html_()


def test_a_quick_audit_draws_whole_persons() -> None:
    tables = {"real": bank(150), "synthetic": bank(150, 3), "holdout": bank(150, 1, first_id=10**6)}
    content = audit(**tables, schema=SCHEMA, limits=replace(LITTLE, max_rows=100)).to_dict()
    used = content["links"]["n_persons"]["real"]
    assert used < 60
    assert content["tables"]["real"]["n_units"] == 150
    assert f"real: {used} of 150 persons were used, drawn at random" in content["left_out"]
    assert content["links"]["orphans"]["synthetic"] == dict.fromkeys(SCHEMA.tables, 0)
    assert content["membership"]["n_units"]["members"] == 150  # the attacks look at all


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
