"""What of a view of sequences follows from its own tables; columns may be called like derived ones."""

from __future__ import annotations

from privsynth.schema import Schema
from privsynth.schema.sequences import sequence_view
from privsynth.synthesizers.tables.row_before import are_shared, derived, pairs_before

OWN = {
    "who": {"type": "id", "role": "person_id"},
    "day": {"type": "integer", "low": 0, "high": 99, "role": "order"},
    "gap.teeth": {"type": "boolean"},
    "prev.ill": {"type": "boolean"},
    "start.up": {"type": "boolean", "per": "person"},
}


def test_columns_called_like_derived_ones_are_columns_like_others():
    view = sequence_view(Schema(OWN, max_records_per_person=3))
    names = {"first", "start.day", "gap.day", "prev.gap.teeth", "prev.prev.ill"}
    assert derived(view) == names
    assert pairs_before(view) == (("prev.gap.teeth", "gap.teeth"), ("prev.prev.ill", "prev.ill"))
    assert are_shared(view, ["start.up", "n_records", "start.day"])
    assert not are_shared(view, ["gap.teeth"])


def test_without_an_order_there_is_no_gap():
    columns = {name: fields for name, fields in OWN.items() if name != "day"}
    view = sequence_view(Schema(columns, max_records_per_person=3))
    assert not any(column.distance_of for column in view.modelled)
    assert derived(view) == {"first", "prev.gap.teeth", "prev.prev.ill"}
