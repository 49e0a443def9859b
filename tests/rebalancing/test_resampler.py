"""`BalancedResampler`: imbalanced-learn's own checks and rules, noisy classes, and what is private."""

from __future__ import annotations

import warnings
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from imblearn.pipeline import Pipeline, make_pipeline
from imblearn.utils import check_sampling_strategy
from imblearn.utils.estimator_checks import parametrize_with_checks
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from privsynth import BalancedResampler, MarginalSynthesizer, Schema
from privsynth.accounting.budget import Spend
from privsynth.errors import ParameterError, PrivsynthError, SchemaError
from privsynth.ledger.ledger import Ledger
from privsynth.models.tables.fitting import FitOptions
from privsynth.rebalancing.containers import Container
from privsynth.rebalancing.strategy import class_sizes
from tests.helpers.predictable import PredictableSourceForTests
from tests.helpers.tables import QUICK


class Repeatable(MarginalSynthesizer):
    """A synthesizer whose noise is the same in every fit: some of the checks compare two fits."""

    def __repr__(self):
        return "Repeatable()"  # the same in every test process

    def fit(self, *arguments, **keywords):
        """Fit with a predictable source."""
        return super().fit(*arguments, **keywords, secret=PredictableSourceForTests(0))


def repeatable(epsilon=1000.0):
    settings = replace(QUICK, n_rounds=1, steps_per_round=5, final_steps=5, fit=FitOptions(n_components=16))
    return Repeatable(epsilon=epsilon, settings=settings, random_state=0)


# Those of imbalanced-learn's checks that demand exact class counts of the real data (in
# check_samplers_fit_resample and check_samplers_sampling_strategy_fit_resample) ask it of subclasses of its
# over- and under-samplers only; ours is none, because it knows noisy counts only.
@parametrize_with_checks([BalancedResampler(repeatable())])
def test_the_checks_of_imbalanced_learn_pass(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tiny tables: deltas and supports are warned of
        check(estimator)


def table(n=3000, seed=0, rare=0.1):
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < rare
    age = np.clip(rng.normal(np.where(ill, 60, 40), 10, n).round(), 18, 90).astype(int)
    return pd.DataFrame({"age": age, "sex": rng.choice(["F", "M"], n)}), pd.Series(
        ill.astype(int), name="ill"
    )


SCHEMA = Schema(
    {
        "age": {"type": "integer", "low": 18, "high": 90},
        "sex": {"type": "categorical", "categories": ["F", "M"]},
        "ill": {"type": "categorical", "categories": [0, 1], "role": "target"},
    }
)


def private(**options):
    return BalancedResampler(MarginalSynthesizer(epsilon=2.0, settings=QUICK), SCHEMA, **options)


# -- sizes ---------------------------------------------------------------------------------------------

STRATEGIES = ["auto", "minority", "not minority", "not majority", "all"]


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.integers(0, 9), st.integers(1, 60), min_size=2, max_size=5).filter(
        lambda counts: (
            len(set(counts.values())) == len(counts)
        )  # with ties, which class is the largest is open
    ),
    st.sampled_from([*STRATEGIES, "dict", "function", "float"]),
    st.data(),
)
def test_sizes_are_those_of_imbalanced_learn(counts, strategy, data):
    largest = max(counts.values())
    if strategy in ("dict", "function"):
        chosen = data.draw(st.lists(st.sampled_from(sorted(counts)), min_size=1, unique=True))
        raised = {label: counts[label] + data.draw(st.integers(0, 50)) for label in chosen}
        strategy = raised if strategy == "dict" else lambda labels: raised
    elif strategy == "float":
        counts = dict(list(counts.items())[:2])
        smallest, largest = min(counts.values()), max(counts.values())
        strategy = data.draw(st.floats((smallest + 1) / largest, 1.0)) if smallest < largest else 1.0
    labels = np.repeat(list(counts), list(counts.values()))
    generated = check_sampling_strategy(strategy, labels, "over-sampling")
    expected = {label: n + generated.get(label, 0) for label, n in counts.items()}
    assert class_sizes(strategy, counts) == expected


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        ("most", "expected sampling_strategy to be one of minority, not minority"),
        (1.5, r"expected 0 < sampling_strategy <= 1, got 1.5"),
        (
            {7: 5},
            "the 7 target class is/are not present in the data, as far as the model knows: its classes are",
        ),
        ({0: -5}, "expected numbers of rows >= 0 in sampling_strategy, got -5"),
        ({0: 2.5}, "expected numbers of rows >= 0"),
        (None, "expected sampling_strategy to be a text, a float, a mapping or a function, got None"),
        (True, "expected sampling_strategy to be a text"),
    ],
)
def test_a_malformed_strategy_says_what_was_expected(strategy, text):
    with pytest.raises(ParameterError, match=text):
        class_sizes(strategy, {0: 10, 1: 5})
    with pytest.raises(ParameterError, match="a float only when the type of target is binary"):
        class_sizes(0.5, {0: 10, 1: 5, 2: 3})


# -- rows ----------------------------------------------------------------------------------------------


def test_the_default_balances_by_noisy_sizes_and_stays_private(tmp_path):
    X, y = table()
    resampler = private(dataset="clinic", ledger=tmp_path / "ledger.sqlite", random_state=0)
    features, labels = resampler.fit_resample(X, y)
    sizes = labels.value_counts()
    assert sizes[0] == sizes[1] == resampler.class_counts_.max()
    assert abs(sizes[0] - y.eq(0).sum()) < 300
    assert resampler.is_private_
    assert resampler.synthesizer_.guarantee_["epsilon"] == 2.0
    assert resampler.sampling_strategy_ == {0: sizes[0], 1: sizes[1]}
    assert (list(features.columns), labels.name) == (["age", "sex"], "ill")
    assert features.dtypes.equals(X.dtypes)
    assert features["age"][labels == 1].mean() - features["age"][labels == 0].mean() > 10
    (summary,) = Ledger(tmp_path / "ledger.sqlite").datasets()
    assert (summary.dataset, len(summary.runs)) == ("clinic", 1)
    exact = y.eq(0).sum()  # noise of dozens: four runs in a row are that exact once in a million
    assert any(
        private(dataset="clinic", ledger=tmp_path / "ledger.sqlite", random_state=0)
        .fit(X, y)
        .class_counts_.max()
        != exact
        for _ in range(4)
    )


def test_counts_that_are_asked_for_are_met_exactly():
    X, y = table()
    _, labels = private(sampling_strategy={0: 50, 1: 70}).fit_resample(X, y)
    assert labels.value_counts().to_dict() == {1: 70, 0: 50}


def test_a_function_sees_noisy_labels_only():
    X, y = table()
    seen = []

    def ask(labels):
        seen.append(labels)
        return {0: 10, 1: 10}

    resampler = private(sampling_strategy=ask)
    resampler.fit_resample(X, y)
    values, sizes = np.unique(seen[0], return_counts=True)
    assert dict(zip(values, sizes, strict=True)) == dict(
        zip(resampler.classes_, resampler.class_counts_, strict=True)
    )


def test_augmented_rows_hold_the_real_ones_and_say_that_they_are_not_private():
    X, y = table()
    resampler = private(mode="augment")
    with pytest.warns(UserWarning, match="they are not private, and no guarantee covers them"):
        features, labels = resampler.fit_resample(X, y)
    assert not resampler.is_private_
    pd.testing.assert_frame_equal(features.iloc[: len(X)], X)
    pd.testing.assert_series_equal(labels.iloc[: len(y)], y)
    assert labels.value_counts().to_dict() == {0: y.eq(0).sum(), 1: y.eq(0).sum()}
    with pytest.warns(UserWarning, match="sampling_strategy_ tells how many there are"):
        assert not private(mode="augment").fit(X, y).is_private_


def test_without_a_schema_everything_is_private():
    X, y = table()
    resampler = BalancedResampler(MarginalSynthesizer(epsilon=5.0, settings=QUICK)).fit(X, y)
    columns = resampler.synthesizer_.schema_.columns
    assert columns["age"].low == columns["age"].high == "private"
    assert columns["sex"].categories == columns["ill"].categories == "private"
    assert columns["ill"].role == "target"


def test_it_works_in_a_pipeline_and_under_clone():
    X, y = table()
    resampler = private(sampling_strategy={0: 500, 1: 500})
    assert clone(resampler).get_params()["sampling_strategy"] == {0: 500, 1: 500}
    schema = Schema({name: SCHEMA.columns[name] for name in ("age", "ill")})
    pipeline = make_pipeline(clone(resampler).set_params(schema=schema), LogisticRegression())
    pipeline.fit(X[["age"]], y)
    unbalanced = LogisticRegression().fit(X[["age"]], y)
    recall, without = (model.predict(X[["age"]])[y == 1].mean() for model in (pipeline, unbalanced))
    assert recall > without + 0.15  # balanced rows make the rare class count as much as the other


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "both"}, "expected mode 'replace' or 'augment', got 'both'"),
        (
            {"schema": Schema({"age": SCHEMA.columns["age"]})},
            "the schema has no column 'ill', which holds the labels",
        ),
        ({"synthesizer": "marginal"}, "expected a table synthesizer, got str"),
    ],
)
def test_arguments_are_checked(options, text):
    X, y = table(50)
    with pytest.raises((ParameterError, SchemaError), match=text):
        private().set_params(**options).fit(X, y)


# -- what the containers themselves could give away ------------------------------------------------------

RARE = "a diagnosis that one record alone has"


def diagnoses(n=1500):
    """Return features and labels of which one record holds values that nobody else does."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"code": [*rng.choice(["J45", "I10"], n - 1), RARE], "sex": rng.choice(["F", "M"], n)})
    y = pd.Series([*rng.choice(["no", "yes"], n - 1), RARE], name="ill")
    return X, y


def without_schema():
    return BalancedResampler(MarginalSynthesizer(epsilon=5.0, settings=QUICK))


def known(column):
    """Return a column's categories, "other" left out, which noise alone may bring up."""
    return [category for category in column.cat.categories if category != "other"]


def test_categories_that_come_back_are_those_of_the_rows_alone():
    X, y = diagnoses()
    features, labels = without_schema().fit_resample(X.astype("category"), y.astype("category"))
    assert known(labels) == ["no", "yes"]
    assert known(features["sex"]) == ["F", "M"]
    assert known(features["code"]) == ["I10", "J45"]
    shuffled = pd.CategoricalDtype(["M", RARE, "F"])  # in order of appearance, as Parquet files hold them
    features, _ = without_schema().fit_resample(X.astype({"sex": shuffled}), y)
    assert known(features["sex"]) == ["F", "M"]
    declared = pd.CategoricalDtype(["M", RARE, "F"], ordered=True)  # an order is a declaration
    features, _ = without_schema().fit_resample(X.astype({"sex": declared}), y)
    assert known(features["sex"]) == ["M", "F"]


def test_the_longest_text_of_the_records_leaves_no_width_behind():
    X, y = diagnoses()
    features, labels = without_schema().fit_resample(X.to_numpy().astype(str), y.to_numpy().astype(str))
    assert labels.dtype == np.dtype("<U3")
    assert features.dtype == np.asarray(features.tolist()).dtype
    assert features.dtype.itemsize < np.dtype(f"<U{len(RARE)}").itemsize


@pytest.mark.parametrize(
    ("y", "dtype"),
    [
        (pd.Series([0, 1] * 300, dtype="Int64"), "Int64"),
        (pd.Series([0.0, 1.0] * 300), "float64"),
        (pd.Series([False, True] * 300), "bool"),
        (pd.Series([0, 1] * 300, dtype="category"), pd.CategoricalDtype([0, 1])),
        (pd.Series(["0", "1"] * 300, dtype="category"), pd.CategoricalDtype(["0", "1"])),
        (pd.Series(["0", "1"] * 300, dtype="string"), "string"),
        (pd.Series(["0", "1"] * 300, dtype=object), object),
    ],
)
def test_labels_come_back_in_the_type_they_were_given_in(y, dtype):
    X = pd.DataFrame({"x": [1, 5] * 300})
    _, labels = without_schema().fit_resample(X, y)
    assert labels.dtype == dtype
    assert set(labels) == set(y)


KINDS = {
    "frame": (lambda X: X, lambda y: y),
    "array": (lambda X: X.to_numpy(), lambda y: y.to_numpy()),
    "list": (lambda X: X.to_numpy().tolist(), lambda y: y.tolist()),
    "tuple": (lambda X: tuple(X.to_numpy().tolist()), lambda y: tuple(y.tolist())),
}


@pytest.mark.parametrize(("features", "labels"), KINDS.values(), ids=KINDS)
def test_types_of_any_container_are_said_to_be_read_from_the_records(features, labels):
    X, y = diagnoses(600)
    guarantee = without_schema().fit(features(X), labels(y)).synthesizer_.guarantee_
    first, *_ = guarantee["statement"].split(". ")
    assert "(5, 1e-06)" in first
    assert "given the types, which were read from the records" in first
    assert any("column types" in what for what in guarantee["not_covered"])


def test_one_empty_field_changes_a_drafted_type_and_no_declared_one():
    X, y = table(600)
    gap = X.assign(age=X["age"].where(X.index != 7))
    drafted = [without_schema().fit(rows, y).synthesizer_ for rows in (X, gap)]
    assert [fitted.schema_.columns["age"].type for fitted in drafted] == ["integer", "real"]
    assert all(fitted.guarantee_["given"] for fitted in drafted)
    declared = private().fit(X, y).synthesizer_.guarantee_
    assert declared["given"] is None
    assert "given" not in declared["statement"]
    assert not any("types" in what for what in declared["not_covered"])


def test_neither_warnings_nor_errors_count_the_records():
    X, y = diagnoses(300)
    many = pd.Series([f"class {i % 200}" for i in range(300)])  # scikit-learn warns of so many classes
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning would fail here
        warnings.filterwarnings("ignore", "not found under the budget")  # tells of releases
        with pytest.raises(PrivsynthError, match="no class of 'target' stands clear"):
            without_schema().fit(X, many)
    for features in (X, X.to_numpy(), X.to_numpy().tolist()):
        with pytest.raises(ParameterError, match="as many labels as rows") as refused:
            without_schema().fit(features, y[:-1])
        assert not any(character.isdigit() for character in str(refused.value))


# -- one label never stops it ----------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [0.5, np.nan, np.inf, -1.0])
@pytest.mark.parametrize("kind", [pd.Series, np.asarray, list])
def test_one_odd_label_without_a_schema_is_a_class_that_one_row_has(odd, kind):
    X, y = table(600)
    labels = y.astype(float).to_numpy()
    labels[3] = odd
    resampler = without_schema().fit(X, kind(labels))
    assert resampler.classes_.tolist() == [0, 1]


@pytest.mark.parametrize("odd", [2, np.nan])
def test_one_odd_label_with_a_schema_is_a_violation_like_any_other(odd, tmp_path):
    X, y = table(600)
    y = y.astype(float).where(y.index != 3, odd)
    resampler = private(dataset="clinic", ledger=tmp_path / "ledger.sqlite")
    with pytest.raises(SchemaError, match=r"column 'ill'.*on_violation=\"clip\"") as refused:
        resampler.fit(X, y)
    assert "600" not in str(refused.value)
    resampler.set_params(on_violation="clip").fit(X, y)
    assert resampler.classes_.tolist() == [0, 1]
    said = resampler.synthesizer_.guarantee_["not_covered"]
    assert not any("breaks the schema" in what for what in said)


def test_one_row_of_columns_of_classes_counts_as_unlabelled_if_clipped():
    X, y = table(600)
    columns = np.eye(2, dtype=int)[y]
    columns[5] = [1, 1]
    with pytest.raises(ParameterError, match="Multilabel and multioutput targets are not supported"):
        without_schema().fit(X, columns)
    _, labels = without_schema().set_params(on_violation="clip").fit_resample(X, columns)
    assert labels.shape[1] == 2
    assert (labels.sum(axis=1) == 1).all()


# -- what a container cannot give back is refused before anything is paid ----------------------------------


def stay_of(n):
    """Return a column of every type, by name."""
    rng = np.random.default_rng(1)
    numbers, texts = pd.Series(rng.integers(0, 50, n)), pd.Series(rng.choice(["a", "b"], n))
    when = pd.Series(pd.Timestamp("2021-03-01") + pd.to_timedelta(rng.integers(0, 10**6, n), unit="s"))
    stay = pd.Series(pd.to_timedelta(rng.integers(60, 5000, n), unit="s"))
    gaps = pd.Series(rng.random(n) < 0.2)
    cut = pd.cut(numbers, [-1, 20, 50])
    return {
        "uint8": numbers.astype("uint8"),
        "float16": numbers.astype("float16"),
        "float32": numbers.astype("float32"),
        "Int64": numbers.astype("Int64").mask(gaps),
        "Float32": numbers.astype("Float32").mask(gaps),
        "bool": numbers > 20,
        "boolean": (numbers > 20).astype("boolean").mask(gaps),
        "boolean objects": (numbers > 20).astype(object).where(~gaps, None),
        "integer objects": numbers.astype(object),
        "string": texts.astype("string"),
        "text": texts,
        "category": texts.astype("category"),
        "integer category": (numbers % 2).astype("category"),
        "cut": cut,
        "interval": pd.Series(pd.arrays.IntervalArray(cut.astype(object).tolist())),
        "time": when,
        "zoned": when.dt.tz_localize("Europe/Berlin"),
        "seconds": when.astype("datetime64[s]"),
        "stay": stay,
        "stay in seconds": stay.astype("timedelta64[s]"),
        "no stay": pd.Series(pd.to_timedelta([None] * n)),
        "month": when.dt.to_period("M"),
        "hour": when.dt.to_period("h"),
        "date": when.dt.date,
        "time of day": when.dt.time,
        "decimal": pd.Series([Decimal("1.25")] * n),
        "sparse": pd.Series(pd.arrays.SparseArray(numbers.to_numpy(), fill_value=0)),
        "arrow": numbers.astype("int64[pyarrow]"),
        "arrow text": texts.astype("string[pyarrow]"),
        "arrow time": when.astype("timestamp[us][pyarrow]"),
    }


def type_of(column):
    """Return a column's type, of a categorical that of its categories."""
    is_categorical = isinstance(column.dtype, pd.CategoricalDtype)
    return (type(column.dtype), column.dtype.categories.dtype) if is_categorical else column.dtype


@pytest.mark.parametrize("epsilon", [None, 0.05])
def test_every_type_of_a_column_comes_back(epsilon):
    """Also where noise decides what the values are, and few of them can be what the type holds."""
    X, y = pd.DataFrame(stay_of(500)), pd.Series([0, 1] * 250, name="ill")
    columns = Container(X, y, None).private_schema().to_dict()["columns"]
    schema = Schema(columns | {"ill": {"type": "categorical", "categories": [0, 1]}}, types_from_records=True)
    resampler = BalancedResampler(MarginalSynthesizer(epsilon=epsilon, settings=QUICK), schema)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns of which nothing is found
        features, labels = resampler.set_params(sampling_strategy={0: 200, 1: 200}).fit_resample(X, y)
    assert labels.dtype == y.dtype
    if epsilon is None:
        assert {name: type_of(features[name]) for name in X} == {name: type_of(X[name]) for name in X}
        for name in ("date", "time of day", "decimal", "boolean objects", "integer objects"):
            assert set(map(type, features[name].dropna())) == set(map(type, X[name].dropna()))
        for name in ("time", "zoned"):
            assert features[name].dt.hour.nunique() > 12
            assert features[name].dt.year.isin([2020, 2021]).mean() > 0.9  # private bounds are coarse
        assert features["boolean"].isna().mean() == pytest.approx(0.2, abs=0.1)
        assert features["no stay"].isna().all()
    else:
        kinds = {name for name in X if not isinstance(X[name].dtype, pd.IntervalDtype) and name != "cut"}
        assert {name: type_of(features[name]) for name in kinds} == {name: type_of(X[name]) for name in kinds}


REFUSED = {
    "bytes": ({"x": [b"a", b"b"] * 50}, {}, "column 'x' holds bytes values"),
    "complex": ({"x": [1j, 2j] * 50}, {}, "column 'x' holds complex values"),
    "not described": ({"x": [1, 2] * 50}, {}, "the schema does not describe column 'x' of X"),
    "dropped": ({"x": ["a", "b"] * 50}, {"type": "text", "drop": True}, "column 'x': stored as object"),
    "length as category": (
        {"x": pd.to_timedelta([1, 2] * 50, unit="s")},
        {"type": "categorical", "categories": ["a"]},
        r"column 'x': stored as timedelta64\[ns\], and the schema's categorical column 'x' cannot",
    ),
    "number as date": (
        {"x": [1, 2] * 50},
        {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31"},
        "column 'x': stored as int64, and the schema's datetime",
    ),
    "categories that are no numbers": (
        {"x": [1, 2] * 50},
        {"type": "categorical", "categories": ["one", "two"]},
        "column 'x': stored as int64",
    ),
}


@pytest.mark.parametrize(("columns", "fields", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_given_back_is_refused_by_name_and_nothing_is_charged(columns, fields, text, tmp_path):
    described = {"x": fields} if fields else {"other": {"type": "boolean"}}
    schema = Schema({**described, "ill": {"type": "categorical", "categories": [0, 1], "role": "target"}})
    resampler = private(dataset="clinic", ledger=tmp_path / "ledger.sqlite").set_params(schema=schema)
    with pytest.raises(SchemaError, match=text):
        resampler.fit(pd.DataFrame(columns), [0, 1] * 50)
    assert not Ledger(tmp_path / "ledger.sqlite").datasets()


def test_of_other_containers_only_the_shape_is_told():
    class Foreign:
        pass

    for X, text in (
        (Foreign(), "got Foreign; convert it"),
        (np.arange(4), "Expected 2D array, got 1D array instead"),
        ([1, 2, 3], "Expected 2D array, got 1D array instead"),
        ([[1, 2], [3]], "rows of features of one length"),
        (pd.DataFrame({"1": [1, 2], 1: [1, 2]}), "the name '1' stands twice"),
    ):
        with pytest.raises(ParameterError, match=text):
            without_schema().fit(X, [0, 1])


def test_features_that_few_share_are_warned_of():
    X, y = table(600)
    named = X.assign(name=[f"person {i}" for i in range(600)])
    with pytest.warns(UserWarning, match="not found under the budget: column 'name'"):
        without_schema().fit(named, y)


# -- the name of the labels ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        lambda y: y.to_numpy(),
        lambda y: y.tolist(),
        lambda y: y.rename(None),
        lambda y: y.rename("sick"),
        lambda y: y.to_frame(),
        lambda y: y.to_frame("sick"),
        lambda y: y.to_numpy().reshape(-1, 1),
    ],
)
def test_labels_without_the_schemas_name_are_those_of_its_target(labels):
    X, y = table(600)
    given = labels(y)
    _, back = private(sampling_strategy={0: 20, 1: 30}).fit_resample(X, given)
    assert type(back) is type(given)
    assert np.asarray(back).sum() == 30
    assert getattr(back, "name", None) == getattr(given, "name", None)


# -- scikit-learn ----------------------------------------------------------------------------------------


def test_a_grid_search_sets_what_lies_deep_inside(tmp_path):
    X, y = table(800)
    schema = Schema({name: SCHEMA.columns[name] for name in ("age", "ill")})
    resampler = private(dataset="clinic", ledger=tmp_path / "ledger.sqlite").set_params(schema=schema)
    pipeline = Pipeline([("resampler", resampler), ("model", LogisticRegression())])
    grid = {
        "resampler__synthesizer__epsilon": [8.0, 16.0],  # at which no class of 200 is missed
        "resampler__synthesizer__settings__n_bins": [8],
    }
    found = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X[["age"]], y)
    fitted = found.best_estimator_["resampler"].synthesizer_
    assert (fitted.epsilon, fitted.settings.n_bins) == (
        found.best_params_["resampler__synthesizer__epsilon"],
        8,
    )
    (summary,) = Ledger(tmp_path / "ledger.sqlite").datasets()
    assert len(summary.runs) == 2 * 2 + 1  # each fold of each candidate, and the best once more


def test_every_fold_charges_the_data_set_by_itself(tmp_path):
    """As documented: five folds at epsilon 1 hold epsilon 2.4 together."""
    X, y = table(800)
    ledger = tmp_path / "ledger.sqlite"
    resampler = BalancedResampler(
        MarginalSynthesizer(epsilon=1.0, settings=QUICK), SCHEMA, dataset="clinic", ledger=ledger
    )
    tree = make_pipeline(FunctionTransformer(lambda rows: rows[["age"]]), DecisionTreeClassifier(max_depth=2))
    cross_val_score(make_pipeline(resampler, tree), X, y, cv=5, error_score="raise")
    (summary,) = Ledger(ledger).datasets()
    assert len(summary.runs) == 5
    one = Spend.of_budget(epsilon=1.0, delta=1e-6)
    together, delta = Spend(5 * one.mu_squared, 5 * one.added_delta).budget(1e-6)
    assert summary.epsilon == pytest.approx(together)
    assert summary.delta <= delta
    assert together == pytest.approx(2.4, abs=0.005)


@pytest.mark.parametrize("n_features", [2, 20])
def test_the_examples_of_scikit_learn_end_in_rows_or_in_a_way_on(n_features):
    features, labels = make_classification(1000, n_features, n_redundant=0, weights=[0.9], random_state=0)
    resampler = BalancedResampler(MarginalSynthesizer(epsilon=1.0, settings=QUICK))
    told = ""
    warnings.simplefilter("ignore")  # of bounds that are not found, each with its way on
    try:
        rows, classes = resampler.fit_resample(features, labels)
    except SchemaError as error:
        told = str(error)
    else:
        assert rows.shape == (len(classes), n_features)
    assert not told or "in a schema (schema=...), raise epsilon, or take more rows" in told


@pytest.mark.parametrize("seed", [0, np.int64(3), np.random.RandomState(0), np.random.default_rng(0)])
def test_every_kind_of_seed_is_taken(seed):
    X, y = table(300)
    _, labels = private(sampling_strategy={0: 5, 1: 5}, random_state=seed).fit_resample(X, y)
    assert len(labels) == 10


@pytest.mark.parametrize(
    "options",
    [
        {"random_state": -1},
        {"random_state": "0"},
        {"on_violation": "drop"},
        {"sampling_strategy": "most"},
        {"sampling_strategy": "0.5"},
        {"sampling_strategy": {0: -1}},
        {"schema": {"age": {"type": "integer"}}},
    ],
)
def test_arguments_are_checked_before_anything_is_charged(options, tmp_path):
    X, y = table(300)
    with pytest.raises(ParameterError):
        private(dataset="d", ledger=tmp_path / "ledger.sqlite").set_params(**options).fit(X, y)
    assert not Ledger(tmp_path / "ledger.sqlite").datasets()
