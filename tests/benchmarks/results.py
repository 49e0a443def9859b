"""Results of the suite: one JSON file, a Markdown table of it, and the comparison of two."""

from __future__ import annotations

import fcntl
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student_t

FIGURES = {  # name in the JSON: heading, and whether more (1), less (-1) or neither (0) is better
    "auc_hgb": ("AUC boosting", 1),
    "auc_lr": ("AUC logistic", 1),
    "worst_group_auc": ("worst group", 1),
    "tvd1": ("TV 1-way", -1),
    "tvd2": ("TV 2-way", -1),
    "tvd3": ("TV 3-way", -1),
    "c2st_auc": ("C2ST", -1),
    "quality": ("quality", 1),
    "fit_seconds": ("fit s", -1),
    "sample_seconds": ("sample s", -1),
    "peak_mb": ("peak MB", -1),
}
REAL, INDEPENDENT = "real", "independent columns"
CLEAR = 0.01
ALL_TABLES = "all tables"

Run = dict[str, Any]


def identity(run: Run) -> tuple[Any, ...]:
    """Return what tells a run from another."""
    names = ("table", "part", "synthesizer", "epsilon", "delta", "seed")
    return *(run.get(name) for name in names), json.dumps(run.get("settings", {}), sort_keys=True)


def label(run: Run) -> str:
    """Return a synthesizer with the settings that were changed."""
    return run["synthesizer"] + (f" {json.dumps(run['settings'])}" if run.get("settings") else "")


@dataclass
class Results:
    """Runs in a JSON file, which is rewritten after each; several processes may add to one.

    Attributes:
        path: The file; a Markdown table lies beside it.
        runs: What identifies each run, its figures, its warnings, or the error it ended with.
    """

    path: Path
    runs: list[Run] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a file; one that does not exist has no runs."""
        return cls(path, json.loads(path.read_text())["runs"] if path.exists() else [])

    def has(self, run: Run) -> bool:
        """Return whether a run is there that ended well."""
        return any(identity(done) == identity(run) and "error" not in done for done in self.runs)

    def add(self, run: Run) -> None:
        """Keep a run in place of an earlier one, and write the file."""
        with _alone_in(self.path.parent):
            others = Results.load(self.path).runs
            self.runs = [done for done in others if identity(done) != identity(run)] + [run]
            aside = self.path.with_suffix(".partial")
            aside.write_text(json.dumps({"runs": self.runs}, indent=1))
            os.replace(aside, self.path)
            self.path.with_suffix(".md").write_text(markdown(self.runs))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


# -- the table -----------------------------------------------------------------------------------------


def markdown(runs: Iterable[Run]) -> str:
    """Return means and standard deviations over seeds, one table for each data table."""
    tables: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        tables[run["table"], run["part"]].append(run)
    return "\n".join(_table(*key, tables[key]) for key in sorted(tables))


def _table(name: str, part: str, runs: list[Run]) -> str:
    rows: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        rows[_place(run)].append(run)
    headings = ["rows", "epsilon", "runs", *(heading for heading, _ in FIGURES.values())]
    lines = [f"## {name}, scored on the {part} part\n", _line(headings), "|---" * len(headings) + "|"]
    errors = []
    for place in sorted(rows):
        done = [run for run in rows[place] if "error" not in run]
        errors += [
            f"- {label(run)}, epsilon {run['epsilon']:g}, seed {run['seed']}: {run['error']}"
            for run in rows[place]
            if "error" in run
        ]
        if done:
            epsilon = "" if done[0]["epsilon"] is None else f"{done[0]['epsilon']:g}"
            cells = [_mean_and_deviation([run["figures"].get(figure) for run in done]) for figure in FIGURES]
            lines.append(_line([label(done[0]), epsilon, str(len(done)), *cells]))
    failed = ["\nFailed:\n", *errors] if errors else []
    return "\n".join([*lines, *failed, ""])


def _place(run: Run) -> tuple[Any, ...]:
    yardstick = {REAL: 0, INDEPENDENT: 1}.get(run["synthesizer"], 2)
    return yardstick, label(run), run["epsilon"] or 0.0


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _mean_and_deviation(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    mean = f"{np.mean(known):.4g}"
    return f"{mean} ± {np.std(known, ddof=1):.2g}" if len(known) > 1 else mean


# -- the comparison of two -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """How far the mean of one file's runs is from that of another's.

    Attributes:
        value: The difference of means.
        error: Its standard error; None where a mean is of one run only.
        p: Two-sided p-value of no difference (Welch's t-test); None where there is no standard error.
    """

    value: float
    error: float | None
    p: float | None


def difference(pairs: list[tuple[list[float], list[float]]]) -> Difference:
    """Return the mean, over the pairs, of the second sample's mean minus the first's.

    The standard error adds the variances of the means, and its degrees of freedom are Welch and
    Satterthwaite's: samples may differ in variance and size.
    """
    samples = [np.asarray(sample, dtype=float) for pair in pairs for sample in pair]
    value = float(np.mean([np.mean(second) - np.mean(first) for first, second in pairs]))
    if any(len(sample) < 2 for sample in samples):
        return Difference(value, None, None)
    parts = np.array([sample.var(ddof=1) / len(sample) for sample in samples]) / len(pairs) ** 2
    error = float(np.sqrt(parts.sum()))
    if error == 0.0:
        return Difference(value, 0.0, float(value == 0.0))
    freedom = parts.sum() ** 2 / sum(
        part**2 / (len(sample) - 1) for part, sample in zip(parts, samples, strict=True)
    )
    return Difference(value, error, float(2 * student_t.sf(abs(value) / error, freedom)))


def compare(first: list[Run], second: list[Run]) -> str:
    """Return the differences of two files' means as Markdown, the second minus the first.

    Runs match by table, part, synthesizer, epsilon and delta. Their settings may differ from one file to
    the other, which is what is compared, but not within a file.

    Raises:
        ValueError: If nothing matches, or a file holds several settings of one synthesizer.
    """
    before, after = _cells(first), _cells(second)
    matched = sorted(before.keys() & after.keys())
    if not matched:
        raise ValueError("the two files have no table, part, synthesizer, epsilon and delta in common")
    headings = ["table", "part", "synthesizer", "epsilon", "runs", *(h for h, _ in FIGURES.values())]
    lines = [_line(headings), "|---" * len(headings) + "|"]
    pooled: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for key in matched:
        pooled[ALL_TABLES, *key[1:]].append(key)
        lines.append(_comparison(key, [(before[key], after[key])]))
    for key, members in sorted(pooled.items()):
        if len(members) > 1:
            lines.append(_comparison(key, [(before[member], after[member]) for member in members]))
    stars = sum(line.count("**") for line in lines) // 2
    cells = sum(line.count("±") for line in lines)
    lines += [
        "",
        f"Second minus first, ± the standard error. Bold: p < {CLEAR} by Welch's t-test; {stars} of {cells}, "
        f"of which chance alone makes about {CLEAR * cells:.1g}. ✓ better, ✗ worse.",
    ]
    return "\n".join(lines)


def _cells(runs: list[Run]) -> dict[tuple[Any, ...], list[Run]]:
    cells: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        if "error" not in run and run["epsilon"] is not None:
            cells[run["table"], run["part"], run["synthesizer"], run["epsilon"], run["delta"]].append(run)
    for (table, _, synthesizer, *_), cell in cells.items():
        if len({label(run) for run in cell}) > 1:
            raise ValueError(
                f"a file holds several settings of {synthesizer} on {table}; write each to a file of its own"
            )
    return cells


def _comparison(key: tuple[Any, ...], pairs: list[tuple[list[Run], list[Run]]]) -> str:
    table, part, synthesizer, epsilon, _ = key
    counts = " and ".join(str(sum(len(pair[side]) for pair in pairs)) for side in (0, 1))
    cells = [_difference_cell(figure, better, pairs) for figure, (_, better) in FIGURES.items()]
    return _line([table, part, synthesizer, f"{epsilon:g}", counts, *cells])


def _difference_cell(figure: str, better: int, pairs: list[tuple[list[Run], list[Run]]]) -> str:
    values = [tuple([run["figures"].get(figure) for run in side] for side in pair) for pair in pairs]
    if any(value is None for pair in values for side in pair for value in side):
        return ""
    found = difference(values)
    text = f"{found.value:+.2g}" + ("" if found.error is None else f" ± {found.error:.1g}")
    if found.p is None or found.p >= CLEAR:
        return text
    return f"**{text}** {'✓' if found.value * better > 0 else '✗'}"
