"""Synthesizers: recipes that say what to measure and what to fit."""

from __future__ import annotations

from pathlib import Path

from privsynth.errors import ModelFileError
from privsynth.synthesizers.denoising import DenoisingSynthesizer
from privsynth.synthesizers.dpgan import DPGANSynthesizer
from privsynth.synthesizers.image import ImageSynthesizer
from privsynth.synthesizers.image_diffusion import ImageDiffusionSynthesizer
from privsynth.synthesizers.image_feature import ImageFeatureSynthesizer
from privsynth.synthesizers.image_gan import ImageGANSynthesizer
from privsynth.synthesizers.marginal import MarginalSynthesizer
from privsynth.synthesizers.model_file import read_model_file
from privsynth.synthesizers.pategan import PATEGANSynthesizer
from privsynth.synthesizers.table import TableSynthesizer

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
