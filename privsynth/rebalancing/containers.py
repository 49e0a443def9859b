"""Features and labels in whatever container they come, as one frame, and synthetic rows back in the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import _get_feature_names

from privsynth.errors import ParameterError, SchemaError
from privsynth.rebalancing.stored import CATEGORIES, Stored
from privsynth.records.conform import OnViolation
from privsynth.schema import PRIVATE, Schema

ONE_COLUMN_A_CLASS = (
    "Multilabel and multioutput targets are not supported. Expected labels, or one column a class with a "
    'single 1 in each row; with on_violation="clip" other rows count as rows without a label'
)
NOT_ROWS = (
    "Expected 2D array, got {}: rows of features, also where there is one feature or one row. Reshape your "
    "data, as by X.reshape(-1, 1)"
)


class Container:
    """Features and labels as one frame, and how to give rows back in the containers they came in.

    Attributes:
        frame: Features and labels, under names that are texts, as a synthesizer reads them.
        target: Name of the column of labels.
        labels: Labels, ``(n,)``.
        columns: Names of the features as they were given.
        feature_names: Names of the features if the container has such, all texts; else None.

    Privacy:
        Not private: holds the records. Errors name columns, types and shapes.
    """

    def __init__(self, X: Any, y: Any, schema: Schema | None, on_violation: OnViolation = "error") -> None:
        self._X, self._y = X, y
        raw = _features(X)
        self.columns = list(raw.columns)
        self._names = [str(name) for name in self.columns]
        if len(set(self._names)) != len(self._names):
            twice = next(name for name in self._names if self._names.count(name) > 1)
            raise ParameterError(f"the name {twice!r} stands twice among the columns of X; rename one")
        self.feature_names = _get_feature_names(X) if isinstance(X, pd.DataFrame) else None
        self._n_classes, labels = _labels(y, on_violation)
        if len(raw) != len(labels):
            raise ParameterError("expected as many labels as rows of features, got more or fewer")
        self.target = self._target_name(schema)
        self._stored = {name: Stored.of(raw.iloc[:, i], name) for i, name in enumerate(self._names)}
        self._stored_labels = Stored.of(labels, self.target)
        self.labels = labels
        columns = {name: s.to_table(raw.iloc[:, i]) for i, (name, s) in enumerate(self._stored.items())}
        self.frame = pd.DataFrame({**columns, self.target: self._stored_labels.to_table(labels)}, copy=False)

    def _target_name(self, schema: Schema | None) -> str:
        """Return the name of the labels: their own, else the schema's for its target, else "target"."""
        own = self._y.columns[0] if isinstance(self._y, pd.DataFrame) else getattr(self._y, "name", None)
        name = None if own is None or str(own) in self._names else str(own)
        if schema is None:
            return name or _free_name(self._names)
        if name in schema.columns:
            return str(name)
        if schema.target is not None and schema.target not in self._names:
            return schema.target
        raise SchemaError(
            f"the schema has no column {name or _free_name(self._names)!r}, which holds the labels; give it "
            'that column, or one with "role": "target" that is not among the features'
        )

    def private_schema(self) -> Schema:
        """Return the schema of which nothing but names and types is stated; the types are the records'."""
        columns = {name: stored.fields for name, stored in self._stored.items()}
        for name, stored in self._stored.items():
            if stored.can_be_missing:
                columns[name]["missing"] = PRIVATE
        columns[self.target] = {**CATEGORIES, "missing": PRIVATE, "role": "target"}
        return Schema(columns, types_from_records=True)

    def check(self, schema: Schema) -> None:
        """Check, before anything is paid, that rows of the schema can be given back.

        Raises:
            SchemaError: If they cannot; names the column.

        Privacy:
            Public but for the types: looks at no record.
        """
        unknown = [name for name in self._names if name not in schema.columns]
        if unknown:
            raise SchemaError(
                f"the schema does not describe column {unknown[0]!r} of X; add it to the schema, or leave it "
                "out of X"
            )
        labels = schema.columns[self.target]
        if labels.type not in ("categorical", "boolean"):
            raise SchemaError(f"the label column {self.target!r} must be categorical or boolean")
        for name, stored in self._stored.items():
            stored.check(schema.columns[name])
        self._stored_labels.check(labels, is_label=True)

    def give_back(self, rows: pd.DataFrame, schema: Schema) -> tuple[Any, Any]:
        """Return rows as features and labels in the containers that were given, and of their types.

        Privacy:
            Post-processing of the rows; of the records' types nothing is used that their values decide,
            but the types themselves.
        """
        typed = {
            name: stored.give_back(rows[name], schema.columns[name]) for name, stored in self._stored.items()
        }
        features = pd.DataFrame(dict(enumerate(typed.values()))).set_axis(self.columns, axis=1)
        labels = self._stored_labels.give_back(rows[self.target], schema.columns[self.target])
        return self._features(features), self._labels(labels)

    def join(self, features: Any, labels: Any) -> tuple[Any, Any]:
        """Return the rows that were given, as they are, and rows given back below them.

        Privacy:
            Not private: returns the records.
        """
        return _joined(self._X, features), _joined(self._y, labels)

    def _features(self, frame: pd.DataFrame) -> Any:
        if isinstance(self._X, pd.DataFrame):
            return frame.set_axis(self._X.columns, axis=1)
        if isinstance(self._X, list | tuple):
            return [list(row) for row in frame.itertuples(index=False, name=None)]
        if sparse.issparse(self._X):
            return type(self._X)(frame.to_numpy()).asformat(self._X.format)
        if self._X.dtype.kind == "U":
            return frame.where(frame.notna(), "").to_numpy().astype("U")
        has_gaps = self._X.dtype.kind in "iub" and bool(frame.isna().any(axis=None))
        return frame.to_numpy(dtype=np.float64 if has_gaps else self._X.dtype)

    def _labels(self, labels: pd.Series) -> Any:
        if self._n_classes is not None:
            ones = np.eye(self._n_classes, dtype=int)[labels.to_numpy(dtype=int)]
            is_frame = isinstance(self._y, pd.DataFrame)
            return pd.DataFrame(ones, columns=self._y.columns).astype(self._y.dtypes) if is_frame else ones
        if isinstance(self._y, pd.DataFrame):
            return labels.to_frame(self._y.columns[0])
        if isinstance(self._y, pd.Series):
            return labels.rename(self._y.name)
        values = labels.to_numpy()
        if isinstance(self._y, np.ndarray):
            return values.astype("U") if self._y.dtype.kind == "U" else values
        return values.tolist()


def _features(X: Any) -> pd.DataFrame:
    """Return features as a frame of the types that they have, or that pandas finds for them."""
    if isinstance(X, pd.DataFrame):
        return X.reset_index(drop=True)
    if not (isinstance(X, np.ndarray | list | tuple) or sparse.issparse(X)):
        raise ParameterError(
            "expected X as a pandas frame, an array, a sparse matrix or a nested list, got "
            f"{type(X).__name__}; convert it, as with X.to_pandas()"
        )
    if sparse.issparse(X):
        return pd.DataFrame(X.toarray())
    if isinstance(X, np.ndarray):
        if X.ndim != 2 or X.shape[1] == 0:
            raise ParameterError(NOT_ROWS.format(f"{X.ndim}D array instead" if X.ndim != 2 else "no feature"))
        return pd.DataFrame(np.asarray(X)).infer_objects()
    if not all(isinstance(row, list | tuple | np.ndarray) for row in X):
        raise ParameterError(NOT_ROWS.format("1D array instead"))
    if len({len(row) for row in X}) > 1:
        raise ParameterError("expected rows of features of one length")
    return pd.DataFrame([list(row) for row in X])


def _labels(y: Any, on_violation: OnViolation) -> tuple[int | None, pd.Series]:
    """Return the number of classes if they have a column each, and one label a row.

    No label decides whether others are read: one that is odd is a category that few hold.
    """
    if sparse.issparse(y):
        y = y.toarray()
    values = y if isinstance(y, pd.DataFrame) else np.asarray(y) if not isinstance(y, pd.Series) else y
    if np.ndim(values) > 2 or (np.ndim(values) == 2 and values.shape[1] == 0):
        raise ParameterError(f"expected labels in one dimension, got {np.ndim(values)}")
    if np.ndim(values) == 2 and values.shape[1] > 1:
        return _from_columns(np.asarray(values), on_violation)
    if isinstance(values, pd.DataFrame):
        values = values.iloc[:, 0]
    if isinstance(values, pd.Series):
        return None, values.reset_index(drop=True)
    if values.ndim == 0:
        raise ParameterError("expected labels in one dimension, got a single value")
    return None, pd.Series(values.ravel())


def _from_columns(classes: NDArray[Any], on_violation: OnViolation) -> tuple[int, pd.Series]:
    """Return the position of the 1 in each row, missing where there is not one."""
    is_one, is_zero = classes == 1, classes == 0
    is_label = (is_one.sum(axis=1) == 1) & (is_one | is_zero).all(axis=1)
    if on_violation == "error" and not is_label.all():
        raise ParameterError(ONE_COLUMN_A_CLASS)
    labels = pd.Series(is_one.argmax(axis=1), dtype="Int64").mask(~is_label)
    return classes.shape[1], labels


def _joined(real: Any, made: Any) -> Any:
    if isinstance(real, pd.DataFrame):
        columns = [_joined(real.iloc[:, i], made.iloc[:, i]) for i in range(real.shape[1])]
        return pd.concat(columns, axis=1).set_axis(real.columns, axis=1)
    if isinstance(real, pd.Series):
        if isinstance(real.dtype, pd.CategoricalDtype):
            more = [category for category in made.cat.categories if category not in real.cat.categories]
            known = real.cat.add_categories(more)
            real, made = known, made.astype(known.dtype)
        return pd.concat([real, made], ignore_index=True)
    if sparse.issparse(real):
        return type(real)(sparse.vstack([real, made]))
    if isinstance(real, np.ndarray):
        return np.concatenate([real, made.reshape(-1, *real.shape[1:])])
    return [*real, *made]


def _free_name(names: list[str]) -> str:
    name = "target"
    while name in names:
        name = f"_{name}"
    return name
