"""Contact sheets of what a training of images has learnt so far, written beside its progress."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from privsynth.errors import TableError
from privsynth.io.images import write_contact_sheet
from privsynth.sampling.image_model import ImageGenerator
from privsynth.synthesizers.contract import Progress

GRID_COLUMNS = 10
MOST_ROWS = 100  # classes and groups beyond these are not shown
_NAME = re.compile(r"step-\d{6}\.png")


class SampleGrids:
    """A progress callback that also writes a sheet of drawn images, each time that progress is reported.

    Give it to `fit` as ``progress``. An image synthesizer that learns by private steps then writes
    ``step-000000.png``, before the first step, ``step-000015.png`` and so on: a row for each combination that
    images are drawn given, always from the same draws, so that sheets can be compared. A sheet that cannot be
    written is a warning, since the steps behind it are paid for; it is written whole or not at all.

    Args:
        folder: Where the sheets go; made if need be.
        progress: Called as `fit` would call it.
        force: Take a folder that holds sheets: a fit that goes on adds to them, a fresh one replaces them.

    Raises:
        TableError: If the folder cannot be made, or holds sheets and ``force`` is not set.

    Privacy:
        Post-processing: the steps are charged before the first of them, and draws have a generator of their
        own, so that a fit is the same with grids and without.
    """

    def __init__(self, folder: str | Path, progress: Progress | None = None, *, force: bool = False) -> None:
        self._folder, self._progress = Path(folder), progress
        try:
            self._folder.mkdir(exist_ok=True)
            if self._sheets() and not force:
                raise TableError(
                    f"{str(folder)!r} holds the sheets of another fit; replace them with --force "
                    "(force=True), or name another folder"
                )
        except OSError as error:
            reason = error.strerror or "the system refused"
            raise TableError(f"sheets cannot be written to {str(folder)!r}: {reason}") from None

    def __call__(self, message: str, done: int, total: int) -> None:
        """Report progress."""
        if self._progress is not None:
            self._progress(message, done, total)

    def watching(self, generator: Callable[[], ImageGenerator], n_cells: int) -> Progress:
        """Return a callback for a training: it reports, and writes a sheet of ``generator()``."""

        def report(message: str, done: int, total: int) -> None:
            self(message, done, total)
            cells = np.repeat(np.arange(min(n_cells, MOST_ROWS)), GRID_COLUMNS)
            images = generator().draw(cells, np.random.default_rng(0))
            path = self._folder / f"step-{done:06d}.png"
            try:
                for other in self._sheets() if done == 0 else ():
                    other.unlink()
                write_contact_sheet(images, path, n_columns=GRID_COLUMNS, force=True)
            except (TableError, OSError) as error:
                warnings.warn(f"a sheet is left out: {error}", stacklevel=2)

        return report

    def _sheets(self) -> list[Path]:
        return [file for file in self._folder.iterdir() if _NAME.fullmatch(file.name)]
