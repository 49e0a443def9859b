"""The guarantee statement that every model carries: what holds, for whom, and what does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event
from privsynth.releases.statements import GDP, UNANSWERED
from privsynth.releases.store import Release
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema
from privsynth.synthesizers.tables.workload import errors_of_cells

ACCOUNTANT = "GDP filter for adaptively chosen levels (Smith and Thakurta 2022), selections included"

_ALWAYS_NOT_COVERED = (
    "whether the table could be read at all: a file that cannot be parsed stops the run",
    "anything that reads the records again outside the ledger, such as an audit report without noise",
    "a data set that is charged under two names",
    "floating-point and timing channels beyond what privacy/README.md states",
)


def guarantee_statement(
    *,
    schema: Schema | LinkedSchema,
    epsilon: float | None,
    delta: float,
    releases: Iterable[Release],
    dataset: str | None,
    on_violation: str,
    is_secret: bool,
    not_found: Iterable[str] = (),
    interrupted: str | None = None,
    noiseless_stops: int = 0,
    snapshots: int = 0,
    rows_left: bool = False,
    read_in_motion: bool = False,
) -> dict[str, Any]:
    """Return the statement, JSON-able; see `DESIGN` of the report's ``guarantee``.

    ``epsilon_spent`` is the bound of the filter that was reserved before the first read. It holds for
    whatever was chosen or stopped on the way; it is not computed from the path that the run took.

    Args:
        schema: What was declared public.
        epsilon: Asked for; None without privacy.
        delta: Asked for.
        releases: All that was released, in order.
        dataset: Name in the ledger; None if the table had none.
        on_violation: ``"error"`` or ``"clip"``.
        is_secret: Whether the noise came from a secret source.
        not_found: What the schema keeps private and the budget did not find.
        interrupted: Where a training was stopped before its end; None if it was not.
        noiseless_stops: How often records had stopped a run on this data set when this one ended.
        snapshots: How often the records were read: more than once if the run was resumed.
        rows_left: Whether rows of a table in an engine were fetched from it.
        read_in_motion: Whether an engine without snapshots read the table, once.

    Privacy:
        Post-processing.
    """
    private = epsilon is not None and is_secret
    not_covered = list(_ALWAYS_NOT_COVERED)
    if on_violation == "error":
        not_covered.insert(
            0, "whether a record breaks the schema: the check before the run stops without noise"
        )
    if noiseless_stops:
        times = "once" if noiseless_stops == 1 else f"{noiseless_stops} times"
        not_covered.insert(
            0, f"that records stopped a run on this data set, which happened {times}, each time without noise"
        )
    if snapshots > 1:
        not_covered.insert(
            0,
            "that records may have changed between releases: the run was resumed, and took the table as it "
            "was each time",
        )
    if read_in_motion:
        not_covered.insert(
            0,
            "that records may have changed while they were read: the engine holds no snapshot of a table, "
            "and took each row as it was when it came to it, once for all releases",
        )
    if rows_left:
        not_covered.insert(
            0,
            "that coded rows left their engine, as was allowed, and were kept in a private file where the "
            "fit ran",
        )
    if dataset is None:
        not_covered.insert(0, "other runs on the same table: it was given without a data set name")
    if schema.types_from_records:
        not_covered.insert(
            0,
            "the column types, resolutions and decimals, which were read from the records: one field can "
            "change how a whole column is stored",
        )
    if isinstance(schema, LinkedSchema):
        not_covered += _not_covered_of_links(schema, on_violation)
    elif schema.person_id is not None:
        if not schema.is_sequential:
            not_covered.append("order and dependence of one person's rows, which are not modelled")
        not_covered.append(
            f"persons whose {schema.person_id!r} is empty: each such row counts as a person of its own"
        )
        if on_violation == "clip":
            not_covered.append(
                f"persons whose {schema.person_id!r} cannot be read: all such rows count as one person"
            )
    if not is_secret:
        not_covered.insert(0, "everything: the noise came from a predictable source made for tests")
    elif epsilon is None:
        not_covered.insert(0, "everything: this model was fitted without privacy, by request")
    return {
        "private": private,
        "statement": _in_words(schema, epsilon, delta) if private else "none: this model is not private",
        "epsilon": epsilon,
        "epsilon_spent": None if epsilon is None else spent(epsilon, delta),
        "delta": delta if epsilon is not None else None,
        "given": schema.given,
        "unit": schema.unit,
        "max_records_per_person": schema.max_records_per_person,
        "neighbours": "add_or_remove_one",
        "accountant": ACCOUNTANT if private else None,
        "accountant_id": GDP if private else None,
        "events": _event_table(releases),
        "declared_tables": [] if isinstance(schema, LinkedSchema) else errors_of_cells(schema, releases),
        "public": schema.public_facts(),
        "not_found": list(not_found),
        "not_covered": not_covered,
        "dataset": dataset,
        "interrupted": interrupted,
        "noiseless_stops": noiseless_stops,
    }


def spent(epsilon: float, delta: float) -> float:
    """Return what the filter of ``(epsilon, delta)`` guarantees at ``delta``; never above ``epsilon``."""
    return Spend.of_budget(epsilon=epsilon, delta=delta).budget(delta)[0]


def _event_table(releases: Iterable[Release]) -> list[dict[str, Any]]:
    """Return the charges, those of equal purpose and level merged.

    Beside their words stand ``purpose_id``, the first part of the keys of the releases; ``state``, where
    their answers serve no model; and ``mu_squared``, which adds up.
    """
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for release in releases:
        event = Event.from_dict(release.event)
        parameters = event.levels | ({"delta": event.delta} if event.delta else {})
        state = "void" if release.void else "lost" if release.lost else None
        purpose = event.purpose + UNANSWERED.get(state or "", "")
        row = rows.setdefault(
            (purpose, event.mechanism, repr(parameters)),
            {
                "purpose": purpose,
                "purpose_id": release.key.partition("/")[0],
                **({} if state is None else {"state": state}),
                "mechanism": event.mechanism,
                "parameters": parameters,
                "count": 0,
                "mu_squared": 0.0,
            },
        )
        row["count"] += event.count
        row["mu_squared"] += event.mu_squared
    return list(rows.values())


def who_in_words(schema: Schema | LinkedSchema) -> str:
    """Say whose presence is hidden."""
    if isinstance(schema, LinkedSchema):
        return f"{schema.person} with all rows below it ({_caps(schema)})"
    if schema.person_id is not None:
        return (
            f"person (one {schema.person_id!r}; up to {schema.max_records_per_person} rows of each are used)"
        )
    return "record"


def _in_words(schema: Schema | LinkedSchema, epsilon: float | None, delta: float) -> str:
    given, what = ("", "All") if schema.given is None else (f", given {schema.given}", "All else")
    return (
        f"({epsilon:g}, {delta:g})-differential privacy for adding or removing one "
        f"{who_in_words(schema)}{given}. {what} that was read from the records, finding domains "
        "included, is inside this budget."
    )


def _caps(schema: LinkedSchema) -> str:
    """Say how many rows of each table are used."""
    caps = [f"{schema.max_records_of(name)} of {name}" for name in schema.tables if name != schema.person]
    return f"up to {', '.join(caps)} are used" if caps else "there are none"


def _not_covered_of_links(schema: LinkedSchema, on_violation: str) -> list[str]:
    """Say what the guarantee of linked tables does not cover."""
    told = [
        f"whether every key that rows refer to is unique, as every {schema.person_id!r} is, which is "
        "declared public: one that stands twice, or two that cannot be read, stop the run without noise",
        f"persons whose {schema.person_id!r} is empty: each such row counts as a person of its own",
        f"others than the {schema.person} whom rows below it mention: they are no units of their own",
    ]
    if on_violation == "error":
        told.append("whether every row belongs to a row above: one that does not stops the run without noise")
    return told
