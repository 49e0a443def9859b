"""What an audit found: one object, one JSON file, one page.

The JSON is described by ``report.schema.json`` beside this file.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from privsynth.errors import ParameterError
from privsynth.io.atomic import written_aside
from privsynth.metrics.common.estimates import not_assessed
from privsynth.report.context import AuditContext
from privsynth.report.page.notebook import summary
from privsynth.report.page.page import render
from privsynth.report.sections import SECTIONS, sections_of, verdicts_of

REPORT_VERSION = 1
JSON_NAME, HTML_NAME = "report.json", "report.html"
_LIBRARIES = ("privsynth", "numpy", "pandas", "scipy", "scikit-learn", "sdmetrics", "fairlearn")
PUBLIC = "this report is public: it reads no real record"
_NOT_IN_JSON = "pictures"


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """What an audit found. Not private: it reads real records, and no epsilon covers it.

    Each section is an attribute under its name, too: ``report.fidelity``.

    Attributes:
        sections: Name to figures, see `privsynth.report.sections.SECTIONS`: ``guarantee``, the statement of
            the model file or None; ``fidelity``, ``utility``, ``fairness``, ``interpretability``,
            ``membership``, ``disclosure``, see `privsynth.metrics`; where the schema says that the rows of a
            person belong together ``sequences``; of linked tables ``links`` and ``by_table``; ``synthetic``,
            of a public report what the released rows show by themselves, else None; ``paid``, figures that a
            budget of the audit's own covers, else None; ``pictures``, what the page of images shows and the
            JSON leaves out.
        verdicts: ``question``, ``verdict``, ``evidence``, ``action`` and ``section`` of the page, each.
        tables: Table to its numbers of rows and units as it was given, None where it was not.
        settings: What the caller asked for.
        notes: What was changed in a table to fit the schema.
        left_out: What a quick audit left out.
        created: When, UTC, ISO-8601.
        versions: Library to version.
        drawing: How the rows were drawn, see `privsynth.report.provenance`; None where nothing is known.
    """

    sections: dict[str, Any] = field(repr=False)
    verdicts: list[dict[str, str]]
    tables: dict[str, Any]
    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    created: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=lambda: versions_used())
    drawing: dict[str, Any] | None = None

    @classmethod
    def of(cls, context: AuditContext, **facts: Any) -> AuditReport:
        """Assess the sections of one kind of report, one after the other, and judge what was found.

        Args:
            context: What the sections are given.
            **facts: ``tables``, ``settings``, ``notes`` and ``left_out`` of the report.

        Privacy:
            Not private, unless the context is that of a public report.
        """
        asked = [section for section in SECTIONS[context.kind] if section.is_for(context.schema)]
        for section in sections_of(context.kind, public=facts["settings"]["public"]):
            if section not in asked:
                continue
            if section.doing:
                context.progress(section.doing)
            context.found[section.name] = section.assess(context)
        for section in asked:  # those that are no part of this report
            context.found.setdefault(section.name, not_assessed(PUBLIC) if section.reads_records else None)
        context.progress("writing the verdicts")
        figures = {section.name: context.found[section.name] for section in asked}
        content = plain(figures | facts | {"drawing": context.drawing})
        return cls(sections=figures, verdicts=verdicts_of(content), drawing=context.drawing, **facts)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") and name in self.__dict__.get("sections", {}):
            return self.sections[name]
        raise AttributeError(f"a report has no {name!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``report.json``: JSON-able, undefined is None."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "sections"}
        figures = {name: found for name, found in self.sections.items() if name != _NOT_IN_JSON}
        return {"report_version": REPORT_VERSION, **plain(figures | facts)}

    def to_html(self) -> str:
        """Return the page, self-contained."""
        return render(self.to_dict(), self.sections.get(_NOT_IN_JSON))

    def save(self, directory: str | Path, *, force: bool = False) -> None:
        """Write ``report.json`` and ``report.html``, readable by the owner only.

        Args:
            directory: Where to; made if it is not there.
            force: Replace existing reports.

        Raises:
            ParameterError: If a report is there and ``force`` is false, or ``directory`` is a file.
            TableError: If a file cannot be written.

        Privacy:
            Not private: writes figures of real records.
        """
        folder = Path(directory)
        if folder.exists() and not folder.is_dir():
            raise ParameterError(f"expected a folder to write the report to, got the file {str(folder)!r}")
        there = [name for name in (JSON_NAME, HTML_NAME) if (folder / name).exists()]
        if there and not force:
            raise ParameterError(
                f"{str(folder / there[0])!r} exists; replace it with --force (force=True), or name "
                "another folder"
            )
        contents = {
            JSON_NAME: json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
            HTML_NAME: self.to_html(),
        }
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            with written_aside(folder / name, force=force, owner_only=True) as aside:
                aside.write_text(text, encoding="utf-8")

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the verdicts and the key figures; the page itself is saved."""
        return summary(self.to_dict())


def versions_used() -> dict[str, str]:
    """Return the version of Python, of this package and of what its figures come from."""
    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            versions[library] = "not installed as a package"
    return versions


def plain(value: Any) -> Any:
    """Return ``value`` as JSON holds it: no numpy types, None for NaN and infinities."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
