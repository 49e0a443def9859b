"""``privsynth plan``, ``fit`` and ``show``: from a budget to a model."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from privsynth.cli.console import (
    check_output,
    check_output_folder,
    print_result,
    progress_said,
    say,
)
from privsynth.cli.options import (
    AsJson,
    Delta,
    Force,
    LedgerPlace,
    MaybeRecordsPath,
    ModelPath,
    SchemaPath,
    Sheet,
)
from privsynth.errors import (
    BudgetExceededError,
    LedgerError,
    ModelFileError,
    ParameterError,
    SchemaError,
    StoreInUseError,
    TableError,
)
from privsynth.synthesizers import NAMES

if TYPE_CHECKING:
    import pandas as pd

    from privsynth.schema import Schema
    from privsynth.schema.linked import LinkedSchema
    from privsynth.synthesizers import AnySynthesizer, LinkedSynthesizer


SynthesizerName = StrEnum("SynthesizerName", {name: name for name in NAMES})  # type: ignore[misc]  # its members are known at run time
BY_DEFAULT = next(iter(SynthesizerName))


DEFAULT_DELTA = 1e-6


class Device(StrEnum):
    """Where the model is fitted."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class OnViolation(StrEnum):
    """What to do with a record that breaks the schema."""

    ERROR = "error"
    CLIP = "clip"


def plan(
    schema_path: SchemaPath,
    epsilon: Annotated[float, typer.Option(help="Budget asked for.")],
    rows: Annotated[int | None, typer.Option(min=1, help="Number of rows, roughly; public.")] = None,
    persons: Annotated[
        int | None,
        typer.Option(min=1, help="Number of persons, roughly, where the schema names them; public."),
    ] = None,
    delta: Delta = 1e-6,
    synthesizer: Annotated[SynthesizerName, typer.Option()] = BY_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say what a budget gives; reads no record."""
    from privsynth.cli.linked import read_schema
    from privsynth.schema.linked import LinkedSchema

    schema = read_schema(schema_path)
    n_units = _number_of_units(schema, rows=rows, persons=persons)
    from privsynth.synthesizers.plan import describe_plan, plan_linked
    from privsynth.synthesizers.plan import plan as plan_fit

    if isinstance(schema, LinkedSchema):
        fields = plan_linked(schema, n_units, epsilon, delta)
    else:
        fields = plan_fit(schema, n_units, epsilon, delta, synthesizer=synthesizer.value)
    print_result(fields, describe_plan(fields), as_json=as_json)


def fit(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL", help="Where the model goes.")],
    table: MaybeRecordsPath = None,
    epsilon: Annotated[
        str | None, typer.Option(metavar="E|none", help="Budget; 'none' fits without privacy.")
    ] = None,
    schema_path: Annotated[Path | None, typer.Option("--schema", help="Schema JSON.")] = None,
    delta: Delta = DEFAULT_DELTA,
    synthesizer: Annotated[SynthesizerName, typer.Option()] = BY_DEFAULT,
    ledger: LedgerPlace = None,
    dataset: Annotated[
        str | None, typer.Option(help="Name in the ledger; by default the file name without suffixes.")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to fit.")] = Device.AUTO,
    sheet: Sheet = None,
    grids: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Sheets of what is learnt so far, for images learnt by private steps."
        ),
    ] = None,
    on_violation: Annotated[OnViolation, typer.Option()] = OnViolation.ERROR,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Read the table in parts, so that memory does not grow with its rows; by default Parquet "
            "files of 128 MB and more.",
        ),
    ] = None,
    rows_may_leave: Annotated[
        bool,
        typer.Option(
            "--rows-may-leave",
            help="Let a synthesizer that learns from rows fetch those of a table in an engine, coded; the "
            "guarantee says so.",
        ),
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            metavar="MODEL",
            help="Go on from an earlier model of the same data set: its releases are measurements, and only "
            "new ones are paid for.",
        ),
    ] = None,
    releases: Annotated[
        Path | None,
        typer.Option(
            "--releases",
            metavar="FOLDER",
            help="Noisy tables that were released elsewhere, in the place of TABLE: no record is read.",
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard an interrupted run; what it charged stays spent.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Fit a model under the budget.

    The same command resumes an interrupted run. `torchrun --nproc-per-node K -m privsynth fit ...` divides
    private steps among K processes.
    """
    from privsynth.cli.early import check_table
    from privsynth.cli.linked import read_schema
    from privsynth.cli.releases import fit_releases, refuse_beside_releases
    from privsynth.schema.linked import LinkedSchema

    if releases is not None:
        fields = {
            "TABLE": table,
            "--epsilon": epsilon,
            "--ledger": ledger,
            "--dataset": dataset,
            "--sheet": sheet,
            "--grids": grids,
            "--stream": stream,
            "--start": start,
            "--rows-may-leave": rows_may_leave or None,
            "--restart": restart or None,
            "--delta": None if delta == DEFAULT_DELTA else delta,
            "--on-violation": None if on_violation is OnViolation.ERROR else on_violation.value,
            "--synthesizer": None if synthesizer == BY_DEFAULT else synthesizer.value,
        }
        refuse_beside_releases(fields)
        fit_releases(releases, schema_path, output, device=device.value, force=force, as_json=as_json)
        return
    if table is None:
        raise typer.BadParameter("missing; or give --releases FOLDER, of noisy tables", param_hint="'TABLE'")
    if epsilon is None:
        raise typer.BadParameter("missing", param_hint="'--epsilon'")
    if schema_path is None:
        raise SchemaError(
            f"fit needs a --schema; `privsynth schema {quote(table)} -o schema.json` drafts one: declare in "
            'it what is public, and set to "private" what shall be found under the budget'
        )
    declared, budget = read_schema(schema_path), _epsilon(epsilon)
    check_table(table, declared)
    from privsynth.cli.images import check_sheet, with_grids, write_sheet
    from privsynth.privacy.distributed import RankStoppedError, is_helper
    from privsynth.synthesizers import LinkedSynthesizer, load, synthesizer_class
    from privsynth.synthesizers.interruption import FitInterrupted

    kind: type[AnySynthesizer | LinkedSynthesizer] = synthesizer_class(synthesizer.value)
    if isinstance(declared, LinkedSchema):
        if synthesizer != BY_DEFAULT:
            raise ParameterError(
                f"the schema describes linked tables, and {synthesizer.value!r} learns single ones; leave "
                "--synthesizer out"
            )
        kind = LinkedSynthesizer
    model = kind(epsilon=budget, delta=delta, device=device.value)
    if is_helper():
        with suppress(RankStoppedError):  # the first rank says why, and its exit code is that of all
            model.fit(table, schema=declared, dataset=dataset, on_violation=on_violation.value, start=start)
        return
    check_sheet(sheet, synthesizer.value, force=force)
    partial = output.with_name(output.name + ".partial")
    if not (force or restart or partial.exists()) and _is_fitted(
        output,
        model.fingerprint(
            table, schema=declared, dataset=dataset, on_violation=on_violation.value, start=start
        ),
    ):
        say(
            f"{output} was fitted by this very command: it is kept, nothing was read and nothing was paid. "
            "--force fits anew, under the budget that is left"
        )
        _print_fitted(output, load(output).guarantee_, as_json=as_json)
        return
    _check_ledger_of(output, ledger)
    goes_on = force or partial.exists()  # an interrupted run may have left its model there, and sheets
    check_output(output, force=goes_on)
    try:
        with progress_said() as said:
            progress = with_grids(said, grids, synthesizer.value, force=goes_on)
            model.fit(
                table,
                schema=declared,
                dataset=dataset,
                ledger=ledger,
                on_violation=on_violation.value,
                releases_path=partial,
                restart=restart,
                progress=progress,
                stream=stream,
                rows_may_leave=rows_may_leave,
                start=start,
            )
        _save(model, output, partial)
    except FitInterrupted as stopped:
        _save(model, output, partial)
        raise KeyboardInterrupt(
            f"{stopped}: a usable model of what was learnt so far is in {str(output)!r}; "
            + _resumable(partial)
        ) from None
    except KeyboardInterrupt:
        _discard_unpaid(partial)
        kept = _resumable(partial) if partial.exists() else "nothing was read, and nothing was paid"
        raise KeyboardInterrupt(kept) from None
    except (ParameterError, LedgerError, BudgetExceededError):
        _discard_unpaid(partial)
        raise
    partial.unlink(missing_ok=True)
    write_sheet(model, sheet, force=force)
    _print_fitted(output, model.guarantee_, as_json=as_json)


def show(
    model: ModelPath,
    tables: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the tables that the schema's 'workload' declares, with the error of each cell, as "
            "CSV files into this folder.",
        ),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Show the guarantee of a model."""
    from privsynth.cli.statement import describe_guarantee
    from privsynth.synthesizers import load

    synthesizer = load(model)
    if tables is not None:
        _write_declared(synthesizer, tables, force=force)
    guarantee, lost = synthesizer.guarantee_, synthesizer.lost_columns()
    fields = guarantee | ({"lost_columns": lost} if lost else {})
    print_result(fields, describe_guarantee(guarantee, lost, synthesizer.rows_of_persons), as_json=as_json)


def _write_declared(synthesizer: Any, folder: Path, *, force: bool) -> None:
    """Write each declared table to a CSV file of its own."""
    from privsynth.errors import RequestError
    from privsynth.io.tables import write_table

    declared: dict[tuple[str, ...], pd.DataFrame] = getattr(synthesizer, "declared_tables", dict)()
    if not declared:
        raise RequestError(
            "the model has no declared tables: its schema has no 'workload'. Add one, such as "
            '"workload": [["sex", "age"]], and fit again'
        )
    names = tuple(f"table-{number:02d}.csv" for number in range(1, len(declared) + 1))
    check_output_folder(folder, names, force=force)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(names, declared.values(), strict=True):
        write_table(frame, folder / name, force=force)
    say(f"wrote {len(declared)} tables to {folder}")


def _number_of_units(schema: Schema | LinkedSchema, *, rows: int | None, persons: int | None) -> int:
    """Return what a count of the table is weighed against: persons where the schema names them, else rows."""
    if schema.person_id is None:
        if rows is None:
            raise ParameterError(
                "expected --rows, about how many rows the table has: the schema names no person, so each row "
                "is a unit of the guarantee"
            )
        return rows
    if persons is None:
        raise ParameterError(
            f"expected --persons, about how many persons the table has: the schema names them by "
            f"{schema.person_id!r}, so noise is weighed against persons, and a number of rows does not tell "
            "how many they are"
        )
    return persons


def _print_fitted(output: Path, guarantee: dict[str, Any], *, as_json: bool) -> None:
    text = f"model written to {output}\n{guarantee['statement']}"
    print_result({"model": str(output), "guarantee": guarantee}, text, as_json=as_json)


def _is_fitted(output: Path, fingerprint: str) -> bool:
    """Whether there is a model of a fit with these settings that came to its end."""
    from privsynth.synthesizers.model_file import read_model_file

    try:
        manifest = read_model_file(output).manifest
    except ModelFileError:
        return False
    finished = manifest.get("guarantee", {}).get("interrupted") is None
    return finished and manifest.get("fingerprint") == fingerprint


def _check_ledger_of(model: Path, ledger: str | None) -> None:
    """Refuse a ledger that lacks what the model, which a fit shall replace, was charged in it."""
    from privsynth.ledger.ledger import Ledger
    from privsynth.synthesizers.model_file import read_model_file

    link = None
    with suppress(ModelFileError):
        link = read_model_file(model).manifest.get("ledger_link")
    if link is not None:
        Ledger(ledger).check_link(link, repr(str(model)))


def _save(model: AnySynthesizer | LinkedSynthesizer, output: Path, partial: Path) -> None:
    """Write the model; if that fails, say that nothing of what was paid for is lost."""
    try:
        model.save(output, force=True)  # checked before anything was paid for
    except TableError as error:
        raise TableError(
            f"{error}. Nothing is lost: {str(partial)!r} keeps what was paid for, and once that is mended "
            "the same command goes on"
        ) from None


def _resumable(partial: Path) -> str:
    return (
        f"what was paid for stays charged and is kept in {str(partial)!r}, what was not went back, and the "
        "same command resumes; --restart would discard what is kept"
    )


def _discard_unpaid(partial: Path) -> None:
    """Remove the store of a run that was refused before it reserved anything: it would be in the way."""
    from privsynth.releases.store import ReleaseStore

    if not partial.exists():
        return
    with suppress(ModelFileError, StoreInUseError):  # not ours to judge
        store = ReleaseStore(partial)
        store.close()
        if len(store) == 0 and "added_delta" not in store.meta:  # which is kept once a run is reserved
            partial.unlink()


def _epsilon(text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise ParameterError(f"expected --epsilon to be a number > 0 or 'none', got {text!r}") from None
