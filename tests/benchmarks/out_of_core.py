"""Tables larger than memory: ``python -m tests.benchmarks.out_of_core OUT --rows 1000000 10000000``.

Makes folders of Parquet files with 15 columns, fits each in a process of its own, in parts and, if asked for
by ``--whole``, in memory, and reads the columns once with nothing done to them. Writes
``OUT/out_of_core.json``, a Markdown table, and a page that plots memory and processor seconds over rows. The
tables are those of `tests.benchmarks.scaling`; beyond ten million rows the files are copies of the first
ones. Folders are deleted after their fits.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.parquet as pq
from plotly.subplots import make_subplots

from tests.benchmarks.fitting import Fit, fit_apart
from tests.benchmarks.scaling import ROWS_AT_ONCE, SETTINGS, made_blocks, made_schema

N_COLUMNS = 15
MOST_MADE = 10_000_000  # rows; further files are copies
PLAIN_PASS = """
import json, sys, time
from pathlib import Path
import pyarrow.dataset as ds
from tests.benchmarks.fitting import peak_megabytes
start, n = time.process_time(), 0
for batch in ds.dataset(sys.argv[1]).to_batches(batch_size=2**17, use_threads=False, batch_readahead=1):
    n += batch.num_rows
print(json.dumps({"rows": n, "cpu_seconds": time.process_time() - start, "peak_mb": peak_megabytes()}))
"""


def write_folder(folder: Path, n_rows: int) -> None:
    """Write the table into files of `ROWS_AT_ONCE` rows."""
    folder.mkdir(parents=True)
    n_files = -(-n_rows // ROWS_AT_ONCE)
    n_made = min(n_files, MOST_MADE // ROWS_AT_ONCE)
    for i, block in enumerate(islice(made_blocks(n_rows, N_COLUMNS), n_made)):
        pq.write_table(pa.Table.from_pandas(block, preserve_index=False), folder / f"{i:05d}.parquet")
    for i in range(n_made, n_files):
        shutil.copy(folder / f"{i % n_made:05d}.parquet", folder / f"{i:05d}.parquet")


def plain_pass(folder: Path) -> dict[str, Any]:
    """Read all columns once, in a fresh process, and return processor seconds and peak memory."""
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_PASS, str(folder)], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(
    n_rows: int, *, synthesizer: str, ways: list[bool], settings: dict[str, Any], at: Path
) -> dict[str, Any]:
    """Make a folder, fit it in each way, and return what that took."""
    with tempfile.TemporaryDirectory(dir=at) as home:
        folder, schema = Path(home) / "made", Path(home) / "schema.json"
        write_folder(folder, n_rows)
        made_schema(N_COLUMNS).save(schema)
        out: dict[str, Any] = {"rows": n_rows, "settings": settings, "plain": plain_pass(folder)}
        for stream in ways:
            fit = Fit(
                synthesizer=synthesizer,
                settings=settings,
                train=str(folder),
                schema=str(schema),
                arguments={"stream": stream},
                **SETTINGS,
            )
            out["in parts" if stream else "in memory"] = fit_apart(fit, Path(home) / "rows.parquet")
    return out


def markdown(runs: list[dict[str, Any]]) -> str:
    """Return the table."""
    lines = ["| rows | way | processor seconds | peak MB |", "|---|---|---|---|"]
    for run in sorted(runs, key=lambda run: run["rows"]):
        plain = run["plain"]
        lines.append(
            f"| {run['rows']:,} | read once | {plain['cpu_seconds']:.1f} | {plain['peak_mb']:,.0f} |"
        )
        for way in ("in parts", "in memory"):
            if way in run:
                cpu, peak = run[way]["fit_cpu_seconds"], run[way]["peak_mb"]
                lines.append(f"| {run['rows']:,} | fit {way} | {cpu:.1f} | {peak:,.0f} |")
    return "\n".join(lines) + "\n"


def page(runs: list[dict[str, Any]]) -> str:
    """Return a page that plots both figures over rows."""
    figure = make_subplots(rows=1, cols=2, subplot_titles=["processor seconds to fit", "peak memory, MB"])
    for way in ("in parts", "in memory"):
        found = sorted((run for run in runs if way in run), key=lambda run: run["rows"])
        x = [run["rows"] for run in found]
        for col, figure_of in enumerate(("fit_cpu_seconds", "peak_mb"), start=1):
            y = [run[way][figure_of] for run in found]
            figure.add_trace(go.Scatter(x=x, y=y, mode="lines+markers", name=way), row=1, col=col)
    figure.update_xaxes(type="log", title="rows")
    figure.update_yaxes(rangemode="tozero")
    return str(figure.to_html(include_plotlyjs=True))


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000, 10_000_000, 50_000_000])
    parser.add_argument("--whole", action="store_true", help="fit in memory, too")
    parser.add_argument("--synthesizer", default="marginal")
    parser.add_argument("--settings", type=json.loads, default={}, help="settings to change, as JSON")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "out_of_core.json"
    runs: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    ways = [True, False] if given.whole else [True]
    for n_rows in given.rows:
        runs = [run for run in runs if run["rows"] != n_rows]
        runs.append(
            measure(n_rows, synthesizer=given.synthesizer, ways=ways, settings=given.settings, at=given.out)
        )
        kept.write_text(json.dumps(runs, indent=1))
    (given.out / "out_of_core.md").write_text(markdown(runs))
    (given.out / "out_of_core.html").write_text(page(runs))
    print(markdown(runs))


if __name__ == "__main__":
    main()
