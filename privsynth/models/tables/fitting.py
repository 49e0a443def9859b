"""Fit a mixture of products to noisy marginals by gradient steps on free logits. Reads releases only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.models.tables.gains import anchored, gains
from privsynth.models.tables.mixture import ProductMixture
from privsynth.models.tables.table_groups import TableGroup, cross, group_tables, jointly

FloatArray = NDArray[np.float64]
Noisy = tuple[FloatArray, FloatArray]
Key = TypeVar("Key", str, tuple[str, str], tuple[str, str, float])

NEVER = -1e4  # logit of a code that a component cannot have: without probability, and so without gradient
INITIAL_FLOOR = 0.01  # share spread over all codes before the first step, so that none starts at zero


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A noisy table of counts over some columns, in units, and the variance of each cell.

    With a norm below 1 it is a table of two columns, or of two and the context, whose units were cut to that
    length, over the norm: see `gains`.
    """

    columns: tuple[str, ...]
    counts: FloatArray
    variance: FloatArray | float
    norm: float = 1.0


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How the mixture is fitted; public.

    Attributes:
        n_components: K.
        learning_rate: Adam's step on the logits.
        init_scale: Standard deviation of the random part of the initial logits.
        entropy_weight: Reward per nat of the components' mean entropy; keeps the fit from chasing noise.
    """

    n_components: int = 2048
    learning_rate: float = 0.05
    init_scale: float = 0.5
    entropy_weight: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the model's marginals are held against: shares, and weights of squared errors.

    Attributes:
        shares: 1-way shares of all columns, ``(n_codes,)``.
        weights: Weight of each, ``(n_codes,)``.
        groups: The tables of two columns, and of two columns and the context.
    """

    shares: torch.Tensor
    weights: torch.Tensor
    groups: list[TableGroup]


@dataclass
class MixtureFitter:
    """State of a fit: logits, optimizer, and the measurements so far.

    Args:
        columns: Column names.
        sizes: Number of codes of each column.
        context: A column of few codes, such as the target: tables of two other columns and this one are
            fitted as fast as pairs. None: there is none.
        least_variance: Every cell is taken to have at least this, so that tables of next to no noise leave
            something to others and to the components' entropy.
        options: How to fit.
        seed: Seed of the initial logits.
        device: Where torch computes, such as ``"cpu"`` or ``"cuda"``; initial logits are drawn on the CPU.
    """

    columns: tuple[str, ...]
    sizes: tuple[int, ...]
    options: FitOptions
    seed: int
    device: str = "cpu"
    context: str | None = None
    least_variance: float = 0.0
    n_units: float = 1.0
    _one_way: dict[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    _pairs: dict[tuple[str, str], tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    _triples: dict[tuple[str, str], tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    _higher: list[Measurement] = field(default_factory=list)
    _cut_pairs: dict[tuple[str, str, float], Noisy] = field(default_factory=dict)
    _cut_triples: dict[tuple[str, str, float], Noisy] = field(default_factory=dict)

    def start(
        self,
        one_way: Sequence[Measurement],
        n_units: float,
        *,
        possible: Mapping[str, NDArray[np.bool_]] | None = None,
    ) -> None:
        """Set the first measurements and the logits: log of the 1-way shares plus random scatter.

        Args:
            one_way: The 1-way measurement of every column, in order.
            n_units: Noisy number of units.
            possible: Of some columns, which codes each component may ever have, ``(n_codes, K)``.
        """
        _settle_kernels()
        self.n_units = max(n_units, 1.0)
        rng = torch.Generator().manual_seed(self.seed)
        logits = []
        for measurement in one_way:
            self.add(measurement)
            counts = np.maximum(measurement.counts, 0.0)
            share = counts / max(counts.sum(), 1e-9) + INITIAL_FLOOR / len(counts)
            base = torch.from_numpy(np.log(share.astype(np.float32)))
            scatter = torch.randn(self.options.n_components, len(base), generator=rng)
            logits.append(base + self.options.init_scale * scatter)
            if possible is not None and (name := measurement.columns[0]) in possible:
                logits[-1][~torch.from_numpy(possible[name].T)] = NEVER
        self._logits = torch.cat(logits, dim=1).T.contiguous().to(self.device)  # (n_codes, K)
        self._ends = np.cumsum(self.sizes)
        self._starts = self._ends - np.asarray(self.sizes)
        self._first = torch.zeros_like(self._logits)
        self._second = torch.zeros_like(self._logits)

    def add(self, measurement: Measurement) -> None:
        """Add a measurement; a table measured before is merged by inverse variance."""
        counts = measurement.counts
        variance = np.maximum(np.asarray(measurement.variance, dtype=np.float64), self.least_variance)
        variance = np.broadcast_to(variance, counts.shape)
        if len(measurement.columns) == 1:
            _merge(self._one_way, measurement.columns[0], counts, variance)
        elif len(measurement.columns) == 2:
            a, b = measurement.columns
            if self.columns.index(a) > self.columns.index(b):
                a, b, counts, variance = b, a, counts.T, variance.T
            if measurement.norm == 1.0:
                _merge(self._pairs, (a, b), counts, variance)
            else:
                _merge(self._cut_pairs, (a, b, measurement.norm), counts, variance)
        elif len(measurement.columns) == 3 and self.context in measurement.columns:
            where = measurement.columns.index(self.context)
            a, b = (name for name in measurement.columns if name != self.context)
            counts, variance = (np.moveaxis(table, where, 0) for table in (counts, variance))
            if self.columns.index(a) > self.columns.index(b):
                a, b, counts, variance = b, a, counts.swapaxes(1, 2), variance.swapaxes(1, 2)
            if measurement.norm == 1.0:
                _merge(self._triples, (a, b), counts, variance)
            else:
                _merge(self._cut_triples, (a, b, measurement.norm), counts, variance)
        else:
            self._higher.append(measurement)

    @property
    def n_measured_cells(self) -> int:
        """Number of cells measured so far."""
        sizes = {name: counts.size for name, (counts, _) in self._one_way.items()}
        pairs, triples = (
            {key: counts.size for key, (counts, _) in whole.items()}
            | {(a, b): counts.size for (a, b, _), (counts, _) in cut.items()}
            for whole, cut in ((self._pairs, self._cut_pairs), (self._triples, self._cut_triples))
        )
        tables = [*sizes.values(), *pairs.values(), *triples.values()]
        return sum(tables) + sum(m.counts.size for m in self._higher)

    def step_many(self, n_steps: int, *, final: bool = False) -> float:
        """Take gradient steps; return the last loss: 1 means as far off as the noise.

        With ``final`` the learning rate falls to zero along a half cosine.
        """
        targets = self._targets()
        loss = torch.tensor(0.0, device=self.device)
        self._first.zero_()
        self._second.zero_()
        for step in range(1, n_steps + 1):
            rate = self.options.learning_rate
            if final:
                rate *= 0.5 * (1 + np.cos(np.pi * (step - 1) / n_steps))
            loss, gradient = self._loss_and_gradient(targets)
            self._first.mul_(0.9).add_(gradient, alpha=0.1)
            self._second.mul_(0.99).addcmul_(gradient, gradient, value=0.01)
            denominator = (self._second / (1 - 0.99**step)).sqrt_().add_(1e-12)
            self._logits.addcdiv_(self._first, denominator, value=-rate / (1 - 0.9**step))
        return float(loss)

    def mixture(self) -> ProductMixture:
        """Return the mixture as it stands."""
        probabilities = self._softmax().cpu().numpy()
        blocks = (probabilities[a:b].T.copy() for a, b in zip(self._starts, self._ends, strict=True))
        return ProductMixture(self.columns, tuple(blocks))

    def shares(self, sets: Sequence[tuple[str, ...]]) -> Iterator[FloatArray]:
        """Yield the model's marginals over sets of columns, in shares, one after the other.

        Args:
            sets: Pairs of columns, or two columns and the context in the third place. Those that begin with
                the same column are computed together if they stand together.
        """
        probabilities = self._softmax()
        for (first, n_columns), run in itertools.groupby(
            sets, key=lambda columns: (columns[0], len(columns))
        ):
            rows, spans = self._span(first), [self._span(columns[1]) for columns in run]
            start, stop = min(span.start for span in spans), max(span.stop for span in spans)
            left = jointly(probabilities, rows, None if n_columns == 2 else self._classes)
            tables = cross(left, probabilities[start:stop]).div_(left.shape[1])
            by_class = tables.view(-1, rows.stop - rows.start, stop - start).cpu().numpy().astype(np.float64)
            for span in spans:
                table = by_class[:, :, span.start - start : span.stop - start]
                yield table[0] if n_columns == 2 else np.moveaxis(table, 0, 2)

    def _span(self, column: str) -> slice:
        j = self.columns.index(column)
        return slice(int(self._starts[j]), int(self._ends[j]))

    # -- loss --------------------------------------------------------------------------------------------

    def _softmax(self) -> torch.Tensor:
        blocks = torch.split(self._logits, list(self.sizes))
        return torch.cat([torch.softmax(block, dim=0) for block in blocks])

    @property
    def _classes(self) -> slice | None:
        return None if self.context is None else self._span(self.context)

    def _targets(self) -> Targets:
        """Return shares and weights of all measurements, the tables grouped by their first column."""
        scale = self.n_units**2 / float(self.n_measured_cells)
        shares, weights = np.zeros(int(self._ends[-1])), np.zeros(int(self._ends[-1]))
        for name, (counts, variance) in self._one_way.items():
            shares[self._span(name)], weights[self._span(name)] = counts / self.n_units, scale / variance
        groups = []
        for tables, classes in (
            (self._with_cut(self._pairs, self._cut_pairs, None), None),
            (self._with_cut(self._triples, self._cut_triples, self.context), self._classes),
        ):
            scaled = [
                (self._span(a), self._span(b), counts / self.n_units, scale / variance)
                for (a, b), (counts, variance) in tables.items()
            ]
            groups += group_tables(scaled, classes, device=self.device)
        y, w = (torch.from_numpy(a.astype(np.float32)).to(self.device) for a in (shares, weights))
        return Targets(shares=y, weights=w, groups=groups)

    def _with_cut(
        self,
        whole: dict[tuple[str, str], Noisy],
        cut: dict[tuple[str, str, float], Noisy],
        context: str | None,
    ) -> dict[tuple[str, str], Noisy]:
        """Return tables with those whose units were cut among them, each over its gain."""
        if not cut:
            return whole
        out, asked = dict(whole), sorted(cut, key=lambda key: self.columns.index(key[0]))
        models = self.shares([(a, b) if context is None else (a, b, context) for a, b, _ in asked])
        for (a, b, norm), model in zip(asked, models, strict=True):
            counts, variance = cut[a, b, norm]
            by_class = model if context is None else np.moveaxis(model, 2, 0)
            names = (a, b) if context is None else (context, a, b)
            model = anchored(self.n_units * by_class, [self._one_way[name][0] for name in names])
            gain = gains(counts, variance, model, norm)
            _merge(out, (a, b), counts / gain, variance / gain**2)
        return out

    def _loss_and_gradient(self, targets: Targets) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted squared error per cell, and its gradient in the logits, ``(n_codes, K)``."""
        probabilities = self._softmax()
        k = probabilities.shape[1]
        miss = probabilities.mean(dim=1) - targets.shares
        pull = targets.weights * miss
        loss = (pull * miss).sum()
        slope = torch.zeros_like(probabilities).add_(pull[:, None], alpha=2.0 / k)
        for group in targets.groups:
            loss = loss + group.add_gradient(probabilities, slope)
        for measurement in self._higher:
            loss = loss + self._add_higher(measurement, probabilities, slope)
        slope.add_((probabilities + 1e-12).log_(), alpha=self.options.entropy_weight / k)
        slope.mul_(probabilities)
        for a, b in zip(self._starts, self._ends, strict=True):
            block = slope[a:b]
            block.sub_(probabilities[a:b] * block.sum(dim=0))
        return loss, slope

    def _add_higher(
        self, measurement: Measurement, probabilities: torch.Tensor, slope: torch.Tensor
    ) -> torch.Tensor:
        """Add the gradient of one table of three or more columns to ``slope``; return its loss."""
        spans = [self._span(name) for name in measurement.columns]
        leaves = [probabilities[span].clone().requires_grad_(True) for span in spans]
        joint = leaves[0]
        for leaf in leaves[1:-1]:
            joint = (joint[:, None] * leaf).flatten(0, 1)
        model = cross(joint, leaves[-1]) / probabilities.shape[1]
        shares = torch.from_numpy((measurement.counts / self.n_units).astype(np.float32)).to(self.device)
        scale = self.n_units**2 / self.n_measured_cells
        weight = torch.from_numpy(np.asarray(scale / measurement.variance, dtype=np.float32)).to(self.device)
        miss = model.reshape(shares.shape) - shares
        loss = (weight * miss**2).sum()
        for span, gradient in zip(spans, torch.autograd.grad(loss, leaves), strict=True):
            slope[span] += gradient
        return loss.detach()


def _settle_kernels() -> None:
    """Call each of MKL's vector functions that the fit uses, once and on one thread.

    MKL chooses a function's kernel on its first call. Where several threads make that call together, one of
    them may run a less accurate kernel, and the first fit of a process would differ from all others.
    """
    torch.ones(1).log_().sqrt_()


def _merge(tables: dict[Key, Noisy], key: Key, counts: FloatArray, variance: FloatArray) -> None:
    if key in tables:
        old_counts, old_variance = tables[key]
        precision = 1.0 / old_variance + 1.0 / variance
        counts = (old_counts / old_variance + counts / variance) / precision
        variance = 1.0 / precision
    tables[key] = (counts, variance)
