"""Constraints between rows and those above them: read, checked, settled within a person, drawn exactly."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.errors import SchemaError
from privsynth.ledger.ledger import Ledger
from privsynth.records.linked import open_linked, read_linked
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_views import linked_view
from privsynth.synthesizers.linked.marginal import LinkedSettings, LinkedSynthesizer
from tests.helpers.tables import QUICK

DAY = {"type": "integer", "low": 0, "high": 60}
TABLES = {
    "client": {"key": "id", "columns": {"born": DAY, "rich": {"type": "boolean"}}},
    "account": {
        "parent": "client",
        "parent_key": "owner",
        "key": "account",
        "max_records_per_parent": 2,
        "columns": {"opened": DAY, "closed": {**DAY, "high": 90, "missing": True}},
        "constraints": [{"kind": "inequality", "columns": ["client.born", "opened", "closed"]}],
    },
    "trans": {
        "parent": "account",
        "parent_key": "account",
        "max_records_per_parent": 4,
        "columns": {
            "day": {**DAY, "role": "order"},
            "booked": {**DAY, "high": 70},
            "level": DAY,
        },
        "constraints": [
            {"kind": "inequality", "columns": ["account.opened", "day", "account.closed"]},
            {"kind": "inequality", "columns": ["client.born", "prev.level", "level"]},
        ],
    },
}
RULES = ["account.opened <= day <= account.closed", "client.born <= prev.level <= level"]


def schema(tables=TABLES) -> LinkedSchema:
    return LinkedSchema(tables, person="client")


def changed(table: str, *rules, **columns) -> dict:
    tables = copy.deepcopy(TABLES)
    tables[table]["constraints"] = list(rules)
    tables[table]["columns"] |= columns
    return tables


def rule(*columns, **more):
    return {"kind": "inequality", "columns": list(columns), **more}


def bank(n: int = 300, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Return tables that keep to the rules."""
    rng = np.random.default_rng(seed)
    client = pd.DataFrame({"id": np.arange(n), "born": rng.integers(0, 20, n), "rich": rng.random(n) < 0.5})
    owner = np.repeat(np.arange(n), rng.integers(0, 3, n))
    opened = client["born"].to_numpy()[owner] + rng.integers(0, 20, len(owner))
    closed = pd.Series(opened + rng.integers(8, 40, len(owner))).where(rng.random(len(owner)) < 0.6)
    account = pd.DataFrame(
        {"owner": owner, "account": np.arange(len(owner)), "opened": opened, "closed": closed}
    )
    of = np.repeat(np.arange(len(owner)), rng.integers(0, 5, len(owner)))
    place = np.arange(len(of)) - np.searchsorted(of, of)
    day = np.minimum(opened[of] + 2 * place + rng.integers(0, 2, len(of)), 60)
    level = client["born"].to_numpy()[owner[of]] + 3 * place
    trans = pd.DataFrame({"account": of, "day": day, "booked": day + 1, "level": level})
    trans = trans.drop_duplicates(["account", "day"])
    return {"client": client, "account": account, "trans": trans}


def check_rules(tables: dict[str, pd.DataFrame]) -> None:
    accounts = tables["account"].merge(tables["client"], left_on="owner", right_on="id")
    assert (accounts["opened"] >= accounts["born"]).all()
    assert (accounts["closed"].isna() | (accounts["closed"] >= accounts["opened"])).all()
    trans = tables["trans"].merge(accounts, on="account")
    assert len(trans)
    assert (trans["day"] >= trans["opened"]).all()
    assert (trans["closed"].isna() | (trans["closed"] >= trans["day"])).all()
    assert (trans["level"] >= trans["born"]).all()
    assert trans.groupby("account")["level"].diff().dropna().ge(0).all()
    assert trans.groupby("account")["day"].diff().dropna().ge(1).all()


def make(**arguments) -> LinkedSynthesizer:
    return LinkedSynthesizer(
        **(
            {"epsilon": 3.0, "settings": LinkedSettings(table=QUICK), "random_state": 0, "device": "cpu"}
            | arguments
        )
    )


def test_rules_with_tables_above_are_written_read_and_told() -> None:
    of = schema()
    assert LinkedSchema.from_dict(of.to_dict()) == of
    assert [str(rule) for rule in of.rules("trans")] == RULES
    assert f"table trans: constraint: {RULES[0]}" in of.public_facts()
    view = linked_view(of, "trans")
    assert [str(rule) for rule in view.constraints] == RULES
    assert "gap.level" in view.columns


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            changed("trans", rule("account.opend", "day")),
            "'account.opend', and no table above has such a col",
        ),
        (
            changed("account", rule("trans.day", "opened")),
            "'trans.day', and no table above has such a column",
        ),
        (
            changed("trans", rule("acount.opened", "day")),
            "names the column 'acount.opened', which the schema",
        ),
        (
            changed("trans", rule("account.account", "day")),
            "'account.account', and no table above has such a",
        ),
        (changed("trans", rule("client.rich", "day")), "'client.rich' is not a number line"),
        (changed("trans", rule("account.opened", "day"), rule("day", "level")), "'day' stands in two constr"),
        (
            changed("trans", {"kind": "sum", "columns": ["level", "account.opened", "booked"]}),
            "'sum' names columns of a table above, which inequalities alone may",
        ),
        (changed("trans", rule("account.opened", "day"), day={**DAY, "high": -1, "low": -9}), "cannot hold"),
    ],
    ids=range(8),
)
def test_what_cannot_be_kept_is_refused(tables, message) -> None:
    with pytest.raises(SchemaError, match=rf"table '\w+': .*{message}"):
        schema(tables)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> LinkedSynthesizer:
    ledger = tmp_path_factory.mktemp("linked") / "l.sqlite"
    return make().fit(bank(), schema=schema(), dataset="bank", ledger=ledger)


def test_drawn_tables_keep_to_their_rules(fitted, tmp_path) -> None:
    drawn = fitted.sample(500, random_state=1)
    check_rules(drawn)
    assert len(drawn["client"]) == 500
    fitted.save(tmp_path / "m.privsynth")
    again = privsynth.load(tmp_path / "m.privsynth")
    assert again.schema_ == schema()
    for name, rows in again.sample(500, random_state=1).items():
        pd.testing.assert_frame_equal(rows, drawn[name])
    arrays = fitted._arrays_of(fitted.model_)
    assert all(array.tobytes() == arrays[name].tobytes() for name, array in again.replay().items())


def test_no_row_is_drawn_where_there_is_no_room_for_it(fitted) -> None:
    with pytest.warns(UserWarning, match="extrapolated|within the noise"):
        drawn = fitted.sample(400, random_state=2, conditions={"born": (58, 60)}, on_unsupported="warn")
    check_rules(drawn)
    assert drawn["client"]["born"].between(58, 60).all()
    assert drawn["account"]["opened"].between(58, 60).all()
    trans = drawn["trans"].merge(drawn["account"], on="account")
    assert trans["day"].between(58, 60).all()
    room = trans["closed"].fillna(60).clip(upper=60) - trans["opened"] + 1
    assert (trans.groupby("account")["day"].transform("size") <= room).all()
    assert len(trans) > 50


def test_broken_rules_are_a_counted_stop_and_are_settled_under_clip(tmp_path) -> None:
    tables, ledger = bank(), Ledger(tmp_path / "l.sqlite")
    tables["trans"] = (
        tables["trans"].assign(day=lambda t: (t["day"] * 7) % 61).drop_duplicates(["account", "day"])
    )
    how = {"schema": schema(), "dataset": "bank", "ledger": ledger}
    with pytest.raises(SchemaError) as told:
        make().fit(tables, **how)
    assert f"table 'trans' breaks its schema: column 'day': a row does not keep to {RULES[0]}" in str(
        told.value
    )
    model = make().fit(tables, **how, on_violation="clip")
    check_rules(model.sample(200, random_state=0))
    assert model.guarantee_["noiseless_stops"] == 1


def views(tables, seed=0):
    of = schema()
    return read_linked(open_linked(tables, of), of, on_violation="clip", rng=np.random.default_rng(seed))


def test_a_person_is_settled_alone() -> None:
    rng = np.random.default_rng(3)
    for seed in range(5):
        tables = bank(12, seed)
        tables["account"]["opened"] = rng.integers(0, 60, len(tables["account"]))
        tables["trans"]["day"] = rng.permutation(60)[: len(tables["trans"])]
        tables["trans"]["level"] = rng.integers(0, 60, len(tables["trans"]))
        whole = views(tables)
        settled = whole["trans"].frame
        assert (settled["account.opened"] <= settled["day"]).all()
        assert (settled["client.born"] <= settled["level"]).all()
        one = {
            "client": tables["client"].query("id == 0"),
            "account": (mine := tables["account"].query("owner == 0")),
            "trans": tables["trans"][tables["trans"]["account"].isin(mine["account"])],
        }
        own = views({name: t.reset_index(drop=True) for name, t in one.items()})
        for name in ("account", "trans"):
            mine = whole[name].frame[whole[name].persons == 0]
            columns = (
                ["client.born", "opened", "closed"]
                if name == "account"
                else ["day", "level", "account.opened"]
            )
            assert sorted(map(str, mine[columns].to_numpy().tolist())) == sorted(
                map(str, own[name].frame[columns].to_numpy().tolist())
            )
