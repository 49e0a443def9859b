"""Public settings of `MarginalSynthesizer`, and how they follow the strength of the signal."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self

from privsynth.models.tables.fitting import FitOptions
from privsynth.synthesizers.tables.base_measurements import BaseMeasurementSettings

REFERENCE_STRENGTH = 7000.0  # about 26,000 records at epsilon 1, delta 1e-5: where the settings were chosen
MOST_BINS = 4.0  # times as many as at the reference strength
TABLES_GROW = 0.44  # power of the strength: 5 tables a column at 7,000, 12 at 51,000
FAINT_ONE_WAY = 2 / 3  # of the share of 1-way tables, of which there are about as many fewer
FAINT_DISCOVERY = 2.0  # times the share of discovery
_RETIRED = ("max_condition_cells",)  # settings of older versions that are none any more


@dataclass(frozen=True, kw_only=True)
class MarginalSettings(BaseMeasurementSettings):
    """Public settings of the recipe; shares are of ``mu**2``.

    Attributes:
        selection_share: Part of each round that pays for choosing tables.
        before_share: Part of the budget for the tables of each column with itself in the row before, where
            rows are learnt in sequences.
        workload_share: Part of the budget for the tables that the schema declares; only if there are any.
        noise_penalty: How much of the noise of measuring a table counts against choosing it. AIM takes all
            of it (1); but the mixture smooths, and wide sparse tables are worth more than that suggests.
        n_rounds: Rounds of select, measure, fit.
        pairs_per_column: Tables measured in all, over the number of columns, up to `REFERENCE_STRENGTH`.
        most_pairs_per_column: As many at most with a stronger signal, by `TABLES_GROW`, but no more than
            there are to choose from; 0, or less than the former: no more than these. Views of sequences and
            linked tables get no more.
        faint_strength: Strength of the signal up to which rows of persons are learnt by `of_faint_rows`.
        steps_per_round: Gradient steps after each round.
        final_steps: Gradient steps at the end.
        fit: How the mixture is fitted.
        n_bins: Bins aimed at for a number line at `REFERENCE_STRENGTH`; a stronger signal gets more.
        norm_factor: Where a person may have many rows: a person's part of a pair table is cut, in L2, to
            this over the root of their largest number, up to the reference strength. Less brings less noise
            and cuts more; None: no cut.
    """

    n_bins: int = 20
    selection_share: float = 0.10
    before_share: float = 0.08
    workload_share: float = 0.2
    noise_penalty: float = 0.5
    n_rounds: int = 12
    pairs_per_column: float = 5.0
    most_pairs_per_column: float = 0.0
    faint_strength: float = 1000.0
    steps_per_round: int = 60
    final_steps: int = 50
    fit: FitOptions = field(default_factory=FitOptions)
    norm_factor: float | None = 1.5

    def adapted_to(self, strength: float) -> MarginalSettings:
        """Return the settings for a weaker signal, more for the 1-way marginals and fewer pairs, or a
        stronger one, more bins, more tables if asked for, and no cut: its bias then weighs more than noise.

        Args:
            strength: Number of units (noisy, or a public guess) times ``mu`` of the whole budget. The
                settings as they stand are for `REFERENCE_STRENGTH`.
        """
        weakness = max(1.0, REFERENCE_STRENGTH / max(strength, 1.0))
        excess = max(1.0, strength / REFERENCE_STRENGTH)
        pairs = max(1.0, self.pairs_per_column / math.sqrt(weakness))
        return replace(
            self,
            one_way_share=self.one_way_share * min(5.0, weakness**0.44),
            spikes_share=self.spikes_share * min(4.0, weakness**0.8),
            norm_factor=self.norm_factor if strength <= REFERENCE_STRENGTH else None,
            pairs_per_column=pairs,
            most_pairs_per_column=min(self.most_pairs_per_column, pairs * excess**TABLES_GROW),
            n_bins=round(self.n_bins * min(MOST_BINS, excess**0.25)),
        )

    def of_faint_rows(self, n_lists: int) -> MarginalSettings:
        """Return settings that `adapted_to` gave, for the rows of few persons: up to ``faint_strength``.

        A code that is not found is lost with all its rows, and single values stand clear of no noise. So
        lists get more, single values no more than at the reference strength, and what stands before a row is
        not counted by itself.

        Args:
            n_lists: How many lists of values the schema keeps private.
        """
        return replace(
            self,
            one_way_share=FAINT_ONE_WAY * self.one_way_share,
            spikes_share=min(self.spikes_share, MarginalSettings.spikes_share),
            discovery_share=self.discovery_share * (FAINT_DISCOVERY if n_lists else 1.0),
            counts_before=False,
        )

    def within(self, share: float) -> Self:
        """Return the settings for a table that may cost only a share of the run's budget."""
        return replace(
            self,
            discovery_share=share * self.discovery_share,
            octaves_share=share * self.octaves_share,
            spikes_share=share * self.spikes_share,
            one_way_share=share * self.one_way_share,
            units_share=share * self.units_share,
            condition_share=share * self.condition_share,
        )

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote, in this version or an older one."""
        known = {name: value for name, value in fields.items() if name not in _RETIRED}
        # as it was before there were such
        absent = {"norm_factor": None, "most_pairs_per_column": 0.0, "faint_strength": 0.0}
        return cls(**{**absent, **known, "fit": FitOptions(**fields["fit"])})
