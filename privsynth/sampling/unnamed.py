"""Rows whose value no list names: shares of "other" and of missing, and what `balance` leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from privsynth.domains.encoding import OTHER, DiscreteDomain
from privsynth.sampling.axes import Axis, CellTable
from privsynth.sampling.conditions import Restriction
from privsynth.sampling.table_model import PreparedModel, TableModel

MISSING = "missing"
MENTIONED = 1e-3  # share of the rows from which on it is said that they are left out


def unnamed_shares(model: TableModel, restrictions: Mapping[str, Restriction], name: str) -> dict[str, float]:
    """Return the model's shares of "other" and of missing in a discrete column, under conditions.

    Privacy:
        Post-processing.
    """
    domain = model.domains[name]
    assert isinstance(domain, DiscreteDomain)
    code, codes = len(domain.values), {}
    for kind, has_code in ((OTHER, domain.has_other), (MISSING, domain.has_missing)):
        if has_code:
            codes[kind] = code
            code += 1
    parts = [Restriction((np.arange(domain.size) < len(domain.values)).astype(np.float64))]
    parts += [Restriction(np.eye(1, domain.size, code)[0]) for code in codes.values()]
    axis = Axis(name, ("named", *codes), tuple(parts))
    masses = PreparedModel(model, restrictions, CellTable((axis,), np.arange(len(parts))[:, None])).masses
    total = masses.sum()
    return {kind: float(mass / total) for kind, mass in zip(codes, masses[1:], strict=True)} if total else {}


def left_out_of_balance(
    model: TableModel,
    restrictions: Mapping[str, Restriction],
    balance: Sequence[str],
    *,
    with_missing: bool,
) -> dict[str, dict[str, float]]:
    """Return the shares of rows, by column and kind, that have no part in a balance and are worth a word.

    Privacy:
        Post-processing.
    """
    out = {}
    for name in balance:
        shares = unnamed_shares(model, restrictions, name)
        if with_missing:
            shares.pop(MISSING, None)
        shares = {kind: share for kind, share in shares.items() if share >= MENTIONED}
        if shares:
            out[name] = shares
    return out


def left_out_in_words(left_out: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Say what a balance leaves out; nothing if it is nothing.

    Example:
        >>> left_out_in_words({"race": {"missing": 0.3}})[0][:75]
        "balance leaves out those whose 'race' is missing (30.0% of the model's own)"
    """
    if not left_out:
        return []
    named = [
        f"'{name}' is {MISSING if kind == MISSING else repr(kind)} ({share:.1%} of the model's own)"
        for name, shares in left_out.items()
        for kind, share in shares.items()
    ]
    ways = []
    if any(MISSING in shares for shares in left_out.values()):
        ways.append("balance_missing=True (--balance-missing) gives missing a part of its own")
    if any(OTHER in shares for shares in left_out.values()):
        ways.append("proportions can name 'other'")
    return [f"balance leaves out those whose {', whose '.join(named)}; {', and '.join(ways)}"]
