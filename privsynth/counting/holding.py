"""Whoever answers a curator, by what the records were read into."""

from __future__ import annotations

from privsynth.counting.memory import RecordsInMemory
from privsynth.counting.stream import StreamedRecords
from privsynth.privacy.randomness import SecureRandom
from privsynth.privacy.records import SensitiveRecords
from privsynth.records.conform import Records
from privsynth.records.streams import Stream
from privsynth.schema import Schema


def hold(
    records: Records | Stream | SensitiveRecords | None, schema: Schema, secret: SecureRandom
) -> SensitiveRecords | None:
    """Return what answers a curator about records; None if there are none, as in a replay.

    Args:
        records: The real records, whole or to be read in passes, or who answers about them already.
        schema: Their schema, or of the view in which they are learnt.
        secret: Source of the cut of each person's rows, and of what is drawn once.

    Privacy:
        Not private: the answers are exact. Only a curator may have it.
    """
    if isinstance(records, Stream):
        return StreamedRecords(records, max_records_per_person=schema.max_records_per_person, secret=secret)
    if not isinstance(records, Records):
        return records
    return RecordsInMemory(records, max_records_per_person=schema.max_records_per_person, secret=secret)
