"""Disclosure: can attributes be inferred, persons singled out or linked, more than of people outside?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from privsynth.attacks import copies, inference, linkage, singling_out
from privsynth.attacks.targets import Success, one_row_each
from privsynth.io.source import Table
from privsynth.metrics.common.estimates import not_assessed
from privsynth.metrics.common.histories import Histories
from privsynth.metrics.common.tables import Tables, load_tables
from privsynth.metrics.common.whole_histories import history_keys
from privsynth.metrics.leakage.membership_figures import MIN_UNITS, why_not_apart
from privsynth.metrics.utility.tables import NO_HOLDOUT
from privsynth.schema import Schema

MAX_TARGETS = 2000
"""Members, and outsiders, on whom each attack is tried."""

MAX_SECRETS = 6
N_KEYS = 4
MAX_COMPARISONS = 4e8
"""Comparisons of a target with a synthetic row, of each search; more targets than that are not tried."""


def disclosure(
    real: Table,
    synthetic: Table,
    *,
    schema: Schema,
    holdout: Table | None = None,
    target: str | None = None,
    max_secrets: int = MAX_SECRETS,
    max_targets: int = MAX_TARGETS,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, Any]:
    """Try attribute inference, singling out and linkage, on members and on the holdout's persons alike.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows; all of them are looked at.
        schema: The description of the table.
        holdout: Frame or path: rows of the same source that the generator never saw; needed.
        target: First column to be guessed; the schema's if None.
        max_secrets: Columns that are guessed, each by itself.
        max_targets: Members, and outsiders, on whom each attack is tried, one random row each.
        confidence: Coverage of each interval, in (0, 1).
        random_state: Seed of the draws.

    Returns:
        ``attribute_inference``, ``singling_out``, ``linkage`` and ``copies``, in each the success on members
        and outsiders and the difference, with an interval of its own and one that holds for all differences
        together; or a section ``not_assessed``, as for membership.

    Raises:
        ParameterError: If two tables share persons.
        PrivsynthError: If a table cannot be read as the schema says (see `load_tables`).

    Privacy:
        Not private: figures of real records.
    """
    tables = load_tables(real, synthetic, schema=schema, holdout=holdout, target=target)
    return assess_disclosure(
        tables,
        max_secrets=max_secrets,
        max_targets=max_targets,
        confidence=confidence,
        random_state=random_state,
    )


def assess_disclosure(
    tables: Tables,
    *,
    max_secrets: int = MAX_SECRETS,
    max_targets: int = MAX_TARGETS,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report; see `disclosure`.

    Privacy:
        Not private: figures of real records.
    """
    if tables.holdout is None:
        return not_assessed(NO_HOLDOUT)
    if reason := why_not_apart(tables.real, tables.holdout, None):
        return not_assessed(reason)
    generator = np.random.default_rng([random_state, 1])
    everyone = [one_row_each(records, generator) for records in (tables.real, tables.holdout)]
    if min(map(len, everyone)) < MIN_UNITS:
        return not_assessed(f"needs {MIN_UNITS} members and non-members each; give larger tables")
    synthetic = tables.synthetic.frame
    most = max(MIN_UNITS, min(max_targets, int(MAX_COMPARISONS / len(synthetic))))
    attack = _Attack(tables, [side[:most] for side in everyone], everyone, synthetic, generator)
    successes = attack.run(max_secrets)
    told = {
        key: success.figures(confidence=confidence, n_comparisons=len(successes))
        for key, success in successes.items()
    }
    sections: dict[str, Any] = {
        "attribute_inference": [],
        "singling_out": {},
        "linkage": {},
        "copies": {},
    }
    for (section, name, *more), figures in told.items():
        entry = figures | attack.notes.get((section, name, *more), {})
        if section == "attribute_inference":
            sections[section].append({"secret": name, "attack": more[0], **entry})
        else:
            sections[section][name] = entry
    return {
        "status": "assessed",
        "unit": tables.schema.unit,
        "n_targets": most,
        "n_comparisons": len(successes),
        "confidence": confidence,
        **sections,
    }


class _Attack:
    """One round of attacks; ``notes`` holds what is reported beside the counts."""

    def __init__(
        self,
        tables: Tables,
        targets: list[pd.DataFrame],
        everyone: list[pd.DataFrame],
        synthetic: pd.DataFrame,
        generator: np.random.Generator,
    ) -> None:
        self.tables = tables
        self.targets = targets
        self.everyone = everyone
        self.synthetic = synthetic
        self.generator = generator
        self.notes: dict[tuple[str, ...], dict[str, Any]] = {}

    def run(self, max_secrets: int) -> dict[tuple[str, ...], Success]:
        out: dict[tuple[str, ...], Success] = {}
        columns = list(self.synthetic.columns)
        if len(columns) > 1:
            for secret in self._secrets(max_secrets):
                out |= self._inference(secret)
            out |= self._linkage(columns)
        out |= self._singling_out(columns)
        return out | self._copies()

    def _secrets(self, max_secrets: int) -> list[str]:
        """Return the target first, then other columns in the schema's order, but for the groups."""
        columns = [name for name in self.synthetic.columns if name not in self.tables.groups]
        first = [self.tables.target] if self.tables.target else []
        return [*first, *(name for name in columns if name not in first)][:max_secrets]

    def _inference(self, secret: str) -> dict[tuple[str, ...], Success]:
        both = pd.concat(self.targets, ignore_index=True)
        by_neighbours = inference.guesses_by_neighbours(both, self.synthetic, secret)
        by_model, by_constant = inference.guesses_by_model(both, self.synthetic, secret, self.generator)
        section = "attribute_inference"
        constant = float(by_constant.mean())
        for name in ("neighbours", "model"):
            self.notes[section, secret, name] = {"constant_guess": constant}
        return {
            (section, secret, "neighbours"): self._success(by_neighbours),
            (section, secret, "model"): self._success(by_model),
        }

    def _linkage(self, columns: list[str]) -> dict[tuple[str, ...], Success]:
        both = pd.concat(self.targets, ignore_index=True)
        shuffled = [columns[i] for i in self.generator.permutation(len(columns))]
        first, second = shuffled[: len(columns) // 2], shuffled[len(columns) // 2 :]
        halves = linkage.linked(both, self.synthetic, first, second)
        keys = self._keys(columns)
        n_rows = min(map(len, self.everyone))
        persons = self.tables.synthetic.persons
        uniques = [
            linkage.replicated_uniques(side[:n_rows], self.synthetic, keys, persons) for side in self.everyone
        ]
        self.notes["linkage", "halves"] = {"first": sorted(first), "second": sorted(second)}
        self.notes["linkage", "replicated_uniques"] = {"keys": keys}
        out: dict[tuple[str, ...], Success] = {
            ("linkage", "halves"): self._success(halves),
            ("linkage", "replicated_uniques"): Success.of(*uniques),
        }
        secrets = [name for name in self._secrets(len(columns)) if name not in keys]
        if secrets:
            disclosed = inference.disclosed_by_key(both, self.synthetic, keys, secrets[0])
            out["attribute_inference", secrets[0], "disclosive_key"] = self._success(disclosed)
            self.notes["attribute_inference", secrets[0], "disclosive_key"] = {"keys": keys}
        return out

    def _keys(self, columns: list[str]) -> list[str]:
        """Return what an acquaintance may know: the groups, then the first columns but the target."""
        others = [name for name in columns if name not in self.tables.groups and name != self.tables.target]
        return [*self.tables.groups, *others][:N_KEYS] or columns[:1]

    def _singling_out(self, columns: list[str]) -> dict[tuple[str, ...], Success]:
        members, outsiders = self.everyone
        persons = self.tables.synthetic.persons
        found = {"univariate": singling_out.univariate(members, outsiders, self.synthetic, persons)}
        if len(columns) > 1:
            found["multivariate"] = singling_out.multivariate(
                members, outsiders, self.synthetic, self.generator, persons
            )
        out: dict[tuple[str, ...], Success] = {}
        for name, isolated in found.items():
            out["singling_out", name] = Success.of(isolated.members, isolated.outsiders)
            self.notes["singling_out", name] = {"chance": isolated.chance, "n_rows": isolated.n_rows}
        return out

    def _copies(self) -> dict[tuple[str, ...], Success]:
        both = pd.concat(self.targets, ignore_index=True)
        exact = [copies.copied_exactly(side, self.synthetic) for side in self.everyone]
        note = {"diagnostic": "no proof of privacy where there are none"}
        self.notes["copies", "exact"] = self.notes["copies", "near"] = note
        return {
            ("copies", "exact"): Success.of(*exact),
            ("copies", "near"): self._success(copies.copied_nearly(both, self.synthetic)),
            **self._copied_histories(note),
        }

    def _copied_histories(self, note: dict[str, Any]) -> dict[tuple[str, ...], Success]:
        """Look for persons who stand among the synthetic ones with all their rows."""
        tables = self.tables
        if not tables.schema.is_sequential or tables.holdout is None:
            return {}
        members, outsiders, released = (
            history_keys(Histories.of(records, tables.schema, self.generator))
            for records in (tables.real, tables.holdout, tables.synthetic)
        )
        self.notes["copies", "whole_histories"] = note
        return {
            ("copies", "whole_histories"): Success.of(
                *(np.isin(side, released) for side in (members, outsiders))
            )
        }

    def _success(self, of_both: np.ndarray) -> Success:
        n_members = len(self.targets[0])
        return Success.of(of_both[:n_members], of_both[n_members:])
