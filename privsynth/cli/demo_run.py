"""The whole loop on a public table: split, fit, sample, audit. What `privsynth demo` runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from privsynth.accounting.budget import Spend
from privsynth.datasets import load_rand_hie
from privsynth.io.tables import write_table
from privsynth.records.splitting import write_split
from privsynth.report.audit import audit
from privsynth.report.report import HTML_NAME
from privsynth.schema import Schema
from privsynth.synthesizers import MarginalSynthesizer

DATASET = "rand-hie"
DELTA = 1e-6
SCHEMA, TRAIN, HOLDOUT = "schema.json", "train.parquet", "holdout.parquet"
MODEL, LEDGER = "model.privsynth", "ledger.sqlite"
SYNTHETIC, BALANCED, REPORT = "synthetic.csv", "balanced.csv", "report"
OUTPUTS = (SCHEMA, TRAIN, HOLDOUT, MODEL, SYNTHETIC, BALANCED)


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo made.

    Attributes:
        folder: Where everything is.
        epsilon: Budget of the fit.
        delta: Budget of the fit.
        groups: Columns by which the balanced persons are balanced.
        verdicts: Of the audit.
    """

    folder: str
    epsilon: float
    delta: float
    groups: list[str]
    verdicts: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return the result, JSON-able."""
        return asdict(self)

    def describe(self) -> str:
        """Say what was made and how to look at it."""
        at, groups = f"{self.folder}/", " and ".join(self.groups)
        return f"""\
The RAND health insurance table, split by persons: {at}{TRAIN}, {at}{HOLDOUT}
The model, fitted at epsilon {self.epsilon:g}, delta {self.delta:g} per person:
  privsynth show {at}{MODEL}
  privsynth ledger show --ledger {at}{LEDGER}
Synthetic persons with all their years: {at}{SYNTHETIC}
As many, balanced by {groups}: {at}{BALANCED}; others, as you ask for them:
  privsynth sample {at}{MODEL} -n 1000 --where n_records=3..5 --balance sex -o more.csv
The report, for a browser: {at}{REPORT}/{HTML_NAME}"""


def run_demo(
    folder: Path, *, epsilon: float, force: bool = False, progress: Callable[[str], None] | None = None
) -> DemoResult:
    """Split, fit, sample and audit the RAND table into ``folder``, each person with all their years.

    Args:
        folder: Made if it does not exist; also holds the ledger of the demo.
        epsilon: Budget of the fit, > 0.
        force: Replace what an earlier demo made; its spends stay in the ledger.
        progress: Is told what is being done.

    Raises:
        PrivsynthError: If the table's package is missing, or an output exists and ``force`` is false.

    Privacy:
        Accounted: one fit. The table is public, so the report may be shown.
    """
    say = progress or (lambda message: None)
    Spend.of_budget(epsilon=epsilon, delta=DELTA)  # refuses an unusable budget before anything is written
    say("loading the RAND table and setting a holdout aside")
    table, schema = load_rand_hie(sequences=True)
    train, holdout = write_split(table, schema, folder, force=force)
    schema.save(folder / SCHEMA)
    synthesizer = _fit(train, schema, folder, epsilon=epsilon, say=say)
    synthesizer.save(folder / MODEL, force=force)
    say("sampling")
    rows = synthesizer.sample()
    write_table(rows, folder / SYNTHETIC, force=force)
    balanced = synthesizer.sample(rows[schema.person_id].nunique(), balance=schema.groups)
    write_table(balanced, folder / BALANCED, force=force)
    report = audit(
        real=train,
        synthetic=folder / SYNTHETIC,
        holdout=holdout,
        schema=schema,
        guarantee=synthesizer.guarantee_,
        quick=True,
        progress=say,
    )
    report.save(folder / REPORT, force=force)
    return DemoResult(
        folder=str(folder),
        epsilon=epsilon,
        delta=DELTA,
        groups=schema.groups,
        verdicts=report.verdicts,
    )


def _fit(
    train: Path, schema: Schema, folder: Path, *, epsilon: float, say: Callable[[str], None]
) -> MarginalSynthesizer:
    return MarginalSynthesizer(epsilon=epsilon, delta=DELTA).fit(
        train,
        schema=schema,
        dataset=DATASET,
        ledger=folder / LEDGER,
        progress=lambda message, done, total: say(f"{message} ({done}/{total})"),
    )
