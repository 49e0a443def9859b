"""``privsynth fit --releases`` and ``plan --releases``: noisy tables that others released, and no records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from privsynth.cli.console import check_output, print_result, progress_said, say
from privsynth.errors import ModelFileError, ParameterError, SchemaError


def refuse_beside_releases(flags: Mapping[str, object]) -> None:
    """Raise a `ParameterError` if something is given that means nothing where no record is read.

    Args:
        flags: Their values by name; None where they are not given.
    """
    for flag, value in flags.items():
        if value is not None:
            raise ParameterError(
                f"{flag} means nothing beside --releases: no record is read and nothing is charged, for the "
                "tables were paid for where they were released. Leave it out"
            )


def fit_releases(
    folder: Path, schema_path: Path | None, output: Path, *, device: str, force: bool, as_json: bool
) -> None:
    """Fit a model to the noisy tables of a folder and write it."""
    from privsynth.schema import Schema
    from privsynth.synthesizers import ReleasesSynthesizer, load
    from privsynth.synthesizers.model_file import read_model_file

    if schema_path is None:
        raise SchemaError("fit needs a --schema: what is public about the columns of the tables")
    schema = Schema.load(schema_path)
    model = ReleasesSynthesizer(device=device)
    if output.exists() and not force:
        try:
            known = read_model_file(output).manifest.get("fingerprint")
        except ModelFileError:
            known = None
        if known is not None and known == model.fingerprint(folder, schema=schema):
            say(f"{output} was fitted by this very command: it is kept. --force fits anew")
            _print_fitted(output, load(output).guarantee_, as_json=as_json)
            return
    check_output(output, force=force)
    with progress_said() as progress:
        model.fit(folder, schema=schema, progress=progress)
    model.save(output, force=force)
    _print_fitted(output, model.guarantee_, as_json=as_json)


def _print_fitted(output: Path, guarantee: Mapping[str, object], *, as_json: bool) -> None:
    text = f"model written to {output}\n{guarantee['statement']}"
    print_result({"model": str(output), "guarantee": dict(guarantee)}, text, as_json=as_json)
