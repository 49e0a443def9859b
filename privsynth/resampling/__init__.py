"""`BalancedResampler`: private synthetic rows where imbalanced-learn resamples real ones."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.utils import InputTags, Tags, TargetTags
from sklearn.utils.validation import check_is_fitted

from privsynth.drafting import draft_schema
from privsynth.encoding import DiscreteDomain
from privsynth.errors import ParameterError, PrivsynthError, SchemaError
from privsynth.resampling.containers import Container
from privsynth.resampling.strategy import class_sizes
from privsynth.schema import PRIVATE, Schema
from privsynth.synthesizers.marginal import MarginalSynthesizer
from privsynth.synthesizers.table import TableSynthesizer

MODES = ("replace", "augment")
AUGMENTED = (
    "the rows returned hold the real ones, and sampling_strategy_ tells how many there are of each class: "
    "they are not private, and no guarantee covers them"
)


@dataclass(slots=True)
class _InputTags(InputTags):
    """Tags of the input, with the one that imbalanced-learn adds."""

    dataframe: bool = True


@dataclass(slots=True)
class _SamplerTags:
    """Tags of a sampler: ours returns no indices of real rows."""

    sample_indices: bool = False


@dataclass(slots=True)
class _Tags(Tags):
    """Tags of an estimator, with the one that imbalanced-learn adds."""

    sampler_tags: _SamplerTags = field(default_factory=_SamplerTags)


class BalancedResampler(OneToOneFeatureMixin, BaseEstimator):
    """Resample a classification table to balanced classes with differentially private synthetic rows.

    Takes the place of imbalanced-learn's samplers, also in its ``Pipeline``. What it knows of the classes it
    knows from the private model: their values and their noisy sizes. A class that too few units hold is not
    found, and so not returned.

    Args:
        synthesizer: A table synthesizer, which is copied and fitted; by default a `MarginalSynthesizer` at
            epsilon 1.
        schema: Public description of the features and of the target, whose column is that of ``y``'s name,
            else ``"target"``. By default every fact is private but the types: they are those of the
            container, which the records decide (one empty field makes a column of integers real), and the
            guarantee says so beside its epsilon. A schema declares them public.
        sampling_strategy: As imbalanced-learn's over-samplers take it: ``"auto"`` and ``"not majority"``
            (every class as large as the largest), ``"minority"``, ``"not minority"``, ``"all"``; a float, the
            size of the smaller of two classes over that of the larger; a mapping from class to number of
            rows, which is public; or a function of labels that returns one. Sizes are noisy, and the
            function is given labels in noisy numbers.
        mode: ``"replace"`` returns synthetic rows only: private. ``"augment"`` returns the real rows and as
            many synthetic ones as their classes lack: *not private*, which a warning and ``is_private_`` say.
        dataset: Name under which the ledger composes runs; see `Synthesizer.fit`.
        ledger: The ledger or its file; see `Synthesizer.fit`.
        random_state: Fixes the rows drawn; by default that of the synthesizer.

    Attributes:
        synthesizer_: The fitted synthesizer, with its guarantee.
        classes_: Classes that the model knows.
        class_counts_: Their noisy sizes.
        sampling_strategy_: Class to number of synthetic rows that are drawn of it.
        is_private_: Whether all of this, and what `fit_resample` returned, is covered by the guarantee.

    Example:
        >>> X = pd.DataFrame({"age": [34, 51, 29, 62] * 500})
        >>> y = pd.Series([0, 0, 0, 1] * 500, name="ill")
        >>> resampler = BalancedResampler(MarginalSynthesizer(epsilon=None), sampling_strategy={0: 30, 1: 30})
        >>> _, labels = resampler.fit_resample(X, y)
        >>> labels.value_counts().to_dict() == {0: 30, 1: 30}
        True
    """

    def __init__(
        self,
        synthesizer: TableSynthesizer | None = None,
        schema: Schema | None = None,
        sampling_strategy: str | float | Mapping[Any, int] | Callable[..., Mapping[Any, int]] = "auto",
        mode: str = "replace",
        *,
        dataset: str | None = None,
        ledger: str | Path | None = None,
        random_state: int | None = None,
    ) -> None:
        self.synthesizer = synthesizer
        self.schema = schema
        self.sampling_strategy = sampling_strategy
        self.mode = mode
        self.dataset = dataset
        self.ledger = ledger
        self.random_state = random_state

    def fit(self, X: Any, y: Any, **params: Any) -> Self:
        """Fit the synthesizer and settle how many rows of each class are drawn.

        Args:
            X: Features: a frame, array, sparse matrix or nested list, ``(n, n_features)``.
            y: Labels, ``(n,)``, or one column a class.
            **params: None are taken; for imbalanced-learn's pipelines.

        Privacy:
            Accounted with ``mode="replace"``, by the synthesizer's fit; *Not private* with ``"augment"``,
            where ``sampling_strategy_`` counts the real rows of each class.
        """
        self._fit(Container(X, y))
        return self

    def fit_resample(self, X: Any, y: Any, **params: Any) -> tuple[Any, Any]:
        """Fit, and return rows in which the classes have the sizes asked for.

        Args:
            X: Features: a frame, array, sparse matrix or nested list, ``(n, n_features)``.
            y: Labels, ``(n,)``, or one column a class.
            **params: None are taken; for imbalanced-learn's pipelines.

        Returns:
            Features and labels, in the containers and types that they were given in.

        Raises:
            ParameterError: If an argument is out of range, or names a class that the model does not know.
            SchemaError, BudgetExceededError, LedgerError: As `TableSynthesizer.fit`.

        Privacy:
            Accounted with ``mode="replace"``; *Not private* with ``"augment"``.
        """
        container = Container(X, y)
        self._fit(container)
        rows = self._draw(container.target)
        if self.mode == "augment":
            rows = pd.concat([container.frame, rows[container.frame.columns]], ignore_index=True)
        return container.give_back(rows)

    def _fit(self, container: Container) -> None:
        if self.mode not in MODES:
            raise ParameterError(f"expected mode 'replace' or 'augment', got {self.mode!r}")
        self.n_features_in_ = len(container.columns)
        if container.feature_names is not None:
            self.feature_names_in_ = container.feature_names
        schema = self.schema if self.schema is not None else _private_schema(container)
        synthesizer = self.synthesizer if self.synthesizer is not None else MarginalSynthesizer(epsilon=1.0)
        if not isinstance(synthesizer, TableSynthesizer):
            raise ParameterError(f"expected a table synthesizer, got {type(synthesizer).__name__}")
        if container.target not in schema.columns:
            raise SchemaError(f"the schema has no column {container.target!r}, which holds the labels")
        self.synthesizer_ = copy.deepcopy(synthesizer).fit(
            container.frame, schema=schema, dataset=self.dataset, ledger=self.ledger
        )
        self.classes_, self.class_counts_ = self._classes(container.target)
        counts = dict(zip(self.classes_.tolist(), self.class_counts_.tolist(), strict=True))
        if self.mode == "augment":
            present = pd.Series(container.labels)
            counts = {label: int(present.eq(label).sum()) for label in counts}
        wanted = class_sizes(self.sampling_strategy, counts)
        have = counts if self.mode == "augment" else dict.fromkeys(counts, 0)
        self.sampling_strategy_ = {label: max(0, wanted[label] - have[label]) for label in counts}
        self.is_private_ = self.mode == "replace" and bool(self.synthesizer_.guarantee_["private"])
        if self.mode == "augment":
            warnings.warn(AUGMENTED, stacklevel=3)

    def _classes(self, target: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return the classes that the model knows, and their noisy sizes of at least one."""
        domain = self.synthesizer_.model_.domains[target]
        if not isinstance(domain, DiscreteDomain):
            raise SchemaError(f"the label column {target!r} must be categorical or boolean")
        if not domain.values:
            raise PrivsynthError(
                f"no class of {target!r} stands clear of the noise at this epsilon; declare its categories "
                "in a schema if they are public, or raise epsilon"
            )
        shares = self.synthesizer_.model_.table((target,))[: len(domain.values)]
        sizes = np.maximum(np.rint(shares * self.synthesizer_.model_.n_units), 1).astype(np.int64)
        if len(domain.values) < 2:
            raise ParameterError("the model knows only one class of labels, so there is nothing to balance")
        return np.asarray(domain.values), sizes

    def _draw(self, target: str) -> pd.DataFrame:
        asked = {label: n for label, n in self.sampling_strategy_.items() if n}
        if not asked:
            return self.synthesizer_.sample(0)
        counts = pd.DataFrame({target: list(asked), "count": list(asked.values())})
        return self.synthesizer_.sample(
            proportions=counts, on_unsupported="warn", random_state=self.random_state
        )

    def __sklearn_tags__(self) -> _Tags:
        """Say what imbalanced-learn's checks ask: any container, labels required."""
        return _Tags(
            estimator_type="sampler",
            target_tags=TargetTags(required=True),
            input_tags=_InputTags(sparse=True, string=True, allow_nan=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` or `fit_resample` was called."""
        return hasattr(self, "synthesizer_")

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the features, which stay as they are."""
        check_is_fitted(self)
        return super().get_feature_names_out(input_features)


def _private_schema(container: Container) -> Schema:
    """Return the schema of a frame of which nothing but names and storage types is public."""
    columns = draft_schema(container.frame).to_dict()["columns"]
    for name, fields in columns.items():
        facts = ("categories",) if fields["type"] == "categorical" else ("low", "high")
        if fields["type"] != "boolean":
            fields |= dict.fromkeys(facts, PRIVATE)
        dtype = container.frame[name].dtype
        if not (isinstance(dtype, np.dtype) and dtype.kind in "iub"):  # those have no way to be missing
            fields["missing"] = PRIVATE
    columns[container.target] = {"type": "categorical", "categories": PRIVATE, "role": "target"}
    return Schema(columns, types_from_records=True)
