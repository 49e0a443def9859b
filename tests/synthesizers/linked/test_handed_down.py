"""What the model of a table above tells of the tables below, and that nothing of it is paid for again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from privsynth.sampling.bound_rows import Known
from privsynth.sampling.calibration import calibrated_tables
from privsynth.sampling.linked import LinkedModel, known_of, numbers_of_rows, own_of, rows_below, walk_of
from privsynth.sampling.plan import make_plan
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.rows import coded_blocks
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_views import linked_view, n_of
from privsynth.schema.sequences import N_RECORDS
from privsynth.synthesizers.linked.handed_down import handed_down
from privsynth.synthesizers.linked.marginal import LinkedSettings, LinkedSynthesizer
from tests.helpers.linked import SCHEMA, TABLES, bank
from tests.helpers.tables import QUICK


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> LinkedSynthesizer:
    ledger = tmp_path_factory.mktemp("linked") / "ledger.sqlite"
    made = LinkedSynthesizer(epsilon=3.0, settings=LinkedSettings(table=QUICK), random_state=0, device="cpu")
    return made.fit(bank(), schema=SCHEMA, dataset="bank", ledger=ledger)


def test_what_stands_above_is_neither_found_nor_counted_again(fitted) -> None:
    by_itself = [r for r in fitted.releases_ if r.columns is not None and len(r.columns) == 1]
    counted = {(r.key.partition("/")[0], r.columns[0]) for r in by_itself}
    assert {("account", "kind"), ("trans", "big"), ("client", "rich")} <= counted
    for name in fitted.schema_.tables:
        given = {column.name for column in linked_view(fitted.schema_, name).modelled if column.is_given}
        assert given == set() if name == "client" else {N_RECORDS, "client.rich"} <= given
        assert not given & {column for table, column in counted if table == name}
    assert ("account", "kind") in counted
    assert [r.key for r in fitted.releases_ if "values/" in r.key] == ["account/values/kind"]


def test_a_table_below_knows_what_the_model_above_says_of_parents_that_have_rows(fitted) -> None:
    views = fitted.model_.views
    for name, parent, source, column in (
        ("account", "client", "rich", "client.rich"),
        ("trans", "account", "kind", "account.kind"),
        ("trans", "account", "client.rich", "client.rich"),
    ):
        known = handed_down(fitted.schema_, name, views[parent])
        joint = views[parent].table((source, n_of(name)))[:, 1:].sum(axis=1)  # the first code is no row
        np.testing.assert_allclose(known[column].shares, joint / joint.sum(), rtol=1e-6)
        of_child = views[name].domains[column]
        assert of_child.labels == views[parent].domains[source].labels
        assert of_child.column.name == column
        numbers = views[parent].table((n_of(name),))[1:]
        np.testing.assert_allclose(known[N_RECORDS].shares, numbers / numbers.sum(), rtol=1e-6)
    known = handed_down(fitted.schema_, "trans", views["account"])
    assert set(known) == {c.name for c in linked_view(fitted.schema_, "trans").modelled if c.is_given}
    of_client = views["account"].domains[N_RECORDS]
    assert known["client.n.account"].domain.labels == of_client.labels


def test_numbers_that_stand_in_bins_above_are_handed_down_one_by_one(tmp_path) -> None:
    most = 20  # of more than 16 rows numbers above stand on a line, those below are told apart one by one
    tables = {**TABLES, "account": {**TABLES["account"], "max_records_per_parent": most}}
    schema = LinkedSchema(tables, person="client")
    made = LinkedSynthesizer(
        epsilon=100.0, settings=LinkedSettings(table=QUICK), random_state=0, device="cpu"
    ).fit(bank(), schema=schema, dataset="bank", ledger=tmp_path / "ledger.sqlite")
    known = handed_down(schema, "account", made.model_.persons)[N_RECORDS]
    assert known.domain.labels == list(range(1, most + 1))
    assert known.shares.sum() == pytest.approx(1.0)
    real = bank()["account"].groupby("owner").size().value_counts(normalize=True)
    assert known.shares[:3] == pytest.approx([real[k] for k in (1, 2, 3)], abs=0.05)
    assert known.shares[3:].sum() < 0.05
    # which number a table two levels below knows of, stands on a line there
    below = handed_down(schema, "trans", made.model_.views["account"])["client.n.account"]
    assert below.domain.column.is_numeric
    assert below.domain.code_of_ticks(np.array([1.0, 3.0, float(most)])).tolist() == [0, 2, most - 1]
    drawn = made.sample(100, random_state=0)
    assert drawn["trans"]["account"].isin(drawn["account"]["account"]).all()


def off(model: LinkedModel, name: str, known: dict[str, Known], n_records) -> float:
    """Return how far from the model's it is, how often drawn rows hold each component."""
    mixture = model.views[name].mixture
    tally = np.zeros((2, mixture.n_components))
    rows_below(walk_of(model, name, tally), known, n_records, default_rng(3))
    is_drawn = tally.sum(axis=1) > 0
    wanted, drawn = mixture.blocks[mixture.columns.index("first")].T[is_drawn], tally[is_drawn]
    shares = drawn / drawn.sum(axis=1, keepdims=True) - wanted / wanted.sum(axis=1, keepdims=True)
    return float(np.abs(shares).sum() / 2)


def test_rows_of_every_child_table_hold_components_as_often_as_its_model_says(fitted) -> None:
    model = fitted.model_
    assert set(model.calibration) == {"account", "trans", "card"}
    plain = replace(model, calibration={})

    plan = make_plan(model.persons, SampleRequest(n=2000), default_rng(1))
    ((persons, _),) = coded_blocks(plan, default_rng(1))
    clients = own_of(model, "client", persons)
    for name in ("account", "card"):
        n = numbers_of_rows(model, name, clients)
        some = np.flatnonzero(n > 0)
        known = known_of(model, name, clients, some, n[some])
        before = off(plain, name, known, n[some])
        assert off(model, name, known, n[some]) < max(0.8 * before, 1e-3)  # where there is anything to mend
    again = calibrated_tables(plain).calibration
    assert all((again[name] == factors).all() for name, factors in model.calibration.items())
