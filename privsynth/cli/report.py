"""``privsynth report``: audits side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import check_output, print_result
from privsynth.cli.options import AsJson, Force


def report(
    reports: Annotated[
        list[Path], typer.Argument(metavar="A.json B.json …", help="Reports of `privsynth audit`.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.html", help="Where the page goes.")],
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Compare audits of several epsilons or synthesizers, side by side.

    Each report is named by its file, or by its folder where files share a name.
    """
    from privsynth.errors import TableError

    lacking = [path for path in reports if not path.exists()]
    if lacking:
        raise TableError(
            f"there is no file {str(lacking[0])!r}; `privsynth audit` writes report.json into its folder"
        )
    from privsynth.io.atomic import written_aside
    from privsynth.report.compare import compare_reports, read_report, render_comparison
    from privsynth.report.report import REPORT_VERSION

    check_output(output, force=force)
    named = dict(
        zip(run_names(reports), (read_report(p, newest_version=REPORT_VERSION) for p in reports), strict=True)
    )
    page = render_comparison(named)
    with written_aside(output, force=force, owner_only=True) as aside:
        aside.write_text(page, encoding="utf-8")
    found = compare_reports(named)
    lines = [f"warning: {warning}" for warning in found["warnings"]] + [f"comparison: {output}"]
    print_result({"html": str(output), **found}, "\n".join(lines), as_json=as_json)


def run_names(paths: list[Path]) -> list[str]:
    """Return a short name for each report, all different.

    Example:
        >>> run_names([Path("eps1/report.json"), Path("eps3/report.json"), Path("b.json")])
        ['eps1', 'eps3', 'b']
    """
    stems = [path.stem for path in paths]
    names = [
        stem if stems.count(stem) == 1 else path.absolute().parent.name
        for stem, path in zip(stems, paths, strict=True)
    ]
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]
