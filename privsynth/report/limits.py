"""How much work an audit does, and what a quick one leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from privsynth.metrics.common.learners import N_QUICK
from privsynth.metrics.fidelity.support import MAX_ROWS as MAX_SUPPORT_ROWS
from privsynth.metrics.fidelity.tables import MAX_TRIPLES
from privsynth.metrics.leakage.disclosure import MAX_SECRETS, MAX_TARGETS
from privsynth.metrics.leakage.membership import MAX_COMPARISONS
from privsynth.metrics.utility.tables import N_BOOTSTRAP


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much work an audit does.

    Attributes:
        max_triples: Triples of columns compared.
        max_support_rows: Rows of each table whose neighbours are searched.
        n_families: Families of models trained, the first of the list; None trains all.
        n_bootstrap: Replicates behind bootstrap intervals.
        max_rows: Rows of each table that are read, as whole units drawn at random; None reads all. The
            attacks look at every synthetic row: a copy among the rows left out would go unseen.
        max_members: Members that the attacks score; None scores all.
        max_comparisons: Scored rows times synthetic rows in the attacks; see `privsynth.metrics.membership`.
        max_secrets: Columns that the attacks guess.
        max_targets: Members, and outsiders, on whom each disclosure attack is tried.
    """

    max_triples: int = MAX_TRIPLES
    max_support_rows: int = MAX_SUPPORT_ROWS
    n_families: int | None = None
    n_bootstrap: int = N_BOOTSTRAP
    max_rows: int | None = None
    max_members: int | None = None
    max_comparisons: float = MAX_COMPARISONS
    max_secrets: int = MAX_SECRETS
    max_targets: int = MAX_TARGETS

    def left_out(self, tables: Mapping[str, Any]) -> list[str]:
        """Say what an audit of these tables leaves out, one sentence each; nothing by default."""
        out = []
        if self.max_rows is not None:
            large = [name for name, size in tables.items() if size and size["n_rows"] > self.max_rows]
            out += [
                f"{name}: {self.max_rows:,} of the rows were used, drawn at random by whole units"
                + (" (the attacks look at all)" if name == "synthetic" else "")
                for name in large
            ]
        if self.max_members is not None and tables["real"]["n_units"] > self.max_members:
            out.append(f"membership: {self.max_members:,} of the members were attacked, drawn at random")
        if self.max_secrets < MAX_SECRETS or self.max_targets < MAX_TARGETS:
            out.append(
                f"disclosure: {self.max_secrets} columns guessed instead of {MAX_SECRETS}, on "
                f"{self.max_targets} members instead of {MAX_TARGETS}"
            )
        if self.max_triples < MAX_TRIPLES:
            out.append(f"fidelity: at most {self.max_triples} instead of {MAX_TRIPLES} triples of columns")
        if self.max_support_rows < MAX_SUPPORT_ROWS:
            out.append(
                f"fidelity: neighbours among {self.max_support_rows:,} instead of {MAX_SUPPORT_ROWS:,} rows"
            )
        if self.n_families is not None:
            out.append(f"utility: {self.n_families} families of models instead of all")
        if self.n_bootstrap < N_BOOTSTRAP:
            out.append(f"intervals: {self.n_bootstrap} instead of {N_BOOTSTRAP} bootstrap replicates")
        return out


QUICK = Effort(
    max_triples=16,
    max_support_rows=2_000,
    n_families=N_QUICK,
    n_bootstrap=50,
    max_rows=10_000,
    max_members=4_000,
    max_comparisons=4e8,
    max_secrets=2,
    max_targets=500,
)
