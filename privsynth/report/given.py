"""What an audit is given: tables or images, as the schema says."""

from __future__ import annotations

import pandas as pd

from privsynth.errors import ParameterError
from privsynth.image_sources import ImageSource
from privsynth.images import LabelledImages
from privsynth.metrics.tables import Table


def as_images(source: Table | ImageSource) -> ImageSource:
    """Return a source of images; raises a `ParameterError` if it is a frame.

    Privacy:
        Not private: returns what it is given.
    """
    if isinstance(source, pd.DataFrame):
        raise ParameterError(
            "expected images, as the schema says: LabelledImages, (pixels, labels) or a path; got a frame"
        )
    return source


def as_table(source: Table | ImageSource) -> Table:
    """Return a source of a table; raises a `ParameterError` if it holds images.

    Privacy:
        Not private: returns what it is given.
    """
    if isinstance(source, tuple | LabelledImages):
        raise ParameterError(
            "expected a table, as the schema says, got images; to audit images, add their shape to the "
            'schema: "image": {"height": ..., "width": ..., "channels": ...}'
        )
    return source
