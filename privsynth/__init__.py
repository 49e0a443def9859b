"""Differentially private synthetic data: fit on a sensitive table, sample balanced datasets, audit them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from privsynth.models.threads import wait_passively
from privsynth.old_paths import find_old_paths

if TYPE_CHECKING:
    from privsynth import metrics
    from privsynth.rebalancing.augment import Augmentation, augment_for
    from privsynth.rebalancing.resampler import BalancedResampler
    from privsynth.records.checking import check
    from privsynth.records.drafting import draft_schema
    from privsynth.report.audit import audit
    from privsynth.report.public import public_report
    from privsynth.report.report import AuditReport
    from privsynth.schema import Schema
    from privsynth.schema.images import LabelledImages
    from privsynth.synthesizers import (
        DenoisingSynthesizer,
        DPGANSynthesizer,
        ImageDiffusionSynthesizer,
        ImageFeatureSynthesizer,
        ImageGANSynthesizer,
        MarginalSynthesizer,
        PATEGANSynthesizer,
        load,
    )
    from privsynth.synthesizers.images.sample_grids import SampleGrids

find_old_paths()
wait_passively()  # before any module of ours loads a library with threads

__all__ = [
    "AuditReport",
    "Augmentation",
    "BalancedResampler",
    "DPGANSynthesizer",
    "DenoisingSynthesizer",
    "ImageDiffusionSynthesizer",
    "ImageFeatureSynthesizer",
    "ImageGANSynthesizer",
    "LabelledImages",
    "MarginalSynthesizer",
    "PATEGANSynthesizer",
    "SampleGrids",
    "Schema",
    "audit",
    "augment_for",
    "check",
    "draft_schema",
    "load",
    "metrics",
    "public_report",
]
__version__ = "0.1.0"

_HOMES = {
    "Augmentation": "privsynth.rebalancing.augment",
    "Schema": "privsynth.schema",
    "augment_for": "privsynth.rebalancing.augment",
    "AuditReport": "privsynth.report.report",
    "LabelledImages": "privsynth.schema.images",
    "BalancedResampler": "privsynth.rebalancing.resampler",
    "audit": "privsynth.report.audit",
    "check": "privsynth.records.checking",
    "draft_schema": "privsynth.records.drafting",
    "public_report": "privsynth.report.public",
    "DPGANSynthesizer": "privsynth.synthesizers",
    "DenoisingSynthesizer": "privsynth.synthesizers",
    "ImageDiffusionSynthesizer": "privsynth.synthesizers",
    "ImageFeatureSynthesizer": "privsynth.synthesizers",
    "ImageGANSynthesizer": "privsynth.synthesizers",
    "PATEGANSynthesizer": "privsynth.synthesizers",
    "MarginalSynthesizer": "privsynth.synthesizers",
    "SampleGrids": "privsynth.synthesizers.images.sample_grids",
    "load": "privsynth.synthesizers",
}


def __getattr__(name: str) -> Any:
    """Import the heavy parts (torch, scikit-learn) when they are first used."""
    if name == "metrics":
        return import_module("privsynth.metrics")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'privsynth' has no attribute {name!r}")
