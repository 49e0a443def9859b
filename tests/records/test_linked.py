"""Linked records: keys, the cut, weights along the path, and what one person can change at most."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import SchemaError, TableError
from privsynth.privacy.randomness import OsEntropy
from privsynth.privacy.units import PERSON_GRID, weigh_records
from privsynth.records.linked import open_linked, read_linked
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_views import linked_view
from tests.helpers.chi_square import fits
from tests.helpers.linked import SCHEMA, TABLES, bank

TWO_LEVELS = LinkedSchema({name: TABLES[name] for name in ("client", "card")}, person="client")


class SameForAll:
    """A generator whose i-th number is the same in every call: rows keep theirs when others come or go."""

    def random(self, n: int) -> np.ndarray:
        return np.random.default_rng(5).random(n)


def read(tables, schema=SCHEMA, *, on_violation="error", rng=None):
    opened = open_linked(tables, schema)
    return read_linked(opened, schema, on_violation=on_violation, rng=rng or np.random.default_rng())


def weights(records, schema, name) -> np.ndarray:
    weighting = weigh_records(
        records.persons,
        max_records_per_person=schema.max_records_of(name),
        secret=OsEntropy(),
        parts=records.parts,
    )
    assert weighting.rows is None
    return weighting.weights


def masses(tables, schema, **how) -> dict[str, Counter]:
    """Return how much each row of each view weighs in all, in grid steps."""
    out = {}
    for name, records in read(tables, schema, rng=SameForAll(), **how).items():
        of_row = Counter()
        texts = records.frame.astype(object).astype(str).agg("|".join, axis=1) if len(records.frame) else []
        for text, weight in zip(texts, weights(records, schema, name), strict=True):
            of_row[text] += int(weight)
        out[name] = of_row
    return out


def without(tables, person) -> dict[str, pd.DataFrame]:
    """Return tables without one person and all rows below."""
    owned = tables["account"]["account"][tables["account"]["owner"] == person] if "account" in tables else []
    out = {}
    for name, table in tables.items():
        gone = (
            table["account"].isin(owned)
            if name == "trans"
            else table[{"client": "id", "account": "owner", "card": "client"}[name]] == person
        )
        out[name] = table[~gone]
    return out


def last(tables, person) -> dict[str, pd.DataFrame]:
    """Return tables in which the rows of one person come last: the others keep their random numbers."""
    rest = without(tables, person)
    return {
        name: pd.concat([rest[name], table.drop(rest[name].index)], ignore_index=True)
        for name, table in tables.items()
    }


@pytest.mark.parametrize("schema", [SCHEMA, TWO_LEVELS], ids=["three levels", "two levels"])
@pytest.mark.parametrize("on_violation", ["error", "clip"])
def test_a_person_moves_every_table_by_at_most_one_unit(schema, on_violation) -> None:
    most = Counter()
    for seed in range(12):
        tables = {name: table for name, table in bank(5, seed).items() if name in schema.tables}
        if "trans" in tables:  # one account has far more rows than the cap
            many = pd.DataFrame(
                {"account": tables["account"]["account"].iloc[0], "day": range(40), "big": True}
            )
            tables["trans"] = pd.concat([tables["trans"], many], ignore_index=True)
            tables["trans"] = tables["trans"].drop_duplicates(["account", "day"], ignore_index=True)
        for person in tables["client"]["id"]:
            ordered = last(tables, person)
            whole = masses(ordered, schema, on_violation=on_violation)
            rest = masses(without(ordered, person), schema, on_violation=on_violation)
            for name in schema.tables:
                moved = Counter(whole[name])
                moved.subtract(rest[name])
                assert min(moved.values(), default=0) >= 0  # no row of others has changed
                assert sum(map(abs, moved.values())) <= PERSON_GRID
                most[name] = max(most[name], sum(map(abs, moved.values())))
    assert all(most[name] > 0.98 * PERSON_GRID for name in schema.tables)


def test_a_row_is_one_of_as_many_parts_as_the_counts_of_kept_rows_on_its_path() -> None:
    tables = bank(300, 3)
    views = read(tables)
    n_trans = tables["trans"].groupby("account").size().clip(upper=4)
    n_account = tables["account"].groupby("owner").size().clip(upper=2)
    assert sum(weights(views["client"], SCHEMA, "client")) == 300 * PERSON_GRID
    assert set(views["account"].parts) == set(n_account)
    seen = views["trans"].frame.assign(parts=views["trans"].parts, person=views["trans"].persons)
    paths = seen["n_records"].astype(int) * seen["client.n.account"].astype(int)
    assert (paths == seen["parts"]).all()
    sizes = seen.groupby("person").size()
    assert sizes.max() == 8
    kept = views["account"].frame
    assert kept["n.trans"].astype(int).sum() == len(seen)  # all rows below kept rows, and none below others
    assert len(kept) == n_account.sum()
    assert set(n_trans) <= set(range(1, 5))


def test_unequal_parts_of_a_person_count_for_one_unit_at_most_or_are_refused() -> None:
    persons = np.array([0, 0, 0, 1])
    fine = weigh_records(
        persons, max_records_per_person=4, secret=OsEntropy(), parts=np.array([2, 4, 4, 1], dtype=np.uint8)
    )
    assert fine.weights.tolist() == [PERSON_GRID // 2, PERSON_GRID // 4, PERSON_GRID // 4, PERSON_GRID]
    for parts, most in (([2, 4, 3, 1], 4), ([4, 4, 4, 1], 2), ([4, 0, 4, 1], 4), ([1, -2, 2, 1], 4)):
        with pytest.raises(ValueError, match="add up to one unit at most"):
            weigh_records(persons, max_records_per_person=most, secret=OsEntropy(), parts=np.array(parts))


def test_the_cut_keeps_every_row_alike_and_each_beside_its_true_predecessor() -> None:
    tables = bank(40, 1)
    owner, account = tables["account"].iloc[0][["owner", "account"]]
    rest = without(tables, owner)
    tables = {name: pd.concat([rest[name], table[table.index < 0]]) for name, table in rest.items()}
    tables["client"] = pd.concat([tables["client"], bank(40, 1)["client"].query("id == @owner")])
    tables["account"] = pd.DataFrame({"owner": [owner], "account": [account], "gold": True, "kind": "day"})
    rows = pd.DataFrame({"account": account, "day": np.arange(12) ** 2, "big": np.arange(12) % 2 == 0})
    tables["trans"] = rows.sample(frac=1.0, random_state=0)
    kept = Counter()
    for seed in range(300):
        seen = read(tables, rng=np.random.default_rng(seed))["trans"].frame
        assert len(seen) == 4
        place = np.sqrt(seen["day"]).astype(int)
        kept.update(place)
        later = place > 0
        assert (seen["gap.day"][later] == (place**2 - (place - 1) ** 2)[later]).all()
        assert (seen["prev.big"][later].astype(bool) == (place % 2 == 1)[later]).all()
        assert (seen["first"].astype(bool) == ~later).all()
        assert set(seen["n_records"]) == {4}
    assert fits([kept[i] for i in range(12)], np.full(12, 1 / 12))


def test_the_view_is_what_a_join_by_hand_gives() -> None:
    tables = bank(200, 2)
    few = {name: table.copy() for name, table in tables.items()}
    few["trans"] = few["trans"][few["trans"].groupby("account").cumcount() < 4]
    few["account"] = few["account"][few["account"].groupby("owner").cumcount() < 2]
    few["trans"] = few["trans"][few["trans"]["account"].isin(few["account"]["account"])]
    views = read(few)
    joined = (
        few["trans"].merge(few["account"], on="account").merge(few["client"], left_on="owner", right_on="id")
    )
    columns = {
        "client.age": "age",
        "account.gold": "gold",
        "account.kind": "kind",
        "day": "day",
        "big": "big",
    }
    expected = Counter(map(tuple, joined[list(columns.values())].astype(str).to_numpy()))
    seen = views["trans"].frame.astype({"client.age": int, "day": int})
    assert Counter(map(tuple, seen[list(columns)].astype(str).to_numpy())) == expected
    for name, records in views.items():
        assert list(records.frame.columns) == [c.name for c in linked_view(SCHEMA, name).modelled]


def test_a_key_that_stands_twice_always_stops_the_run() -> None:
    for name, key in (("client", "id"), ("account", "account")):
        tables = bank(30)
        tables[name].loc[1, key] = tables[name].loc[0, key]
        for on_violation in ("error", "clip"):
            with pytest.raises(
                SchemaError, match=f"'{name}' breaks its schema: column '{key}': a key stands tw"
            ):
                read(tables, on_violation=on_violation)
    tables = bank(30)
    tables["client"]["id"] = tables["client"]["id"].astype(object)
    tables["client"].loc[:0, "id"] = complex(1)
    read(tables, on_violation="clip")  # one that cannot be read may be anybody's
    tables["client"].loc[1, "id"] = complex(2)
    with pytest.raises(SchemaError, match="a key stands twice"):
        read(tables, on_violation="clip")
    alone = {"client": pd.concat([bank(3)["client"]] * 2, ignore_index=True)}
    with pytest.raises(SchemaError, match="a key stands twice"):
        read(alone, LinkedSchema({"client": TABLES["client"]}, person="client"), on_violation="clip")


def test_rows_that_belong_to_nobody_stop_the_run_or_are_dropped() -> None:
    tables = bank(30)
    account, empty = tables["account"].loc[0, "account"], None
    tables["account"]["owner"] = tables["account"]["owner"].astype(object)
    tables["account"].loc[0, "owner"] = -1
    with pytest.raises(SchemaError, match="column 'owner': a row belongs to no row of 'client'"):
        read(tables)
    views = read(tables, on_violation="clip")
    expected = read({**tables, "account": tables["account"].drop(index=0)}, on_violation="clip")
    for name in ("client", "card"):
        pd.testing.assert_frame_equal(views[name].frame, expected[name].frame)
    assert len(views["account"].frame) == len(expected["account"].frame)
    tables["trans"]["account"] = account
    tables["trans"] = tables["trans"].drop_duplicates("day", ignore_index=True)
    views = read(tables, on_violation="clip")
    assert (len(tables["trans"]) > 5, len(views["trans"].frame)) == (True, 0)
    tables["account"]["owner"] = empty
    views = read(tables, on_violation="clip")
    assert [len(views[name].frame) for name in SCHEMA.tables] == [30, 0, 0, len(tables["card"])]
    assert set(views["client"].frame["n.account"]) == {0}


def test_keys_match_by_their_text_in_frames_and_files(tmp_path) -> None:
    tables = bank(50)
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    views, again = read(tables, rng=SameForAll()), read(tmp_path, rng=SameForAll())
    for name in SCHEMA.tables:
        pd.testing.assert_frame_equal(views[name].frame, again[name].frame)
        assert views[name].parts.tolist() == again[name].parts.tolist()


def test_tables_that_are_not_there_are_named(tmp_path) -> None:
    tables = bank(5)
    with pytest.raises(TableError, match="describes a table 'card', and there is none among those given"):
        read({name: table for name, table in tables.items() if name != "card"})
    with pytest.raises(TableError, match="expected a folder of linked tables"):
        read(tmp_path / "none")
    with pytest.raises(TableError, match="expected one file client with a suffix"):
        read(tmp_path)
    with pytest.raises(TableError, match="expected linked tables: a folder, or a mapping"):
        read([1, 2])
    with pytest.raises(SchemaError, match="the table 'account' has no column 'owner'"):
        read({**tables, "account": tables["account"].drop(columns="owner")})
    with pytest.raises(SchemaError, match="'account' has no column 'account', the key of its rows"):
        read({**tables, "account": tables["account"].drop(columns="account")})


def test_the_product_of_caps_is_what_discovery_reckons_with() -> None:
    assert math.prod(t.max_records_per_parent for t in SCHEMA.path("trans")) == 8
    views = read(bank(200, 4))
    assert np.bincount(views["trans"].persons).max() == linked_view(SCHEMA, "trans").max_records_per_person
