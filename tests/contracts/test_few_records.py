"""None, one, two or three records: each synthesizer fits them, or stops before it has charged anything."""

from __future__ import annotations

import pandas as pd
import pytest

from privsynth.errors import TableError
from privsynth.ledger.ledger import Ledger
from privsynth.schema import Schema
from tests.contracts.synthesizers import QUICK_SETTINGS, as_records, maker

COLUMNS = {
    "town": {"type": "categorical", "categories": "private"},
    "ward": {"type": "categorical", "categories": "private", "missing": "private"},
    "pay": {"type": "real", "low": "private", "high": "private", "decimals": 2, "missing": True},
    "ill": {"type": "boolean"},
}
COMBINATIONS = [{"kind": "fixed_combinations", "columns": ["town", "ward"], "combinations": "private"}]
FRAME = pd.DataFrame(
    {
        "who": [1, 1, 2],
        "town": ["Ulm", "Bonn", "Ulm"],
        "ward": ["a", None, "a"],
        "pay": [1.5, None, 3.0],
        "ill": [True, False, True],
    }
)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of so few, nothing is found
@pytest.mark.parametrize("with_persons", [False, True], ids=["records", "persons"])
@pytest.mark.parametrize("on_violation", ["error", "clip"])
@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", list(QUICK_SETTINGS), ids=lambda kind: kind.name)
def test_few_records_are_fitted_or_refused_before_a_charge(tmp_path, kind, n, on_violation, with_persons):
    person = {"who": {"type": "id", "role": "person_id"}} if with_persons else {}
    schema = Schema(
        person | COLUMNS,
        constraints=COMBINATIONS,
        max_records_per_person=2 if with_persons else None,
    )
    ledger, synthesizer = Ledger(tmp_path / "ledger.sqlite"), maker(kind)(epsilon=1.0)
    source, schema = as_records(synthesizer, FRAME.iloc[:n], schema)
    named = {"schema": schema, "dataset": "few", "ledger": ledger, "on_violation": on_violation}
    if n == 0 and on_violation == "error":
        with pytest.raises(TableError, match="has no rows"):
            synthesizer.fit(source, **named)
        (run,) = ledger.datasets()[0].runs
        assert (run.n_events, run.noiseless_stops) == (0, 1)
    else:
        synthesizer.fit(source, **named)
        assert ledger.datasets()[0].noiseless_stops == 0
        synthesizer.sample(5)
