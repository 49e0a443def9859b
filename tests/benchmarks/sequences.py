"""How well persons' histories are kept: ``python -m tests.benchmarks.sequences``.

Runs tables x epsilons x seeds and writes Markdown: for each figure the real holdout, independent rows (the
training rows dealt to the persons at random) and the synthetic persons, mean and range over the seeds.
``--validation`` divides the training part and leaves the test part alone, as every choice must be made.

Figures: TVD of the number of records; mean TVD over pairs of event columns, numbers in octiles of the
training rows, within a row (`own`), with the row before (`lag1`) and the one before that (`lag2`); TVD of the
persons' totals of one column in 20 bins; AUC of boosted trees that predict an event from the row before,
trained on the rows and tested on the real holdout; correlation of a column with itself one and two rows
before. ``law`` is a made table: its figures are errors of planted effects, 0 for kept and 1 for lost.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import privsynth
from privsynth.datasets import load_rand_hie
from privsynth.schema import Schema
from tests.benchmarks.tables import TABLES, real_data

HELD_OUT = 0.2
RAND_SHARED = (
    "site", "plan", "sex", "race", "education", "income", "general_health", "mental_health",
    "chronic_diseases", "physical_limitation",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A table of persons with several rows, and what is looked at.

    Attributes:
        load: Returns the table and its public schema.
        events: Columns that are compared.
        total: Column that is added up for each person.
        event: What is predicted: a column, and which of its values.
        clip: Whether rows that break the schema are clipped.
    """

    load: Callable[[], tuple[pd.DataFrame, Schema]]
    events: tuple[str, ...]
    total: str
    event: tuple[str, Callable[[pd.Series], pd.Series]]
    clip: bool = False


def _rand() -> tuple[pd.DataFrame, Schema]:
    table, schema = load_rand_hie()
    return table, with_sequences(schema, RAND_SHARED, "year")


def _diabetes() -> tuple[pd.DataFrame, Schema]:
    table = pd.read_csv(real_data() / "diabetes130.csv.gz", keep_default_na=False, na_values=[""])
    fields = TABLES["diabetes130"].schema.to_dict()
    fields["columns"]["encounter_id"] = {"type": "integer", "low": 0, "high": 500_000_000}
    return table, with_sequences(Schema.from_dict(fields), ("race", "gender"), "encounter_id")


def _berka() -> tuple[pd.DataFrame, Schema]:
    private = {"type": "categorical", "categories": "private", "missing": True}
    columns: dict[str, dict[str, Any]] = {
        "client_id": {"type": "id", "role": "person_id"},
        "sex": {"type": "categorical", "categories": ["F", "M"]},
        "birth_year": {"type": "integer", "low": 1900, "high": 1990},
        "region": private,
        "date": {"type": "datetime", "low": "1993-01-01", "high": "1994-12-31"},
        "type": private,
        "operation": private,
        "k_symbol": private,
        "amount": {"type": "real", "decimals": 1, "low": 0, "high": 100_000},
        "balance": {"type": "real", "decimals": 1, "low": -50_000, "high": 250_000},
    }
    table = pd.read_csv(real_data() / "berka_transactions_sample.csv.gz")
    columns = {name: fields for name, fields in columns.items() if name in table.columns}
    schema = Schema(columns, max_records_per_person=60)
    return table, with_sequences(schema, ("sex", "birth_year", "region"), "date")


def with_sequences(schema: Schema, shared: tuple[str, ...], order: str) -> Schema:
    """Return a schema that says what the rows of a person share, and how they are ordered."""
    fields = schema.to_dict()
    for name in shared:
        fields["columns"][name]["per"] = "person"
    fields["columns"][order]["role"] = "order"
    return Schema.from_dict(fields)


CASES = {
    "rand": Case(
        _rand,
        ("doctor_visits", "outpatient_spending", "drug_spending", "hospital_admission"),
        "outpatient_spending",
        ("outpatient_spending", lambda values: values > 100),
    ),
    "diabetes130": Case(
        _diabetes,
        (
            "time_in_hospital",
            "num_medications",
            "number_inpatient",
            "number_diagnoses",
            "insulin",
            "readmitted",
        ),
        "time_in_hospital",
        ("readmitted", lambda values: values.astype(str).eq("<30")),
        clip=True,
    ),
    "berka": Case(
        _berka,
        ("type", "operation", "k_symbol", "amount", "balance"),
        "amount",
        ("type", lambda values: values.astype(str).eq("PRIJEM")),
        clip=True,
    ),
}


class Histories:
    """Rows of persons in order, coded for comparison with the training rows.

    Args:
        rows: The table.
        case: What is looked at.
        schema: Of the table.
        edges: Octiles of numeric columns, and bins of totals; None takes them from these rows.
    """

    def __init__(self, rows: pd.DataFrame, case: Case, schema: Schema, like: Histories | None = None) -> None:
        person, order = str(schema.person_id), str(schema.order)
        rows = rows.sort_values([person, order], kind="stable").reset_index(drop=True)
        self.case, self.person = case, rows[person]
        cap = schema.max_records_per_person or 1
        self.sizes = rows.groupby(person).size().clip(upper=cap)
        raw = {name: _numbers(rows[name], like.labels.get(name) if like else None) for name in case.events}
        self.labels = {name: labels for name, (_, labels) in raw.items() if labels is not None}
        self.values = pd.DataFrame({name: values for name, (values, _) in raw.items()})
        self.edges = like.edges if like else {n: _quantiles(self.values[n], 8) for n in self.values}
        codes = {
            name: v.to_numpy()
            if name in self.labels
            else np.where(v.isna(), -1, np.digitize(v.fillna(0), self.edges[name]))
            for name, v in self.values.items()
        }
        self.codes = {0: pd.DataFrame(codes)}
        place = self.person.groupby(self.person).cumcount()
        for lag in (1, 2):
            shifted = self.codes[0].groupby(self.person).shift(lag)
            self.codes[lag] = shifted.where(place >= lag)
        self.totals = np.log1p(self.values[case.total].fillna(0).clip(lower=0)).groupby(self.person).sum()
        self.total_edges = like.total_edges if like else _quantiles(self.totals, 20)
        self.happens = case.event[1](rows[case.event[0]]).to_numpy(dtype=bool)
        self.before = self.values.groupby(self.person).shift(1)

    def lagged(self, lag: int) -> pd.DataFrame:
        """Return codes of rows side by side with those ``lag`` rows before, of persons that have both."""
        both = self.codes[lag].add_prefix("before ").join(self.codes[0])
        return both.dropna() if lag else both


def _numbers(values: pd.Series, labels: dict[str, int] | None) -> tuple[pd.Series, dict[str, int] | None]:
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.astype(float), None
    texts = values.astype(object).where(values.notna(), "missing").astype(str)
    known = labels or {text: i for i, text in enumerate(sorted(set(texts)))}
    return texts.map(known).fillna(-1).astype(float), known


def _quantiles(values: pd.Series, n: int) -> np.ndarray:
    return np.unique(np.nanquantile(values.to_numpy(dtype=float), np.linspace(0, 1, n + 1)[1:-1]))


def tvd(a: pd.Series, b: pd.Series) -> float:
    """Return the total variation distance of two tables of shares by label."""
    return float(a.sub(b, fill_value=0).abs().sum() / 2)


def pairs_tvd(real: Histories, other: Histories, lag: int) -> float:
    """Return the mean distance over pairs of event columns, ``lag`` rows apart."""
    a, b = real.lagged(lag), other.lagged(lag)
    names = real.case.events
    pairs = [(f"before {x}", y) for x in names for y in names if lag or x < y]
    shares = [
        (a.value_counts([x, y], normalize=True), b.value_counts([x, y], normalize=True)) for x, y in pairs
    ]
    return float(np.mean([tvd(*pair) for pair in shares]))


def score(train: Histories, other: Histories, holdout: Histories, trained_on: Histories) -> dict[str, float]:
    """Return all figures of one set of persons against the training persons."""
    n = (train.sizes.value_counts(normalize=True), other.sizes.value_counts(normalize=True))
    bins = [
        pd.Series(np.digitize(h.totals, train.total_edges)).value_counts(normalize=True)
        for h in (train, other)
    ]
    out = {
        "n_records": tvd(*n),
        "own": pairs_tvd(train, other, 0),
        "lag1": pairs_tvd(train, other, 1),
        "lag2": pairs_tvd(train, other, 2),
        "totals": tvd(*bins),
    }
    known, tested = trained_on.before.notna().any(axis=1), holdout.before.notna().any(axis=1)
    model = HistGradientBoostingClassifier(max_iter=60, max_depth=3, random_state=0)
    if len(set(trained_on.happens[known])) == 2:
        model.fit(trained_on.before[known], trained_on.happens[known])
        chance = model.predict_proba(holdout.before[tested])[:, 1]
        out["next_auc"] = float(roc_auc_score(holdout.happens[tested], chance))
    for lag in (1, 2):
        values = np.log1p(other.values[train.case.total].clip(lower=0))
        out[f"corr{lag}"] = float(values.corr(values.groupby(other.person).shift(lag)))
    return out


def independent_rows(train: pd.DataFrame, schema: Schema, rng: np.random.Generator) -> pd.DataFrame:
    """Return the training rows dealt to the persons at random."""
    out, order = train.copy(), rng.permutation(len(train))
    moved = [
        n
        for n, c in schema.columns.items()
        if n in train and not c.per and c.role not in ("person_id", "order")
    ]
    out[moved] = train[moved].iloc[order].to_numpy()
    return out.astype({name: train[name].dtype for name in moved})


# -- a made law ------------------------------------------------------------------------------------------


def made_law(n_persons: int, rng: np.random.Generator) -> tuple[pd.DataFrame, Schema]:
    """Return persons whose group moves their events; these last, and a cost follows them."""
    size = rng.integers(1, 9, n_persons)
    person = np.repeat(np.arange(n_persons), size)
    group = np.repeat(rng.random(n_persons) < 0.5, size)
    first = np.r_[True, person[1:] != person[:-1]]
    ill, cost = np.zeros(len(person), dtype=bool), np.zeros(len(person))
    for i in range(len(person)):
        chance = (0.45 if group[i] else 0.25) if first[i] else (0.75 if ill[i - 1] else 0.2)
        ill[i] = rng.random() < chance + (0.0 if first[i] else 0.1 * group[i])
        before = 50.0 if first[i] else cost[i - 1]
        cost[i] = np.clip(0.6 * before + 20 + 25 * ill[i] + rng.normal(0, 8), 0, 150)
    columns: dict[str, dict[str, Any]] = {
        "person": {"type": "id", "role": "person_id"},
        "group": {"type": "boolean", "per": "person"},
        "month": {"type": "integer", "low": 1, "high": 12, "role": "order"},
        "ill": {"type": "boolean"},
        "cost": {"type": "real", "decimals": 1, "low": 0, "high": 150},
    }
    month = 1 + np.arange(len(person)) - np.repeat(np.flatnonzero(first), size)
    table = pd.DataFrame(
        {"person": person, "group": group, "month": month, "ill": ill, "cost": cost.round(1)}
    )
    return table, Schema(columns, max_records_per_person=8)


def effects(rows: pd.DataFrame) -> dict[str, float]:
    """Return the planted effects as they stand in a table."""
    rows = rows.sort_values(["person", "month"])
    ill = rows["ill"].astype(float)
    before = ill.groupby(rows["person"]).shift()
    cost_before = rows["cost"].groupby(rows["person"]).shift()
    group = rows["group"].astype(bool)
    return {
        "illness lasts": ill[before == 1].mean() - ill[before == 0].mean(),
        "group -> illness": ill[group].mean() - ill[~group].mean(),
        "cost lasts": rows["cost"].corr(cost_before),
        "illness before -> cost": rows["cost"][before == 1].mean() - rows["cost"][before == 0].mean(),
    }


def law_figures(epsilon: float | None, seed: int, folder: Path) -> dict[str, float]:
    """Return how much of each planted effect is lost: 0 for nothing, 1 for all of it."""
    table, schema = made_law(20_000, np.random.default_rng(seed))
    rows, seconds = fit_and_draw(table, schema, epsilon, seed, folder, clip=False)
    real, kept = effects(table), effects(rows)
    return {name: abs(1.0 - kept[name] / real[name]) for name in real} | seconds


# -- running ---------------------------------------------------------------------------------------------


def fit_and_draw(
    train: pd.DataFrame, schema: Schema, epsilon: float | None, seed: int, folder: Path, *, clip: bool
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Fit and draw as many persons as there are; return the rows, and seconds of both."""
    begun = time.perf_counter()
    model = privsynth.MarginalSynthesizer(epsilon=epsilon, delta=1e-6, random_state=seed).fit(
        train,
        schema=schema,
        dataset=f"run-{time.time_ns()}",
        ledger=folder / "ledger.sqlite",
        on_violation="clip" if clip else "error",
    )
    fitted = time.perf_counter()
    rows = model.sample(train[str(schema.person_id)].nunique(), random_state=seed)
    drawn = time.perf_counter()
    return rows, {"fit_seconds": fitted - begun, "rows_per_second": len(rows) / (drawn - fitted)}


def run(case: Case, epsilon: float | None, seed: int, folder: Path, *, validation: bool) -> dict[str, Any]:
    """Return the figures of the real holdout, independent rows and synthetic persons of one seed."""
    table, schema = case.load()
    train, holdout = privsynth.split(table, schema, holdout=HELD_OUT, random_state=1000 + seed)
    if validation:
        train, holdout = privsynth.split(train, schema, holdout=HELD_OUT, random_state=2000 + seed)
    rows, seconds = fit_and_draw(train, schema, epsilon, seed, folder, clip=case.clip)
    real = Histories(train, case, schema)
    held, synthetic = Histories(holdout, case, schema, real), Histories(rows, case, schema, real)
    dealt = Histories(independent_rows(train, schema, np.random.default_rng(seed)), case, schema, real)
    return {
        "real holdout": score(real, held, held, real),
        "independent rows": score(real, dealt, held, dealt),
        "synthetic": score(real, synthetic, held, synthetic) | seconds,
    }


def markdown(name: str, epsilon: float | None, runs: list[dict[str, Any]]) -> str:
    """Return means over the seeds, and the range of the synthetic persons' figures."""
    figures = list(runs[0]["synthetic"])
    lines = [f"### {name}, epsilon {epsilon}, {len(runs)} fits", "", f"| | {' | '.join(figures)} |"]
    lines.append("|---" * (len(figures) + 1) + "|")
    for who in runs[0]:
        cells = []
        for figure in figures:
            each = [r[who].get(figure, np.nan) for r in runs]
            spread = f" ({min(each):.3f} to {max(each):.3f})" if who == "synthetic" else ""
            cells.append(f"{np.mean(each):.3f}{spread}")
        lines.append(f"| {who} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", default=["rand"], choices=[*CASES, "law"])
    parser.add_argument("--epsilons", nargs="+", default=["1", "10"], help="numbers, or none")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("sequences-benchmark"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.tables:
        for text in arguments.epsilons:
            epsilon = None if text == "none" else float(text)
            if name == "law":
                runs = [
                    {"synthetic": law_figures(epsilon, s, arguments.folder)} for s in range(arguments.seeds)
                ]
            else:
                runs = [
                    run(CASES[name], epsilon, s, arguments.folder, validation=arguments.validation)
                    for s in range(arguments.seeds)
                ]
            with (arguments.folder / "runs.jsonl").open("a") as file:
                file.write(json.dumps({"table": name, "epsilon": epsilon, "runs": runs}) + "\n")
            print(markdown(name, epsilon, runs), flush=True)


if __name__ == "__main__":
    main()
