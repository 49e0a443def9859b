"""Utility of images: does a classifier trained on synthetic images recognise real ones?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from privsynth.io.image_files import ImageSource
from privsynth.metrics.common.estimates import figure, not_assessed, percentile_interval
from privsynth.metrics.common.image_classifiers import FAMILIES, Training, train_classifier
from privsynth.metrics.common.images import ImageTables, load_images
from privsynth.metrics.common.scores import score
from privsynth.metrics.common.tables import row_weights
from privsynth.metrics.common.units import unit_of_rows
from privsynth.metrics.leakage.image_membership import NO_HOLDOUT
from privsynth.metrics.utility.downstream import Predictions, Source, constant_prediction, unit_bootstrap
from privsynth.metrics.utility.dp_classifier import SCATTERING, train_directly
from privsynth.metrics.utility.tables import N_BOOTSTRAP, NO_DIRECT, score_figure
from privsynth.schema import Schema

SCORES = ("accuracy", "balanced_accuracy", "auc", "brier")
"""Names of the scores, the main one first."""

NO_CLASSES = "no column of classes: give a categorical or boolean column the role 'target' in the schema"
_OF_TABLES = "a figure of tables: pixels have no names to compare"
_NO_RANKING = "an audit of images trains no classifier that is tested on synthetic images alone"
INTERVALS = (
    "Intervals are percentile bootstraps over the holdout's units: they cover which images were held out, "
    "for these trained classifiers, not another synthetic set, fit or training. All classifiers of a family "
    "are trained for the same number of steps, on all images that there are."
)


def utility(
    real: ImageSource,
    synthetic: ImageSource,
    *,
    schema: Schema,
    holdout: ImageSource | None = None,
    target: str | None = None,
    budget: tuple[float, float] | None = None,
    training: Training | None = None,
    families: Sequence[str] = FAMILIES,
    n_bootstrap: int = N_BOOTSTRAP,
    random_state: int = 0,
) -> dict[str, Any]:
    """Train on synthetic and on real images, and under (epsilon, delta) on real ones; test on the holdout.

    Args:
        real: The images that the generator was fitted to; see `privsynth.metrics.common.images`.
        synthetic: The released images, of any tool.
        schema: The description of the label columns.
        holdout: Images of the same source that the generator never saw; needed.
        target: Column that says what is on an image; the schema's if None.
        budget: (epsilon, delta) of the generator: classifiers are trained directly under it, to print beside
            the others (see `privsynth.metrics.utility.dp_classifier`).
        training: How long and wide classifiers are trained.
        families: Names of the classifiers.
        n_bootstrap: Replicates behind each interval.
        random_state: Seed of classifiers and bootstrap.

    Returns:
        As `privsynth.metrics.utility`: ``models``, family to score to figure (value: trained on synthetic
        images, ceiling: on real ones, floor: a constant guess); ``direct`` with ``models``, family to scores,
        and of these the best as ``model`` and ``scores``; or a section ``not_assessed``.

    Raises:
        PrivsynthError: If a set cannot be read as the schema says.

    Privacy:
        Not private: figures of real records.
    """
    images = load_images(real, synthetic, schema=schema, holdout=holdout, target=target)
    predictions = predict_holdout(images, training=training, families=families, random_state=random_state)
    return assess_utility(
        images, predictions, budget=budget, n_bootstrap=n_bootstrap, random_state=random_state
    )


def predict_holdout(
    images: ImageTables,
    *,
    training: Training | None = None,
    families: Sequence[str] = FAMILIES,
    random_state: int = 0,
) -> Predictions | None:
    """Train every family on real and on synthetic images and predict the holdout; None without one.

    Privacy:
        Not private: classifiers fitted to real records, applied to real records.
    """
    target = images.target
    if target is None or images.tables.holdout is None:
        return None
    holdout = images.tables.holdout
    known, labels = target.known_labels(holdout.frame)
    most = max(len(images.pixels["real"]), len(images.pixels["synthetic"]))
    training = (training or Training()).for_images(most)  # both equally long
    of: dict[tuple[str, Source], np.ndarray] = {}
    sources: tuple[Source, Source] = ("real", "synthetic")
    for family in families:
        for source in sources:
            records = images.records(source)
            usable, classes = target.known_labels(records.frame)
            classifier = train_classifier(
                family,
                images.pixels[source][usable],
                classes,
                row_weights(records)[usable],
                n_classes=len(target.classes),
                training=training,
                seed=random_state,
            )
            of[family, source] = classifier.probabilities(images.pixels["holdout"][known])
        of[family, "independent"] = constant_prediction(images.tables, target, int(known.sum()))
    units = unit_of_rows(holdout)
    return Predictions(
        target=target,
        rows=holdout.frame[known].reset_index(drop=True),
        labels=labels,
        weights=images.tables.holdout_weights[known],
        units=np.unique(units[known], return_inverse=True)[1],
        of=of,
    )


def assess_utility(
    images: ImageTables,
    predictions: Predictions | None,
    *,
    budget: tuple[float, float] | None = None,
    n_bootstrap: int = N_BOOTSTRAP,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report; see `utility`.

    Args:
        images: The sets of images.
        predictions: As `predict_holdout` gives them.
        budget: As in `utility`; so are the following.
        n_bootstrap: As above.
        random_state: As above.

    Privacy:
        Not private: figures of real records.
    """
    if images.target is None:
        return not_assessed(NO_CLASSES)
    if predictions is None:
        return not_assessed(NO_HOLDOUT)
    draws = unit_bootstrap(predictions.units, n_bootstrap, np.random.default_rng(random_state))
    return {
        "status": "assessed",
        "kind": "images",
        "target": predictions.target.name,
        "task": predictions.target.task,
        "positive": predictions.target.positive,
        "main_score": SCORES[0],
        "n_holdout_rows": len(predictions.rows),
        "models": {
            model: {name: score_figure(predictions, model, name, draws) for name in SCORES}
            for model in predictions.models
        },
        "direct": not_assessed(NO_DIRECT)
        if budget is None
        else _direct(images, predictions, budget, draws, random_state),
        "ranking": not_assessed(_NO_RANKING),
        "importance": not_assessed(_OF_TABLES),
        "coefficients": not_assessed(_OF_TABLES),
        "intervals": INTERVALS,
    }


def _direct(
    images: ImageTables,
    predictions: Predictions,
    budget: tuple[float, float],
    draws: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    target, real = predictions.target, images.tables.real
    known, labels = target.known_labels(real.frame)
    held_known, _ = target.known_labels(images.records("holdout").frame)
    weights = np.vstack([predictions.weights, predictions.weights * draws])
    models: dict[str, Any] = {}
    for family in (*predictions.models, SCATTERING):
        classifier = train_directly(
            family,
            images.pixels["real"][known],
            labels,
            None if real.persons is None else np.unique(real.persons[known], return_inverse=True)[1],
            n_classes=len(target.classes),
            epsilon=budget[0],
            delta=budget[1],
            max_records_per_person=images.tables.schema.max_records_per_person,
            seed=seed,
        )
        predicted = classifier.probabilities(images.pixels["holdout"][held_known])
        models[family] = {
            name: figure(values[0], interval=percentile_interval(values[1:]))
            for name in SCORES
            for values in [score(name, predictions.labels, predicted, weights)]
        }
    best = max(models, key=lambda family: models[family][SCORES[0]]["value"] or 0.0)
    return {
        "status": "assessed",
        "model": f"{best.replace('_', ' ')}, by noisy gradient steps; the best of {len(models)}",
        "n_runs": 1,
        "scores": models[best],
        "models": models,
    }
