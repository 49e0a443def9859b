"""Drawn rows into files: blocks are drawn and encoded in any number of processes, and written by one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from privsynth.io.blocks import TableFile, write_encoded
from privsynth.io.encoding import Encoded, Encoder
from privsynth.sampling.blocks import Block, Drawing, PartSize
from privsynth.sampling.processes import in_processes
from privsynth.sampling.rows import to_columns


@dataclass(frozen=True)
class EncodedBlock:
    """A block as its files take it, without the columns that are made beside it.

    Attributes:
        n: Its rows, or persons.
        columns: Of each table.
        sizes: Of each table.
    """

    n: int
    columns: Mapping[str, Encoded]
    sizes: Mapping[str, PartSize]


@dataclass(frozen=True)
class Encoding:
    """Draws a block and encodes it; can be sent to another process.

    Attributes:
        drawing: Draws it.
        encoders: Of each table.
    """

    drawing: Drawing
    encoders: Mapping[str, Encoder]

    def __call__(self, block: Block) -> EncodedBlock:
        """Return the encoded block."""
        parts, tables = self.drawing.draw(block), self.drawing.tables
        columns = {}
        for name, part in parts.items():
            drawn = to_columns(tables[name], part.columns, listed=True)
            kept = {column.name for column in tables[name].schema.output_columns}
            columns[name] = self.encoders[name].encode({c: of for c, of in drawn.items() if c in kept})
        sizes = {name: PartSize(part.n_rows, part.above) for name, part in parts.items()}
        return EncodedBlock(block.n, columns, sizes)


def write_drawn(
    drawing: Drawing,
    rng: np.random.Generator,
    files: Mapping[str, TableFile],
    *,
    jobs: int,
    force: bool,
    progress: Callable[[int], None],
) -> dict[str, int]:
    """Draw rows into files; return the number of rows of each.

    Args:
        drawing: Draws them.
        rng: Source of the draws; the rows are the same whatever ``jobs`` is.
        files: File of each table.
        jobs: How many processes draw, at most one a block; with one it is this process.
        force: Replace existing files.
        progress: Called with the number of rows written so far.

    Raises:
        TableError: If a file cannot be written, or exists and ``force`` is not set.
        PrivsynthError: If a process ends before its time.

    Privacy:
        Post-processing.
    """
    encoders = {name: file.encoder for name, file in files.items()}
    with closing(_blocks(drawing, rng, encoders, min(jobs, drawing.n_blocks))) as blocks:
        return write_encoded(blocks, files, force=force, progress=progress)


def _blocks(
    drawing: Drawing, rng: np.random.Generator, encoders: Mapping[str, Encoder], jobs: int
) -> Generator[dict[str, tuple[Encoded, int]]]:
    made, encode = drawing.made(rng), Encoding(drawing, encoders)
    kept = {
        name: {column.name for column in model.schema.output_columns}
        for name, model in drawing.tables.items()
    }
    with closing(in_processes(encode, drawing.blocks(rng), jobs=jobs)) as drawn:
        for block in drawn:
            beside = made(block.n, block.sizes)
            yield {
                name: (
                    {
                        **columns,
                        **encoders[name].encode({c: of for c, of in beside[name].items() if c in kept[name]}),
                    },
                    block.sizes[name].n_rows,
                )
                for name, columns in block.columns.items()
            }
