"""Drawing labelled images from a fitted model: what every image synthesizer can do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd

from privsynth.errors import ParameterError
from privsynth.io.images import check_image_output, write_contact_sheet, write_images
from privsynth.sampling.image_model import ImageModel
from privsynth.sampling.request import SampleOptions
from privsynth.sampling.table_model import TableModel
from privsynth.schema.images import LabelledImages, PixelArray
from privsynth.synthesizers.contract import Progress
from privsynth.synthesizers.request_sampler import RequestSampler, row_attrs


class ImageSampler(RequestSampler[ImageModel]):
    """Sampling half of an image synthesizer.

    Privacy:
        Post-processing of the model; ``like`` is taken as public.
    """

    def sample(
        self, n: int | None = None, *, random_state: int | None = None, **asked: Unpack[SampleOptions]
    ) -> LabelledImages:
        """Draw exactly ``n`` labelled images, conditioned and balanced over their labels exactly.

        Takes what `TableSampler.sample` takes, about the columns; the image of each row is drawn given its
        labels. ``labels.attrs["not_covered"]`` says what the guarantee does not cover, and
        ``labels.attrs["rebalancing_cost"]`` what meeting targets moves.

        Raises:
            RequestError, UnsupportedRequestError: As `TableSampler.sample`.
        """
        request = self._request(n, asked)
        plan, rng = self._planned(request, random_state)
        blocks = list(self._fitted().draw_blocks(plan, rng))
        labels = pd.concat([block.labels for block in blocks], ignore_index=True)
        labels.attrs |= row_attrs(request, plan)
        return LabelledImages(np.concatenate([block.images for block in blocks]), labels)

    def sample_to(
        self,
        path: str | Path,
        n: int | None = None,
        *,
        random_state: int | None = None,
        force: bool = False,
        progress: Progress | None = None,
        **asked: Unpack[SampleOptions],
    ) -> int:
        """Write the same images as `sample` to a folder of PNG files or an npz file.

        Args:
            path: ``NAME.npz``, or ``NAME`` for a folder, which is written block by block.
            n: Number of images, as for `sample`.
            random_state: Fixes the images drawn.
            force: Replace what is there.
            progress: Called with a message, the images written, and the images planned.
            **asked: What is asked for, as for `sample`.

        Returns:
            The number of images written.

        Raises:
            TableError: If it cannot be written, or exists and ``force`` is not set.
            RequestError, UnsupportedRequestError: As `sample`.
        """
        check_image_output(path, force=force)
        report = progress or (lambda message, done, total: None)
        plan, rng = self._planned(self._request(n, asked), random_state)

        def told() -> Iterator[LabelledImages]:
            done = 0
            for block in self._fitted().draw_blocks(plan, rng):
                yield block
                done += len(block)
                report("images written", done, plan.n_rows)

        return write_images(told(), path, force=force)

    def contact_sheet(
        self, path: str | Path, *, n_columns: int = 10, random_state: int | None = None, force: bool = False
    ) -> None:
        """Write a contact sheet as PNG: a row of images for each combination that images are drawn given.

        Raises:
            ParameterError: If ``n_columns`` is below 1.
            TableError: If the file cannot be written, or exists and ``force`` is not set.
        """
        if n_columns < 1:
            raise ParameterError(f"expected n_columns >= 1, got {n_columns!r}")
        write_contact_sheet(self.gallery(n_columns, random_state), path, n_columns=n_columns, force=force)

    def gallery(self, per_cell: int, random_state: int | None = None) -> PixelArray:
        """Return ``per_cell`` images of each combination that images are drawn given, one after the other."""
        model = self._fitted()
        cells = np.repeat(np.arange(model.n_cells), per_cell)
        return model.generator.draw(cells, self._rng(random_state))

    @property
    def _table(self) -> TableModel:
        return self._fitted().table
