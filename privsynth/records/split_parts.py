"""The coins of a split, and what its files say about themselves."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from privsynth.errors import ParameterError, TableError
from privsynth.errors.arguments import real_number
from privsynth.errors.seeds import random_generator
from privsynth.io.arrow import as_arrow
from privsynth.io.atomic import written_aside

COIN_BITS = 53
MARK, RANDOMISED = b"privsynth.split", b"randomised"  # key and value in the files' metadata
DETAILS = b"privsynth.split_part"


@dataclass(frozen=True, kw_only=True)
class SplitPart:
    """What a file that `write_split` made says about itself.

    Attributes:
        part: ``"train"`` or ``"holdout"``.
        holdout: Probability with which each unit went into the holdout.
        unit: What was assigned as a whole: ``"person"`` or ``"record"``.
        split_id: Random name that the two parts of one split share.
        seeded: Whether a ``random_state`` decided instead of the operating system's entropy.
    """

    part: str
    holdout: float
    unit: str
    split_id: str
    seeded: bool


def checked_holdout(holdout: float) -> float:
    """Return the probability of the holdout; raises a `ParameterError` if it is not in (0, 1)."""
    holdout = real_number("holdout", holdout)
    if not 0.0 < holdout < 1.0:
        raise ParameterError(
            f"expected 0 < holdout < 1, got holdout={holdout!r}; it is a probability per unit"
        )
    return holdout


def coins(n_units: int, probability: float, random_state: int | None) -> npt.NDArray[np.bool_]:
    """Toss one coin per unit; the probability is rounded to a multiple of 2^-53.

    Privacy:
        Public: reads no record.
    """
    if random_state is None:
        draws = np.frombuffer(os.urandom(8 * n_units), dtype=np.uint64) >> np.uint64(64 - COIN_BITS)
    else:
        draws = random_generator(random_state).integers(2**COIN_BITS, size=n_units, dtype=np.uint64)
    return draws < np.uint64(round(probability * 2**COIN_BITS))


def write_parts(
    files: Iterable[tuple[Path, str, pd.DataFrame]],
    *,
    holdout: float,
    unit: str,
    seeded: bool,
    force: bool,
) -> None:
    """Write the files of one split: all are written aside first, then renamed; only their owner reads them.

    Args:
        files: Where each goes, the name of its part, and its rows.
        holdout: Probability of the holdout.
        unit: What was assigned as a whole.
        seeded: Whether a seed decided.
        force: Replace existing files.

    Raises:
        TableError: If a file exists and ``force`` is false, or cannot be written.

    Privacy:
        Not private: the files hold the records themselves.
    """
    split_id, listed = secrets.token_hex(16), list(files)
    for folder in {path.parent for path, _, _ in listed}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TableError(f"the folder {str(folder)!r} cannot be made: {error.strerror}") from None
    with ExitStack() as stack:
        for path, part, rows in listed:
            aside = stack.enter_context(written_aside(path, force=force, owner_only=True))
            about = SplitPart(part=part, holdout=holdout, unit=unit, split_id=split_id, seeded=seeded)
            fields = as_arrow(rows)
            marks = {MARK: RANDOMISED, DETAILS: json.dumps(asdict(about)).encode()}
            marked = fields.replace_schema_metadata({**(fields.schema.metadata or {}), **marks})
            pyarrow.parquet.write_table(marked, aside)


def read_split_part(table: object) -> SplitPart | None:
    """Return what a file says about the split it comes from; None if it is none that one made.

    Privacy:
        Public: reads the file's metadata, no record.
    """
    if not isinstance(table, str | Path) or not Path(table).is_file():
        return None
    try:
        metadata = pyarrow.parquet.read_schema(table).metadata or {}
        if metadata.get(MARK) != RANDOMISED:
            return None
        return SplitPart(**json.loads(metadata[DETAILS]))
    except (pa.ArrowException, KeyError, TypeError, ValueError):
        return None
