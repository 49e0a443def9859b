"""What rebalancing gives and costs: ``python -m tests.benchmarks.rebalancing WHAT ...``.

All fits are private (``--epsilon``, 1 by default) and repeated ``--runs`` times with fresh noise and splits;
figures are means and standard deviations over the runs, scored on held-out real rows that no fit saw.

- ``cells``: sex x race x income on Adult: what the default says, and 20 equal cells with ``"warn"``.
- ``parity``: Adult with equal label rates for men and women, with and without decorrelated features, beside
  the same model un-rebalanced: label rates of the rows, and the classifier trained on them.
- ``minority``: a rare target in three tables: a classifier trained on balanced synthetic rows beside
  unbalanced synthetic rows, the real rows, and real rows after random oversampling and SMOTE, which are not
  private.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTENC, RandomOverSampler
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score, recall_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from privsynth import MarginalSynthesizer, Schema, augment_for
from privsynth.errors import UnsupportedRequestError
from privsynth.records.drafting import draft_schema
from tests.benchmarks.tables import adult_schema, bench_folder
from tests.helpers.tables import real_data

Figures = dict[str, float]


def fitted(table: pd.DataFrame, schema: Schema, epsilon: float) -> MarginalSynthesizer:
    """Fit privately, in a ledger of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return MarginalSynthesizer(epsilon=epsilon, delta=1e-6).fit(
            table, schema=schema, ledger=Path(folder) / "ledger.sqlite"
        )


def adult(part: str) -> pd.DataFrame:
    """Return a part of the Adult split, typed."""
    return pd.read_csv(bench_folder() / f"adult_{part}.csv.gz", keep_default_na=False)


def classifier(rows: pd.DataFrame, real: pd.DataFrame, target: str) -> Any:
    """Train boosted trees on rows of the kind of a real table."""
    return untrained(real, target).fit(rows.drop(columns=target), rows[target])


def untrained(table: pd.DataFrame, target: str) -> Any:
    """Return boosted trees for frames like a table; categories are coded by their order."""
    features = table.drop(columns=target)
    texts = [name for name in features if features[name].dtype == object]
    types = {name: object if name in texts else float for name in features}
    coded = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    return make_pipeline(
        FunctionTransformer(typed, kw_args={"types": types}),
        make_column_transformer((coded, texts), remainder="passthrough"),
        HistGradientBoostingClassifier(random_state=0),
    )


def typed(rows: pd.DataFrame, types: dict[str, type]) -> pd.DataFrame:
    """Return the columns named, as texts or numbers, whichever container types they came in."""
    return pd.DataFrame(
        {name: rows[name].astype(str if kind is object else float) for name, kind in types.items()}
    )


def table_of(runs: Iterable[dict[str, Figures]]) -> str:
    """Return means and standard deviations over the runs as Markdown, one line a method."""
    runs = list(runs)
    names = list(next(iter(runs[0].values())))
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for method in runs[0]:
        cells = []
        for name in names:
            values = [run[method][name] for run in runs]
            cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


# -- cells ---------------------------------------------------------------------------------------------


def cells(epsilon: float, runs: int) -> None:
    """Balance sex x race x income on Adult."""
    cut = ["sex", "race", "income"]
    for run in range(runs):
        synthesizer = fitted(adult("train"), adult_schema(), epsilon)
        support = synthesizer.support(20_000, balance=cut)
        faint = support[support["units"] < 2 * support["noise_std"]]
        print(f"run {run}: {len(support)} cells, {len(faint)} within 2 deviations of the noise:")
        print(faint.to_string(index=False))
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")  # Python says a repeated warning only once otherwise
                synthesizer.sample(20_000, balance=cut)
            print("the default draws, and warns:", *(str(warning.message) for warning in told))
        except UnsupportedRequestError as refused:
            print("the default refuses:", refused)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of the faint cells that were just printed
            start = time.perf_counter()
            rows = synthesizer.sample(20_000, balance=cut, on_unsupported="warn")
        sizes = rows.groupby(cut).size()
        print(
            f"'warn' draws {len(sizes)} cells of {sizes.min()} to {sizes.max()} rows in "
            f"{time.perf_counter() - start:.2f} s\n"
        )


# -- parity --------------------------------------------------------------------------------------------


def parity(epsilon: float, runs: int) -> None:
    """Equal label rates for men and women on Adult."""
    test = adult("test")
    found = []
    for _ in range(runs):
        synthesizer = fitted(adult("train"), adult_schema(), epsilon)
        requests: dict[str, dict[str, Any]] = {
            "un-rebalanced twin": {},
            "parity": {"parity": ("income", ["sex"])},
            "parity, features decorrelated": {
                "parity": {"target": "income", "groups": ["sex"], "decorrelate": "all"}
            },
        }
        found.append(
            {
                name: parity_figures(synthesizer.sample(26_048, **request), test)
                for name, request in requests.items()
            }
        )
    print(table_of(found))


def parity_figures(rows: pd.DataFrame, test: pd.DataFrame) -> Figures:
    """Return label rates of the rows, and accuracy and parity of the classifier trained on them."""
    rates = rows["income"].eq(">50K").groupby(rows["sex"]).mean()
    model = classifier(rows, test, "income")
    predicted = pd.Series(model.predict(test.drop(columns="income")), index=test.index)
    by_sex = predicted.eq(">50K").groupby(test["sex"]).mean()
    scores = model.predict_proba(test.drop(columns="income"))[:, list(model.classes_).index(">50K")]
    return {
        "label rate M - F": rates["Male"] - rates["Female"],
        "TSTR accuracy": float((predicted == test["income"]).mean()),
        "TSTR AUC": float(roc_auc_score(test["income"] == ">50K", scores)),
        "predicted rate M - F": by_sex["Male"] - by_sex["Female"],
    }


# -- minority ------------------------------------------------------------------------------------------


def adult_table() -> tuple[pd.DataFrame, Schema, str, str]:
    """Return Adult, its public schema, target and minority label."""
    return pd.concat([adult("train"), adult("test")], ignore_index=True), adult_schema(), "income", ">50K"


def private_schema(table: pd.DataFrame, target: str, **of_schema: Any) -> Schema:
    """Return a schema of inferred types that keeps every other fact private."""
    columns = draft_schema(table, infer=True).to_dict()["columns"]
    columns[target] = {"type": "categorical", "categories": sorted(table[target].unique()), "role": "target"}
    return Schema(columns, types_from_records=True, **of_schema)


def diabetes_table() -> tuple[pd.DataFrame, Schema, str, str]:
    """Return hospital stays, of each patient the first; readmission within 30 days is rare."""
    kept = [
        "race", "gender", "age", "admission_type_id", "discharge_disposition_id", "time_in_hospital",
        "num_lab_procedures", "num_procedures", "num_medications", "number_outpatient", "number_emergency",
        "number_inpatient", "number_diagnoses", "A1Cresult", "insulin", "change", "diabetesMed", "readmitted",
    ]  # fmt: skip
    table = pd.read_csv(real_data() / "diabetes130.csv.gz", keep_default_na=False)
    table = table.drop_duplicates("patient_nbr")[kept].reset_index(drop=True)
    table["readmitted"] = np.where(table["readmitted"] == "<30", "yes", "no")
    return table, private_schema(table, "readmitted"), "readmitted", "yes"


def census_table() -> tuple[pd.DataFrame, Schema, str, str]:
    """Return census persons of Massachusetts; difficulty walking is rare."""
    kept = [
        "AGEP",
        "SEX",
        "MSP",
        "HISP",
        "RAC1P",
        "NOC",
        "NPF",
        "HOUSING_TYPE",
        "OWN_RENT",
        "EDU",
        "PINCP_DECILE",
        "DVET",
        "DPHY",
    ]
    table = pd.read_csv(real_data() / "nist_acs_ma2019.csv.gz", dtype=str, keep_default_na=False)[kept]
    table = table[table["DPHY"].isin(["1", "2"])].reset_index(drop=True)
    table["AGEP"] = table["AGEP"].astype(int)
    table["DPHY"] = table["DPHY"].map({"1": "yes", "2": "no"})
    return table, private_schema(table, "DPHY"), "DPHY", "yes"


TABLES: dict[str, Callable[[], tuple[pd.DataFrame, Schema, str, str]]] = {
    "Adult, income >50K": adult_table,
    "Diabetes 130, readmitted within 30 days": diabetes_table,
    "ACS Massachusetts, difficulty walking": census_table,
}


def minority(epsilon: float, runs: int) -> None:
    """Train on balanced rows for a rare target, in three tables."""
    for name, read in TABLES.items():
        table, schema, target, rare = read()
        share = table[target].eq(rare).mean()
        found = [minority_figures(table, schema, target, rare, epsilon, seed) for seed in range(runs)]
        print(f"\n{name}: {len(table)} rows, {share:.1%} of them\n\n{table_of(found)}", flush=True)


def minority_figures(
    table: pd.DataFrame, schema: Schema, target: str, rare: str, epsilon: float, seed: int
) -> dict[str, Figures]:
    """Return figures of every way to make a training set, on one split."""
    train, test = train_test_split(table, test_size=0.2, random_state=seed, stratify=table[target])
    synthesizer = fitted(train, schema, epsilon)
    n = len(train)
    with warnings.catch_warnings():
        # a label may be within noise: the figures show what that costs
        warnings.simplefilter("ignore", UserWarning)
        balanced = synthesizer.sample(n, balance=[target], on_unsupported="warn")
        unbalanced = synthesizer.sample(n)
    features = train.drop(columns=target)
    texts = [column for column in features if features[column].dtype == object]
    oversampled = []
    for sampler in (RandomOverSampler(random_state=0), SMOTENC(texts, random_state=0)):
        more, labels = sampler.fit_resample(features, train[target])
        oversampled.append(more.assign(**{target: labels}))
    sets = {
        "synthetic, balanced": balanced,
        "synthetic, as it is": unbalanced,
        "real rows (not private)": train,
        "real, random oversampling (not private)": oversampled[0],
        "real, SMOTE (not private)": oversampled[1],
    }
    return {name: scores(classifier(rows, train, target), test, target, rare) for name, rows in sets.items()}


def scores(model: Any, test: pd.DataFrame, target: str, rare: str) -> Figures:
    """Return a classifier's figures on real rows."""
    truth, features = test[target], test.drop(columns=target)
    predicted = model.predict(features)
    chance = model.predict_proba(features)[:, list(model.classes_).index(rare)]
    return {
        "minority recall": float(recall_score(truth, predicted, pos_label=rare)),
        "balanced accuracy": float(balanced_accuracy_score(truth, predicted)),
        "AUC": float(roc_auc_score(truth == rare, chance)),
    }


# -- adaptive ------------------------------------------------------------------------------------------

GROUPS = {
    "Adult, income >50K": ["sex", "race"],
    "Diabetes 130, readmitted within 30 days": ["race", "gender"],
    "ACS Massachusetts, difficulty walking": ["SEX", "RAC1P"],
}
MIN_TESTED = 50
"""Real rows of either label that a group needs to be scored."""


def adaptive(epsilon: float, runs: int) -> None:
    """Add rows for the worst group, in three tables."""
    for name, read in TABLES.items():
        table, schema, target, _ = read()
        found = [adaptive_figures(table, schema, target, GROUPS[name], epsilon, seed) for seed in range(runs)]
        print(f"\n{name}, by {' x '.join(GROUPS[name])}\n\n{table_of(found)}", flush=True)


def adaptive_figures(
    table: pd.DataFrame, schema: Schema, target: str, groups: list[str], epsilon: float, seed: int
) -> dict[str, Figures]:
    """Return figures of training sets of synthetic rows, on one split."""
    train, test = train_test_split(table, test_size=0.3, random_state=seed, stratify=table[target])
    columns = schema.to_dict()["columns"]
    columns |= {name: {"type": "categorical", "categories": sorted(table[name].unique())} for name in groups}
    synthesizer = fitted(train, Schema(columns, types_from_records=schema.types_from_records), epsilon)
    found = augment_for(
        untrained(train, target),
        synthesizer,
        base=len(train),
        target=target,
        groups=groups,
        random_state=seed,
        progress=lambda text: print(f"  run {seed}: {text}", flush=True),
    )
    base = found.table.iloc[: len(train)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of faint cells: the figures show what they cost
        balanced = synthesizer.sample(len(train), balance=[*groups, target], on_unsupported="drop")
    sets = {
        "synthetic, as it is": base,
        "synthetic, rows added for the worst group": found.table,
        "synthetic, all cells balanced": balanced,
        "real rows (not private)": train,
    }
    told = {
        "synthetic, as it is": found.worst_group.before,
        "synthetic, rows added for the worst group": found.worst_group.after,
    }
    return {
        name: {
            "rows": len(rows),
            **group_figures(rows, test, target, groups),
            "worst group, synthetic rows": told.get(name, np.nan),
        }
        for name, rows in sets.items()
    }


def group_figures(rows: pd.DataFrame, test: pd.DataFrame, target: str, groups: list[str]) -> Figures:
    """Return balanced accuracy on real rows: of the worst group with rows enough, and of all."""
    model = classifier(rows, test, target)
    hits = pd.DataFrame({"truth": test[target], "said": model.predict(test.drop(columns=target))})
    scores = [
        balanced_accuracy_score(of["truth"], of["said"])
        for _, of in hits.groupby([test[name] for name in groups])
        if len(counts := of["truth"].value_counts()) > 1 and counts.min() >= MIN_TESTED
    ]
    return {
        "worst group, real rows": float(min(scores)),
        "all, real rows": float(balanced_accuracy_score(hits["truth"], hits["said"])),
    }


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["cells", "parity", "minority", "adaptive"], nargs="+")
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    for what in arguments.what:
        asked = {"cells": cells, "parity": parity, "minority": minority, "adaptive": adaptive}[what]
        asked(arguments.epsilon, arguments.runs)


if __name__ == "__main__":
    main()
