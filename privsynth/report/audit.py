"""The audit of one synthetic table: every metric, and the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from privsynth.attacks.private_audit import AuditAccount, AuditBudget
from privsynth.errors import ParameterError
from privsynth.errors.arguments import renamed_arguments, whole_number
from privsynth.errors.seeds import checked_seed
from privsynth.io.tables import read_table
from privsynth.metrics.common.balanced import Sampler
from privsynth.metrics.common.tables import Table, Tables, load_tables
from privsynth.metrics.common.units import at_most_rows
from privsynth.metrics.fairness.tables import assess_fairness
from privsynth.metrics.fidelity.detection import assess_interpretability
from privsynth.metrics.fidelity.tables import assess_fidelity
from privsynth.metrics.fidelity.two_sample import tell_synthetic_from_real
from privsynth.metrics.leakage.disclosure import assess_disclosure
from privsynth.metrics.leakage.membership import assess_membership, split_by_chance
from privsynth.metrics.leakage.shadow import Shadowing
from privsynth.metrics.utility.downstream import DirectModel, Predictions, predict_holdout, target_of
from privsynth.metrics.utility.tables import assess_utility
from privsynth.models.threads import idle_processors_only
from privsynth.records.images import ImageSource
from privsynth.report.image_audit import QUICK as QUICK_IMAGES
from privsynth.report.image_audit import audit_images
from privsynth.report.inputs import TABLES, as_images, as_table, described
from privsynth.report.limits import QUICK, Effort
from privsynth.report.provenance import drawing_of
from privsynth.report.public import paid_report
from privsynth.report.report import AuditReport
from privsynth.report.text import claim_of
from privsynth.report.verdicts import all_verdicts
from privsynth.schema import Schema


@renamed_arguments(twin="non_private", n_twins="n_non_private")
@idle_processors_only()
def audit(
    *,
    real: Table | ImageSource,
    synthetic: Table | ImageSource,
    schema: Schema,
    holdout: Table | ImageSource | None = None,
    reference: Table | ImageSource | None = None,
    non_private: Table | Sequence[Table] | Callable[[], Table] | None = None,
    n_non_private: int = 1,
    model: Sampler | None = None,
    direct: DirectModel | None = None,
    guarantee: Mapping[str, Any] | None = None,
    drawing: Mapping[str, Any] | None = None,
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
        non_private: Rows of the same generator fitted without privacy, or a function that fits and samples
            it: shows who pays for epsilon. Several fits, as a list, make the intervals cover how fits differ.
        n_non_private: How often such a function is called; each call has to be a fit of its own.
        model: The fitted synthesizer: draws balanced rows to train on, and brings its guarantee.
        direct: Trains a model on real rows under the same (epsilon, delta), to print beside the others; a
            linear one is trained if None.
        guarantee: The statement of the model file; that of the model if None.
        drawing: What is known of how the rows were drawn, ``rebalancing_cost`` and ``not_covered``; what the
            synthetic frame or Parquet file carries in its ``attrs`` if None.
        target: Column to predict; the schema's if None.
        groups: Group columns; the schema's if None.
        quick: Do less, and say what was left out.
        budget: What the audit itself may spend; its report is then a public one, and of the records it holds
            the figures of `privsynth.attacks.private_audit.paid_audit` alone.
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
    if guarantee is None:
        guarantee = getattr(model, "guarantee_", None)
    if schema.image is not None:
        refused = {"non_private": non_private, "direct": direct, "budget": budget, "shadowing": shadowing}
        given = [name for name, value in refused.items() if value is not None]
        if given:
            raise ParameterError(f"an audit of images takes no {' and no '.join(given)}; leave it out")
        return audit_images(
            real=as_images(real),
            synthetic=as_images(synthetic),
            schema=schema,
            holdout=None if holdout is None else as_images(holdout),
            reference=None if reference is None else as_images(reference),
            guarantee=guarantee,
            drawing=drawing,
            target=target,
            groups=groups,
            effort=QUICK_IMAGES if quick else None,
            random_state=random_state,
            progress=progress,
        )
    say = progress or (lambda message: None)
    n_non_private = whole_number("n_non_private", n_non_private, least=1)
    random_state = checked_seed(random_state, below=2**32) or 0
    effort = QUICK if quick else Effort()
    if callable(non_private):
        say("fitting without privacy")
        non_private = [non_private() for _ in range(n_non_private)]
    say("reading the tables")
    real, synthetic = as_table(real), read_table(as_table(synthetic), schema, is_real=False)
    holdout = None if holdout is None else as_table(holdout)
    reference = None if reference is None else as_table(reference)
    drawing = drawing_of(synthetic.attrs if drawing is None else drawing)
    load = partial(
        load_tables,
        real,
        synthetic,
        schema=schema,
        holdout=holdout,
        reference=reference,
        non_private=non_private,
        model=model,
        target=target,
        groups=groups,
        random_state=random_state,
    )
    if budget is not None:
        with AuditAccount(schema, budget) as account:  # reserved before a record is read
            with account.reading():
                tables = load()
            say("counting under the budget of the audit")
            return paid_report(tables, synthetic, guarantee, drawing, account, random_state)
    tables = load()
    sizes = described(tables)
    stated = dict(guarantee) if guarantee is not None else None
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
        budget=claim_of(stated),
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
        "guarantee": stated,
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
        verdicts=all_verdicts(
            **{name: section for name, section in sections.items() if name != "interpretability"},
            n_units=sizes["real"]["n_units"],
            drawing=drawing,
        ),
        drawing=drawing,
        tables=sizes,
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
        left_out=effort.left_out(sizes),
    )


def _predictions(tables: Tables, n_families: int | None, random_state: int) -> Predictions | None:
    target = target_of(tables)
    if target is None or tables.holdout is None:
        return None
    families = target.families[:n_families]
    return predict_holdout(tables, target, families=families, random_state=random_state)


def _thinned(tables: Tables, max_rows: int | None, random_state: int) -> Tables:
    if max_rows is None:
        return tables
    generator = np.random.default_rng(random_state)
    given = {name: getattr(tables, name) for name in TABLES}
    thin: dict[str, Any] = {
        name: at_most_rows(r, max_rows, generator) for name, r in given.items() if r is not None
    }
    non_private = tuple(at_most_rows(fit, max_rows, generator) for fit in tables.non_private)
    return replace(tables, **thin, non_private=non_private)
