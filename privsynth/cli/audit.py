"""``privsynth audit``: judge a synthetic table against the real one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from privsynth.cli.console import check_output_folder, print_result, say_step
from privsynth.cli.options import AsJson, Delta, Force, LedgerPlace, SchemaPath

if TYPE_CHECKING:
    from privsynth.attacks.private_audit import AuditBudget
    from privsynth.report.report import AuditReport

VERDICT_REACHED = 5


class FailOn(StrEnum):
    """Verdict that makes the exit code 5."""

    PROBLEM = "problem"
    ATTENTION = "attention"


def audit(
    synthetic: Annotated[str, typer.Option(help="The synthetic rows, of any tool.")],
    schema_path: SchemaPath,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the report.")],
    real: Annotated[
        str | None, typer.Option(help="The records that the generator was fitted to; not with --public.")
    ] = None,
    holdout: Annotated[str | None, typer.Option(help="Rows that the generator never saw.")] = None,
    reference: Annotated[str | None, typer.Option(help="More such rows, for the attack.")] = None,
    non_private: Annotated[
        list[str] | None,
        typer.Option(
            help="Rows of the same generator without privacy: who pays for epsilon? One flag a fit."
        ),
    ] = None,
    twin: Annotated[list[str] | None, typer.Option(hidden=True, help="Old name of --non-private.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model file: its guarantee, and balanced rows to train on.")
    ] = None,
    request: Annotated[
        Path | None,
        typer.Option(help="JSON by which the rows were drawn from the model; Parquet files know it."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Column to predict; else the schema's.")] = None,
    groups: Annotated[
        str | None, typer.Option(metavar="A,B", help="Columns to compare by; else the schema's.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Do less, and say what was left out.")] = False,
    public: Annotated[
        bool, typer.Option("--public", help="A page to publish: the guarantee and the rows; reads no record.")
    ] = False,
    audit_epsilon: Annotated[
        float | None,
        typer.Option(help="Spend this on figures that may be published; all else is left out."),
    ] = None,
    delta: Delta = 1e-6,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set to charge in the ledger; else the model's, or the name of the real table."
        ),
    ] = None,
    ledger: LedgerPlace = None,
    fail_on: Annotated[FailOn | None, typer.Option(help="Exit with 5 on such a verdict or worse.")] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Judge fidelity, utility, fairness and leakage; of linked tables how their rows belong together.

    Where the schema is of linked tables, folders stand in the place of files. With --public neither --real
    nor --holdout is read, and none may be given.
    """
    from privsynth.cli.early import check_table
    from privsynth.cli.linked import read_schema, refuse_for_linked
    from privsynth.errors import ParameterError
    from privsynth.schema.linked import LinkedSchema

    non_private = [*(non_private or []), *(twin or [])]
    of_records = {"--real": real, "--holdout": holdout, "--reference": reference}
    given = [flag for flag, path in (*of_records.items(), ("--non-private", non_private)) if path]
    if public and given:
        raise ParameterError(
            f"expected no table of real records with --public, got {', '.join(given)}; leave it out"
        )
    if real is None and not public:
        raise ParameterError("expected --real, the records that the generator was fitted to, or --public")
    schema = read_schema(schema_path)
    if isinstance(schema, LinkedSchema):
        refuse_for_linked(
            {
                "--public": public or None,
                "--non-private": non_private or None,
                "--request": request,
                "--target": target,
                "--groups": groups,
                "--audit-epsilon": audit_epsilon,
            }
        )
    for table in (real, holdout, reference, synthetic, *non_private):
        if table is not None:
            check_table(table, schema)
    from privsynth.attacks.private_audit import AuditBudget
    from privsynth.cli.request import drawing_by, read_request_file
    from privsynth.ledger.ledger import Ledger
    from privsynth.report.public import public_report
    from privsynth.report.report import HTML_NAME, JSON_NAME
    from privsynth.synthesizers import load
    from privsynth.synthesizers.run import dataset_name

    check_output_folder(output, (JSON_NAME, HTML_NAME), force=force)
    synthesizer = load(model) if model else None
    budget = None
    if audit_epsilon is not None:  # charged where the fit was charged, so that the two compose
        fitted_to = synthesizer.guarantee_["dataset"] if synthesizer else None
        charged = dataset_name(real, dataset or fitted_to) or ""
        if synthesizer is not None:
            Ledger(ledger).check_link(synthesizer.ledger_link_, repr(str(model)))
        budget = AuditBudget(epsilon=audit_epsilon, delta=delta, dataset=charged, ledger=ledger)
    drawing = None
    if request is not None:
        if synthesizer is None:
            raise ParameterError("expected --model beside --request: the model tells what a request moves")
        drawing = drawing_by(synthesizer, read_request_file(request))
    if (public or real is None) and not isinstance(schema, LinkedSchema):
        guarantee = synthesizer.guarantee_ if synthesizer else None
        report = public_report(synthetic=synthetic, schema=schema, guarantee=guarantee, drawing=drawing)
    else:
        assert real is not None
        report = _run_audit(
            budget,
            real=real,
            synthetic=synthetic,
            schema=schema,
            holdout=holdout,
            reference=reference,
            non_private=non_private or None,
            model=synthesizer,
            drawing=drawing,
            target=target,
            groups=[name.strip() for name in groups.split(",")] if groups else None,
            quick=quick,
            progress=say_step,
        )
    report.save(output, force=force)
    html = output / HTML_NAME
    fields = {"json": str(output / JSON_NAME), "html": str(html), "verdicts": report.verdicts}
    print_result(fields, f"{describe_verdicts(report.verdicts)}\nreport: {html}", as_json=as_json)
    if fail_on and any(v["verdict"] in _at_least(fail_on) for v in report.verdicts):
        raise typer.Exit(VERDICT_REACHED)


def _run_audit(budget: AuditBudget | None, **arguments: Any) -> AuditReport:
    """Run the audit; one under a budget says, if it is interrupted, what that has cost."""
    from privsynth.report.audit import audit as run_audit

    try:
        return run_audit(budget=budget, **arguments)
    except KeyboardInterrupt:
        if budget is None:
            raise
        raise KeyboardInterrupt(
            "nothing was written; what the audit had counted stays charged, and the rest of its budget went "
            "back. `privsynth ledger show` shows both; the same command counts anew"
        ) from None


def describe_verdicts(verdicts: list[dict[str, Any]]) -> str:
    """Say each verdict in a line, with its evidence."""
    return "\n".join(f"{v['verdict']}: {v['question']} {v['evidence']}" for v in verdicts)


def _at_least(level: FailOn) -> set[str]:
    return {"problem"} if level is FailOn.PROBLEM else {"problem", "attention"}
