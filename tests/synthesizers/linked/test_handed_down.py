"""What the model of a table above tells of the tables below, and that nothing of it is paid for again."""

from __future__ import annotations

import numpy as np
import pytest

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
