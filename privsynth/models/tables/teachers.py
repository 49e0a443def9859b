"""Teachers and the student of PATE-GAN: kernel classifiers over rows of one-hot columns. Knows no records.

The kernel of two rows is ``s**2``, where ``s``, the product of the centred one-hot rows, says how far they
agree beyond what independent columns would: it compares all pairs of codes at once. A teacher holds a row
against its own records and against generated rows, by the mean kernel; the sign of the difference (the
witness of the maximum mean discrepancy) is its vote. The student is the ridge regression of noisy shares of
votes on generated rows.
"""

from __future__ import annotations

import torch

from privsynth.models.tables.discriminator import one_hot

MIN_RIDGE = 0.01  # keeps the regression solvable where there is no noise


class PairKernel:
    """Compare rows by the pairs of codes that they have in common.

    Args:
        sizes: Number of codes of each column.
        centre: Released shares of all codes, ``(sum(sizes),)``.
    """

    def __init__(self, sizes: tuple[int, ...], centre: torch.Tensor) -> None:
        self.sizes = sizes
        self.centre = centre

    def centred(self, codes: torch.Tensor) -> torch.Tensor:
        """Return rows of codes as centred one-hot columns, ``(n, sum(sizes))``."""
        return one_hot(codes, self.sizes) - self.centre

    def between(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return the kernel of all pairs of centred rows, ``(n_first, n_second)``."""
        return (first @ second.T).square() / len(self.sizes)

    def teacher(
        self, records: torch.Tensor, present: torch.Tensor, fakes: torch.Tensor, queries: torch.Tensor
    ) -> torch.Tensor:
        """Score queries as one teacher: above 0 if they are more like its records than like the fakes.

        Args:
            records: The teacher's own rows of codes, ``(part_size, n_columns)``.
            present: Which of them are there.
            fakes: Generated rows of codes.
            queries: Generated rows of codes, ``(n_queries, n_columns)``.

        Returns:
            Scores, ``(n_queries,)``; 0, no vote, for a teacher without records.
        """
        asked = self.centred(queries)
        weights = present.float() / present.sum().clamp_min(1)
        real = weights @ self.between(self.centred(records), asked)
        fake = self.between(self.centred(fakes), asked).mean(0)
        return torch.where(present.any(), real - fake, 0.0)


class Student:
    """Ridge regression of noisy shares of votes on generated rows.

    Args:
        kernel: Compares rows.
        queries: Generated rows of codes that were voted on, ``(n, n_columns)``.
        shares: Noisy share of teachers that voted "real", ``(n,)``; may be below 0 or above 1.
        noise: Standard deviation of the noise in ``shares``.
        spread: Standard deviation of the shares themselves that is reckoned with; public. Noise above it is
            smoothed away.
    """

    def __init__(
        self,
        kernel: PairKernel,
        queries: torch.Tensor,
        shares: torch.Tensor,
        *,
        noise: float,
        spread: float,
    ) -> None:
        self._kernel = kernel
        self._rows = kernel.centred(queries)
        matrix = kernel.between(self._rows, self._rows)
        scale = matrix.diagonal().mean().clamp_min(1e-6)  # above 0 for constant columns too
        ridge = scale * ((noise / spread) ** 2 + MIN_RIDGE)
        wanted = shares - shares.mean()
        self._weights = torch.linalg.solve(matrix + ridge * torch.eye(len(matrix)).to(matrix), wanted)

    def score(self, rows: torch.Tensor) -> torch.Tensor:
        """Return how real the student finds rows, ``(n,)``; one-hot or soft, ``(n, sum(sizes))``."""
        return self._kernel.between(rows - self._kernel.centre, self._rows) @ self._weights
