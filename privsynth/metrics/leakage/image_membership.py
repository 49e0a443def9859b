"""Membership: do the synthetic images tell whose images the generator was fitted to?

The distance attacks of tables, looked through two glasses: the feature network (a near copy in content) and
principal components of pixels (a near copy in pixel values). Both are fitted to the attacker's own images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from privsynth.attacks.density_ratio import calibrated_nearness, density_ratio, isolation, nearness
from privsynth.attacks.neighbours import Neighbourhood
from privsynth.io.image_files import ImageSource
from privsynth.metrics.common.estimates import not_assessed
from privsynth.metrics.common.image_features import Seen, see
from privsynth.metrics.common.images import ImageTables, load_images
from privsynth.metrics.common.units import at_most_rows, n_units
from privsynth.metrics.leakage.membership_figures import (
    MIN_UNITS,
    TOO_SMALL,
    Scored,
    Sides,
    membership_section,
    why_not_apart,
)
from privsynth.records.conform import Records
from privsynth.schema import Schema

ATTACKS = {
    "density_ratio": "images closer to a synthetic one, in features, than the reference explains",
    "nearest": "images close to a synthetic one in features, without a reference",
    "nearest_calibrated": "images closer to a synthetic one, in features, than their neighbours are",
    "density_ratio_pixels": "images closer to a synthetic one, in pixels, than the reference explains",
    "nearest_calibrated_pixels": "images closer to a synthetic one, in pixels, than their neighbours are",
    "ensemble": "Fisher's combination of the five others, by rank",
}
"""Name of each attack, and whom it flags as a member."""

BY_GROUP = "nearest_calibrated"
MAX_SCORED = 10_000
"""Members, non-members and reference images each that are used, as whole units drawn at random. Fewer cost
the attacks power, which the smallest detectable effect shows; all synthetic images are looked at, since a
copy among those left out would go unseen."""

NO_HOLDOUT = "no holdout images: give images of the same source that the generator never saw"


def membership(
    real: ImageSource,
    synthetic: ImageSource,
    *,
    schema: Schema,
    holdout: ImageSource | None = None,
    reference: ImageSource | None = None,
    target: str | None = None,
    groups: Sequence[str] | None = None,
    guarantee: Mapping[str, Any] | None = None,
    max_scored: int = MAX_SCORED,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, Any]:
    """Attack the synthetic images; members are ``real``, non-members the holdout.

    Args:
        real: The images that the generator was fitted to; see `privsynth.metrics.common.images`.
        synthetic: The released images; all of them are looked at.
        schema: The description of the label columns.
        holdout: Images of the same source that the generator never saw; needed. Half of them are the
            attacker's own, if there is no reference.
        reference: Further such images, none of them in ``real`` or ``holdout``.
        target: Column that says what is on an image, by which the feature network learns to see.
        groups: Columns whose groups are attacked apart, as are the target's classes.
        guarantee: The statement of the model file, for the trade-off view.
        max_scored: See `MAX_SCORED`.
        confidence: Coverage of each interval, in (0, 1).
        random_state: Seed of the splits and draws.

    Returns:
        The section of `privsynth.metrics.membership`, and ``feature_network``; or ``not_assessed``.

    Raises:
        PrivsynthError: If a set cannot be read as the schema says.

    Privacy:
        Not private: figures of real records. Intervals do not cover the randomness of the fitted generator.
    """
    images = load_images(
        real,
        synthetic,
        schema=schema,
        holdout=holdout,
        reference=reference,
        target=target,
        groups=groups,
    )
    return assess_membership(
        see(images, random_state=random_state),
        guarantee=guarantee,
        max_scored=max_scored,
        confidence=confidence,
        random_state=random_state,
    )


def assess_membership(
    seen: Seen,
    *,
    guarantee: Mapping[str, Any] | None = None,
    max_scored: int = MAX_SCORED,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report; see `membership`.

    Args:
        seen: The images, as `privsynth.metrics.common.image_features.see` gives them.
        guarantee: As in `membership`.
        max_scored: As in `membership`; so are the following.
        confidence: As above.
        random_state: As above.

    Privacy:
        Not private: figures of real records.
    """
    if not seen.has_holdout:
        return not_assessed(NO_HOLDOUT)
    images = seen.images
    prints = {name: _prints(images, name) for name in images.pixels if name != "synthetic"}
    if reason := why_not_apart(prints["real"], prints["holdout"], prints.get("reference")):
        return not_assessed(reason)
    generator = np.random.default_rng(random_state)
    parts = {
        "members": ("real", np.arange(len(images.pixels["real"]))),
        "non_members": seen.compared,
        "reference": seen.reference,
    }
    parts = {role: _thinned(images, part, max_scored, generator) for role, part in parts.items()}
    sides = Sides(**{role: _records(images, part) for role, part in parts.items()})
    if sides.too_small:
        return not_assessed(TOO_SMALL)
    scored = _scored(seen, parts, sides)
    section = membership_section(
        replace(images.tables, groups=images.classes_and_groups),
        sides,
        scored,
        compared=(
            _as_rows(seen, parts["members"], sides.members),
            _as_rows(seen, parts["non_members"], sides.non_members),
        ),
        thing="image",
        reference="reference set",
        guarantee=guarantee,
        is_randomised=False,
        generator=generator,
        confidence=confidence,
    )
    return {**section, "feature_network": seen.network.description}


def _scored(seen: Seen, parts: Mapping[str, tuple[str, np.ndarray]], sides: Sides) -> Scored:
    scored = (parts["members"], parts["non_members"])
    views = {
        glass: Neighbourhood(
            np.concatenate([points[name][rows] for name, rows in scored]),
            points["synthetic"],
            points[parts["reference"][0]][parts["reference"][1]],
        )
        for glass, points in (("", seen.features), ("_pixels", seen.pixel_components))
    }
    measures = {
        "density_ratio": density_ratio,
        "nearest": nearness,
        "nearest_calibrated": calibrated_nearness,
    }
    of_rows = {
        f"{name}{glass}": measure(near)
        for glass, near in views.items()
        for name, measure in measures.items()
        if f"{name}{glass}" in ATTACKS
    }
    ranks = np.stack([rankdata(scores) for scores in of_rows.values()])
    of_rows["ensemble"] = -np.log1p(-(ranks - 0.5) / ranks.shape[1]).sum(axis=0)
    return Scored(
        scores={name: sides.by_unit(scores) for name, scores in of_rows.items()},
        exposure={"most_isolated": sides.by_unit(isolation(views[""]))},
        flags=ATTACKS,
        by_group=BY_GROUP,
        n_members=n_units(sides.members),
    )


def _records(images: ImageTables, part: tuple[str, np.ndarray]) -> Records:
    """Return label columns and persons of a part, persons numbered afresh."""
    name, rows = part
    records = images.records(name)
    frame = records.frame.iloc[rows].reset_index(drop=True)
    if records.persons is None:
        return Records(frame, None)
    return Records(frame, np.unique(records.persons[rows], return_inverse=True)[1])


def _as_rows(seen: Seen, part: tuple[str, np.ndarray], records: Records) -> Records:
    """Return the features of a part as a table, for what works on tables."""
    return Records(pd.DataFrame(seen.take(part)).rename(columns=str), records.persons)


def _thinned(
    images: ImageTables, part: tuple[str, np.ndarray], n_most: int, generator: np.random.Generator
) -> tuple[str, np.ndarray]:
    name, rows = part
    persons = _records(images, part).persons
    kept = at_most_rows(Records(pd.DataFrame({"position": rows}), persons), max(n_most, MIN_UNITS), generator)
    return name, kept.frame["position"].to_numpy()


def _prints(images: ImageTables, name: str) -> Records:
    """Return a fingerprint of each image in place of a row, so that equal ones can be counted."""
    digests = b"".join(
        hashlib.blake2b(image, digest_size=8).digest() for image in np.ascontiguousarray(images.pixels[name])
    )
    frame = pd.DataFrame(np.frombuffer(digests, "<u4").reshape(-1, 2), columns=["first", "second"])
    return Records(frame, images.records(name).persons)
