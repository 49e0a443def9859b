"""Synthesizers: recipes that say what to measure and what to fit.

`NAMES` is the one list of them. Their classes and settings are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from privsynth.errors import ModelFileError, ParameterError

NAMES: dict[str, str] = {  # on the command line: the class, and the module under this package; default first
    "marginal": "tables.marginal.MarginalSynthesizer",
    "dpgan": "tables.dpgan.DPGANSynthesizer",
    "pategan": "tables.pategan.PATEGANSynthesizer",
    "denoising": "tables.denoising.DenoisingSynthesizer",
    "image-feature": "images.feature.ImageFeatureSynthesizer",
    "image-gan": "images.gan.ImageGANSynthesizer",
    "image-diffusion": "images.diffusion.ImageDiffusionSynthesizer",
}

OF_LINKED_TABLES = {"linked": "linked.marginal.LinkedSynthesizer"}  # taken where a schema describes several
OF_RELEASES = {"releases": "elsewhere.synthesizer.ReleasesSynthesizer"}  # taken where no record is read

if TYPE_CHECKING:  # what `NAMES` gives, for type checkers and editors; a test compares the two
    from privsynth.synthesizers.elsewhere.synthesizer import ReleasesSettings as ReleasesSettings
    from privsynth.synthesizers.elsewhere.synthesizer import ReleasesSynthesizer as ReleasesSynthesizer
    from privsynth.synthesizers.images.base import ImageSynthesizer
    from privsynth.synthesizers.images.diffusion import (
        ImageDiffusionSettings as ImageDiffusionSettings,
    )
    from privsynth.synthesizers.images.diffusion import (
        ImageDiffusionSynthesizer as ImageDiffusionSynthesizer,
    )
    from privsynth.synthesizers.images.feature import ImageFeatureSettings as ImageFeatureSettings
    from privsynth.synthesizers.images.feature import ImageFeatureSynthesizer as ImageFeatureSynthesizer
    from privsynth.synthesizers.images.gan import ImageGANSettings as ImageGANSettings
    from privsynth.synthesizers.images.gan import ImageGANSynthesizer as ImageGANSynthesizer
    from privsynth.synthesizers.linked.marginal import LinkedSettings as LinkedSettings
    from privsynth.synthesizers.linked.marginal import LinkedSynthesizer as LinkedSynthesizer
    from privsynth.synthesizers.tables.base import TableSynthesizer
    from privsynth.synthesizers.tables.denoising import DenoisingSettings as DenoisingSettings
    from privsynth.synthesizers.tables.denoising import DenoisingSynthesizer as DenoisingSynthesizer
    from privsynth.synthesizers.tables.dpgan import DPGANSettings as DPGANSettings
    from privsynth.synthesizers.tables.dpgan import DPGANSynthesizer as DPGANSynthesizer
    from privsynth.synthesizers.tables.marginal import MarginalSynthesizer as MarginalSynthesizer
    from privsynth.synthesizers.tables.pategan import PATEGANSettings as PATEGANSettings
    from privsynth.synthesizers.tables.pategan import PATEGANSynthesizer as PATEGANSynthesizer
    from privsynth.synthesizers.tables.select_measure_fit import MarginalSettings as MarginalSettings

    AnySynthesizer: TypeAlias = TableSynthesizer | ImageSynthesizer
    SYNTHESIZERS: dict[str, type[AnySynthesizer]]
    TABLE_SYNTHESIZERS: dict[str, type[TableSynthesizer]]
    IMAGE_SYNTHESIZERS: dict[str, type[ImageSynthesizer]]

_ALL = NAMES | OF_LINKED_TABLES | OF_RELEASES
_BY_CLASS = {where.rpartition(".")[2]: name for name, where in _ALL.items()}
_BY_SETTINGS = {of_class.replace("Synthesizer", "Settings"): name for of_class, name in _BY_CLASS.items()}

__all__ = sorted({*_BY_CLASS, *_BY_SETTINGS, "load"})


def synthesizer_class(name: str) -> type[AnySynthesizer]:
    """Return the class with this name on the command line.

    Raises:
        ParameterError: If there is none.
    """
    if name not in NAMES:
        raise ParameterError(f"expected one of {', '.join(NAMES)}, got {name!r}")
    found: type[AnySynthesizer] = _class(name)
    return found


def _class(name: str) -> Any:
    module, _, of_class = _ALL[name].rpartition(".")
    return getattr(import_module(f"{__name__}.{module}"), of_class)


def __getattr__(name: str) -> Any:
    """Import a class, or settings, when they are first used."""
    if name in _BY_CLASS:
        return _class(_BY_CLASS[name])
    if name in _BY_SETTINGS:
        return _class(_BY_SETTINGS[name]).settings_type
    of_kind = {"SYNTHESIZERS": "", "TABLE_SYNTHESIZERS": "tables.", "IMAGE_SYNTHESIZERS": "images."}
    if name in of_kind:
        return {key: synthesizer_class(key) for key in NAMES if NAMES[key].startswith(of_kind[name])}
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(path: str | Path) -> AnySynthesizer | LinkedSynthesizer | ReleasesSynthesizer:
    """Read a model file and return the synthesizer that wrote it, ready to sample.

    Returns:
        A `TableSynthesizer`, an `ImageSynthesizer`, a `LinkedSynthesizer` or a `ReleasesSynthesizer`, as the
        file says.

    Raises:
        ModelFileError: If the file is missing, damaged, of another kind, or from a newer version.

    Privacy:
        Post-processing: a model file holds releases and what was fitted to them.
    """
    from privsynth.synthesizers.model_file import read_model_file

    contents = read_model_file(path)
    name = _BY_CLASS.get(str(contents.manifest.get("class")))
    if name is None:
        raise ModelFileError(f"{str(path)!r} holds a model of an unknown class; update privsynth")
    found: AnySynthesizer | LinkedSynthesizer | ReleasesSynthesizer = _class(name).from_file(path, contents)
    return found
