"""A lint for leaks: looks for counts of records and for coded records in what a fit leaves or says."""

from __future__ import annotations

import re

import numpy as np

COUNT_TYPES = ("<i4", ">i4", "<i8", ">i8", "<f4", ">f4", "<f8", ">f8")
CODE_TYPES = ("i1", "i2", "i4", "i8", "f4", "f8")
LARGEST_CODE = 255
ROWS_TOGETHER = 16  # of one column, one after the other
LEAST_DISTINCT = 5  # codes of a window: windows of fewer may stand anywhere


def counts_in(data: bytes, counts: list[int]) -> set[str]:
    """Return how each count that stands in the data is written: as a text, or in a binary type.

    Counts above 2^16, whose bytes do not come together by chance more often than once in 2^24 places.
    """
    text, found = data.decode("latin-1"), set()
    for count in counts:
        assert count > 2**16
        shown = "|".join({str(count), f"{count:,}", f"{count:_}", f"{count:,}".replace(",", " ")})
        if re.search(rf"(?<![\d.])(?:{shown})(?:\.0+)?(?!\d|\.\d)", text):
            found.add(f"{count} as a text")
        for name in COUNT_TYPES:
            if np.array(count, dtype=name).tobytes() in data:
                found.add(f"{count} as {name}")
    return found


class CodedRows:
    """Finds records by their codes: whole rows, and runs of one column, in any type and at any place.

    Args:
        codes: ``(n_rows, n_columns)``, -1 where there is none; runs are looked for of the first 2,000 rows.
    """

    def __init__(self, codes: np.ndarray) -> None:
        assert codes.min() >= -1
        assert codes.max() <= LARGEST_CODE
        rng = np.random.default_rng(0)
        self._texts = [" ".join(map(str, row)).encode() for row in codes[:64].tolist()]
        self._known: dict[int, tuple[str, np.ndarray, np.ndarray]] = {}
        runs = np.lib.stride_tricks.sliding_window_view(codes[:2000], ROWS_TOGETHER, axis=0).reshape(
            -1, ROWS_TOGETHER
        )
        for what, windows in (("a row", codes), ("a run of a column", runs)):
            factors = rng.integers(0, 2**63, windows.shape[1], dtype=np.uint64)
            varied = windows[_n_distinct(windows) >= LEAST_DISTINCT]
            assert len(varied) > 100
            self._known[windows.shape[1]] = (what, factors, np.unique(_hashed(varied, factors)))
        assert len(self._known) == 2

    def found_in(self, data: bytes) -> set[str]:
        """Return what was found, and in which type."""
        plain = data.translate(None, delete=b",[]()").replace(b"  ", b" ") if data.isascii() else data
        found = {"a row as a text" for text in self._texts if text in plain}
        for name in CODE_TYPES:
            size = np.dtype(name).itemsize
            for begin in range(size):
                whole = data[begin : begin + max(0, len(data) - begin) // size * size]
                values = np.frombuffer(whole, dtype=name)
                with np.errstate(invalid="ignore"):
                    is_code = (values >= -1) & (values <= LARGEST_CODE)
                    if is_code.sum() < min(self._known):
                        continue
                    codes = np.where(is_code, values, 0).astype(np.int64)
                    is_code &= codes == values
                for length, (what, factors, known) in self._known.items():
                    if self._stands(codes, is_code, length, factors, known):
                        found.add(f"{what} as {name}")
        return found

    @staticmethod
    def _stands(
        codes: np.ndarray, is_code: np.ndarray, length: int, factors: np.ndarray, known: np.ndarray
    ) -> bool:
        if len(codes) < length:
            return False
        n_codes = np.concatenate([[0], np.cumsum(is_code, dtype=np.int32)])
        starts = np.flatnonzero(n_codes[length:] - n_codes[:-length] == length)
        if not len(starts):
            return False
        n_changes = np.concatenate([[0], np.cumsum(codes[1:] != codes[:-1], dtype=np.int32)])
        starts = starts[n_changes[starts + length - 1] - n_changes[starts] >= LEAST_DISTINCT - 1]
        hashed = np.zeros(len(starts), dtype=np.uint64)
        for i, factor in enumerate(factors):
            hashed += (codes[starts + i] + 1).astype(np.uint64) * factor
        place = np.minimum(np.searchsorted(known, hashed), len(known) - 1)
        return bool((known[place] == hashed).any())


def _hashed(windows: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return ((windows + 1).astype(np.uint64) * factors).sum(axis=1, dtype=np.uint64)


def _n_distinct(windows: np.ndarray) -> np.ndarray:
    return 1 + np.count_nonzero(np.diff(np.sort(windows, axis=1), axis=1), axis=1)
