"""How much work an audit does, and what it leaves out by that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from privsynth.metrics.common.image_classifiers import FAMILIES, LINEAR, Training
from privsynth.metrics.common.images import ImageTables
from privsynth.metrics.common.learners import N_QUICK
from privsynth.metrics.fidelity.images import MAX_COMPARED, MAX_NEIGHBOURHOODS
from privsynth.metrics.fidelity.memorisation import MAX_QUERIES
from privsynth.metrics.fidelity.support import MAX_ROWS as MAX_SUPPORT_ROWS
from privsynth.metrics.fidelity.tables import MAX_TRIPLES
from privsynth.metrics.leakage.disclosure import MAX_SECRETS, MAX_TARGETS
from privsynth.metrics.leakage.image_membership import MAX_SCORED
from privsynth.metrics.leakage.membership import MAX_COMPARISONS
from privsynth.metrics.utility.tables import N_BOOTSTRAP


@dataclass(frozen=True, kw_only=True)
class Limits:
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


QUICK = Limits(
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


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """How much work an audit of images does.

    Attributes:
        families: Classifiers trained on both sides, and directly under the budget.
        training: How long and wide.
        max_compared: Images of each side that distances are computed from.
        max_neighbourhoods: Images of each side whose neighbours are searched, for precision and the like.
        max_queries: Images whose nearest real one is looked for.
        max_scored: Members, non-members and reference images that the attacks use.
        n_bootstrap: Replicates behind bootstrap intervals.
    """

    families: tuple[str, ...] = FAMILIES
    training: Training = field(default_factory=Training)
    max_compared: int = MAX_COMPARED
    max_neighbourhoods: int = MAX_NEIGHBOURHOODS
    max_queries: int = MAX_QUERIES
    max_scored: int = MAX_SCORED
    n_bootstrap: int = N_BOOTSTRAP

    def left_out(self, images: ImageTables) -> list[str]:
        """Say of these sets which images were not looked at, and which way that moves the figures."""
        n = {name: len(pixels) for name, pixels in images.pixels.items()}
        out = []
        if max(n["real"], n.get("holdout", 0) // 2) > self.max_scored:
            out.append(
                f"membership: {self.max_scored:,} members (and as many others, at most) were attacked, drawn "
                "at random, against all synthetic images: this costs the attacks power, which the smallest "
                "detectable effect shows, and hides no copy"
            )
        if min(n["synthetic"], n["real"]) > min(self.max_compared, n.get("holdout", n["real"]) // 2):
            out.append(
                f"fidelity: distances come from at most {self.max_compared:,} images of each side, as many "
                "of real ones beside them; fewer images make the Fréchet distance larger on all sides, never "
                "smaller"
            )
        if n["synthetic"] > self.max_queries:
            out.append(
                f"nearest neighbours: {self.max_queries:,} synthetic and holdout images were asked, drawn at "
                "random, among all real ones: none of those was left out, so no copy of those asked is missed"
            )
        if self.families != FAMILIES:
            out.append(f"utility: {', '.join(self.families)} instead of {', '.join(FAMILIES)}")
        return out


QUICK_IMAGES = ImageLimits(
    families=("cnn", LINEAR),
    training=Training(n_steps=200),
    max_compared=2_000,
    max_neighbourhoods=1_000,
    max_queries=500,
    max_scored=2_000,
    n_bootstrap=50,
)
