"""The guarantee statement of a model of tables that others released: their word, and marked as such."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from privsynth.accounting.budget import shown_epsilon
from privsynth.errors import TableError
from privsynth.releases.store import Release
from privsynth.schema import Schema
from privsynth.synthesizers.elsewhere.cost import composed
from privsynth.synthesizers.elsewhere.statement import Statement

ROWS_OF_RECORDS = (
    "each synthetic row stands for one record, as the tables count them: persons with many records count as "
    "often"
)


def stated_budget(stated: Statement, where: str) -> tuple[float, float]:
    """Return the epsilon and delta that the statement comes to.

    Where both the whole and costs of tables are stated, it is the larger epsilon of the two: who states the
    whole may know that tables share what they cost, but may as well have added up wrongly, and a claim that
    is too large harms nobody.

    Raises:
        TableError: If the costs of the tables come to no epsilon at the delta that is stated.
    """
    costs = [table.cost for table in stated.tables if table.cost is not None]
    both = composed(costs, stated.delta or 0.0)
    if both is None:
        raise TableError(
            f"{where}: expected 'delta', at which the costs of the tables are added up, above the deltas of "
            f"the tables, {sum(cost.delta for cost in costs):g} in all"
        )
    return max(stated.epsilon or 0.0, both[0]), max(stated.delta or 0.0, both[1])


def stated_guarantee(
    stated: Statement,
    schema: Schema,
    releases: Sequence[Release],
    *,
    epsilon: float,
    delta: float,
    not_found: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the statement, JSON-able; its keys are those of `privsynth.synthesizers.guarantee`.

    ``private`` is true and ``epsilon`` the stated one, so that whoever compares models finds it in its place;
    ``given`` makes every sentence with that epsilon conditional on the word of who states it, and
    ``stated_by`` names them. ``epsilon_spent`` is the same number: it is what all tables together are stated
    to have cost. It is no total of the data set, and nothing of it is in a ledger of privsynth, which would
    otherwise hold charges that it cannot check, under a name that it does not know to be that of the same
    records; ``not_covered`` says so.

    Privacy:
        Public: a function of what is stated.
    """
    who = "record"
    if stated.unit == "person":
        who = f"person (up to {stated.max_records_per_person} rows of each are used)"
    change = "adding or removing" if stated.neighbours == "add_or_remove_one" else "replacing"
    n = len(releases)
    tables = "1 noisy table that was" if n == 1 else f"{n} noisy tables that were"
    given = f"what is stated by {stated.stated_by}, not checked by privsynth"
    if schema.given is not None:
        given += f", and {schema.given}"
    with_what = "" if stated.made_with is None else f" with {stated.made_with}"
    return {
        "private": True,
        "statement": (
            f"({shown_epsilon(epsilon)}, {delta:g})-differential privacy for {change} one {who}, given "
            f"{given}. The model is made of {tables} released elsewhere{with_what}; no record was read for "
            "it, and no ledger was charged."
        ),
        "epsilon": epsilon,
        "epsilon_spent": epsilon,
        "delta": delta,
        "given": given,
        "unit": stated.unit,
        "max_records_per_person": stated.max_records_per_person,
        "neighbours": stated.neighbours,
        "accountant": f"stated by {stated.stated_by}",
        "accountant_id": None,
        "events": [_event(release) for release in releases],
        "declared_tables": [],
        "public": schema.public_facts(),
        "not_found": list(not_found),
        "not_covered": _not_covered(stated),
        "dataset": stated.dataset,
        "interrupted": None,
        "noiseless_stops": 0,
        "stated_by": stated.stated_by,
        "made_with": stated.made_with,
        "rows": ROWS_OF_RECORDS if stated.unit == "person" and stated.counts == "records" else None,
    }


def _event(release: Release) -> dict[str, Any]:
    event = release.event
    low, high = event["std"]
    of_all = {"noise_std": low} if low == high else {"least_noise_std": low, "largest_noise_std": high}
    return {
        "purpose": event["purpose"],
        "purpose_id": release.key.partition("/")[0],
        "mechanism": f"stated_{event['noise']}",
        "parameters": of_all,
        "count": 1,
        "mu_squared": event["mu_squared"],
    }


def _not_covered(stated: Statement) -> list[str]:
    told = [
        "whether the tables are what they are stated to be: noise, unit, cap and cost are the word of "
        + stated.stated_by,
        "whatever else was released of the same records: no ledger of privsynth holds these tables, so "
        "nothing is added up with other runs on the data set",
    ]
    thresholded = [table for table in stated.tables if table.is_thresholded]
    if thresholded:
        told.append(
            f"combinations that were left out of {len(thresholded)} of the tables, below a threshold: the "
            "model takes them for rare, and they may be absent"
        )
    return told
