"""The model file: one uncompressed zip of a manifest, weights and releases. No pickle, no real value."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from privsynth.errors import ModelFileError
from privsynth.errors.json_text import json_value
from privsynth.io.atomic import written_aside
from privsynth.releases.store import Release, release_from, tensor_bytes

FORMAT_VERSION = 1
MEMBERS = ("manifest.json", "weights.safetensors", "releases.safetensors")
MAX_MEMBER_BYTES = 2 * 2**30
DAMAGED = (  # what parts of a file that do not fit may raise
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    NotImplementedError,
)

Array = NDArray[Any]


@dataclass(frozen=True)
class ModelFile:
    """The contents of a model file.

    Attributes:
        manifest: JSON-able facts; ``class`` names the synthesizer.
        weights: Arrays of the model by name.
        releases: What was released, in order.
    """

    manifest: dict[str, Any]
    weights: Mapping[str, Array]
    releases: tuple[Release, ...]


def write_model_file(path: str | Path, contents: ModelFile, *, force: bool) -> None:
    """Write a model file aside, then rename it; mode 0600.

    Raises:
        TableError: If it cannot be written, or a file is there and ``force`` is not set.
    """
    releases = {
        f"{i}/{name}": array
        for i, release in enumerate(contents.releases)
        for name, array in release.arrays.items()
    }
    headers = [release.header() for release in contents.releases]
    manifest = {"format_version": FORMAT_VERSION, **contents.manifest, "releases": headers}
    members = (
        json.dumps(manifest, indent=1, allow_nan=False).encode(),
        tensor_bytes(contents.weights),
        tensor_bytes(releases),
    )
    with written_aside(path, force=force, owner_only=True) as aside, open(aside, "wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, data in zip(MEMBERS, members, strict=True):
                archive.writestr(zipfile.ZipInfo(name), data)
        file.flush()
        os.fsync(file.fileno())


def read_model_file(path: str | Path) -> ModelFile:
    """Read a model file without running any code from it.

    Raises:
        ModelFileError: If the file is missing, damaged, of another kind, or from a newer version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if sorted(info.filename for info in infos) != sorted(MEMBERS):
                raise ModelFileError(f"{str(path)!r} is not a privsynth model: it holds other files")
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
                raise ModelFileError(f"{str(path)!r} is not a privsynth model: its parts are compressed")
            if any(info.file_size > MAX_MEMBER_BYTES for info in infos):
                raise ModelFileError(f"{str(path)!r} is too large to be a privsynth model")
            manifest_json, weights, releases = (archive.read(name) for name in MEMBERS)
        manifest = json_value(manifest_json)
        version = manifest["format_version"]
        if not isinstance(version, int) or version < 1:
            raise ValueError("no version of the format")
        if version > FORMAT_VERSION:
            raise ModelFileError(
                f"{str(path)!r} has model format {version!r}, and this version reads up to {FORMAT_VERSION}; "
                "update privsynth"
            )
        return ModelFile(
            {name: value for name, value in manifest.items() if name != "releases"},
            load_tensors(weights),
            _releases(manifest["releases"], load_tensors(releases)),
        )
    except ModelFileError:
        raise
    except FileNotFoundError:
        raise ModelFileError(f"there is no model file {str(path)!r}") from None
    except OSError as error:
        raise ModelFileError(f"{str(path)!r} cannot be read: {error.strerror or 'it is damaged'}") from None
    except (*DAMAGED, zipfile.BadZipFile, SafetensorError, EOFError) as error:
        raise ModelFileError(
            f"{str(path)!r} is damaged or not a privsynth model ({type(error).__name__})"
        ) from None


def _releases(headers: list[dict[str, Any]], arrays: Mapping[str, Array]) -> tuple[Release, ...]:
    of_release: list[dict[str, Array]] = [{} for _ in headers]
    for name, array in arrays.items():
        position, _, own_name = name.partition("/")
        of_release[int(position)][own_name] = array
    return tuple(release_from(h, a) for h, a in zip(headers, of_release, strict=True))
