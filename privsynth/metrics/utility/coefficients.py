"""Regression coefficients: would an analyst draw the same conclusions from synthetic rows, and how surely?

A standard error computed from synthetic rows as if they were real is too small: it knows nothing of the
sampling of the real rows behind the generator, and nothing of its noise. If the generator were exact, the
variance would be that of the synthetic rows times 1 + (synthetic rows / real units); we print both.

References:
    Räisä, Jälkö, Kaski and Honkela, "Noise-Aware Statistical Inference with Differentially Private Synthetic
    Data", AISTATS 2023; Decruyenaere et al., "The Real Deal Behind the Artificial Appeal", UAI 2024.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from privsynth.metrics.common.estimates import figure, not_assessed, number
from privsynth.metrics.common.tables import Tables
from privsynth.metrics.common.units import n_units
from privsynth.metrics.utility.downstream import Target
from privsynth.schema import Column, category_text

MAX_TERMS = 60
SMALLEST_SHARE = 0.01
"""Share of the rows, in the real and the synthetic table, from which on a category is a term of its own."""

TOLERANCE = 0.01
"""Share of a term's variance that the terms before it must leave unexplained, in the real table."""

LARGEST = 12.0  # standardised coefficients beyond it mean that a term separates the classes
Z = 1.959963984540054

NOT_TWO_CLASSES = "coefficients are compared for numeric targets and those of two classes"
NO_TERMS = "no column of the real table varies enough to be a term"


@dataclass(frozen=True)
class Design:
    """The terms of a regression, laid out on the real table; public names, real scales.

    Attributes:
        terms: Column and category (None for a number; the text "missing" for its empty fields) of each term.
        centre: Subtracted from each term.
        scale: Then divided by.
    """

    terms: list[tuple[str, str | None]]
    centre: np.ndarray
    scale: np.ndarray

    def place(self, table: pd.DataFrame) -> np.ndarray:
        """Return the terms of each row, ``(n_rows, n_terms)``; numbers standardised, categories 0 or 1."""
        columns = [_term(table[column], category) for column, category in self.terms]
        raw = np.column_stack(columns) if columns else np.zeros((len(table), 0))
        return (np.where(np.isnan(raw), self.centre, raw) - self.centre) / self.scale


@dataclass(frozen=True)
class Estimate:
    """Coefficients without the intercept, and their standard errors over independent units."""

    coefficients: np.ndarray
    errors: np.ndarray


def compare_coefficients(tables: Tables, target: Target) -> dict[str, Any]:
    """Fit the same regression to both tables and compare its coefficients.

    Linear for numbers, logistic for two classes; each categorical column against its most frequent real
    category; terms that are all but explained by the ones before are left out.

    Returns:
        ``terms``: each with ``real`` and ``synthetic``, value and interval at 95 %, the synthetic one's
        computed as if the rows were real, and ``adjusted`` (see above). ``rms_z``: root mean square of the
        difference in its standard errors, 1 where both are samples of one source, its ceiling the holdout's
        against the real table's. ``same_sign``: share of the terms clear of zero in the real table whose
        sign the synthetic table shows. ``overlap``: mean overlap of the two intervals in [0, 1].

    Privacy:
        Not private: figures of real records.

    References:
        Overlap: Karr, Kohnen, Oganian, Reiter and Sanil, The American Statistician 2006.
    """
    if target.task == "multiclass":
        return not_assessed(NOT_TWO_CLASSES)
    design = lay_out(tables, target)
    if not design.terms:
        return not_assessed(NO_TERMS)
    real = estimate(design, tables.real.frame, tables.real_weights, target, tables.real.persons)
    synthetic = estimate(
        design, tables.synthetic.frame, tables.synthetic_weights, target, tables.synthetic.persons
    )
    if real is None or synthetic is None:
        return not_assessed("a table holds one class of the target only, or too few rows for its terms")
    holdout = None
    if tables.holdout is not None:
        holdout = estimate(
            design, tables.holdout.frame, tables.holdout_weights, target, tables.holdout.persons
        )
    n_synthetic = n_units(tables.synthetic)
    floor_rows = tables.independent_sample(n_synthetic, np.random.default_rng(0))
    floor = estimate(design, floor_rows, np.ones(n_synthetic), target, None)
    widening = math.sqrt(1 + n_synthetic / n_units(tables.real))
    usable = (np.abs(real.coefficients) < LARGEST) & (np.abs(synthetic.coefficients) < LARGEST)
    terms = [
        _term_entry(design.terms[i], real, synthetic, i, widening)
        for i in np.argsort(-np.abs(real.coefficients / real.errors))
        if usable[i]
    ]
    clear = usable & (np.abs(real.coefficients) > Z * real.errors)
    same = np.sign(real.coefficients) == np.sign(synthetic.coefficients)
    return {
        "status": "assessed",
        "kind": "linear" if target.task == "regression" else "logistic",
        "n_terms": int(usable.sum()),
        "rms_z": figure(
            rms_z(real, synthetic, usable),
            ceiling=None if holdout is None else rms_z(real, holdout, usable),
            floor=None if floor is None else rms_z(real, floor, usable),
        ),
        "same_sign": figure(float(same[clear].mean()) if clear.any() else None, ceiling=1.0, floor=0.5),
        "n_clear": int(clear.sum()),
        "overlap": figure(
            float(np.mean([term["overlap"] for term in terms])) if terms else None, ceiling=1.0, floor=0.0
        ),
        "terms": terms,
    }


def lay_out(tables: Tables, target: Target) -> Design:
    """Choose the terms; scales are those of the real table.

    Privacy:
        Not private: means and spreads of real records.
    """
    real, synthetic, weights = tables.real.frame, tables.synthetic.frame, tables.real_weights
    candidates: list[tuple[str, str | None]] = []
    for column in tables.schema.modelled:
        if column.name != target.name:
            candidates += _terms_of(column, real[column.name], synthetic[column.name], weights)
    candidates = candidates[: 4 * MAX_TERMS]
    raw = [_term(real[column], category) for column, category in candidates]
    kept: list[int] = []
    basis: list[np.ndarray] = []
    root = np.sqrt(weights / weights.sum())
    centre, scale = np.zeros(len(candidates)), np.ones(len(candidates))
    for i, values in enumerate(raw):
        known = ~np.isnan(values)
        mean = np.average(values[known], weights=weights[known]) if known.any() else 0.0
        vector = root * (np.where(known, values, mean) - mean)
        length = np.linalg.norm(vector)
        if length < 1e-9 or len(kept) == MAX_TERMS:
            continue
        rest = vector / length
        for direction in basis:
            rest = rest - (rest @ direction) * direction
        if rest @ rest < TOLERANCE:
            continue
        basis.append(rest / np.linalg.norm(rest))
        kept.append(i)
        if candidates[i][1] is None:
            centre[i], scale[i] = mean, length
    return Design([candidates[i] for i in kept], centre[kept], scale[kept])


def estimate(
    design: Design, table: pd.DataFrame, weights: np.ndarray, target: Target, units: np.ndarray | None
) -> Estimate | None:
    """Fit the regression; None with one class only or hardly more rows than terms.

    Standard errors are the sandwich's, rows of one unit taken together.

    Privacy:
        Not private: of real records, if the table holds them.

    References:
        Liang and Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 1986.
    """
    known, labels = target.known_labels(table)
    terms = design.place(table[known])
    weights = weights[known]
    if len(labels) < 2 * (terms.shape[1] + 1) or np.ptp(labels) == 0:
        return None
    x = np.column_stack([np.ones(len(terms)), terms])
    if target.task == "regression":
        root = np.sqrt(weights)
        beta = np.linalg.lstsq(x * root[:, None], labels * root, rcond=None)[0]
        residual, curvature = labels - x @ beta, np.ones(len(labels))
    else:
        with warnings.catch_warnings():
            for kind in (ConvergenceWarning, RuntimeWarning, LinAlgWarning):
                warnings.simplefilter("ignore", kind)  # no optimum where a term separates: left out later
            model = LogisticRegression(C=1e6, solver="newton-cholesky", tol=1e-8, max_iter=100)
            model.fit(terms, labels, sample_weight=weights)
        beta = np.concatenate([model.intercept_, model.coef_[0]])
        share = 1 / (1 + np.exp(-np.clip(x @ beta, -500, 500)))
        residual, curvature = labels - share, share * (1 - share)
    bread = np.linalg.pinv((x * (weights * curvature)[:, None]).T @ x)
    scores = x * (weights * residual)[:, None]
    if units is not None:
        of_unit = np.unique(units[known], return_inverse=True)[1]
        scores = np.stack([np.bincount(of_unit, column) for column in scores.T], axis=1)
    covariance = bread @ (scores.T @ scores) @ bread
    errors = np.sqrt(np.maximum(np.diag(covariance), 1e-24))
    return Estimate(beta[1:], errors[1:])


def rms_z(a: Estimate, b: Estimate, usable: np.ndarray) -> float | None:
    """Return the root mean square of the differences, each in standard errors of a difference."""
    z = (a.coefficients - b.coefficients) / np.hypot(a.errors, b.errors)
    return number(float(np.sqrt(np.mean(z[usable] ** 2)))) if usable.any() else None


def interval_overlap(a: list[float], b: list[float]) -> float:
    """Return the mean share of either interval that lies in the other, 0 where they do not meet.

    Example:
        >>> interval_overlap([0.0, 2.0], [1.0, 5.0])
        0.375
    """
    both = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return (both / (a[1] - a[0]) + both / (b[1] - b[0])) / 2


def _term_entry(
    term: tuple[str, str | None], real: Estimate, synthetic: Estimate, i: int, widening: float
) -> dict[str, Any]:
    intervals = {
        name: [float(value - Z * error), float(value + Z * error)]
        for name, value, error in (
            ("real", real.coefficients[i], real.errors[i]),
            ("synthetic", synthetic.coefficients[i], synthetic.errors[i]),
            ("adjusted", synthetic.coefficients[i], synthetic.errors[i] * widening),
        )
    }
    return {
        "column": term[0],
        "category": term[1],
        "real": figure(real.coefficients[i], interval=intervals["real"]),
        "synthetic": figure(synthetic.coefficients[i], interval=intervals["synthetic"]),
        "adjusted": intervals["adjusted"],
        "overlap": interval_overlap(intervals["real"], intervals["synthetic"]),
    }


MISSING = "(missing)"


def _terms_of(
    column: Column, real: pd.Series, synthetic: pd.Series, weights: np.ndarray
) -> list[tuple[str, str | None]]:
    """Return a column's terms: the number, or its frequent categories but the most frequent; empty fields."""
    empty = [float(np.average(real.isna(), weights=weights)), float(synthetic.isna().mean())]
    missing: list[tuple[str, str | None]] = [(column.name, MISSING)] if min(empty) >= SMALLEST_SHARE else []
    if column.is_numeric:
        return [(column.name, None), *missing]
    codes, n = real.cat.codes.to_numpy(), len(real.cat.categories)
    shares = np.bincount(codes[codes >= 0], weights[codes >= 0], n) / weights.sum()
    also = np.bincount(synthetic.cat.codes[synthetic.cat.codes >= 0], minlength=n) / len(synthetic)
    frequent = [i for i in range(n) if min(shares[i], also[i]) >= SMALLEST_SHARE and i != shares.argmax()]
    texts = [category_text(value) for value in real.cat.categories.tolist()]
    return [*((column.name, texts[i]) for i in frequent), *missing]


def _term(column: pd.Series, category: str | None) -> np.ndarray:
    if category is None:
        return column.to_numpy(dtype=np.float64)
    if category == MISSING:
        return column.isna().to_numpy().astype(np.float64)
    texts = [category_text(value) for value in column.cat.categories.tolist()]
    return (column.cat.codes.to_numpy() == texts.index(category)).astype(np.float64)
