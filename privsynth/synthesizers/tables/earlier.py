"""An earlier fit of the same data set, from whose releases another one goes on: kept, checked, told of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from privsynth.accounting.budget import Spend, shown_epsilon
from privsynth.errors import ParameterError, SchemaError
from privsynth.releases.store import Release
from privsynth.schema import Schema
from privsynth.synthesizers.amending import changed_columns
from privsynth.synthesizers.guarantee import who_in_words
from privsynth.synthesizers.setting_types import check_setting_types
from privsynth.synthesizers.tables.workload import errors_of_cells

PREFIX = "earlier run/"  # of the keys of its releases among those of a model
FIXED_BUDGETS = "that the budget of each run was fixed whatever earlier runs gave"
_MAY_DIFFER = ("version", "csv", "workload", "types_from_records")
MOST_RUNS = 32  # of one chain


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What is kept of a fit from whose releases another one goes on.

    Attributes:
        schema: Its schema.
        settings: Its settings.
        epsilon: Asked for.
        delta: Asked for.
        added_delta: What it set aside of its delta; None if all of the share that is meant for it.
        releases: Its own releases, in order.
        guarantee: Its guarantee statement.
        ledger_link: As of the synthesizer.
        earlier: From which it went on itself, if it did.
    """

    schema: Schema
    settings: Any
    epsilon: float
    delta: float
    added_delta: float | None
    releases: tuple[Release, ...]
    guarantee: dict[str, Any]
    ledger_link: dict[str, Any] | None
    earlier: Earlier | None

    @property
    def reserved(self) -> Spend:
        """What its own run might spend."""
        return reserved_by(self.epsilon, self.delta, self.added_delta)

    @property
    def runs(self) -> tuple[Earlier, ...]:
        """It and all before it, the first one first."""
        return (*(() if self.earlier is None else self.earlier.runs), self)

    @property
    def mu_squared(self) -> float:
        """What it and all before it might spend."""
        return sum(run.reserved.mu_squared for run in self.runs)

    @property
    def all_releases(self) -> tuple[Release, ...]:
        """Its releases and those before it, their keys marked as such, as a model holds them."""
        before = () if self.earlier is None else self.earlier.all_releases
        return tuple(replace(r, key=PREFIX + r.key) for r in (*self.releases, *before))

    @property
    def fingerprint(self) -> str:
        """A hash of all that was released."""
        whole = hashlib.sha256()
        for release in self.all_releases:
            whole.update(json.dumps(release.header(), sort_keys=True).encode())
            for name, array in sorted(release.arrays.items()):
                whole.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return whole.hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able fields, without its releases."""
        return {
            "schema": self.schema.to_dict(),
            "settings": self.settings.to_dict(),
            "epsilon": self.epsilon,
            "delta": self.delta,
            "added_delta": self.added_delta,
            "guarantee": self.guarantee,
            "ledger_link": self.ledger_link,
            "earlier": None if self.earlier is None else self.earlier.to_dict(),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], releases: Sequence[Release], settings_type: Any) -> Self:
        """Read what `to_dict` wrote, with the releases as `all_releases` marked them.

        Raises:
            KeyError, TypeError, ValueError: If the parts do not fit.
        """
        own, before = parted([replace(r, key=r.key.removeprefix(PREFIX)) for r in releases])
        inner = fields["earlier"]
        settings = settings_type.from_dict(fields["settings"])
        check_setting_types(settings)
        return cls(
            schema=Schema.from_dict(fields["schema"]),
            settings=settings,
            epsilon=fields["epsilon"],
            delta=fields["delta"],
            added_delta=fields["added_delta"],
            releases=own,
            guarantee=fields["guarantee"],
            ledger_link=fields["ledger_link"],
            earlier=None if inner is None else cls.from_dict(inner, before, settings_type),
        )


def parted(releases: Sequence[Release]) -> tuple[tuple[Release, ...], tuple[Release, ...]]:
    """Return the releases of a model's own run, and those of the runs before it."""
    is_before = [release.key.startswith(PREFIX) for release in releases]
    own, before = (
        tuple(r for r, is_one in zip(releases, is_before, strict=True) if is_one == side)
        for side in (False, True)
    )
    return own, before


def reserved_by(epsilon: float, delta: float, added_delta: float | None) -> Spend:
    """Return what a run might spend."""
    whole = Spend.of_budget(epsilon=epsilon, delta=delta)
    return whole if added_delta is None else Spend(whole.mu_squared, added_delta)


def check_goes_on(earlier: Earlier, schema: Schema, dataset: str | None) -> None:
    """Refuse an earlier fit whose releases say nothing about these records, or protect another unit.

    Raises:
        ParameterError: If it was not private, its relation of neighbours or data set is another one, or there
            are too many before it.
        SchemaError: If its schema is another one, or of rows in sequences.

    Privacy:
        Public: compares what was declared.
    """
    told = earlier.guarantee
    if not told.get("private"):
        raise ParameterError(
            "the earlier model is not private, so nothing that is made of it is; begin from a private one, "
            "or leave start (--start) out"
        )
    if told.get("neighbours") != "add_or_remove_one":
        raise ParameterError(
            f"the earlier model protects against {told.get('neighbours')!r}, and a fit against "
            "'add_or_remove_one', so they have no joint guarantee; leave start (--start) out"
        )
    if told.get("dataset") != dataset:
        raise ParameterError(
            f"the earlier model was fitted to the data set {told.get('dataset')!r}, and this fit names "
            f"{dataset!r}; give that dataset (--dataset) if it is that one, or leave start (--start) out"
        )
    if len(earlier.runs) >= MOST_RUNS:
        raise ParameterError(f"there are {len(earlier.runs)} runs before this one; fit anew")
    if schema.is_sequential:
        raise SchemaError(
            "a fit goes on from an earlier model where rows are learnt by themselves, and the schema puts "
            "those of a person in order; leave start (--start) out"
        )
    before, after = (
        {k: v for k, v in s.to_dict().items() if k not in _MAY_DIFFER} for s in (earlier.schema, schema)
    )
    if before != after:
        changed = changed_columns(before, after)
        what = (
            "other persons, rows of each, or order of columns"
            if changed is None
            else ", ".join(map(repr, sorted(changed)))
        )
        raise SchemaError(
            f"the schema of the earlier model is another one ({what}), so its releases are no measurements "
            "of this table; fit with its schema, or leave start (--start) out"
        )


def joint_statement(
    own: dict[str, Any],
    schema: Schema,
    earlier: Earlier,
    last: Spend,
    releases: Sequence[Release],
    limit: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Return the guarantee statement of a fit and all runs before it, as one.

    What holds is the limit of the data set, if one was fixed before the first run. Without one, what they
    spent together is shown: their sums of ``mu**2`` add up, and so does what each set aside of its delta, for
    they compose as events do, not by their epsilons. That is a guarantee only if each budget was fixed
    whatever the runs before gave; ``given`` says so wherever the epsilon stands.

    Args:
        own: Statement of the last run alone.
        schema: Its schema.
        earlier: What is before it.
        last: What the last run might spend.
        releases: Of all runs.
        limit: Epsilon and delta of the data set's limit, if it was fixed before the first run.

    Privacy:
        Post-processing.
    """
    if not own["private"]:
        return own
    spends = [*(run.reserved for run in earlier.runs), last]
    asked = [*((run.epsilon, run.delta) for run in earlier.runs), (own["epsilon"], own["delta"])]
    total = sum(spends, Spend(0.0, 0.0))
    epsilon, delta = total.budget(max(delta for _, delta in asked)) if limit is None else limit
    types = next(
        (s.given for s in (schema, *(run.schema for run in earlier.runs)) if s.given is not None), None
    )
    conditions = [text for text in (None if limit else FIXED_BUDGETS, types) if text is not None]
    given = ", and ".join(conditions) or None
    told = ", then ".join(f"epsilon {e:g} at delta {d:g}" for e, d in asked)
    by_run = [*(_own_events(run) for run in earlier.runs), own["events"]]
    not_covered = [
        *own["not_covered"],
        *(line for run in earlier.runs for line in run.guarantee["not_covered"]),
    ]
    what = (
        f"That is the limit of the data set, fixed before its first run, and holds for all runs on it: the "
        f"{len(asked)} runs together on whose releases this model rests ({told})"
    )
    if limit is None:
        not_covered.append("budgets that were chosen by what earlier runs gave")
        what = (
            f"That is what the {len(asked)} runs together spent on whose releases this model rests ({told}); "
            "no limit of the data set was fixed before its first run, so without that condition nothing is "
            "claimed of them together"
        )
    return own | {
        "statement": (
            f"({shown_epsilon(epsilon)}, {delta:g})-differential privacy for adding or removing one "
            f"{who_in_words(schema)}{'' if given is None else f', given {given}'}. {what}. All else that was "
            "read from the records, finding domains included, is inside this budget."
        ),
        "epsilon": epsilon,
        "epsilon_spent": epsilon,
        "delta": delta,
        "given": given,
        "events": [event | {"run": i + 1} for i, events in enumerate(by_run) for event in events],
        "declared_tables": errors_of_cells(schema, releases),
        "not_covered": list(dict.fromkeys(not_covered)),
        "runs": [
            {"epsilon": e, "delta": d, "mu_squared": spend.mu_squared, "added_delta": spend.added_delta}
            for (e, d), spend in zip(asked, spends, strict=True)
        ],
    }


def _own_events(run: Earlier) -> list[dict[str, Any]]:
    """Return the events of a run alone: those of one that went on itself name their runs."""
    last = len(run.runs)
    return [event for event in run.guarantee["events"] if event.get("run", last) == last]
