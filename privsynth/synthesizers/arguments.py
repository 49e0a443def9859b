"""What a fit is asked for: checked before anything is reserved or read, and kept to tell runs apart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privsynth.accounting.budget import Spend
from privsynth.errors import SchemaError
from privsynth.io.files import is_pattern
from privsynth.records.conform import OnViolation
from privsynth.sampling.generated_columns import check_generated_columns
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.sequences import sequence_view
from privsynth.synthesizers.contract import Settings

NON_PRIVATE = Spend(1e8, 0.5)  # noise of a ten-thousandth of a unit: the same recipe, for comparison only


def checked_schema(schema: Any) -> Schema:
    """Return the schema of a fit; raises a `SchemaError` if it is none, or lacks a fact."""
    if not isinstance(schema, Schema):
        raise SchemaError(
            f"expected a schema, here or in the constructor, got {type(schema).__name__}: "
            "Schema({...}) or Schema.load(path); `privsynth schema TABLE -o S`, or "
            "privsynth.draft_schema(table), drafts one, and what it does not declare public is "
            "found under the budget"
        )
    schema.require_complete()
    check_generated_columns(schema)
    sequence_view(schema)  # raises an error if there is none
    return schema


def whole_budget(epsilon: float | None, delta: float) -> Spend:
    """Return what a fit may spend; raises a `ParameterError` if either is out of range."""
    return NON_PRIVATE if epsilon is None else Spend.of_budget(epsilon=epsilon, delta=delta)


@dataclass(frozen=True, kw_only=True)
class FitArguments:
    """What two calls of `fit` have in common if one goes on with the run of the other; all of it public.

    Attributes:
        kind: Name of the synthesizer's class.
        epsilon: Asked for; None without privacy.
        delta: Asked for.
        settings: Of the recipe.
        schema: What is public about the records.
        dataset: Name in the ledger, if there is one.
        on_violation: What happens to a record that breaks the schema.
        random_state: As given.
        start: Fingerprint of the releases of an earlier fit that it goes on from; None if there is none.
    """

    kind: str
    epsilon: float | None
    delta: float
    settings: Settings
    schema: Schema | LinkedSchema
    dataset: str | None
    on_violation: OnViolation
    random_state: int | None
    start: str | None = None

    @property
    def budget(self) -> Spend:
        """What the fit may spend."""
        return whole_budget(self.epsilon, self.delta)

    def configuration(self) -> dict[str, Any]:
        """Return the arguments as a store gives them back, JSON-able."""
        fields = {
            "class": self.kind,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "settings": self.settings.to_dict(),
            "schema": self.schema.to_dict(),
            "dataset": self.dataset,
            "on_violation": self.on_violation,
            "random_state": self.random_state,
            "start": self.start,
        }
        whole: dict[str, Any] = json.loads(json.dumps(fields))
        return whole

    def fingerprint(self, source: Any) -> str:
        """Return a hash that is equal for equal arguments and an equal name of the source's file."""
        whole = self.configuration()
        if self.start is None:
            del whole["start"]  # as it was when there were none
        whole["source"] = Path(source).name if isinstance(source, str | Path) else None
        if is_pattern(source):
            whole["source"] = str(source)
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
