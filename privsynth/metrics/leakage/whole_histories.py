"""Membership by whole histories: is a person nearer to a synthetic person than the source makes them?

Rows may be common one by one and still make up a history that no one else has. Each person becomes one point
from all their rows, and the distance attacks on rows are run on persons.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from privsynth.attacks.density_ratio import calibrated_nearness, density_ratio
from privsynth.attacks.neighbours import Neighbourhood
from privsynth.metrics.common.histories import Histories
from privsynth.metrics.common.whole_histories import whole_histories
from privsynth.records.conform import Records
from privsynth.schema import Schema

HISTORY_ATTACKS = {
    "history_density_ratio": "persons whose whole history is closer to a synthetic one than the reference "
    "explains",
    "history_nearest_calibrated": "persons whose whole history is closer to a synthetic one than their "
    "neighbours' in the reference are",
}
"""Name of each attack, and whom it flags as a member."""


def attack_histories(
    sides: Sequence[Records],
    *,
    synthetic: Records,
    reference: Records,
    schema: Schema,
    generator: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Run the attacks of `HISTORY_ATTACKS`.

    Args:
        sides: Canonical records of those who are scored, with persons.
        synthetic: The released rows, all of them.
        reference: Records of the same source, of none of the persons scored.
        schema: Sequential.
        generator: Decides on the order of rows that have none.

    Returns:
        Name of an attack to the score of each person, side by side, ``(n_persons,)``, higher = more likely a
        member.

    Privacy:
        Not private: scores of real persons.
    """
    of_sides = [whole_histories(Histories.of(side, schema, generator)) for side in sides]
    near = Neighbourhood.of_tables(
        pd.concat(of_sides, ignore_index=True),
        *(whole_histories(Histories.of(records, schema, generator)) for records in (synthetic, reference)),
    )
    return {
        "history_density_ratio": density_ratio(near),
        "history_nearest_calibrated": calibrated_nearness(near),
    }
