"""Modules under the names that they once had, which scripts and notebooks may still import."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED: Mapping[str, tuple[str, ...]] = {  # module paths of before 0.1.0 that scripts are likely to have
    "privsynth.attacks.paid": (
        "privsynth.attacks.private_audit.figures",
        "privsynth.attacks.private_audit.account",
        "privsynth.attacks.private_audit.counts",
    ),
    "privsynth.augmentation": ("privsynth.rebalancing.augment",),
    "privsynth.checking": ("privsynth.records.checking",),
    "privsynth.drafting": ("privsynth.records.drafting",),
    "privsynth.image_files": ("privsynth.io.images",),
    "privsynth.image_sources": ("privsynth.records.images",),
    "privsynth.images": ("privsynth.schema.images",),
    "privsynth.models.fitting": ("privsynth.models.tables.fitting",),
    "privsynth.models.gan": ("privsynth.models.tables.gan",),
    "privsynth.models.image_diffusion": ("privsynth.models.images.diffusion",),
    "privsynth.models.image_gan": ("privsynth.models.images.gan",),
    "privsynth.privacy.accounting": ("privsynth.accounting.gdp", "privsynth.accounting.events"),
    "privsynth.privacy.ledger": ("privsynth.ledger.ledger",),
    "privsynth.privacy.noise": ("privsynth.privacy.mechanisms.noise",),
    "privsynth.privacy.secret": ("privsynth.privacy.randomness",),
    "privsynth.report.audit_report": ("privsynth.report.report",),
    "privsynth.resampling": ("privsynth.rebalancing.resampler",),
    "privsynth.sources": ("privsynth.io.tables", "privsynth.records.conform"),
    "privsynth.splitting": ("privsynth.records.splitting",),
    "privsynth.synthesizers.denoising": ("privsynth.synthesizers.tables.denoising",),
    "privsynth.synthesizers.dpgan": ("privsynth.synthesizers.tables.dpgan",),
    "privsynth.synthesizers.image_diffusion": ("privsynth.synthesizers.images.diffusion",),
    "privsynth.synthesizers.image_feature": ("privsynth.synthesizers.images.feature",),
    "privsynth.synthesizers.image_gan": ("privsynth.synthesizers.images.gan",),
    "privsynth.synthesizers.marginal": ("privsynth.synthesizers.tables.marginal",),
    "privsynth.synthesizers.pategan": ("privsynth.synthesizers.tables.pategan",),
    "privsynth.synthesizers.recipe": ("privsynth.synthesizers.tables.select_measure_fit",),
}


class _Finder(MetaPathFinder, Loader):
    """Finds a module of `MOVED` and gives it the names of those that it has become."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        now = [import_module(name) for name in MOVED[module.__name__]]
        names = " and ".join(MOVED[module.__name__])
        warnings.warn(f"{module.__name__} is now {names}", DeprecationWarning, stacklevel=2)

        def named(name: str) -> Any:
            for home in now:
                if hasattr(home, name):
                    return getattr(home, name)
            raise AttributeError(f"module {module.__name__!r}, now {names}, has no attribute {name!r}")

        module.__doc__ = f"Now {names}."
        module.__dict__["__all__"] = sorted({name for home in now for name in vars(home) if name[0] != "_"})
        module.__dict__["__getattr__"] = named


def find_old_paths() -> None:
    """Let ``import`` find what has moved, after everything else."""
    sys.meta_path.append(_Finder())
