"""What tall and wide tables cost: ``python -m tests.benchmarks.scaling OUT``.

Makes public tables of several sizes, fits each in a process of its own, and writes ``OUT/scaling.json``,
a Markdown table, and a page with two plots on logarithmic axes: seconds and peak memory over rows and over
columns. The slope of each is the power by which the cost grows: 1 is linear. Sizes that the JSON file holds
already are not fitted again. Tables come from a latent-class model of numbers and categories with a target
of two classes; no real record is read.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.parquet as pq
from plotly.subplots import make_subplots

from privsynth.schema import Schema
from tests.benchmarks.fitting import Fit, fit_apart

TALL = ((100_000, 15), (1_000_000, 15), (10_000_000, 15))
WIDE = ((20_000, 15), (20_000, 50), (20_000, 100), (20_000, 200))
ROWS_AT_ONCE = 500_000
N_CLASSES = 24
SETTINGS = {"epsilon": 1.0, "delta": 1e-9, "seed": 0, "n_rows": 1000}
COSTS = {"fit_seconds": "seconds to fit", "peak_mb": "peak memory, MB"}

KINDS: tuple[dict[str, Any], ...] = (
    {"type": "integer", "low": 0, "high": 99},
    {"type": "categorical", "categories": [f"c{i}" for i in range(8)]},
    {"type": "real", "low": 0, "high": 100_000, "decimals": 2},
    {"type": "categorical", "categories": [f"d{i:02d}" for i in range(16)]},
    {"type": "boolean"},
)


def made_schema(n_columns: int) -> Schema:
    """Return the schema of a table; its last column is the target."""
    columns: dict[str, Any] = {f"x{j:03d}": KINDS[j % len(KINDS)] for j in range(n_columns - 1)}
    return Schema({**columns, "target": {"type": "boolean", "role": "target"}})


def made_blocks(n_rows: int, n_columns: int, seed: int = 0) -> Iterable[pd.DataFrame]:
    """Yield the table in blocks of rows: every column depends on the row's latent class."""
    rng = np.random.default_rng(seed)
    schema = made_schema(n_columns)
    sizes = [max(len(column.categories or ()), 2) for column in schema.modelled]
    shares = [rng.dirichlet(np.full(size, 0.5), N_CLASSES).cumsum(axis=1) for size in sizes]
    centres, widths = rng.normal(0, 1, (n_columns, N_CLASSES)), rng.uniform(0.2, 1.0, (n_columns, N_CLASSES))
    for start in range(0, n_rows, ROWS_AT_ONCE):
        n = min(ROWS_AT_ONCE, n_rows - start)
        of_row = rng.integers(0, N_CLASSES, n)
        block: dict[str, Any] = {}
        for j, column in enumerate(schema.modelled):
            if column.is_numeric:
                value = rng.normal(centres[j, of_row], widths[j, of_row])
                amount = 50 + 15 * value if column.type == "integer" else np.exp(6 + 1.5 * value)
                whole = column.decimals or 0
                block[column.name] = amount.clip(0, float(column.bounds[1] or 0)).round(whole)
                continue
            code = (rng.random(n)[:, None] > shares[j][of_row]).sum(axis=1).clip(0, sizes[j] - 1)
            if column.type == "boolean":
                block[column.name] = code == 1
            else:
                block[column.name] = pd.Categorical.from_codes(code, list(column.categories or ()))
        yield pd.DataFrame(block)


def write_made(path: Path, n_rows: int, n_columns: int) -> None:
    """Write the table to a Parquet file, block by block."""
    with pq.ParquetWriter(path, pa.Table.from_pandas(next(iter(made_blocks(1, n_columns)))).schema) as file:
        for block in made_blocks(n_rows, n_columns):
            file.write_table(pa.Table.from_pandas(block, preserve_index=False))


def measure(n_rows: int, n_columns: int, synthesizer: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Make a table, fit it in a fresh process, and return what that took."""
    with tempfile.TemporaryDirectory() as folder:
        table, schema = Path(folder) / "made.parquet", Path(folder) / "schema.json"
        write_made(table, n_rows, n_columns)
        made_schema(n_columns).save(schema)
        fit = Fit(
            synthesizer=synthesizer, settings=settings, train=str(table), schema=str(schema), **SETTINGS
        )
        took = fit_apart(fit, Path(folder) / "rows.parquet")
    return {"rows": n_rows, "columns": n_columns, "synthesizer": synthesizer, "settings": settings, **took}


def series(runs: list[dict[str, Any]], size: str) -> list[dict[str, Any]]:
    """Return the runs in which one size grows and the other is the one that occurs most, smallest first."""
    other = "columns" if size == "rows" else "rows"
    fixed = [run[other] for run in runs]
    usual = max(set(fixed), key=lambda value: len({run[size] for run in runs if run[other] == value}))
    return sorted((run for run in runs if run[other] == usual), key=lambda run: run[size])


def slopes(runs: list[dict[str, Any]], size: str, cost: str) -> list[float]:
    """Return the power by which a cost grows between each two neighbouring sizes."""
    found = series(runs, size)
    x, y = (np.log([run[name] for run in found]) for name in (size, cost))
    return [float(slope) for slope in np.diff(y) / np.diff(x)]


def markdown(runs: list[dict[str, Any]]) -> str:
    """Return the table, and the slopes below it."""
    lines = ["| rows | columns | seconds to fit | peak MB |", "|---|---|---|---|"]
    for run in sorted(runs, key=lambda run: (run["columns"], run["rows"])):
        lines.append(
            f"| {run['rows']:,} | {run['columns']} | {run['fit_seconds']:.1f} | {run['peak_mb']:,.0f} |"
        )
    for size in ("rows", "columns"):
        for cost, name in COSTS.items():
            powers = ", ".join(f"{slope:.2f}" for slope in slopes(runs, size, cost))
            if powers:
                lines.append(f"\n{name} over {size}, power from each size to the next: {powers}")
    return "\n".join(lines) + "\n"


def page(runs: list[dict[str, Any]]) -> str:
    """Return a page with the plots: each cost over each size, beside a line of slope 1."""
    titles = [f"{name} over {size}" for size in ("rows", "columns") for name in COSTS.values()]
    figure = make_subplots(rows=2, cols=2, subplot_titles=titles)
    for row, size in enumerate(("rows", "columns"), start=1):
        found = series(runs, size)
        x = [run[size] for run in found]
        for col, cost in enumerate(COSTS, start=1):
            y = [run[cost] for run in found]
            figure.add_trace(go.Scatter(x=x, y=y, mode="lines+markers", name=cost), row=row, col=col)
            linear = [y[-1] * value / x[-1] for value in x]
            figure.add_trace(
                go.Scatter(x=x, y=linear, mode="lines", line_dash="dot", name="slope 1"), row=row, col=col
            )
    figure.update_xaxes(type="log")
    figure.update_yaxes(type="log")
    figure.update_layout(title="What tall and wide tables cost", showlegend=False, height=800)
    return str(figure.to_html(include_plotlyjs=True))


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--synthesizer", default="marginal")
    parser.add_argument("--settings", type=json.loads, default={}, help="settings to change, as JSON")
    parser.add_argument(
        "--sizes",
        nargs="+",
        help="ROWSxCOLUMNS, such as 100000x15",
        default=[f"{r}x{c}" for r, c in TALL + WIDE],
    )
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "scaling.json"
    runs: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    for text in given.sizes:
        n_rows, n_columns = (int(number) for number in text.split("x"))
        wanted = {"rows": n_rows, "columns": n_columns, "synthesizer": given.synthesizer}
        if any(wanted.items() <= run.items() and run["settings"] == given.settings for run in runs):
            continue
        runs.append(measure(n_rows, n_columns, given.synthesizer, given.settings))
        kept.write_text(json.dumps(runs, indent=1))
    shown = [
        run for run in runs if run["synthesizer"] == given.synthesizer and run["settings"] == given.settings
    ]
    (given.out / "scaling.md").write_text(markdown(shown))
    (given.out / "scaling.html").write_text(page(shown))
    print(markdown(shown))


if __name__ == "__main__":
    main()
