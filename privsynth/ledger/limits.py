"""What the limit of a data set admits: how much of a plan fits, and why not more."""

from __future__ import annotations

import math
import shlex

from privsynth.accounting.budget import Spend
from privsynth.accounting.gdp import ADDED_DELTA_SHARE, gdp_epsilon, rounded_down
from privsynth.errors import BudgetExceededError
from privsynth.io.databases import Database
from privsynth.ledger.rows import limit_of, reserved_by_all

LEAST_PART_LEFT = 1e-4  # of a delta, or of the limit's: with less than that left it is used up
LEAST_EPSILON = 1e-3  # with less than that left it is used up


def within_rest(database: Database, name: str, plan: Spend, part: float) -> Spend:
    """Return the plan with at most a part of what is left of the limit's added delta."""
    limit = limit_of(database, name)
    if limit is None:
        return plan if part else Spend(plan.mu_squared, 0.0)
    allowed = Spend.of_budget(epsilon=limit[0], delta=limit[1]).added_delta
    left = allowed - reserved_by_all(database, name).added_delta
    if part and left < LEAST_PART_LEFT * min(allowed, plan.added_delta):
        return plan  # used up: refused as it is
    return Spend(plan.mu_squared, min(plan.added_delta, part * max(left, 0.0)))


def check_limit(
    database: Database,
    name: str,
    plan: Spend,
    asked: tuple[float, float],
    what: str,
    *,
    except_run: str = "",
) -> None:
    """Raise a `BudgetExceededError` if a plan would pass the limit, and say what would fit."""
    limit = limit_of(database, name)
    if limit is None:
        return
    epsilon, delta = limit
    allowed = Spend.of_budget(epsilon=epsilon, delta=delta)
    others = reserved_by_all(database, name, except_run=except_run)
    total = others + plan
    if total.fits(allowed):
        return
    raise BudgetExceededError(
        f"data set {name!r}: {what} would bring all runs to {total.stated(delta)}, above the "
        f"limit epsilon={epsilon:g} at delta={delta:g}; other runs hold {others.stated(delta)}. Nothing "
        f"was read. {_way_out(name, plan, others, allowed, asked, limit)}, close crashed runs "
        "(`privsynth ledger show`, then `privsynth ledger close`), or raise the limit "
        f"(`privsynth ledger limit --dataset {shlex.quote(name)} ...`)"
    )


def _way_out(
    name: str,
    plan: Spend,
    others: Spend,
    allowed: Spend,
    asked: tuple[float, float],
    limit: tuple[float, float],
) -> str:
    """Say which part of the limit is exceeded, and what would still fit."""
    left = Spend(max(allowed.mu_squared - others.mu_squared, 0.0), allowed.added_delta - others.added_delta)
    if not Spend(0.0, (others + plan).added_delta).fits(allowed):
        said = (
            f"It is delta that is exceeded, not epsilon: of the limit's delta={limit[1]:g}, "
            f"{allowed.added_delta:g} are for finding private values and for gradient steps, of which other "
            f"runs hold {others.added_delta:g} and this one needs {plan.added_delta:g}. "
        )
        least = left.added_delta / ADDED_DELTA_SHARE
        if least > limit[1] * LEAST_PART_LEFT:
            return said + f"Ask for less (--delta {rounded_down(least):g})"
        return said + "Raise the limit's --delta"
    fits = gdp_epsilon(math.sqrt(left.mu_squared), (1 - ADDED_DELTA_SHARE) * asked[1])
    if fits < LEAST_EPSILON:
        return "The limit's epsilon is used up. Ask for nothing more"
    return f"Ask for less (--epsilon {math.floor(fits * 1e4 + 1e-4) / 1e4:g} fits)"
