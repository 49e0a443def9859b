"""Differentially private synthetic data: fit on a sensitive table, sample balanced datasets, audit them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from privsynth import synthesizers
from privsynth.models.threads import wait_passively
from privsynth.old_paths import find_old_paths

if TYPE_CHECKING:  # what `_HOMES` gives, for type checkers and editors; a test compares the two
    from privsynth import metrics as metrics
    from privsynth.rebalancing.augment import Augmentation as Augmentation
    from privsynth.rebalancing.augment import augment_for as augment_for
    from privsynth.rebalancing.resampler import BalancedResampler as BalancedResampler
    from privsynth.records.checking import check as check
    from privsynth.records.drafting import draft_schema as draft_schema
    from privsynth.records.splitting import split as split
    from privsynth.report.audit import audit as audit
    from privsynth.report.public import public_report as public_report
    from privsynth.report.report import AuditReport as AuditReport
    from privsynth.schema import Schema as Schema
    from privsynth.schema.images import LabelledImages as LabelledImages
    from privsynth.schema.linked import LinkedSchema as LinkedSchema
    from privsynth.synthesizers import *  # noqa: F403  # the names of its `__all__`
    from privsynth.synthesizers.images.sample_grids import SampleGrids as SampleGrids
    from privsynth.synthesizers.plan import plan as plan

find_old_paths()
wait_passively()  # before any module of ours loads a library with threads

__version__ = "0.1.0"

_HOMES = {
    "AuditReport": "privsynth.report.report",
    "Augmentation": "privsynth.rebalancing.augment",
    "BalancedResampler": "privsynth.rebalancing.resampler",
    "LabelledImages": "privsynth.schema.images",
    "LinkedSchema": "privsynth.schema.linked",
    "SampleGrids": "privsynth.synthesizers.images.sample_grids",
    "Schema": "privsynth.schema",
    "audit": "privsynth.report.audit",
    "augment_for": "privsynth.rebalancing.augment",
    "check": "privsynth.records.checking",
    "draft_schema": "privsynth.records.drafting",
    "plan": "privsynth.synthesizers.plan",
    "public_report": "privsynth.report.public",
    "split": "privsynth.records.splitting",
    **dict.fromkeys(synthesizers.__all__, "privsynth.synthesizers"),
}

__all__ = sorted([*_HOMES, "metrics"])


def __getattr__(name: str) -> Any:
    """Import the heavy parts (torch, scikit-learn) when they are first used."""
    if name == "metrics":
        return import_module("privsynth.metrics")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'privsynth' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return [*globals(), *__all__]
