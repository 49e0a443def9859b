"""Figures of linked tables where they can be worked out by hand, and on a law across tables."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import ParameterError, SchemaError, TableError
from privsynth.metrics import fidelity, links, sequences
from privsynth.metrics.common.families import load_linked_tables
from privsynth.metrics.fidelity.by_table import MAX_TRIPLES, assess_by_table
from privsynth.report.report import plain
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema
from tests.helpers.linked import SCHEMA, bank

BOOLEAN = {"type": "boolean"}
SMALL = LinkedSchema(
    {
        "client": {"key": "id", "columns": {"rich": BOOLEAN}},
        "account": {
            "parent": "client",
            "parent_key": "client",
            "key": "id",
            "max_records_per_parent": 2,
            "columns": {"gold": BOOLEAN, "sum": {"type": "integer", "low": 0, "high": 9}},
        },
        "card": {
            "parent": "account",
            "parent_key": "account",
            "max_records_per_parent": 1,
            "columns": {"red": BOOLEAN},
        },
    },
    person="client",
)


def small(owners: list[int], gold: list[bool], cards: list[int], first: int = 0) -> dict[str, pd.DataFrame]:
    """Return four clients, of whom the first two are rich; accounts of these owners, and cards of those."""
    return {
        "client": pd.DataFrame({"id": np.arange(4) + first, "rich": [True, True, False, False]}),
        "account": pd.DataFrame(
            {
                "client": np.array(owners, dtype=int) + first,
                "id": range(len(owners)),
                "gold": np.array(gold, dtype=bool),
                "sum": 1,
            }
        ),
        "card": pd.DataFrame({"account": np.array(cards, dtype=int), "red": True}),
    }


REAL = small([0, 1, 1], [True, True, True], [0, 1])


def test_figures_are_those_worked_out_by_hand() -> None:
    found = links(REAL, small([0, 2, 2], [True, False, False], [0, 9]), schema=SMALL)
    account, card = found["links"]
    assert found["orphans"]["synthetic"] == {"client": 0, "account": 0, "card": 1}
    assert found["orphans"]["real"] == {"client": 0, "account": 0, "card": 0}
    # both: of four clients one has one account and one has two
    assert account["children"]["value"] == 0
    assert account["mean_children"] == {"real": 0.75, "synthetic": 0.75}
    # (rich, number) is real (yes, 1), (yes, 2), 2 x (no, 0); synthetic (yes, 1), (yes, 0), (no, 2), (no, 0)
    assert account["children_given"]["value"] == pytest.approx(0.5)
    # each owner weighs 1: real all (rich, gold); synthetic half (rich, gold), half neither
    pairs = {(pair["above"], pair["column"]): pair["tv"]["value"] for pair in account["pairs"]}
    assert pairs == pytest.approx({("client.rich", "gold"): 0.5, ("client.rich", "sum"): 0.5})
    totals = {total["column"]: total["tv"]["value"] for total in account["by_total"]}
    assert totals == pytest.approx({None: 0.0, "sum": 0.0})
    # accounts weigh 1, 1/2, 1/2: real 3/4 have a card; synthetic 1/2
    assert card["mean_children"] == pytest.approx({"real": 0.75, "synthetic": 0.5})
    assert card["children"]["value"] == pytest.approx(0.25)
    assert card["pairs_tv"]["value"] == pytest.approx(0)  # all cards are of gold accounts of the rich
    assert card["children"]["floor"] is not None
    assert card["children"]["ceiling"] is None
    json.dumps(plain(found), allow_nan=False)


def test_numbers_of_rows_end_at_the_cap_and_what_is_beyond_is_told() -> None:
    many = small([0, 0, 0, 0], [True] * 4, [])
    found = links(many, small([0, 0], [True] * 2, []), schema=SMALL)
    account, card = found["links"]
    assert account["children"]["value"] == 0
    assert account["cut"] == 0.5
    assert {t["column"]: t["tv"]["value"] for t in account["by_total"]} == {None: 0.25, "sum": 0.25}
    assert card["pairs_tv"] == {"value": None, "interval": None, "ceiling": None, "floor": None}
    assert card["cut"] is None


@pytest.fixture(scope="module")
def tables() -> dict[str, dict[str, pd.DataFrame]]:
    return {"real": bank(2000, 0), "holdout": bank(2000, 1, first_id=10**6)}


def by_table(found) -> dict[str, dict]:
    return {link["table"]: link for link in found["links"]}


def test_a_faithful_draw_is_at_the_holdout_and_dealt_rows_are_at_the_floor(tables) -> None:
    faithful = by_table(links(**tables, synthetic=bank(2000, 2), schema=SCHEMA))
    dealt = bank(2000, 2)
    rng = np.random.default_rng(0)
    dealt["account"]["owner"] = rng.choice(dealt["client"]["id"], len(dealt["account"]))
    dealt["trans"]["account"] = rng.choice(dealt["account"]["account"], len(dealt["trans"]))
    lost = by_table(links(**tables, synthetic=dealt, schema=SCHEMA))
    for name in ("account", "trans"):
        for key in ("pairs_tv", "children", "children_given"):
            figure = faithful[name][key]
            assert figure["value"] < (figure["ceiling"] + figure["floor"]) / 2, (name, key)
            assert lost[name][key]["value"] == pytest.approx(lost[name][key]["floor"], abs=0.05)
    assert faithful["account"]["children"]["by_chance"] < 0.03


def test_a_child_that_forgets_its_grandparent_alone_is_seen(tables) -> None:
    """Rows of trans keep their accounts; the accounts go to other clients."""
    moved = bank(2000, 2)
    moved["account"]["owner"] = np.random.default_rng(0).permutation(moved["account"]["owner"])
    found = by_table(links(**tables, synthetic=moved, schema=SCHEMA))
    pairs = {(p["above"], p["column"]): p["tv"] for p in found["trans"]["pairs"]}
    across, along = pairs[("client.rich", "big")], pairs[("account.gold", "big")]
    assert across["value"] > 0.8 * across["floor"]
    assert along["value"] < 0.5 * along["floor"]  # not 0: owners of many accounts weigh each of them less


def test_a_table_by_itself_is_judged_as_a_table_of_persons_is() -> None:
    sides = {side: bank(200, i, i * 10**6) for i, side in enumerate(("real", "synthetic", "holdout"))}
    found = {
        of["table"]: of
        for of in assess_by_table(load_linked_tables(**sides, schema=SCHEMA), n_bootstrap=5)["tables"]
    }
    clients = {side: of["client"].drop(columns="id") for side, of in sides.items()}
    columns = {column.name: column for column in SCHEMA.tables["client"].schema.modelled}
    alone = fidelity(**clients, schema=Schema(columns), max_triples=MAX_TRIPLES)
    for key in ("tv_1way", "tv_2way"):
        assert found["client"]["fidelity"][key]["value"] == pytest.approx(alone[key]["value"])
    assert found["client"]["sequences"] is None
    joined = {
        side: of["trans"]
        .merge(of["account"].add_prefix("account."), left_on="account", right_on="account.account")
        .merge(of["client"].add_prefix("client."), left_on="account.owner", right_on="client.id")
        .assign(account=lambda rows, side=side: side + rows["account"])
        for side, of in sides.items()
    }
    above = {
        f"{name}.{column.name}": replace(column, name=f"{name}.{column.name}", per="person", role=None)
        for name in ("client", "account")
        for column in SCHEMA.tables[name].schema.modelled
    }
    own = {c.name: c for c in SCHEMA.tables["trans"].schema.columns.values()}
    schema = Schema({**own, **above}, max_records_per_person=4)
    histories = sequences(**joined, schema=schema, n_bootstrap=5)
    for key in ("totals", "gaps"):
        assert found["trans"]["sequences"][key]["value"] == pytest.approx(histories[key]["value"])
    lags = [of["sequences"]["lags"][0]["tv"]["value"] for of in (found["trans"], {"sequences": histories})]
    assert lags[0] == pytest.approx(lags[1])
    scores = [
        of["next_event"]["predicted"][0]["of_score"]["value"]
        for of in (found["trans"]["sequences"], histories)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.02)  # columns stand in another order


def test_families_stay_whole_when_some_persons_are_drawn() -> None:
    families = load_linked_tables(bank(300), bank(300), schema=SCHEMA).real
    rng = np.random.default_rng(0)
    for some in (families.some(40, rng), *families.halves(rng)):
        assert some.n_persons in (40, 150)
        for name, rows in some.parents.items():
            parent = SCHEMA.tables[name].parent
            assert len(rows) == len(some.frames[name])
            assert rows.max() < len(some.frames[parent])
        weights = some.weights("trans")
        persons = np.bincount(some.persons("trans"), weights, some.n_persons)
        held = np.bincount(some.persons("account"), minlength=some.n_persons) > 0
        assert (persons <= 1 + 1e-9).all()
        assert held.any()
    halves = families.halves(rng)
    for name in families.frames:
        assert sum(len(half.frames[name]) for half in halves) == len(families.frames[name])


def test_what_cannot_be_compared_is_said(tables) -> None:
    synthetic = bank(50, 3)
    with pytest.raises(ParameterError, match="share persons"):
        links(tables["real"], synthetic, holdout=bank(50, 1), schema=SCHEMA)
    twice = {**synthetic, "client": pd.concat([synthetic["client"], synthetic["client"]])}
    with pytest.raises(SchemaError, match="synthetic tables: the table 'client' breaks its schema: column"):
        links(tables["real"], twice, schema=SCHEMA)
    with pytest.raises(TableError, match="there is none among those given"):
        links(tables["real"], {"client": synthetic["client"]}, schema=SCHEMA)
    with pytest.raises(TableError, match="expected the synthetic client table to have rows"):
        links(tables["real"], {**synthetic, "client": synthetic["client"][:0]}, schema=SCHEMA)
