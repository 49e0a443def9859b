"""``privsynth demo``: runs `demo_run` and says what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.audit import describe_verdicts
from privsynth.cli.console import check_output_folder, print_result, say_step
from privsynth.cli.options import AsJson, Force


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for what the demo makes.")] = Path(
        "privsynth-demo"
    ),
    epsilon: Annotated[float, typer.Option(help="Budget.")] = 1.0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Run the whole loop on a health insurance table."""
    from privsynth.cli.demo_run import OUTPUTS, REPORT, run_demo
    from privsynth.report.report import HTML_NAME, JSON_NAME

    check_output_folder(out, OUTPUTS, force=force)
    check_output_folder(out / REPORT, (JSON_NAME, HTML_NAME), force=force)
    try:
        result = run_demo(out, epsilon=epsilon, force=force, progress=say_step)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what was made so far is in {str(out)!r}; --force starts again") from None
    text = f"{describe_verdicts(result.verdicts)}\n\n{result.describe()}"
    print_result(result.to_dict(), text, as_json=as_json)
