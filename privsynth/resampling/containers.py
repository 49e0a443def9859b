"""Features and labels in whatever container they come, as one frame, and synthetic rows back in the same."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.preprocessing import label_binarize
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _get_feature_names, _num_samples, check_X_y

from privsynth.errors import ParameterError
from privsynth.schema import category_text


class Container:
    """Features and labels as one frame, and how to give rows back in the containers they came in.

    Attributes:
        frame: Features and labels, under names that are texts.
        target: Name of the column of labels.
        labels: Labels, ``(n,)``.
        columns: Names of the features as they were given.
        feature_names: Names of the features if the container has such, all texts; else None.
    """

    def __init__(self, X: Any, y: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns of many classes: the records' own signal
            check_classification_targets(y)
            self._is_one_column_a_class = type_of_target(y) == "multilabel-indicator"
        self._y = y
        labels = np.asarray(y)
        if self._is_one_column_a_class:
            if not (labels.sum(axis=1) == 1).all():
                raise ParameterError(
                    "Multilabel and multioutput targets are not supported. Expected labels, or one column a "
                    "class with a single 1 in each row"
                )
            labels = labels.argmax(axis=1)
        self._X = X
        labels = labels.ravel()
        if _num_samples(X) != len(labels):
            raise ParameterError("expected as many labels as rows of features, got more or fewer")
        if isinstance(X, pd.DataFrame):
            frame = X.reset_index(drop=True)
        else:
            checked, labels = check_X_y(
                X, labels, accept_sparse=True, dtype=None, ensure_all_finite=False, ensure_min_samples=2
            )
            frame = pd.DataFrame(checked.toarray() if sparse.issparse(checked) else checked)
        self.columns = list(frame.columns)
        self.frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
        self._dtypes = list(frame.dtypes)
        for column, dtype in self.frame.dtypes.items():
            if isinstance(dtype, pd.SparseDtype):
                self.frame[column] = self.frame[column].sparse.to_dense()
        self.feature_names = _get_feature_names(X)
        name = getattr(y, "name", None)
        self.target = (
            str(name) if name is not None and str(name) not in self.frame else _free_name(self.frame)
        )
        self.labels = labels
        self.frame[self.target] = pd.Series(labels)

    def give_back(self, rows: pd.DataFrame) -> tuple[Any, Any]:
        """Return rows as features and labels in the containers that were given, and of their types.

        Privacy:
            Post-processing of the rows; of the records' types nothing is used that their values decide.
        """
        features = rows.drop(columns=self.target)[[str(name) for name in self.columns]]
        return self._features(features.set_axis(self.columns, axis=1)), self._labels(rows[self.target])

    def _features(self, frame: pd.DataFrame) -> Any:
        if isinstance(self._X, list | tuple):  # which types numpy found in it, the records decided
            return [list(row) for row in frame.itertuples(index=False, name=None)]
        typed = zip(self.columns, self._dtypes, strict=True)
        frame = pd.DataFrame({name: _of_dtype(frame[name], dtype) for name, dtype in typed})
        if isinstance(self._X, pd.DataFrame):
            return frame
        if sparse.issparse(self._X):
            return type(self._X)(frame.to_numpy()).asformat(self._X.format)
        if self._X.dtype.kind in "US":
            return frame.where(frame.notna(), "").to_numpy().astype(self._X.dtype.kind)
        return frame.to_numpy().astype(self._X.dtype)

    def _labels(self, column: pd.Series) -> Any:
        if self._is_one_column_a_class:
            labels = _of_dtype(column, self.labels.dtype, texts=True)
            return label_binarize(labels, classes=np.arange(np.asarray(self._y).shape[1]))
        if isinstance(self._y, pd.DataFrame):
            name, dtype = self._y.columns[0], self._y.dtypes.iloc[0]
            return _of_dtype(column, dtype, texts=True).to_frame(name)
        if isinstance(self._y, pd.Series):
            return _of_dtype(column, self._y.dtype, texts=True).rename(self._y.name)
        values = _of_dtype(column, self.labels.dtype, texts=True).to_numpy()
        if isinstance(self._y, np.ndarray):
            return values.astype(self.labels.dtype.kind) if self.labels.dtype.kind in "US" else values
        return values.tolist()


def _of_dtype(values: pd.Series, dtype: Any, *, texts: bool = False) -> pd.Series:
    """Return values as a type that was stored, without what records alone decide of it.

    Categories are those of the values, sorted unless their order was declared, and texts are as long as they
    are: a value that one record holds must not show in a type.

    Args:
        values: Released values.
        dtype: Of the column as it was given.
        texts: Whether objects are texts, as labels are, however they are written.
    """
    if isinstance(dtype, pd.CategoricalDtype):
        values = _of_dtype(values, dtype.categories.dtype, texts=True)
        held = set(values.dropna())
        if dtype.ordered:
            declared = [category for category in dtype.categories if category in held]
            known = [*declared, *sorted(held - set(declared))]
        else:
            known = sorted(held)
        return values.astype(pd.CategoricalDtype(known, ordered=dtype.ordered))
    if isinstance(dtype, np.dtype) and dtype.kind in "OUS":
        return (
            values.map(category_text, na_action="ignore").astype(object) if texts else values.astype(object)
        )
    if pd.api.types.is_bool_dtype(dtype):
        values = values.map(lambda value: category_text(value).lower() in ("true", "1"), na_action="ignore")
    return values.astype(dtype)


def _free_name(frame: pd.DataFrame) -> str:
    name = "target"
    while name in frame:
        name = f"_{name}"
    return name
