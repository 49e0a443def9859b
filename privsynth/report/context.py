"""What the sections of a report are given: the released rows or images and, in an audit, real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privsynth.errors import ParameterError
from privsynth.io.image_files import ImageSource, OpenedImages
from privsynth.io.source import Table
from privsynth.metrics.common import image_features
from privsynth.metrics.common.families import LinkedTables
from privsynth.metrics.common.images import ImageTables
from privsynth.metrics.common.tables import Tables
from privsynth.metrics.common.units import at_most_rows, n_units
from privsynth.metrics.fidelity.two_sample import TwoSampleResult, tell_synthetic_from_real
from privsynth.metrics.leakage.shadow import Shadowing
from privsynth.metrics.utility import images as image_utility
from privsynth.metrics.utility.downstream import DirectModel, Predictions, predict_holdout, target_of
from privsynth.records.conform import Records
from privsynth.records.linked import Tables as LinkedFrames
from privsynth.report.limits import ImageLimits, Limits
from privsynth.schema import Schema
from privsynth.schema.images import LabelledImages
from privsynth.schema.linked import LinkedSchema

TABLES = ("real", "synthetic", "holdout", "reference")
Progress = Callable[[str], None]


def _silent(message: str) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class AuditContext:
    """What the sections of every report are given.

    Attributes:
        schema: The description of the table.
        guarantee: The statement of the model file; None if there is none.
        drawing: How the rows were drawn; see `privsynth.report.provenance`.
        random_state: Seed of every draw.
        progress: Is told what is being done.
        found: Name of a section to its figures, as far as they have been assessed.
    """

    schema: Schema | LinkedSchema
    guarantee: dict[str, Any] | None
    drawing: dict[str, Any] | None
    random_state: int = 0
    progress: Progress = _silent
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``table``, ``linked`` or ``images``: which sections there are."""
        if isinstance(self.schema, LinkedSchema):
            return "linked"
        return "table" if self.schema.image is None else "images"


@dataclass(frozen=True, kw_only=True)
class PublicContext(AuditContext):
    """That of a public report: there is no real record in it.

    Attributes:
        synthetic: The released rows, or images with their labels.
        target: Column that models predict.
        groups: Columns that groups are made by.
        count_under_budget: Counts real records under a budget of the audit's own, and returns what it pays
            for; None where there is none. The records stay behind it: no section is given them.
    """

    schema: Schema
    synthetic: pd.DataFrame | LabelledImages
    target: str | None
    groups: Sequence[str]
    count_under_budget: Callable[[], dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class TableContext(AuditContext):
    """That of an audit of a table.

    Attributes:
        everything: All rows of all tables.
        limits: How much work is done.
        is_randomised: Whether chance alone decided who is a member.
        direct: Trains a model on real rows under the same budget; None for a linear one.
        shadowing: Asks for the shadow-model attack.
    """

    schema: Schema
    everything: Tables
    limits: Limits
    is_randomised: bool
    direct: DirectModel | None = None
    shadowing: Shadowing | None = None

    @cached_property
    def tables(self) -> Tables:
        """The tables with at most ``limits.max_rows`` rows each, as whole units drawn at random."""
        most = self.limits.max_rows
        if most is None:
            return self.everything
        generator = np.random.default_rng(self.random_state)
        given = {name: getattr(self.everything, name) for name in TABLES}
        thin: dict[str, Any] = {
            name: at_most_rows(r, most, generator) for name, r in given.items() if r is not None
        }
        fits = tuple(at_most_rows(fit, most, generator) for fit in self.everything.non_private)
        return replace(self.everything, **thin, non_private=fits)

    @cached_property
    def two_sample(self) -> dict[str, TwoSampleResult] | None:
        """What a classifier that tells synthetic from real rows has learnt."""
        return tell_synthetic_from_real(self.tables, random_state=self.random_state)

    @cached_property
    def predictions(self) -> Predictions | None:
        """What models of the target say of the holdout; None without target or holdout."""
        target = target_of(self.tables)
        if target is None or self.tables.holdout is None:
            return None
        families = target.families[: self.limits.n_families]
        return predict_holdout(self.tables, target, families=families, random_state=self.random_state)


@dataclass(frozen=True, kw_only=True)
class LinkedContext(AuditContext):
    """That of an audit of linked tables.

    Attributes:
        everything: All families of all sides.
        limits: How much work is done.
        is_randomised: Whether chance alone decided who is a member.
    """

    schema: LinkedSchema
    everything: LinkedTables
    limits: Limits
    is_randomised: bool

    @cached_property
    def tables(self) -> LinkedTables:
        """The tables with about ``limits.max_rows`` rows in the largest of each side, as whole families."""
        most = self.limits.max_rows
        if most is None:
            return self.everything
        generator = np.random.default_rng(self.random_state)
        thin: dict[str, Any] = {}
        for name, families in self.everything.sides.items():
            share = most / max(most, *families.n_rows.values())
            thin[name] = families.some(max(1, round(share * families.n_persons)), generator)
        return replace(self.everything, **thin)


@dataclass(frozen=True, kw_only=True)
class ImageContext(AuditContext):
    """That of an audit of images.

    Attributes:
        images: The sets.
        limits: How much work is done.
    """

    schema: Schema
    images: ImageTables
    limits: ImageLimits

    @cached_property
    def seen(self) -> image_features.Seen:
        """All images through one network."""
        return image_features.see(self.images, random_state=self.random_state)

    @cached_property
    def predictions(self) -> Predictions | None:
        """What classifiers say of the holdout."""
        return image_utility.predict_holdout(
            self.images,
            training=self.limits.training,
            families=self.limits.families,
            random_state=self.random_state,
        )


def as_images(source: Table | ImageSource | LinkedFrames) -> ImageSource:
    """Return a source of images; raises a `ParameterError` if it is a table.

    Privacy:
        Not private: returns what it is given.
    """
    if not isinstance(source, OpenedImages | LabelledImages | tuple | str | Path):
        raise ParameterError(
            "expected images, as the schema says: LabelledImages, (pixels, labels) or a path; got a "
            + ("frame" if isinstance(source, pd.DataFrame) else type(source).__name__)
        )
    return source


def as_table(source: Table | ImageSource | LinkedFrames) -> Table:
    """Return a source of a table; raises a `ParameterError` if it holds images, or several tables.

    Privacy:
        Not private: returns what it is given.
    """
    if isinstance(source, tuple | LabelledImages | OpenedImages):
        raise ParameterError(
            "expected a table, as the schema says, got images; to audit images, add their shape to the "
            'schema: "image": {"height": ..., "width": ..., "channels": ...}'
        )
    if isinstance(source, Mapping):
        raise ParameterError(
            "expected a table, as the schema says, got a mapping of tables; linked tables take a schema of "
            "linked tables: LinkedSchema.load(path)"
        )
    return source


def sizes_of(tables: Tables) -> dict[str, Any]:
    """Return the numbers of rows and units of each table, or of the labels of each set of images.

    Privacy:
        Not private: exact counts.
    """
    given: dict[str, Records | None] = {name: getattr(tables, name) for name in TABLES}
    given["twin"] = tables.non_private[0] if tables.non_private else None
    return {
        name: None if records is None else {"n_rows": len(records.frame), "n_units": n_units(records)}
        for name, records in given.items()
    }
