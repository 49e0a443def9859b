"""Linked tables end to end: fit, persons with all that belongs to them, the model file, one budget."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event
from privsynth.errors import (
    BudgetExceededError,
    ModelFileError,
    ParameterError,
    RequestError,
    SchemaError,
)
from privsynth.ledger.ledger import Ledger
from privsynth.releases.store import ReleaseStore
from privsynth.schema.linked import LinkedSchema
from privsynth.synthesizers.contract import NotFittedError
from privsynth.synthesizers.linked.doors import shares_of_tables
from privsynth.synthesizers.linked.marginal import LinkedSettings, LinkedSynthesizer
from tests.helpers.linked import SCHEMA, TABLES, bank
from tests.helpers.tables import QUICK

# whether private lists of a small database are found is up to the noise
pytestmark = pytest.mark.filterwarnings("ignore:not found under the budget")

SETTINGS = LinkedSettings(table=QUICK)


def make(epsilon: float | None = 3.0, **arguments) -> LinkedSynthesizer:
    defaults = {"settings": SETTINGS, "random_state": 0, "device": "cpu"}
    return LinkedSynthesizer(epsilon=epsilon, **(defaults | arguments))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> LinkedSynthesizer:
    ledger = tmp_path_factory.mktemp("linked") / "ledger.sqlite"
    return make().fit(bank(), schema=SCHEMA, dataset="bank", ledger=ledger)


def check_linked(drawn: dict[str, pd.DataFrame], n_persons: int) -> None:
    """Check what holds of any drawn tables."""
    assert list(drawn) == list(SCHEMA.tables)
    assert drawn["client"]["id"].tolist() == list(range(1, n_persons + 1))
    for name, table in SCHEMA.tables.items():
        rows = drawn[name]
        assert list(rows.columns) == list(table.schema.columns)
        if table.key is not None:
            assert rows[table.key].is_unique
        if table.parent is not None:
            parent = SCHEMA.tables[table.parent]
            assert rows[table.parent_key].isin(drawn[table.parent][parent.key]).all()
            assert (rows.groupby(table.parent_key).size() <= table.max_records_per_parent).all()
            assert rows[table.parent_key].is_monotonic_increasing
    assert (drawn["trans"].groupby("account")["day"].diff().dropna() >= 1).all()
    assert drawn["trans"]["day"].between(0, 400).all()


def test_persons_are_drawn_with_all_that_belongs_to_them(fitted, tmp_path) -> None:
    drawn = fitted.sample(300, random_state=1)
    check_linked(drawn, 300)
    assert all(len(rows) > 20 for rows in drawn.values())
    fitted.save(tmp_path / "bank.privsynth")
    again = privsynth.load(tmp_path / "bank.privsynth")
    assert isinstance(again, LinkedSynthesizer)
    assert again.schema_ == SCHEMA
    for name, rows in again.sample(300, random_state=1).items():
        pd.testing.assert_frame_equal(rows, drawn[name])
    arrays = fitted._arrays_of(fitted.model_)
    assert all(array.tobytes() == arrays[name].tobytes() for name, array in again.replay().items())
    assert len(fitted.sample(random_state=0)["client"]) == pytest.approx(600, abs=60)
    check_linked(fitted.sample(1, random_state=0), 1)
    assert [len(rows) for rows in fitted.sample(0).values()] == [0, 0, 0, 0]


def test_requests_are_met_over_persons(fitted) -> None:
    drawn = fitted.sample(
        80, balance=["sex"], conditions={"n.account": [1, 2]}, random_state=0, on_unsupported="warn"
    )
    check_linked(drawn, 80)
    assert drawn["client"]["sex"].value_counts().to_dict() == {"F": 40, "M": 40}
    assert set(drawn["account"]["owner"]) == set(drawn["client"]["id"])
    with pytest.raises(RequestError, match="no modelled column 'gold'"):
        fitted.sample(10, conditions={"gold": True})


def test_all_tables_are_paid_out_of_one_budget(tmp_path) -> None:
    book = Ledger(tmp_path / "ledger.sqlite")
    model = make().fit(bank(300), schema=SCHEMA, dataset="bank", ledger=book)
    whole = Spend.of_budget(epsilon=3.0, delta=1e-6)
    spent = math.fsum(event["mu_squared"] for event in model.guarantee_["events"])
    assert spent == pytest.approx(whole.mu_squared, rel=1e-6)
    assert spent <= whole.mu_squared
    by_table = {
        name: math.fsum(
            Event.from_dict(release.event).mu_squared
            for release in model.releases_
            if release.key.startswith(f"{name}/")
        )
        for name in SCHEMA.tables
    }
    shares = LinkedSettings().shares_of(SCHEMA)
    assert sum(shares.values()) == pytest.approx(1.0)
    for name, share in shares.items():
        # noise is rounded up to six digits, so a table's last release may leave that part of its cost
        assert share * whole.mu_squared * (1 - 2e-5) <= by_table[name] <= share * whole.mu_squared
    assert {release.key.partition("/")[0] for release in model.releases_} == set(SCHEMA.tables)


def test_the_guarantee_names_the_root_and_what_it_does_not_cover(fitted) -> None:
    told = fitted.guarantee_
    assert told["unit"] == "person"
    assert "one client with all rows below it (up to 2 of account, 8 of trans, 1 of card" in told["statement"]
    uncovered = "\n".join(told["not_covered"])
    assert "every key that rows refer to is unique, as every 'client.id' is" in uncovered
    assert "one that stands twice, or two that cannot be read, stop the run without noise" in uncovered
    assert "persons whose 'client.id' is empty" in uncovered
    assert "others than the client whom rows below it mention" in uncovered
    assert "whether every row belongs to a row above" in uncovered
    assert "table account: gold: type boolean, never missing" in told["public"]


def test_a_law_across_three_tables_is_kept(tmp_path) -> None:
    model = make(epsilon=5.0, settings=None).fit(
        bank(3000), schema=SCHEMA, dataset="bank", ledger=tmp_path / "ledger.sqlite"
    )
    drawn = model.sample(3000, random_state=0)
    effects = [effect for effect, _ in (laws(bank(3000)), laws(drawn))]
    assert effects[1][0] > 0.6 * effects[0][0]
    assert effects[1][1] > 0.6 * effects[0][1]
    counts = [n for _, n in (laws(bank(3000)), laws(drawn))]
    assert counts[1] == pytest.approx(counts[0], rel=0.15)


def laws(tables) -> tuple[tuple[float, float], list[float]]:
    """Return how far gold depends on rich, and big on gold; and accounts of the rich, and of the others."""
    accounts = tables["account"].merge(tables["client"], left_on="owner", right_on="id")
    trans = tables["trans"].merge(tables["account"], on="account")
    gold, big = accounts.groupby("rich")["gold"].mean(), trans.groupby("gold")["big"].mean()
    n_clients = tables["client"].groupby("rich").size()
    kept = accounts.groupby(["rich", "owner"]).size().clip(upper=2).groupby("rich").sum() / n_clients
    return (float(gold[True] - gold[False]), float(big[True] - big[False])), kept.tolist()


def test_a_bad_record_is_a_recorded_stop_and_the_run_goes_on_when_mended(tmp_path) -> None:
    tables, book, partial = bank(200), Ledger(tmp_path / "l.sqlite"), tmp_path / "m.partial"
    broken = {**tables, "card": pd.DataFrame({"client": [-1], "limit": [1.0]})}
    how = {"schema": SCHEMA, "dataset": "bank", "ledger": book, "releases_path": partial}
    with pytest.raises(SchemaError, match="a row belongs to no row of 'client'"):
        make().fit(broken, **how)
    model = make().fit(tables, **how)
    assert model.guarantee_["noiseless_stops"] == 1
    assert "that records stopped a run" in model.guarantee_["not_covered"][0]


def test_the_advice_to_drop_rows_of_nobody_works_and_nothing_is_reserved_twice(tmp_path) -> None:
    broken = {**bank(200), "card": pd.DataFrame({"client": [-1], "limit": [1.0]})}
    book = Ledger(tmp_path / "l.sqlite")
    how = {"schema": SCHEMA, "dataset": "bank", "ledger": book, "releases_path": tmp_path / "m.partial"}
    with pytest.raises(SchemaError, match="or drop such rows with --on-violation clip"):
        make().fit(broken, **how)
    model = make().fit(broken, on_violation="clip", **how)
    assert [run.status for run in book.datasets()[0].runs] == ["finished"]
    assert any("whether a record breaks the schema" in said for said in model.guarantee_["not_covered"])


def test_a_killed_fit_goes_on_where_it_was(tmp_path) -> None:
    tables, book, partial = bank(200), Ledger(tmp_path / "l.sqlite"), tmp_path / "m.partial"
    how = {"schema": SCHEMA, "dataset": "bank", "ledger": book, "releases_path": partial}

    def stop(message: str, done: int, total: int) -> None:
        if message.startswith("trans") and done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make().fit(tables, **how, progress=stop)
    other = LinkedSchema({**TABLES, "card": {**TABLES["card"], "max_records_per_parent": 2}}, person="client")
    with pytest.raises(ModelFileError, match=r"other settings \(schema\)"):
        make().fit(tables, **(how | {"schema": other}))
    model = make().fit(tables, **how)
    whole = make().fit(tables, schema=SCHEMA, dataset="again", ledger=book)
    assert [release.key for release in model.releases_] == [release.key for release in whole.releases_]
    spent = math.fsum(event["mu_squared"] for event in model.guarantee_["events"])
    assert spent <= Spend.of_budget(epsilon=3.0, delta=1e-6).mu_squared


def test_shares_can_be_set_and_must_add_up() -> None:
    shares = {"client": 0.4, "account": 0.3, "trans": 0.2, "card": 0.1}
    assert shares_of_tables(SCHEMA, shares) == pytest.approx(shares)
    for wrong in ({"client": 1.0}, shares | {"card": 0.2}, shares | {"card": 0.0, "client": 0.5}):
        with pytest.raises(ParameterError, match="shares"):
            make(settings=LinkedSettings(shares=wrong, table=QUICK)).fit(bank(5), schema=SCHEMA)


def test_a_table_whose_lists_have_to_be_found_gets_more():
    shares = LinkedSettings().shares_of(SCHEMA)
    # client: sex, rich, age, n.account, n.card; account: gold, kind (to be found: 1 + 2), n.trans
    assert shares["client"] == pytest.approx(shares["account"])
    assert shares["trans"] == pytest.approx(2 / 5 * shares["client"])


def test_arguments_are_checked_before_anything_is_reserved(tmp_path) -> None:
    with pytest.raises(SchemaError, match="expected a schema of linked tables"):
        make().fit(bank(5), schema=SCHEMA.tables["client"].schema)
    with pytest.raises(NotFittedError):
        make().sample(3)
    private = {**TABLES, "client": {"key": "id", "columns": {"x": {"type": "categorical"}}}}
    with pytest.raises(SchemaError, match="table 'client': column 'x' has no categories"):
        make().fit(bank(5), schema=LinkedSchema(private, person="client"))
    book = Ledger(tmp_path / "l.sqlite")
    with pytest.raises(BudgetExceededError):
        make().fit(
            bank(5), schema=SCHEMA, dataset="bank", ledger=_with_limit(book, "bank"), releases_path=None
        )


def _with_limit(book: Ledger, dataset: str) -> Ledger:
    book.set_limit(dataset, epsilon=0.1, delta=1e-6)
    return book


def test_a_plan_divides_the_budget(tmp_path) -> None:
    whole = Spend.of_budget(epsilon=1.0, delta=1e-6)
    plan = LinkedSynthesizer.plan_for(SCHEMA, LinkedSettings(), whole, 5000)
    assert sum(step["share"] for step in plan.steps) == pytest.approx(1.0)
    assert {step["purpose"].partition(":")[0] for step in plan.steps} == {f"table {n}" for n in SCHEMA.tables}


def test_a_value_that_a_table_below_did_not_find_is_drawn_all_the_same(tmp_path) -> None:
    rng = np.random.default_rng(0)
    n = 2000
    city = np.where(rng.random(n) < 0.03, "rare", rng.choice(["a", "b"], n))
    tables = {
        "client": pd.DataFrame({"id": range(n), "city": city, "wealth": rng.integers(0, 5000, n)}),
        "visit": pd.DataFrame({"client": np.flatnonzero(city != "rare"), "long": True}),
    }
    schema = LinkedSchema(
        {
            "client": {
                "key": "id",
                "columns": {
                    "city": {"type": "categorical", "categories": "private", "missing": "private"},
                    "wealth": {"type": "integer", "low": 0, "high": "private"},
                },
            },
            "visit": {
                "parent": "client",
                "parent_key": "client",
                "max_records_per_parent": 1,
                "columns": {"long": {"type": "boolean"}},
            },
        },
        person="client",
    )
    model = make(epsilon=20.0).fit(tables, schema=schema, dataset="d", ledger=tmp_path / "l.sqlite")
    drawn = model.sample(n, random_state=0)
    assert "rare" in set(drawn["client"]["city"])
    assert drawn["visit"]["client"].isin(drawn["client"]["id"]).all()


def test_a_table_of_hardly_any_signal_stays_within_its_share(tmp_path) -> None:
    tables = bank(40)
    tiny = {"client": 0.9, "account": 0.05, "trans": 0.04, "card": 0.01}
    model = make(epsilon=0.5, settings=LinkedSettings(shares=tiny, table=QUICK))
    with pytest.warns(UserWarning, match="not found under the budget"):
        model.fit(tables, schema=SCHEMA, dataset="d", ledger=tmp_path / "l.sqlite")
    spent = math.fsum(event["mu_squared"] for event in model.guarantee_["events"])
    assert spent <= Spend.of_budget(epsilon=0.5, delta=1e-6).mu_squared
    check_linked(model.sample(50, random_state=0), 50)


def test_keys_follow_their_pattern_in_all_tables(tmp_path) -> None:
    account = {
        **TABLES["account"],
        "constraints": [{"kind": "unique", "columns": ["account"], "pattern": r"A-\d{5}"}],
    }
    schema = LinkedSchema({**TABLES, "account": account}, person="client")
    model = make().fit(bank(200), schema=schema, dataset="d", ledger=tmp_path / "l.sqlite")
    drawn = model.sample(100, random_state=0)
    assert drawn["account"]["account"].str.fullmatch(r"A-\d{5}").all()
    assert drawn["account"]["account"].is_unique
    assert drawn["trans"]["account"].isin(drawn["account"]["account"]).all()
    assert LinkedSchema.from_dict(schema.to_dict()) == schema


def test_what_is_told_and_kept_beside_the_releases_is_known_before_a_record_is_read(tmp_path) -> None:
    """Tables of other sizes leave and tell the same, but for the name of the run."""
    left = []
    for n in (150, 301):
        book, partial, told = Ledger(tmp_path / f"{n}.sqlite"), tmp_path / f"{n}.partial", []
        make(epsilon=30.0).fit(  # whatever the noise, the list of cities is found
            bank(n),
            schema=SCHEMA,
            dataset="bank",
            ledger=book,
            releases_path=partial,
            progress=lambda *said, told=told: told.append(said),
        )
        store = ReleaseStore(partial)
        meta = {
            name: value for name, value in store.meta.items() if name not in ("run", "ledger", "ledger_link")
        }
        left.append((told, meta, [(release.key, release.facts.keys()) for release in store]))
        store.close()
    assert left[0] == left[1]


@pytest.mark.parametrize("on_violation", ["error", "clip"])
def test_no_refusal_quotes_a_key_or_a_number_of_rows(on_violation, tmp_path) -> None:
    tables = bank(67)
    twice = tables["client"].astype({"id": object})
    twice.loc[:1, "id"] = "Zebra-77"
    orphan = tables["account"].astype({"owner": object})
    orphan.loc[0, "owner"] = "Zebra-77"
    for i, broken in enumerate(({"client": twice}, {"account": orphan})):
        if i == 1 and on_violation == "clip":
            continue  # dropped
        with pytest.raises(SchemaError) as stopped:
            make().fit(
                tables | broken,
                schema=SCHEMA,
                dataset=f"d{i}",
                ledger=Ledger(tmp_path / "l.sqlite"),
                on_violation=on_violation,
            )
        said = str(stopped.value)
        assert "breaks its schema" in said
        assert not any(word in said for word in ("Zebra", "67", str(len(tables["account"]))))
