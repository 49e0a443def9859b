"""Which rows of a person are kept, and how rows without an order stand, comes from the system's entropy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.io.tables import open_table
from privsynth.privacy.randomness import OsEntropy
from privsynth.records.linked import open_linked
from privsynth.schema import Schema
from privsynth.synthesizers import LinkedSynthesizer, MarginalSynthesizer
from tests.helpers.linked import SCHEMA, bank

TABLES = bank(50)
N_BYTES = 8  # of a uniform


@pytest.fixture
def drawn(monkeypatch) -> list[bytes]:
    """Return what is read of the system's entropy; a generator of numpy is an error."""
    parts, read = [], OsEntropy.read

    def noted(self: OsEntropy, n_bytes: int) -> bytes:
        parts.append(read(self, n_bytes))
        return parts[-1]

    def refused(*seed: object) -> None:
        raise AssertionError("a generator of numpy is not secret")

    monkeypatch.setattr(OsEntropy, "read", noted)
    monkeypatch.setattr(np.random, "default_rng", refused)
    return parts


def test_the_cut_of_linked_tables_is_drawn_as_secretly_as_noise(drawn):
    opened = open_linked(TABLES, SCHEMA)
    for _ in range(2):
        LinkedSynthesizer(epsilon=1.0)._read(opened, SCHEMA, "error")
    of_cut = [len(TABLES[name]) for name in ("account", "trans", "card")]
    of_order = [len(TABLES[name]) for name in ("account", "card")]  # those of accounts are ordered
    assert sorted(map(len, drawn)) == sorted(2 * [N_BYTES * n for n in (*of_cut, *of_order)])
    assert len(set(drawn)) == len(drawn)


def test_rows_without_an_order_stand_by_secret_chance(drawn):
    columns = {
        "who": {"type": "id", "role": "person_id"},
        "sex": {"type": "boolean", "per": "person"},
        "ill": {"type": "boolean"},
    }
    frame = pd.DataFrame({"who": [1, 1, 2, 2, 2], "sex": True, "ill": [True, False, True, False, True]})
    schema = Schema(columns, max_records_per_person=3)
    MarginalSynthesizer(epsilon=1.0)._read(open_table(frame, list(columns), schema=schema), schema, "error")
    assert [len(part) for part in drawn] == [N_BYTES * 5]
