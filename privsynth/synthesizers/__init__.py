"""Synthesizers: recipes that say what to measure and what to fit."""

from __future__ import annotations

from pathlib import Path

from privsynth.errors import ModelFileError
from privsynth.synthesizers.images.base import ImageSynthesizer
from privsynth.synthesizers.images.diffusion import ImageDiffusionSynthesizer
from privsynth.synthesizers.images.feature import ImageFeatureSynthesizer
from privsynth.synthesizers.images.gan import ImageGANSynthesizer
from privsynth.synthesizers.model_file import read_model_file
from privsynth.synthesizers.tables.base import TableSynthesizer
from privsynth.synthesizers.tables.denoising import DenoisingSynthesizer
from privsynth.synthesizers.tables.dpgan import DPGANSynthesizer
from privsynth.synthesizers.tables.marginal import MarginalSynthesizer
from privsynth.synthesizers.tables.pategan import PATEGANSynthesizer

TABLE_SYNTHESIZERS: dict[str, type[TableSynthesizer]] = {
    synthesizer.name: synthesizer
    for synthesizer in (MarginalSynthesizer, DPGANSynthesizer, PATEGANSynthesizer, DenoisingSynthesizer)
}
IMAGE_SYNTHESIZERS: dict[str, type[ImageSynthesizer]] = {
    synthesizer.name: synthesizer
    for synthesizer in (ImageFeatureSynthesizer, ImageGANSynthesizer, ImageDiffusionSynthesizer)
}
SYNTHESIZERS: dict[str, type[TableSynthesizer] | type[ImageSynthesizer]] = {
    **TABLE_SYNTHESIZERS,
    **IMAGE_SYNTHESIZERS,
}


def load(path: str | Path) -> TableSynthesizer | ImageSynthesizer:
    """Read a model file and return the synthesizer that wrote it, ready to sample.

    Raises:
        ModelFileError: If the file is missing, damaged, of another kind, or from a newer version.

    Privacy:
        Post-processing: a model file holds releases and what was fitted to them.
    """
    contents = read_model_file(path)
    for synthesizer in SYNTHESIZERS.values():
        if contents.manifest.get("class") == synthesizer.__name__:
            return synthesizer.from_file(path, contents)
    raise ModelFileError(f"{str(path)!r} holds a model of an unknown class; update privsynth")
