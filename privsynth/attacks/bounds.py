"""From the errors of one test between two worlds to lower bounds on what the mechanism leaks.

A test looks at an output and says whether the target was among the records. If the mechanism were as private
as claimed, no test could err as rarely as the observed ones do; what the errors rule out is a lower bound.
The test must be fixed before the runs on which its errors are counted.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.special import ndtri

from privsynth.attacks.intervals import clopper_pearson_upper
from privsynth.errors import ParameterError


class ErrorCounts(NamedTuple):
    """Errors of a fixed test on independent runs, and how many runs there were in each world."""

    n_false_positives: int
    n_without: int
    n_false_negatives: int
    n_with: int

    def upper_limits(self, confidence: float) -> tuple[float, float]:
        """Return limits below which both error rates lie, jointly with ``confidence`` (Clopper-Pearson).

        Raises:
            ParameterError: If a count is out of range or ``confidence`` is not in (0, 1).
        """
        if not 0 < confidence < 1:
            raise ParameterError(f"expected 0 < confidence < 1, got {confidence=}")
        each = 1 - (1 - confidence) / 2
        return (
            clopper_pearson_upper(self.n_false_positives, self.n_without, confidence=each),
            clopper_pearson_upper(self.n_false_negatives, self.n_with, confidence=each),
        )


def mu_lower_bound(errors: ErrorCounts, *, confidence: float = 0.95) -> float:
    """Return the largest mu such that a mechanism of less than mu-GDP is ruled out, at least 0.

    At false positive rate ``a``, mu-GDP asks for a false negative rate of at least
    ``Phi(Phi^-1(1 - a) - mu)``. The bound refutes a claim of GDP for any mechanism; as an epsilon it holds
    only where the mechanism is Gaussian throughout.

    Privacy:
        Post-processing: of the counts given.

    References:
        Nasr et al., "Tight Auditing of Differentially Private Machine Learning", USENIX Security 2023;
        Dong, Roth and Su, "Gaussian Differential Privacy", JRSS B 2022.

    Example:
        >>> round(mu_lower_bound(ErrorCounts(2050, 5000, 2050, 5000)), 3)
        0.384
    """
    a, b = errors.upper_limits(confidence)
    return max(0.0, float(ndtri(1 - a) - ndtri(b))) if max(a, b) < 1 else 0.0


def epsilon_lower_bound(errors: ErrorCounts, *, delta: float = 0.0, confidence: float = 0.95) -> float:
    """Return the largest epsilon such that no ``(epsilon, delta)`` below it is possible, at least 0.

    Holds for every mechanism: ``max(ln((1 - delta - b) / a), ln((1 - delta - a) / b))`` at the upper limits.

    Privacy:
        Post-processing: of the counts given.

    References:
        Kairouz, Oh and Viswanath, "The Composition Theorem for Differential Privacy", ICML 2015; as an audit:
        Jagielski, Ullman and Oprea, "Auditing Differentially Private Machine Learning", NeurIPS 2020.

    Example:
        >>> round(epsilon_lower_bound(ErrorCounts(0, 1000, 0, 1000)), 2)
        5.6
    """
    if not 0 <= delta < 1:
        raise ParameterError(f"expected 0 <= delta < 1, got {delta=}")
    a, b = errors.upper_limits(confidence)
    return max(0.0, _log_ratio(1 - delta - b, a), _log_ratio(1 - delta - a, b))


def epsilon_ceiling(n_without: int, n_with: int, *, delta: float = 0.0, confidence: float = 0.95) -> float:
    """Return the bound that so many runs reach without a single error: no leak can show more than this.

    Privacy:
        Public.
    """
    return epsilon_lower_bound(ErrorCounts(0, n_without, 0, n_with), delta=delta, confidence=confidence)


def _log_ratio(numerator: float, denominator: float) -> float:
    return math.log(numerator / denominator) if numerator > 0 else -math.inf
