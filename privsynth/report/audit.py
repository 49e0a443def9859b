"""The audit of one synthetic table: every metric, the verdicts, one JSON file and one page.

The JSON is described by ``report.schema.json`` beside this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from privsynth.attacks.paid import AuditBudget, paid_audit
from privsynth.errors import ParameterError
from privsynth.image_sources import ImageSource
from privsynth.images import LabelledImages
from privsynth.metrics.disclosure import MAX_SECRETS, MAX_TARGETS, assess_disclosure
from privsynth.metrics.downstream import DirectModel, Predictions, predict_holdout, target_of
from privsynth.metrics.fairness import assess_fairness
from privsynth.metrics.fidelity import MAX_TRIPLES, assess_fidelity
from privsynth.metrics.figures import not_assessed
from privsynth.metrics.interpretability import assess_interpretability
from privsynth.metrics.learners import N_QUICK
from privsynth.metrics.membership import MAX_COMPARISONS, assess_membership, split_by_chance
from privsynth.metrics.released import describe_released
from privsynth.metrics.shadow import Shadowing
from privsynth.metrics.support import MAX_ROWS as MAX_SUPPORT_ROWS
from privsynth.metrics.tables import Table, Tables, load_tables
from privsynth.metrics.two_sample import tell_synthetic_from_real
from privsynth.metrics.units import at_most_rows, n_units
from privsynth.metrics.utility import N_BOOTSTRAP, assess_utility
from privsynth.report.document import AuditReport, now, versions_used
from privsynth.report.image_audit import QUICK as QUICK_IMAGES
from privsynth.report.image_audit import audit_images, public_image_report
from privsynth.report.verdicts import all_verdicts, guarantee_verdict
from privsynth.report.words import claim_of
from privsynth.schema import Schema

PUBLIC = "this report is public: it reads no real record"
_TABLES = ("real", "synthetic", "holdout", "reference", "twin")


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


def audit(
    *,
    real: Table | ImageSource,
    synthetic: Table | ImageSource,
    schema: Schema,
    holdout: Table | ImageSource | None = None,
    reference: Table | ImageSource | None = None,
    twin: Table | Callable[[], Table] | None = None,
    direct: DirectModel | None = None,
    guarantee: Mapping[str, Any] | None = None,
    target: str | None = None,
    groups: Sequence[str] | None = None,
    quick: bool = False,
    budget: AuditBudget | None = None,
    shadowing: Shadowing | None = None,
    random_state: int = 0,
    progress: Callable[[str], None] | None = None,
) -> AuditReport:
    """Audit a synthetic table: fidelity, utility, fairness, membership, disclosure, and the verdicts.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows, of any tool.
        schema: The description of the table.
        holdout: Frame or path: rows of the same source that the generator never saw. Without it membership
            and utility are ``not_assessed``.
        reference: Frame or path: more such rows, for the attack; else half of the holdout serves.
        twin: Rows of the same generator fitted without privacy, or a function that fits and samples it:
            shows who pays for epsilon.
        direct: Trains a model on real rows under the same (epsilon, delta), to print beside the others; a
            linear one is trained if None.
        guarantee: The statement of the model file; None if there is none.
        target: Column to predict; the schema's if None.
        groups: Group columns; the schema's if None.
        quick: Do less, and say what was left out.
        budget: What the audit itself may spend; its report is then a public one, and of the records it holds
            the figures of `privsynth.attacks.paid.paid_audit` alone.
        shadowing: Asks for the shadow-model attack, which refits the generator many times.
        random_state: Seed of every draw.
        progress: Is told what is being done, in words that hold nothing of the records.

    Raises:
        ParameterError: If a column is not there, or tables that must be apart share persons.
        PrivsynthError: If a table cannot be read as the schema says.

    Privacy:
        Not private: the report is a function of real records that epsilon does not cover. With a ``budget``
        it holds nothing of them but what that pays for; that the tables could be read, and share no persons,
        shows without noise.
    """
    if schema.image is not None:
        refused = {"twin": twin, "direct": direct, "budget": budget, "shadowing": shadowing}
        given = [name for name, value in refused.items() if value is not None]
        if given:
            raise ParameterError(f"an audit of images takes no {' and no '.join(given)}; leave it out")
        return audit_images(
            real=_images(real),
            synthetic=_images(synthetic),
            schema=schema,
            holdout=None if holdout is None else _images(holdout),
            reference=None if reference is None else _images(reference),
            guarantee=guarantee,
            target=target,
            groups=groups,
            effort=QUICK_IMAGES if quick else None,
            random_state=random_state,
            progress=progress,
        )
    say = progress or (lambda message: None)
    effort = QUICK if quick else Effort()
    if callable(twin):
        say("fitting the twin without privacy")
        twin = twin()
    say("reading the tables")
    real, synthetic = _table(real), _table(synthetic)
    holdout = None if holdout is None else _table(holdout)
    reference = None if reference is None else _table(reference)
    tables = load_tables(
        real,
        synthetic,
        schema=schema,
        holdout=holdout,
        reference=reference,
        twin=twin,
        target=target,
        groups=groups,
    )
    if budget is not None:
        say("counting under the budget of the audit")
        return _paid_report(tables, synthetic, guarantee, budget, random_state)
    described = _described(tables)
    everything = tables
    tables = _thinned(tables, effort.max_rows, random_state)
    say("comparing distributions")
    told = tell_synthetic_from_real(tables, random_state=random_state)
    fidelity = assess_fidelity(
        tables,
        told,
        max_triples=effort.max_triples,
        max_support_rows=effort.max_support_rows,
        random_state=random_state,
    )
    say("finding what gives the synthetic rows away")
    interpretability = assess_interpretability(tables, fidelity, told, guarantee, random_state=random_state)
    say("training models on real and on synthetic rows")
    predictions = _predictions(tables, effort.n_families, random_state)
    utility = assess_utility(
        tables,
        predictions,
        budget=claim_of(dict(guarantee) if guarantee is not None else None),
        direct=direct,
        n_bootstrap=effort.n_bootstrap,
        random_state=random_state,
    )
    say("comparing groups")
    fairness = assess_fairness(tables, predictions, n_bootstrap=effort.n_bootstrap, random_state=random_state)
    say("attacking membership")
    membership = assess_membership(
        everything,
        guarantee=guarantee,
        is_randomised=split_by_chance(real, holdout, schema),
        max_members=effort.max_members,
        max_comparisons=effort.max_comparisons,
        shadowing=shadowing,
        random_state=random_state,
    )
    sections: dict[str, Any] = {
        "guarantee": dict(guarantee) if guarantee is not None else None,
        "fidelity": fidelity,
        "utility": utility,
        "fairness": fairness,
        "interpretability": interpretability,
        "membership": membership,
        "disclosure": assess_disclosure(
            everything,
            max_secrets=effort.max_secrets,
            max_targets=effort.max_targets,
            random_state=random_state,
        ),
    }
    say("writing the verdicts")
    return AuditReport(
        **sections,
        verdicts=all_verdicts(**sections, n_units=described["real"]["n_units"]),
        tables=described,
        settings={
            "unit": schema.unit,
            "columns": list(tables.real.frame.columns),
            "target": tables.target,
            "groups": list(tables.groups),
            "quick": quick,
            "public": False,
            "random_state": random_state,
        },
        notes=list(tables.notes),
        left_out=effort.left_out(described),
        created=now(),
        versions=versions_used(),
    )


def public_report(
    *, synthetic: Table | ImageSource, schema: Schema, guarantee: Mapping[str, Any] | None = None
) -> AuditReport:
    """Report on a synthetic table without reading a real record, for publication.

    Args:
        synthetic: Frame or path: the released rows.
        schema: The description of the table.
        guarantee: The statement of the model file; None if there is none.

    Returns:
        A report whose sections that need real records are ``not_assessed``.

    Raises:
        PrivsynthError: If the table cannot be read as the schema says.

    Privacy:
        Post-processing: reads the released rows, the public schema and the statement only.
    """
    if schema.image is not None:
        return public_image_report(
            synthetic=_images(synthetic), schema=schema, guarantee=guarantee, reason=PUBLIC
        )
    released = describe_released(_table(synthetic), schema=schema)
    stated = dict(guarantee) if guarantee is not None else None
    closed = not_assessed(PUBLIC)
    return AuditReport(
        guarantee=stated,
        fidelity=closed,
        utility=closed,
        fairness=closed,
        interpretability=closed,
        membership=closed,
        disclosure=closed,
        verdicts=[{**guarantee_verdict(stated, None), "section": "guarantee"}],
        tables={"synthetic": {"n_rows": released["n_rows"], "n_units": released["n_rows"]}},
        settings={
            "unit": schema.unit,
            "columns": [column.name for column in schema.modelled],
            "target": schema.target,
            "groups": list(schema.groups),
            "public": True,
        },
        notes=released.pop("notes"),
        created=now(),
        versions=versions_used(),
        synthetic=released,
    )


def _paid_report(
    tables: Tables,
    synthetic: Table,
    guarantee: Mapping[str, Any] | None,
    budget: AuditBudget,
    random_state: int,
) -> AuditReport:
    """Return a public report with the figures that a budget covers."""
    paid = paid_audit(
        real=tables.real,
        holdout=tables.holdout,
        synthetic=tables.synthetic.frame,
        schema=tables.schema,
        target=tables.target,
        budget=budget,
        random_state=random_state,
    )
    public = public_report(synthetic=synthetic, schema=tables.schema, guarantee=guarantee)
    return replace(public, paid=paid)


def _images(source: Table | ImageSource) -> ImageSource:
    if isinstance(source, pd.DataFrame):
        raise ParameterError(
            "expected images, as the schema says: LabelledImages, (pixels, labels) or a path; got a frame"
        )
    return source


def _table(source: Table | ImageSource) -> Table:
    if isinstance(source, tuple | LabelledImages):
        raise ParameterError(
            "expected a table, as the schema says, got images; to audit images, add their shape to the "
            'schema: "image": {"height": ..., "width": ..., "channels": ...}'
        )
    return source


def _predictions(tables: Tables, n_families: int | None, random_state: int) -> Predictions | None:
    target = target_of(tables)
    if target is None or tables.holdout is None:
        return None
    families = target.families[:n_families]
    return predict_holdout(tables, target, families=families, random_state=random_state)


def _described(tables: Tables) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name in _TABLES:
        records = getattr(tables, name)
        out[name] = None if records is None else {"n_rows": len(records.frame), "n_units": n_units(records)}
    return out


def _thinned(tables: Tables, max_rows: int | None, random_state: int) -> Tables:
    if max_rows is None:
        return tables
    generator = np.random.default_rng(random_state)
    given = {name: getattr(tables, name) for name in _TABLES}
    thin: dict[str, Any] = {
        name: at_most_rows(r, max_rows, generator) for name, r in given.items() if r is not None
    }
    return replace(tables, **thin)
