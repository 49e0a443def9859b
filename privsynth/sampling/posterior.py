"""How likely each component is, given what is known of a row: sums of logarithms, column by column."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.sampling.factors import ColumnFactor
from privsynth.sampling.grouped import GroupedFactor
from privsynth.sampling.table_model import TableModel

IntArray = NDArray[np.int64]
LogWeights = NDArray[np.float32]

IMPOSSIBLE = -1e30  # stands for the logarithm of zero: sums of it are numbers still


class Posterior:
    """The components' log-probabilities of every code of the columns that no constraint binds.

    Args:
        model: The fitted model.
    """

    def __init__(self, model: TableModel) -> None:
        logs, self._start, n_codes = [], {}, 1
        k = model.mixture.n_components
        for factor in model.factors:
            if isinstance(factor, ColumnFactor | GroupedFactor):
                probabilities = factor.probabilities.T.astype(np.float32)
                with np.errstate(divide="ignore"):
                    logs.append(np.maximum(np.log(probabilities), IMPOSSIBLE))
                self._start[factor.columns[0]] = n_codes
                n_codes += len(probabilities)
        table = np.concatenate([np.zeros((1, k), dtype=np.float32), *logs])  # the first row: unknown
        self._table = torch.from_numpy(table)

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it can weigh."""
        return frozenset(self._start)

    def log_weights(self, known: Mapping[str, IntArray], n: int) -> LogWeights:
        """Return the log-probability of what is known of each row, by component, ``(n, K)``.

        Args:
            known: Codes of some of `columns`, ``(n,)`` each, -1 for unknown.
            n: Number of rows.
        """
        if not known or not n:
            return np.zeros((n, self._table.shape[1]), dtype=np.float32)
        rows = np.stack(
            [np.where(codes < 0, 0, self._start[name] + codes) for name, codes in known.items()], 1
        )
        summed = torch.nn.functional.embedding_bag(torch.from_numpy(rows), self._table, mode="sum")
        return np.asarray(summed.numpy(), dtype=np.float32)


def as_weights(logs: LogWeights) -> NDArray[np.float32]:
    """Return weights, the largest of a row 1; zeros where nothing is possible."""
    most = logs.max(axis=1, keepdims=True)
    weights: NDArray[np.float32] = np.exp(logs - most)
    weights[most[:, 0] <= IMPOSSIBLE / 2] = 0.0
    return weights
