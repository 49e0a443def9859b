"""Datasets of pyarrow: files of any kind that it reads, wherever they lie."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property

import pandas as pd
import pyarrow.dataset

from privsynth.io.arrow import as_series, attrs_of, series_of
from privsynth.io.source import Kind, ReadOptions, Source, check_column_names, reading

_WHAT = "the dataset of pyarrow"


class DatasetSource(Source):
    """A dataset of pyarrow; its schema is read when it is made, its rows when they are asked for."""

    def __init__(self, dataset: pyarrow.dataset.Dataset, options: ReadOptions) -> None:
        schema = dataset.schema
        self._dataset, self.names = dataset, list(schema.names)
        check_column_names(self.names, "the table")
        self.dtypes, self.attrs = dict(zip(schema.names, schema.types, strict=True)), attrs_of(schema)

    @cached_property
    def n_rows(self) -> int:
        with reading(_WHAT):
            return int(self._dataset.count_rows())

    def column(self, name: str) -> pd.Series:
        with reading(_WHAT):
            return as_series(name, self._dataset.to_table(columns=[name]).column(name))

    def batches(self, names: Sequence[str], n_rows: int) -> Iterator[dict[str, pd.Series]]:
        with reading(_WHAT):
            rows = self._dataset.to_batches(
                columns=list(names),
                batch_size=n_rows,
                batch_readahead=1,
                fragment_readahead=1,
                use_threads=False,
            )
            for batch in rows:
                yield from series_of(batch, names, n_rows)

    def version(self) -> Hashable:
        if not isinstance(self._dataset, pyarrow.dataset.FileSystemDataset):
            return None
        with reading(_WHAT):
            found = self._dataset.filesystem.get_file_info(self._dataset.files)
        return tuple((file.path, file.size, file.mtime_ns) for file in found)


DATASETS = Kind(
    "a dataset of pyarrow", DatasetSource, lambda given: isinstance(given, pyarrow.dataset.Dataset)
)
