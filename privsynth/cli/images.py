"""What the command line does for images: checks of outputs, contact sheets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from privsynth.cli.console import Progress, check_output
from privsynth.errors import ParameterError

if TYPE_CHECKING:
    from privsynth.synthesizers.images.base import ImageSynthesizer
    from privsynth.synthesizers.tables.base import TableSynthesizer

SHEET_COLUMNS = 12


def check_sample_output(
    synthesizer: TableSynthesizer | ImageSynthesizer, output: Path, *, force: bool
) -> None:
    """Raise a `TableError` unless what is drawn can be written there, before it is drawn."""
    from privsynth.io.images import check_image_output
    from privsynth.io.tables import table_format
    from privsynth.synthesizers.images.base import ImageSynthesizer

    if isinstance(synthesizer, ImageSynthesizer):
        check_image_output(output, force=force)
    else:
        table_format(output)
        check_output(output, force=force)


def completing(synthesizer: TableSynthesizer | ImageSynthesizer) -> TableSynthesizer:
    """Return what fills in partial rows; raises a `ParameterError` if it makes images."""
    from privsynth.synthesizers.images.base import ImageSynthesizer

    if isinstance(synthesizer, ImageSynthesizer):
        raise ParameterError(f"--complete fills in rows, and {synthesizer.name} makes images; leave it out")
    return synthesizer


def check_sheet(sheet: Path | None, synthesizer: str, *, force: bool) -> None:
    """Raise a `ParameterError` if a contact sheet of rows is asked for, a `TableError` if it has no place."""
    if sheet is None:
        return
    from privsynth.synthesizers import IMAGE_SYNTHESIZERS

    if synthesizer not in IMAGE_SYNTHESIZERS:
        raise ParameterError(f"--sheet shows images, and {synthesizer} makes rows; leave it out")
    if sheet.suffix.lower() != ".png":
        raise ParameterError(f"expected --sheet to end in .png, got {str(sheet)!r}")
    check_output(sheet, force=force)


def with_grids(progress: Progress, grids: Path | None, synthesizer: str, *, force: bool) -> Progress:
    """Return a progress callback that also writes sheets while images are learnt, if they are asked for.

    Raises:
        ParameterError: If there is nothing to show.
        TableError: If the folder cannot be made, or holds the sheets of another fit.
    """
    if grids is None:
        return progress
    from privsynth.synthesizers import synthesizer_class
    from privsynth.synthesizers.images.private_steps import ImageStepSynthesizer
    from privsynth.synthesizers.images.sample_grids import SampleGrids

    if not issubclass(synthesizer_class(synthesizer), ImageStepSynthesizer):
        raise ParameterError(
            f"--grids shows images as private steps learn them, and {synthesizer} takes none; leave it out"
        )
    return SampleGrids(grids, progress, force=force)


def write_sheet(
    synthesizer: TableSynthesizer | ImageSynthesizer,
    sheet: Path | None,
    *,
    force: bool,
    seed: int | None = None,
) -> None:
    """Write a contact sheet, if one is asked for."""
    if sheet is None:
        return
    from privsynth.synthesizers.images.base import ImageSynthesizer

    if isinstance(synthesizer, ImageSynthesizer):
        synthesizer.contact_sheet(sheet, n_columns=SHEET_COLUMNS, random_state=seed, force=force)
