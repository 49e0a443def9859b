"""What cutting each person's part of a table in length brings: ``python -m tests.benchmarks.cutting``.

Tables of persons with many rows are fitted with and without the cut (`MarginalSettings.norm_factor`): RAND in
sequences, the others as rows that each stand beside their predecessor. As Markdown it prints mean and
standard deviation over ``--seeds`` fits of the total variation distance to persons that were set aside of the
training part, whose test part is left alone: of the columns, of pairs of columns within a row, and of pairs
of a column and another or the same one in the row before. All rows of a person count as one person. Number
columns are taken in eighths.

With ``--exact`` it fits nothing: of the same pairs it prints the gain (how many times as high the cut table
stands over its noise), and how far the cut table is from that of all rows, as it is and after the 1-way
marginals are set right again (`privsynth.models.tables.gains`), beside how far independent columns are.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privsynth.datasets import load_rand_hie
from privsynth.io.tables import read_table
from privsynth.privacy.randomness import OsEntropy
from privsynth.privacy.units import CUT_GRID, PERSON_GRID, count_cut_table, count_table, weigh_records
from privsynth.records.splitting import split
from privsynth.schema import Schema
from privsynth.synthesizers import MarginalSynthesizer
from privsynth.synthesizers.tables.select_measure_fit import LEAST_NORM
from tests.benchmarks.fitting import changed
from tests.benchmarks.tables import HELD_OUT, TEST_SEED, VALIDATION_SEED
from tests.helpers.tables import real_data

DELTA = 1e-6
N_ROWS = 50_000  # drawn of each fit
PARTS = 8  # of a number column


@dataclass(frozen=True)
class History:
    """A table of persons with rows in an order.

    Attributes:
        rows: The table.
        person: Column of the person.
        order: Column of the order.
        columns: Declared columns that differ between a person's rows.
        of_persons: Declared columns that do not.
        cap: Largest number of rows of a person.
        order_facts: The declared column of the order, for fits of sequences; None: it is not declared.
    """

    rows: pd.DataFrame
    person: str
    order: str
    columns: dict[str, dict[str, Any]]
    of_persons: dict[str, dict[str, Any]]
    cap: int
    order_facts: dict[str, Any] | None = None

    @property
    def sequences(self) -> Schema:
        """The schema of the table itself, which a fit of sequences takes."""
        assert self.order_facts is not None
        return Schema(
            {
                self.person: {"type": "id", "role": "person_id"},
                **{name: facts | {"per": "person"} for name, facts in self.of_persons.items()},
                self.order: self.order_facts | {"role": "order"},
                **self.columns,
            },
            max_records_per_person=self.cap,
        )

    @property
    def schema(self) -> Schema:
        """Of the view."""
        before = {
            f"prev.{name}": {key: value for key, value in facts.items() if key != "role"} | {"missing": True}
            for name, facts in self.columns.items()
        }
        count = {
            "n_records": {"type": "integer", "low": 1, "high": self.cap},
            "first": {"type": "boolean"},
        }
        return Schema(
            {
                self.person: {"type": "id", "role": "person_id"},
                **self.of_persons,
                **count,
                **before,
                **self.columns,
            },
            max_records_per_person=self.cap,
        )

    def view(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return each row beside the one before it."""
        rows = rows.sort_values([self.person, self.order], kind="stable").reset_index(drop=True)
        of_person = rows.groupby(self.person)
        before = of_person[list(self.columns)].shift().add_prefix("prev.")
        count = of_person[self.order].transform("size").clip(upper=self.cap).rename("n_records")
        first = (of_person.cumcount() == 0).rename("first")
        shared = of_person[list(self.of_persons)].transform("first")
        return pd.concat([rows[self.person], shared, count, first, before, rows[list(self.columns)]], axis=1)

    def parts(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the views of what is fitted and of persons set aside, both of the training part."""
        schema = self.schema
        train, _ = split(self.view(self.rows), schema, holdout=HELD_OUT, random_state=TEST_SEED)
        return split(train, schema, holdout=HELD_OUT, random_state=VALIDATION_SEED)


def rand() -> History:
    """Years of the RAND Health Insurance Experiment: up to 5 a person."""
    rows, schema = load_rand_hie()
    declared = schema.to_dict()["columns"]
    own = ("doctor_visits", "outpatient_spending", "drug_spending", "hospital_admission")
    shared = ("site", "plan", "sex", "race", "income", "education", "general_health", "mental_health")
    shared = (*shared, "chronic_diseases", "physical_limitation")
    return History(
        rows,
        "zper",
        "year",
        {n: declared[n] for n in own},
        {n: declared[n] for n in shared},
        cap=5,
        order_facts=declared["year"],
    )


def berka(cap: int = 60) -> History:
    """Transactions of owners of bank accounts; codes are those of the bank's public description."""
    rows = read_table(real_data() / "berka_transactions_sample.csv.gz")
    types = ["PRIJEM", "VYDAJ", "VYBER"]
    operations = ["VKLAD", "VYBER", "PREVOD Z UCTU", "PREVOD NA UCET", "VYBER KARTOU"]
    symbols = ["POJISTNE", "SLUZBY", "UROK", "SANKC. UROK", "SIPO", "DUCHOD", "UVER"]
    columns: dict[str, dict[str, Any]] = {
        "type": {"type": "categorical", "categories": types},
        "operation": {"type": "categorical", "categories": operations, "missing": True},
        "k_symbol": {"type": "categorical", "categories": symbols, "missing": True},
        "amount": {"type": "real", "low": 0, "high": 100_000, "decimals": 0},
        "balance": {"type": "real", "low": -10_000, "high": 200_000, "decimals": 0},
    }
    owners = {
        "sex": {"type": "categorical", "categories": ["F", "M"]},
        "birth_year": {"type": "integer", "low": 1910, "high": 1990},
    }
    rows = rows.replace({name: {"": None} for name in ("operation", "k_symbol")})
    return History(rows, "client_id", "date", columns, owners, cap=cap)


def diabetes130() -> History:
    """Stays in hospital, in the order of their numbers; up to 5 a person, of most just one."""
    rows = read_table(real_data() / "diabetes130.csv.gz")
    declared = Schema.load(Path(__file__).parent / "schemas" / "diabetes130.json").to_dict()["columns"]
    own = ("time_in_hospital", "num_lab_procedures", "num_medications", "number_diagnoses", "insulin")
    own = (*own, "diabetesMed", "readmitted")
    shared = ("race", "gender")
    plain = {n: {k: v for k, v in declared[n].items() if k != "role"} for n in (*own, *shared)}
    return History(
        rows.assign(encounter_id=rows["encounter_id"].astype(np.int64)),
        "patient_nbr",
        "encounter_id",
        {n: plain[n] for n in own},
        {n: plain[n] for n in shared},
        cap=5,
    )


TABLES = {"rand": rand, "berka": berka, "berka20": lambda: berka(20), "diabetes130": diabetes130}


@dataclass(frozen=True)
class Parts:
    """Number columns in eighths of the training rows, others as they are."""

    edges: dict[str, np.ndarray]
    texts: dict[str, list[str]]

    @classmethod
    def of(cls, history: History, train: pd.DataFrame) -> Parts:
        """Make the parts from training rows."""
        edges, texts = {}, {}
        for name in history.columns:
            if history.schema.columns[name].is_numeric:
                at = np.arange(1, PARTS) / PARTS
                edges[name] = np.unique(np.quantile(train[name].dropna().astype(float), at))
            else:
                texts[name] = sorted(map(str, train[name].dropna().unique()))
        return cls(edges, texts)

    def codes(self, rows: pd.DataFrame, name: str) -> tuple[np.ndarray, int]:
        """Return codes of a column, missing the last, and their number."""
        base, values = name.removeprefix("prev."), rows[name]
        missing = values.isna().to_numpy()
        if base in self.edges:
            found = np.searchsorted(self.edges[base], values.astype(float).to_numpy(), side="right")
            size = len(self.edges[base]) + 1
        else:
            found = pd.Categorical(values.astype(str), categories=self.texts[base]).codes.astype(np.int64)
            size = len(self.texts[base])
        return np.where(missing, size, found), size + 1


def pairs(history: History) -> dict[str, list[tuple[str, ...]]]:
    """Return the sets of columns that are compared, by kind."""
    own = list(history.columns)
    return {
        "1-way": [(name,) for name in own],
        "within a row": list(itertools.combinations(own, 2)),
        "row before": [(f"prev.{a}", b) for a, b in itertools.product(own, own)],
    }


def shares(
    parts: Parts, rows: pd.DataFrame, weights: np.ndarray, sets: dict[str, list[tuple[str, ...]]]
) -> dict[str, list[np.ndarray]]:
    """Return the shares of the joint codes of each set; of pairs with the row before without first rows."""
    out: dict[str, list[np.ndarray]] = {}
    for kind, of_kind in sets.items():
        out[kind] = []
        for columns in of_kind:
            coded, sizes = zip(*(parts.codes(rows, name) for name in columns), strict=True)
            joint = np.ravel_multi_index(coded, sizes)
            counts = np.bincount(joint, weights=weights, minlength=int(np.prod(sizes)))
            out[kind].append(counts / counts.sum())
    return out


def weights_of(rows: pd.DataFrame, person: str) -> np.ndarray:
    """Return one over the number of the person's rows, of each row."""
    return 1.0 / rows.groupby(person)[person].transform("size").to_numpy()


def one_fit(
    history: History, train: pd.DataFrame, epsilon: float, settings: dict[str, Any], seed: int
) -> tuple[pd.DataFrame, float]:
    """Fit once; return rows and seconds. Where an order is declared, sequences are fitted."""
    start = time.perf_counter()
    is_view = history.order_facts is None
    persons, schema = set(train[history.person]), history.schema if is_view else history.sequences
    rows = (
        train if is_view else history.rows[history.rows[history.person].isin(persons)][list(schema.columns)]
    )
    synthesizer = MarginalSynthesizer(
        epsilon=epsilon,
        delta=DELTA,
        settings=changed(MarginalSynthesizer.settings_type(), settings),
        random_state=seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "l.sqlite"
        synthesizer.fit(rows, schema=schema, dataset="t", ledger=ledger, on_violation="clip")
    took = time.perf_counter() - start
    if is_view:
        return synthesizer.sample(N_ROWS, random_state=seed), took
    n_persons = N_ROWS * len(persons) // len(train)
    return history.view(synthesizer.sample(n_persons, random_state=seed)), took


def distances(found: dict[str, list[np.ndarray]], real: dict[str, list[np.ndarray]]) -> dict[str, float]:
    """Return the mean total variation distance by kind."""
    return {
        kind: float(
            np.mean([0.5 * np.abs(a - b).sum() for a, b in zip(found[kind], real[kind], strict=True)])
        )
        for kind in found
    }


def fitted(history: History, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Fit and score with each factor, seed by seed."""
    train, aside = history.parts()
    parts, sets = Parts.of(history, train), pairs(history)
    real = shares(parts, aside, weights_of(aside, history.person), sets)
    own = shares(parts, train, weights_of(train, history.person), sets)
    yield {"epsilon": None, "factor": "training rows", "seed": 0, **distances(own, real), "seconds": 0.0}
    for seed, epsilon, factor in itertools.product(
        range(arguments.seeds), arguments.epsilons, arguments.factors
    ):
        settings = {**arguments.settings, "norm_factor": factor}
        rows, took = one_fit(history, train, epsilon, settings, seed)
        weights = np.ones(len(rows)) if history.order_facts is None else weights_of(rows, history.person)
        found = distances(shares(parts, rows, weights, sets), real)
        yield {"epsilon": epsilon, "factor": factor, "seed": seed, **found, "seconds": took}


def exact(history: History, arguments: argparse.Namespace) -> None:
    """Print gain and bias of exact cut tables, by factor."""
    train, _ = history.parts()
    parts = Parts.of(history, train)
    weighting = weigh_records(
        pd.factorize(train[history.person])[0],
        max_records_per_person=history.cap,
        secret=OsEntropy(),
    )
    rows = train.iloc[weighting.rows]
    print("| factor | pairs | gain | distance | 1-ways set right | independent |\n|---|---|---|---|---|---|")
    for factor in (f for f in arguments.factors if f is not None):
        norm = min(1.0, max(LEAST_NORM, factor / np.sqrt(history.cap)))
        for kind in ("within a row", "row before"):
            figures = []
            for columns in pairs(history)[kind]:
                codes, sizes = zip(*(parts.codes(rows, name) for name in columns), strict=True)
                cut = count_cut_table(codes, sizes, weighting, norm) / CUT_GRID
                whole = count_table(
                    codes, sizes, weighting.weights, n_rows=len(rows), units_per_one=PERSON_GRID
                )
                whole = whole / PERSON_GRID
                n, by, on = whole.sum(), whole.sum(axis=1), whole.sum(axis=0)
                figures.append(
                    (
                        cut.sum() / n / norm,
                        0.5 * np.abs(cut / cut.sum() - whole / n).sum(),
                        0.5 * np.abs(with_margins(cut, by, on) - whole).sum() / n,
                        0.5 * np.abs(np.outer(by, on) / n - whole).sum() / n,
                    )
                )
            print(
                f"| {factor:g} | {kind} | " + " | ".join(f"{f:.3f}" for f in np.mean(figures, axis=0)) + " |"
            )


def with_margins(table: np.ndarray, by: np.ndarray, on: np.ndarray) -> np.ndarray:
    """Return a table scaled by rows and columns until it has these margins."""
    out = table.astype(float)
    for _ in range(100):
        out *= (by / np.maximum(out.sum(axis=1), 1e-300))[:, None]
        out *= on / np.maximum(out.sum(axis=0), 1e-300)
    return out


def markdown(runs: list[dict[str, Any]]) -> str:
    """Return means and standard deviations over seeds."""
    table = pd.DataFrame(runs)
    table["factor"] = table["factor"].map(lambda f: "no cut" if f is None or f != f else f)
    lines = ["| epsilon | factor | 1-way | within a row | row before | seconds |\n|---|---|---|---|---|---|"]
    for (epsilon, factor), of in table.groupby(["epsilon", "factor"], dropna=False, sort=False):
        cells = [
            f"{of[kind].mean():.4f}" + (f" ± {of[kind].std():.4f}" if len(of) > 1 else "")
            for kind in ("1-way", "within a row", "row before")
        ]
        lines.append(f"| {epsilon:g} | {factor} | " + " | ".join(cells) + f" | {of['seconds'].mean():.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.cutting",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1.0, 3.0])
    parser.add_argument(
        "--factors", nargs="+", type=lambda text: None if text == "none" else float(text), default=[None, 1.5]
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON of other settings to change")
    parser.add_argument("--exact", action="store_true", help="gain and bias of exact tables")
    parser.add_argument("--json", type=Path, default=None, help="file that every run is added to, by line")
    arguments = parser.parse_args()
    for name in arguments.tables:
        history = TABLES[name]()
        print(f"\n{name}, up to {history.cap} rows a person\n")
        if arguments.exact:
            exact(history, arguments)
            continue
        runs = []
        for run in fitted(history, arguments):
            runs.append(run)
            if arguments.json:
                with arguments.json.open("a") as file:
                    file.write(json.dumps({"table": name, **run}) + "\n")
        print(markdown(runs), flush=True)


if __name__ == "__main__":
    main()
