"""Frames of pandas as sources: held in memory, returned as they are."""

from __future__ import annotations

import pandas as pd

from privsynth.io.source import Kind, ReadOptions, Source, check_column_names


class FrameSource(Source):
    """A frame; raises a `TableError` if its column names are not unique texts."""

    def __init__(self, frame: pd.DataFrame, options: ReadOptions) -> None:
        self.names = list(frame.columns)
        check_column_names(self.names, "the table")
        self.dtypes, self.attrs = dict(frame.dtypes), frame.attrs
        self._frame = frame

    @property
    def n_rows(self) -> int:
        return len(self._frame)

    def column(self, name: str) -> pd.Series:
        return self._frame[name]

    def frame(self) -> pd.DataFrame:
        return self._frame


FRAMES = Kind("a pandas DataFrame", FrameSource, lambda given: isinstance(given, pd.DataFrame))
