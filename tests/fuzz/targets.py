"""What reads files of unknown origin, each with good files to begin from."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import privsynth
from privsynth.accounting.events import Gaussian
from privsynth.cli.linked import read_schema
from privsynth.cli.request import read_request_file
from privsynth.io.tables import open_table
from privsynth.ledger.ledger import Ledger, Unit
from privsynth.records.images import read_images
from privsynth.releases.store import Release, ReleaseStore
from privsynth.sampling.request import SampleRequest
from privsynth.schema import Schema
from privsynth.synthesizers.elsewhere.statement import NAME, read_statement
from privsynth.synthesizers.elsewhere.synthesizer import read_releases
from tests.helpers.elsewhere import VISITS, counted, state, table, visits
from tests.helpers.linked import SCHEMA as LINKED
from tests.helpers.tables import PATIENTS, patients

FILES = Path(__file__).parent.parent / "older_files"
OLDER = FILES / "first"
IMAGES = Schema.from_dict(
    {"columns": {"label": {"type": "integer", "low": 0, "high": 9}}, "image": {"height": 4, "width": 4}}
)


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        suffix: How names of its files end.
        seeds: Makes good files.
        read: Reads one; raises.
    """

    suffix: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]


def _model(path: Path) -> None:
    model = privsynth.load(path)
    model.sample(5, random_state=0)


def _request(path: Path) -> None:
    SampleRequest(
        **{k: v for k, v in read_request_file(path).items() if k in ("conditions", "balance", "parity")}
    )


def _table(path: Path) -> None:
    source = open_table(path)
    for name in source.names:
        source.column(name)


def _images(path: Path) -> None:
    assert IMAGES.image is not None
    read_images(path, shape=IMAGES.image)


def _idx(path: Path) -> None:
    labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    labels.write_bytes(gzip.compress(bytes([0, 0, 8, 1]) + (3).to_bytes(4, "big") + bytes(3)))
    _images(path)


def _statement(path: Path) -> None:
    (path.parent / NAME).write_bytes(path.read_bytes())
    (path.parent / "sex-age.csv").write_bytes(_cells_seeds()[0])
    read_releases(path.parent, read_statement(path.parent), VISITS)


def _cells(path: Path) -> None:
    stated = state(path.parent, [table(["sex", "age"], 10.0, cells=path.name)])
    read_releases(stated, read_statement(stated), VISITS)


def _store(path: Path) -> None:
    store = ReleaseStore(path)
    try:
        list(store)
    finally:
        store.close()


def _ledger(path: Path) -> None:
    Ledger(path).datasets()


def _model_seeds() -> list[bytes]:
    return [path.read_bytes() for path in sorted(FILES.glob("*/*.privsynth"))]


def _json_seeds() -> list[bytes]:
    linked = json.dumps(LINKED.to_dict()).encode()
    return [(OLDER / "schema.json").read_bytes(), json.dumps(PATIENTS.to_dict()).encode(), linked]


def _yaml_seeds() -> list[bytes]:
    return [b"columns:\n  age: &a {type: integer, low: 0, high: 90}\n  b: *a\n  c: {type: boolean}\n"]


def _request_seeds() -> list[bytes]:
    asked = {"conditions": {"sex": ["F"], "age": [18, 30]}, "balance": ["sex"], "n": 10}
    parity = {"parity": {"target": "ill", "groups": ["sex"]}, "on_unsupported": "warn"}
    return [json.dumps(asked).encode(), json.dumps(parity).encode()]


def _parquet_seeds() -> list[bytes]:
    frame = patients(40)
    frame["day"] = pd.to_datetime("2020-01-01")
    frame["kind"] = pd.Categorical(["a", "b"] * 20)
    frame.attrs["given"] = "types"
    held = io.BytesIO()
    frame.to_parquet(held)
    return [held.getvalue()]


def _csv_seeds() -> list[bytes]:
    return [b"age,sex\n41,F\n42,M\n", 'a;b\n"x;y";1,5\n'.encode("utf-16"), b'\xef\xbb\xbfa\tb\n"q""q"\t2\n']


def _statement_seeds() -> list[bytes]:
    def make(path: Path) -> None:
        state(path.parent, [table(["sex", "age"], 10.0)], epsilon=1.0)
        (path.parent / NAME).rename(path)

    return _made(make)


def _cells_seeds() -> list[bytes]:
    return [counted(visits(50), ["sex", "age"]).to_csv(index=False).encode()]


def _npz_seeds() -> list[bytes]:
    seeds = []
    for save in (np.savez, np.savez_compressed):
        held = io.BytesIO()
        save(held, images=np.zeros((3, 4, 4), np.uint8), label=np.arange(3))
        seeds.append(held.getvalue())
    return seeds


def _idx_seeds() -> list[bytes]:
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (3, 4, 4))
    return [header + bytes(48)]


def _made(make: Callable[[Path], None]) -> list[bytes]:
    folder = Path(tempfile.mkdtemp())
    try:
        make(folder / "made")
        return [(folder / "made").read_bytes()]
    finally:
        shutil.rmtree(folder)


def _store_seeds() -> list[bytes]:
    def make(path: Path) -> None:
        store = ReleaseStore(path)
        store.set_meta(run="r", configuration={"a": [1]}, seed=3)
        store.append(Release(key="k", event={"mechanism": "gaussian"}, arrays={"0": np.arange(3.0)}))
        store.set_checkpoint("steps", {"w": np.zeros(4)}, n_steps=1)
        store.close()

    return [(OLDER / "interrupted.partial").read_bytes(), *_made(make)]


def _ledger_seeds() -> list[bytes]:
    def make(path: Path) -> None:
        ledger = Ledger(path)
        ledger.set_limit("d", epsilon=9.0, delta=1e-5)
        run = ledger.reserve(dataset="d", unit=Unit(unit="record"), epsilon=1.0, delta=1e-6, description="")
        ledger.charge(run, Gaussian(purpose="counts", noise_multiplier=20.0), "k")
        ledger.stop(run)

    def make_third(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.executescript((FILES / "third" / "ledger.sql").read_text())

    return [(OLDER / "ledger.sqlite").read_bytes(), *_made(make), *_made(make_third)]


TARGETS = {
    "model": Target(".privsynth", _model_seeds, _model),
    "schema": Target(".json", _json_seeds, read_schema),
    "yaml": Target(".yaml", _yaml_seeds, read_schema),
    "request": Target(".json", _request_seeds, _request),
    "parquet": Target(".parquet", _parquet_seeds, _table),
    "csv": Target(".csv", _csv_seeds, _table),
    "npz": Target(".npz", _npz_seeds, _images),
    "idx": Target("-images-idx3-ubyte", _idx_seeds, _idx),
    "partial": Target(".partial", _store_seeds, _store),
    "statement": Target(".json", _statement_seeds, _statement),
    "cells": Target(".csv", _cells_seeds, _cells),
    "ledger": Target(".sqlite", _ledger_seeds, _ledger),
}


def read_bytes(target: Target, data: bytes, folder: Path) -> None:
    """Let a target read a file of these bytes."""
    path = folder / f"t{target.suffix}"
    path.write_bytes(data)
    try:
        target.read(path)
    finally:
        for left in folder.iterdir():
            with suppress(OSError):
                os.unlink(left)
