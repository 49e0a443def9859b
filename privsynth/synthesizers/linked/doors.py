"""One curator a table of linked tables: all charge one run, each within its share of the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event
from privsynth.counting.holding import hold
from privsynth.errors import ParameterError
from privsynth.errors.arguments import real_number
from privsynth.privacy.curator import Curator
from privsynth.privacy.randomness import OsEntropy, SecureRandom
from privsynth.records.conform import Records
from privsynth.releases.store import PartOfStore, ReleaseStore
from privsynth.schema import PRIVATE
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_views import counts, linked_view

KEPT_BACK = 1e-12  # of each share, so that sums of doubles do not pass the whole


def shares_of_tables(
    schema: LinkedSchema, asked: Mapping[str, float] | None, *, private_list: float = 0.0
) -> dict[str, float]:
    """Return each table's share of the budget: as asked for, else by how many columns it has to learn.

    Args:
        schema: Public description of the tables.
        asked: A share for each table; None for those that follow from the columns.
        private_list: Columns that finding a list of values counts as.

    Raises:
        ParameterError: If not every table has a share above 0, or they do not add up to 1.

    Privacy:
        Public: reads no record.
    """
    if asked is None:
        sizes = {
            name: len(table.schema.modelled)
            + len(counts(schema, name))
            + private_list * sum(column.categories == PRIVATE for column in table.schema.modelled)
            for name, table in schema.tables.items()
        }
        return {name: size / sum(sizes.values()) for name, size in sizes.items()}
    if not isinstance(asked, Mapping) or set(asked) != set(schema.tables):
        raise ParameterError(
            f"expected 'shares' to give each table its share: {', '.join(schema.tables)}; got "
            f"{', '.join(map(str, asked))}"
        )
    shares = {name: real_number(f"shares[{name!r}]", asked[name]) for name in schema.tables}
    if any(share <= 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-9:
        raise ParameterError(f"expected shares above 0 that add up to 1, got {shares}")
    return {name: share / sum(shares.values()) for name, share in shares.items()}


def part_of(spend: Spend, share: float) -> Spend:
    """Return a share of a budget."""
    share = share * (1 - KEPT_BACK)
    return Spend(share * spend.mu_squared, share * spend.added_delta)


@dataclass(frozen=True)
class Doors:
    """The doors to linked tables.

    Attributes:
        schema: The public description of the tables.
        curators: Of each table's view, by its name.
    """

    schema: LinkedSchema
    curators: Mapping[str, Curator]


def doors_to_tables(
    *,
    schema: LinkedSchema,
    shares: Callable[[LinkedSchema], Mapping[str, float]],
    allowance: Spend,
    limit: Spend,
    store: ReleaseStore,
    records: Mapping[str, Records] | None = None,
    charge: Callable[[Event, str], None] | None = None,
    secret: SecureRandom | None = None,
    **arguments: Any,
) -> Doors:
    """Return the curator of each table, over its view.

    Whatever one person adds or removes, they change in all tables: what the curators spend adds up.

    Args:
        schema: Public description of the tables.
        shares: Gives each table its share, as `shares_of_tables`.
        allowance: Of the whole run.
        limit: Of the whole run.
        store: Of the whole run.
        records: Of each table's view; None replays the store.
        charge: Writes a charge durably to the ledger.
        secret: Source of noise; the operating system's entropy except in tests.
        **arguments: The others of `Curator`.

    Privacy:
        Accounted: by the curators, release by release.
    """

    def charge_of(name: str) -> Callable[[Event, str], None] | None:
        return None if charge is None else lambda event, key: charge(event, f"{name}/{key}")

    source = secret or OsEntropy()
    views = {name: linked_view(schema, name) for name in schema.tables}
    curators = {
        name: Curator(
            schema=views[name],
            allowance=part_of(allowance, share),
            limit=part_of(limit, share),
            store=PartOfStore(store, name),
            records=None if records is None else hold(records[name], views[name], source),
            charge=charge_of(name),
            secret=source,
            **arguments,
        )
        for name, share in shares(schema).items()
    }
    return Doors(schema, curators)
