"""`BalancedResampler`: private synthetic rows where imbalanced-learn resamples real ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, clone
from sklearn.utils import InputTags, Tags, TargetTags
from sklearn.utils.validation import check_is_fitted

from privsynth.domains.encoding import DiscreteDomain
from privsynth.errors import ParameterError, SchemaError
from privsynth.errors.seeds import random_generator
from privsynth.io.postgres import holds_password
from privsynth.rebalancing.containers import Container
from privsynth.rebalancing.strategy import check_strategy, class_sizes
from privsynth.records.conform import OnViolation, check_on_violation
from privsynth.schema import Schema, category_text
from privsynth.synthesizers.tables.base import TableSynthesizer
from privsynth.synthesizers.tables.marginal import MarginalSynthesizer

MODES = ("replace", "augment")
WAYS_ON = (
    "Declare the classes, if they are public, in a schema (schema=...), raise epsilon, or take more rows"
)
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
    found, and so not returned. Nothing is charged before it is known that rows can be given back in the
    containers and types of ``X`` and ``y``.

    Cross-validation and searches fit once a fold, and each fit charges ``dataset`` by itself: five folds at
    epsilon 1 and delta 1e-6 hold epsilon 2.4 together, at a delta of at most 1.4e-6, ten 3.53 at 1.9e-6, and
    refitting the best adds one. Give a ``dataset``, or the runs do not add up anywhere. Scores are of real
    rows, and not private.

    Args:
        synthesizer: A table synthesizer, which is copied and fitted; by default a `MarginalSynthesizer` at
            epsilon 1.
        schema: Public description of the features and of the target, whose column is that of ``y``'s name,
            else ``"target"``. By default every fact is private but the types: they are those of the
            container, which the records decide (one empty field makes a column of integers real), and the
            guarantee says so beside its epsilon. A schema declares them public. Times of day are kept to
            the second, so that of a column of dates alone many come back with a time: declare
            ``"resolution": "day"`` for it. Lengths of time are learnt as seconds.
        sampling_strategy: As imbalanced-learn's over-samplers take it: ``"auto"`` and ``"not majority"``
            (every class as large as the largest), ``"minority"``, ``"not minority"``, ``"all"``; a float, the
            size of the smaller of two classes over that of the larger; a mapping from class to number of
            rows, which is public; or a function of labels that returns one. Sizes are noisy, and the
            function is given labels in noisy numbers.
        mode: ``"replace"`` returns synthetic rows only: private. ``"augment"`` returns the real rows and as
            many synthetic ones as their classes lack: *not private*, which a warning and ``is_private_`` say.
        dataset: Name under which the ledger composes runs; see `Synthesizer.fit`.
        ledger: The ledger, its file, or its address in PostgreSQL, without a password, because scikit-learn
            prints arguments; see `Synthesizer.fit`.
        on_violation: What to do with a value, a label included, that breaks the schema: ``"error"`` stops,
            which is a signal about the records that no guarantee covers; ``"clip"`` as `Synthesizer.fit`
            does, a label that is none becoming missing. Rows without a label are learnt, and not returned.
            That numbers of rows and labels differ, or rows of a list are of different lengths, always stops.
        random_state: Fixes the rows drawn: a whole number, or a generator of numpy; by default that of the
            synthesizer.

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
        on_violation: OnViolation = "error",
        random_state: Any = None,
    ) -> None:
        self.synthesizer = synthesizer
        self.schema = schema
        self.sampling_strategy = sampling_strategy
        self.mode = mode
        self.dataset = dataset
        self.ledger = ledger
        self.on_violation = on_violation
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
        self._fit(X, y)
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
        container = self._fit(X, y)
        made = container.give_back(self._draw(container.target), self.synthesizer_.schema_)
        return made if self.mode == "replace" else container.join(*made)

    def _fit(self, X: Any, y: Any) -> Container:
        if self.mode not in MODES:
            raise ParameterError(f"expected mode 'replace' or 'augment', got {self.mode!r}")
        if holds_password(self.ledger):
            raise ParameterError(
                "expected an address of the ledger without a password: scikit-learn prints what estimators "
                "are given. Put it into PGPASSWORD or the file .pgpass, or the address into PRIVSYNTH_LEDGER"
            )
        check_on_violation(self.on_violation)
        check_strategy(self.sampling_strategy)
        random_generator(self.random_state)
        synthesizer = self.synthesizer if self.synthesizer is not None else MarginalSynthesizer(epsilon=1.0)
        if not isinstance(synthesizer, TableSynthesizer):
            raise ParameterError(f"expected a table synthesizer, got {type(synthesizer).__name__}")
        schema = self.schema if self.schema is not None else synthesizer.schema
        if not isinstance(schema, Schema | None):
            raise ParameterError(f"expected schema to be a Schema or None, got {type(schema).__name__}")
        container = Container(X, y, schema, self.on_violation)
        self.n_features_in_ = len(container.columns)
        if container.feature_names is not None:
            self.feature_names_in_ = container.feature_names
        schema = container.private_schema() if schema is None else schema
        container.check(schema)
        if schema.is_sequential:
            raise SchemaError(
                "a resampler draws single rows, and this schema says how those of a person belong together; "
                "leave 'per' and 'order' out, or draw persons with a synthesizer"
            )
        self.synthesizer_ = clone(synthesizer).fit(
            container.frame,
            schema=schema,
            dataset=self.dataset,
            ledger=self.ledger,
            on_violation=self.on_violation,
        )
        self.classes_, self.class_counts_ = self._classes(container.target)
        counts = dict(zip(self.classes_.tolist(), self.class_counts_.tolist(), strict=True))
        if self.mode == "augment":
            present = container.labels.astype(object).map(category_text, na_action="ignore")
            counts = {label: int(present.eq(category_text(label)).sum()) for label in counts}
        wanted = class_sizes(self.sampling_strategy, counts)
        have = counts if self.mode == "augment" else dict.fromkeys(counts, 0)
        self.sampling_strategy_ = {label: max(0, wanted[label] - have[label]) for label in counts}
        self.is_private_ = self.mode == "replace" and bool(self.synthesizer_.guarantee_["private"])
        if self.mode == "augment":
            warnings.warn(AUGMENTED, stacklevel=3)
        return container

    def _classes(self, target: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return the classes that the model knows, and their noisy sizes of at least one."""
        domain = self.synthesizer_.model_.domains[target]
        assert isinstance(domain, DiscreteDomain)  # `Container.check` has seen to it
        if not domain.values:
            raise SchemaError(
                f"Unknown label type: no class of {target!r} stands clear of the noise at this epsilon. "
                f"{WAYS_ON}; numbers without classes cannot be balanced"
            )
        shares = self.synthesizer_.model_.table((target,))[: len(domain.values)]
        sizes = np.maximum(np.rint(shares * self.synthesizer_.model_.n_units), 1).astype(np.int64)
        if len(domain.values) < 2:
            raise SchemaError(
                f"the model knows only one class of labels in {target!r}, so there is nothing to balance. "
                f"{WAYS_ON}"
            )
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
