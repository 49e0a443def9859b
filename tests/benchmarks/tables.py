"""The benchmark's tables: where they lie, what is public about them, and how they are divided.

Schemas stand in ``schemas/`` and come from codebooks, not from the records; its README says where from.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from privsynth.io.tables import read_table
from privsynth.records.splitting import split
from privsynth.schema import Schema
from tests.helpers.tables import real_data

SCHEMAS = Path(__file__).parent / "schemas"
HELD_OUT = 0.2
TEST_SEED, VALIDATION_SEED, ROW_SEED = 0, 1, 2


def bench_folder() -> Path:
    """Return the folder of the Adult split and the scorer: ``$PRIVSYNTH_BENCH``, else beside the tables."""
    return Path(os.environ.get("PRIVSYNTH_BENCH", real_data().parent / "bench"))


def adult_schema() -> Schema:
    """Return Adult's public schema."""
    return TABLES["adult"].schema


@dataclass(frozen=True)
class Table:
    """A real table with a public schema.

    Attributes:
        name: Of the table and of its schema's file.
        file: Its file in the folder of real tables; None for Adult, whose split lies beside the scorer.
        positive: Value of the target that classifiers learn to find; None for a numeric target, which is
            scored as above the training part's median or not.
        compared: Columns whose groups are scored apart, the first one for parity; empty means the schema's
            groups.
    """

    name: str
    file: str | None
    positive: str | None
    compared: tuple[str, ...] = ()

    @cached_property
    def schema(self) -> Schema:
        """The public schema."""
        return Schema.load(self.schema_path)

    @property
    def schema_path(self) -> Path:
        """File of the public schema."""
        return SCHEMAS / f"{self.name}.json"

    def parts(self, *, validation: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return what is fitted and what is scored on, by whole persons.

        With ``validation`` the training part is divided again and the test part is not returned: every
        choice has to be made that way.
        """
        if self.file is None:
            train, test = (read_table(bench_folder() / f"adult_{part}.csv.gz") for part in ("train", "test"))
        else:
            records = read_table(real_data() / self.file)
            train, test = split(records, self.schema, holdout=HELD_OUT, random_state=TEST_SEED)
        if validation:
            return split(train, self.schema, holdout=HELD_OUT, random_state=VALIDATION_SEED)
        return train, test

    def scored_rows(self, part: pd.DataFrame) -> pd.DataFrame:
        """Return the rows to hold synthetic ones against: in random order, one of each person.

        A fit weighs persons alike, so one row at random stands for each. The order matters to the scorer's
        classifier test: it draws rows and folds by one seed, so that the folds of a sorted table are
        stretches of it, and rows are told apart by what lies next to them (real rows: AUC 0.14).
        """
        shuffled = part.sample(frac=1.0, random_state=ROW_SEED)
        person = self.schema.person_id
        return shuffled if person is None else shuffled.drop_duplicates(person)


TABLES = {
    table.name: table
    for table in (
        Table("adult", None, positive=">50K", compared=("sex", "race")),
        Table("german_credit", "german_credit.csv.gz", positive="2"),
        Table("compas", "compas_two_years.csv.gz", positive="1"),
        Table("diabetes130", "diabetes130.csv.gz", positive="<30"),
        Table("nist_acs_ma2019", "nist_acs_ma2019.csv.gz", positive="2"),
        Table(
            "california_housing", "california_housing.csv.gz", positive=None, compared=("ocean_proximity",)
        ),
    )
}
