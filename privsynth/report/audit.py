"""The audit of a synthetic table or of synthetic images: every section, and the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import pandas as pd

from privsynth.attacks.private_audit import AuditAccount, AuditBudget, paid_audit
from privsynth.errors import ParameterError
from privsynth.errors.arguments import renamed_arguments, whole_number
from privsynth.errors.seeds import checked_seed
from privsynth.io.image_files import ImageSource
from privsynth.io.source import Table
from privsynth.io.tables import read_table
from privsynth.metrics.common.balanced import Sampler
from privsynth.metrics.common.images import load_images
from privsynth.metrics.common.tables import load_tables, roles_of
from privsynth.metrics.leakage.membership import split_by_chance
from privsynth.metrics.leakage.shadow import Shadowing
from privsynth.metrics.utility.downstream import DirectModel
from privsynth.models.threads import idle_processors_only
from privsynth.records.linked import Tables
from privsynth.report.context import (
    ImageContext,
    PublicContext,
    TableContext,
    as_images,
    as_table,
    sizes_of,
)
from privsynth.report.limits import QUICK, QUICK_IMAGES, ImageLimits, Limits
from privsynth.report.linked_audit import audit_linked
from privsynth.report.provenance import drawing_of
from privsynth.report.public import report_publicly
from privsynth.report.report import AuditReport
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema


class FittedToTables(Protocol):
    """A synthesizer that was fitted to linked tables; only what it guarantees is asked of it."""

    @property
    def guarantee_(self) -> dict[str, Any]:
        """The statement of its model file."""
        ...


@renamed_arguments(twin="non_private", n_twins="n_non_private")
@idle_processors_only()
def audit(
    *,
    real: Table | ImageSource | Tables,
    synthetic: Table | ImageSource | Tables,
    schema: Schema | LinkedSchema,
    holdout: Table | ImageSource | Tables | None = None,
    reference: Table | ImageSource | Tables | None = None,
    non_private: Table | Sequence[Table] | Callable[[], Table] | None = None,
    n_non_private: int = 1,
    model: Sampler | FittedToTables | None = None,
    direct: DirectModel | None = None,
    guarantee: Mapping[str, Any] | None = None,
    drawing: Mapping[str, Any] | None = None,
    target: str | None = None,
    groups: Sequence[str] | None = None,
    quick: bool = False,
    limits: Limits | ImageLimits | None = None,
    budget: AuditBudget | None = None,
    shadowing: Shadowing | None = None,
    random_state: int = 0,
    progress: Callable[[str], None] | None = None,
) -> AuditReport:
    """Audit a synthetic table: fidelity, utility, fairness, membership, disclosure, and the verdicts.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows, of any tool.
        schema: The description of the table. Of linked tables it takes a `LinkedSchema`, and each side is a
            folder or a mapping of names to tables.
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
        limits: How much is done, in place of the usual or the quick amount; of the kind of what is audited.
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
    shared: dict[str, Any] = {
        "schema": schema,
        "guarantee": dict(guarantee) if guarantee is not None else None,
        "random_state": checked_seed(random_state, below=2**32) or 0,
        "progress": progress or (lambda message: None),
    }
    if isinstance(schema, LinkedSchema):
        _refuse(
            "an audit of linked tables",
            non_private=non_private,
            direct=direct,
            target=target,
            groups=groups,
            budget=budget,
            shadowing=shadowing,
        )
        return audit_linked(
            cast(Tables, real),
            cast(Tables, synthetic),
            schema=schema,
            holdout=cast("Tables | None", holdout),
            reference=cast("Tables | None", reference),
            limits=_limits(limits, quick=quick),
            drawing=drawing,
            shared=shared,
        )
    if schema.image is not None:
        _refuse(
            "an audit of images", non_private=non_private, direct=direct, budget=budget, shadowing=shadowing
        )
        if limits is None:
            limits = QUICK_IMAGES if quick else ImageLimits()
        if not isinstance(limits, ImageLimits):
            raise ParameterError(f"expected limits to be ImageLimits, got {type(limits).__name__}")
        sets = {"real": real, "synthetic": synthetic, "holdout": holdout, "reference": reference}
        sources: dict[str, Any] = {name: s if s is None else as_images(s) for name, s in sets.items()}
        shared["progress"]("reading the images")
        images = load_images(**sources, schema=schema, target=target, groups=groups)
        drawn = drawing_of(images.attrs if drawing is None else drawing)
        return _report_on_images(ImageContext(**shared, drawing=drawn, images=images, limits=limits))
    n_non_private = whole_number("n_non_private", n_non_private, least=1)
    if budget is not None:
        _refuse(
            "an audit under a budget",
            non_private=non_private,
            direct=direct,
            shadowing=shadowing,
            limits=limits,
        )
    limits = _limits(limits, quick=quick)
    target, groups = roles_of(schema, target, groups)
    if callable(non_private):
        shared["progress"]("fitting without privacy")
        non_private = [non_private() for _ in range(n_non_private)]
    shared["progress"]("reading the tables")
    real, released = as_table(real), read_table(as_table(synthetic), schema, is_real=False)
    holdout = None if holdout is None else as_table(holdout)
    reference = None if reference is None else as_table(reference)
    shared["drawing"] = drawing_of(released.attrs if drawing is None else drawing)
    given: dict[str, Any] = {
        "schema": schema,
        "holdout": holdout,
        "reference": reference,
        "target": target,
        "groups": groups,
        "random_state": shared["random_state"],
    }
    if budget is not None:
        return _under_budget(budget, real, released, given, shared)
    tables = load_tables(
        real, released, non_private=non_private, model=cast("Sampler | None", model), **given
    )
    return _report_on_table(
        TableContext(
            **shared,
            everything=tables,
            limits=limits,
            is_randomised=split_by_chance(real, holdout, schema),
            direct=direct,
            shadowing=shadowing,
        )
    )


def _limits(limits: Limits | ImageLimits | None, *, quick: bool) -> Limits:
    if limits is None:
        return QUICK if quick else Limits()
    if not isinstance(limits, Limits):
        raise ParameterError(f"expected limits to be Limits, got {type(limits).__name__}")
    return limits


def _refuse(what: str, **given: object) -> None:
    """Raise a `ParameterError` if something is given that this kind of audit makes nothing of."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise ParameterError(f"{what} takes no {' and no '.join(names)}; leave it out")


def _under_budget(
    budget: AuditBudget,
    real: Table,
    released: pd.DataFrame,
    given: Mapping[str, Any],
    shared: Mapping[str, Any],
) -> AuditReport:
    """Return the public report with figures of real records that the budget pays for.

    Privacy:
        Accounted: the budget is reserved before a record is read.
    """
    with AuditAccount(given["schema"], budget) as account:
        with account.reading():
            tables = load_tables(real, released, **given)

        def count() -> dict[str, Any]:
            return paid_audit(
                real=tables.real,
                holdout=tables.holdout,
                synthetic=tables.synthetic,
                schema=tables.schema,
                target=tables.target,
                account=account,
                random_state=shared["random_state"],
            )

        shared["progress"]("counting under the budget of the audit")
        return report_publicly(
            PublicContext(
                **shared,
                synthetic=released,
                target=tables.target,
                groups=tables.groups,
                count_under_budget=count,
            )
        )


def _report_on_table(context: TableContext) -> AuditReport:
    tables, limits = context.tables, context.limits
    sizes = sizes_of(context.everything)
    return AuditReport.of(
        context,
        tables=sizes,
        settings={
            "unit": context.schema.unit,
            **({"sequences": True} if context.schema.is_sequential else {}),
            "columns": list(tables.real.frame.columns),
            "target": tables.target,
            "groups": list(tables.groups),
            "quick": limits == QUICK,
            "public": False,
            "random_state": context.random_state,
        },
        notes=list(tables.notes),
        left_out=limits.left_out(sizes),
    )


def _report_on_images(context: ImageContext) -> AuditReport:
    schema, images, limits = context.schema, context.images, context.limits
    return AuditReport.of(
        context,
        tables=sizes_of(images.tables),
        settings={
            "kind": "images",
            "image": None if schema.image is None else schema.image.to_dict(),
            "unit": schema.unit,
            "columns": list(images.tables.synthetic.frame.columns),
            "target": None if images.target is None else images.target.name,
            "groups": list(images.tables.groups),
            "quick": limits == QUICK_IMAGES,
            "public": False,
            "random_state": context.random_state,
        },
        notes=list(images.tables.notes),
        left_out=limits.left_out(images),
    )
