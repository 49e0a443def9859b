"""Fairness of images: are classes and groups there as in the real set, and are they recognised as well?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from privsynth.io.image_files import ImageSource
from privsynth.metrics.common.estimates import figure, not_assessed, percentile_interval
from privsynth.metrics.common.grouping import Grouping, count_units
from privsynth.metrics.common.image_classifiers import CNN, Training
from privsynth.metrics.common.images import ImageTables, load_images
from privsynth.metrics.common.scores import mean_of
from privsynth.metrics.fairness import tables as of_tables
from privsynth.metrics.fairness.group_models import MIN_SELECTED_UNITS
from privsynth.metrics.leakage.image_membership import NO_HOLDOUT
from privsynth.metrics.utility.downstream import Predictions, Source, unit_bootstrap
from privsynth.metrics.utility.images import NO_CLASSES, predict_holdout
from privsynth.schema import Schema

N_BOOTSTRAP = of_tables.N_BOOTSTRAP
NO_GROUPS = "no column of classes or groups: give columns the role 'target' or 'group' in the schema"
INTERVALS = (
    "Intervals of shares and target rates are score intervals over the units of both sets; the verdict on "
    "groups asks for wider ones, which hold for all groups together. Those of accuracies are percentile "
    "bootstraps over the holdout's units, for these trained classifiers."
)


def fairness(
    real: ImageSource,
    synthetic: ImageSource,
    *,
    schema: Schema,
    holdout: ImageSource | None = None,
    target: str | None = None,
    groups: Sequence[str] | None = None,
    training: Training | None = None,
    n_bootstrap: int = N_BOOTSTRAP,
    random_state: int = 0,
) -> dict[str, Any]:
    """Compare classes and groups: their shares, and how well a convolutional network recognises their images.

    Args:
        real: The images that the generator was fitted to; see `privsynth.metrics.common.images`.
        synthetic: The released images, of any tool.
        schema: The description of the label columns.
        holdout: Images of the same source that the generator never saw; accuracies need it.
        target: Column that says what is on an image; its classes are groups of their own.
        groups: Group columns; the schema's if None.
        training: How long and wide the network is trained.
        n_bootstrap: Replicates behind the intervals of accuracies.
        random_state: Seed of training and bootstrap.

    Returns:
        As `privsynth.metrics.fairness`: ``by_group``, each with ``share`` and ``accuracy`` (``real`` and
        ``synthetic``: by what the network was trained on; ``gap``, a figure); ``by_columns``, each with
        ``accuracy_difference``, the largest gap between two groups. With a binary target and groups also the
        rates of tables: ``target_rate``, demographic parity and equalised odds.

    Raises:
        PrivsynthError: If a set cannot be read as the schema says.

    Privacy:
        Not private: figures of real records.
    """
    images = load_images(real, synthetic, schema=schema, holdout=holdout, target=target, groups=groups)
    predictions = predict_holdout(images, training=training, families=[CNN], random_state=random_state)
    return assess_fairness(images, predictions, n_bootstrap=n_bootstrap, random_state=random_state)


def assess_fairness(
    images: ImageTables,
    predictions: Predictions | None,
    *,
    n_bootstrap: int = N_BOOTSTRAP,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report; see `fairness`.

    Privacy:
        Not private: figures of real records.
    """
    target, tables = images.target, images.tables
    names = images.classes_and_groups
    if not names:
        return not_assessed(NO_GROUPS)
    section = of_tables.assess_fairness(
        replace(tables, target=None, groups=names), n_bootstrap=n_bootstrap, random_state=random_state
    )
    section |= {
        "kind": "images",
        "target": None if target is None else target.name,
        "groups": list(names),
        "target_reason": NO_CLASSES if target is None else of_tables.NOT_BINARY,
        "models_reason": None if predictions is not None else NO_CLASSES if target is None else NO_HOLDOUT,
        "intervals": INTERVALS,
    }
    if predictions is None:
        return section
    draws = unit_bootstrap(predictions.units, n_bootstrap, np.random.default_rng(random_state))
    entries = {_key(entry["group"]): entry for entry in section["by_group"]}
    for entry in section["by_columns"]:
        grouping = Grouping.of(tables, entry["columns"])
        accuracies = _accuracies(predictions, grouping, draws)
        for code, group in enumerate(grouping.groups):
            entries[_key(group)]["accuracy"] = _compared({s: a[code] for s, a in accuracies.items()})
        entry["accuracy_difference"] = _difference(accuracies)
    if target is not None and target.task == "binary" and tables.groups:
        _add_rates(section, entries, images, predictions, n_bootstrap, random_state)
    return section


def _add_rates(
    section: dict[str, Any],
    entries: dict[tuple[Any, ...], dict[str, Any]],
    images: ImageTables,
    predictions: Predictions,
    n_bootstrap: int,
    random_state: int,
) -> None:
    """Add what tables with a binary target show of their groups: rates, parity, odds."""
    rates = of_tables.assess_fairness(
        images.tables, predictions, n_bootstrap=n_bootstrap, random_state=random_state
    )
    section |= {"positive": rates["positive"], "target_reason": None}
    for group in rates["by_group"]:
        entries[_key(group["group"])] |= {
            name: group[name] for name in ("target_rate", "models") if name in group
        }
    differences = {tuple(entry["columns"]): entry for entry in rates["by_columns"]}
    for entry in section["by_columns"]:
        entry |= differences.get(tuple(entry["columns"]), {})


def _accuracies(predictions: Predictions, grouping: Grouping, draws: np.ndarray) -> dict[Source, np.ndarray]:
    """Return ``(n_groups, 1 + n_replicates)``, the estimate first; NaN for groups that are too small."""
    members = grouping.members(predictions.rows)
    n_units = count_units(members, predictions.units, len(grouping.groups))
    weights = np.vstack([np.ones(len(predictions.rows)), draws]) * predictions.weights
    out: dict[Source, np.ndarray] = {}
    sources: tuple[Source, Source] = ("real", "synthetic")
    for source in sources:
        predicted = predictions.of[predictions.models[0], source].argmax(axis=1)
        hits = (predicted == predictions.labels).astype(np.float64)
        values = np.full((len(grouping.groups), len(weights)), np.nan)
        for group in np.flatnonzero(n_units >= MIN_SELECTED_UNITS):
            rows = members == group
            values[group] = mean_of(hits[rows], weights[:, rows])
        out[source] = values
    return out


def _compared(values: dict[Source, np.ndarray]) -> dict[str, Any]:
    real, synthetic = values["real"], values["synthetic"]
    if np.isnan(real[0]):
        reason = f"needs {MIN_SELECTED_UNITS} holdout units in the group"
        return {"real": None, "synthetic": None, "gap": figure(None), "reason": reason}
    gaps = synthetic - real
    return {
        "real": float(real[0]),
        "synthetic": float(synthetic[0]),
        "gap": figure(gaps[0], interval=percentile_interval(gaps[1:])),
    }


def _difference(accuracies: dict[Source, np.ndarray]) -> dict[str, Any]:
    """Return the largest gap in accuracy between two groups; the ceiling is the real-trained network's."""
    used = np.isfinite(accuracies["real"][:, 0])
    if used.sum() < 2:
        return {**figure(None), "reason": "fewer than two groups are large enough to be compared"}
    spans = {
        source: np.nanmax(a[used], axis=0) - np.nanmin(a[used], axis=0) for source, a in accuracies.items()
    }
    out = figure(
        spans["synthetic"][0],
        interval=percentile_interval(spans["synthetic"][1:]),
        ceiling=spans["real"][0],
        floor=1.0,
    )
    out["ceiling_interval"] = percentile_interval(spans["real"][1:])
    excess = spans["synthetic"] - spans["real"]
    out["excess"] = figure(excess[0], interval=percentile_interval(excess[1:]))
    return out


def _key(group: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(group.items())
