"""Everything that a fit leaves is a function of its releases and of what was public before it.

The model file, the checkpoint, the progress and the configuration are made a second time by a curator without
records, from the stored releases (and, of trained models, their noisy gradients) alone.
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile

import pytest

from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from privsynth.releases.store import ReleaseStore
from privsynth.schema import Schema
from privsynth.synthesizers import MarginalSynthesizer
from privsynth.synthesizers.arguments import whole_budget
from privsynth.synthesizers.guarantee import guarantee_statement
from privsynth.synthesizers.model_file import MEMBERS
from privsynth.synthesizers.training import BLOCK
from tests.contracts.synthesizers import QUICK_SETTINGS, as_records, maker
from tests.helpers.tables import PATIENTS, patients

SECONDS_LEFT = re.compile(r", \d+ s left")
PRIVATE = Schema.from_dict(
    {"columns": PATIENTS.to_dict()["columns"] | {"ward": {"type": "categorical", "categories": "private"}}}
)
every_kind = pytest.mark.parametrize("kind", QUICK_SETTINGS, ids=lambda kind: kind.name)


def fitted(kind, folder, monkeypatch, *, n_rows=600, **arguments):
    """Fit; return the synthesizer, what it told, and the noisy gradients of its steps."""
    told, tape = [], []
    step = GradientSteps.noisy_gradient

    def noted(self, clipper, optimizer):
        step(self, clipper, optimizer)
        tape.append([p.grad.clone() for p in clipper.parameters])

    folder.mkdir()
    synthesizer = maker(kind)(**arguments)
    source, schema = as_records(synthesizer, patients(n_rows).dropna(subset="ward"), PRIVATE)
    with monkeypatch.context() as patch:
        patch.setattr(GradientSteps, "noisy_gradient", noted)
        synthesizer.fit(
            source,
            schema=schema,
            dataset="d",
            ledger=folder / "ledger.sqlite",
            releases_path=folder / "m.partial",
            progress=lambda *said: told.append(said),
        )
    synthesizer.save(folder / "m.privsynth")
    return synthesizer, told, tape


def rebuilt(kind, folder, tape):
    """Make it again from what lies in the store: releases, seed, configuration."""
    stored = ReleaseStore(folder / "m.partial")
    configuration, told = stored.meta["configuration"], []
    again = maker(kind)(epsilon=configuration["epsilon"], delta=configuration["delta"])
    schema, store = Schema.from_dict(configuration["schema"]), ReleaseStore()
    of_run = ("seed", "added_delta", "ledger_link")
    store.set_meta(**{name: stored.meta[name] for name in of_run})
    for release in stored:
        store.append(release)
    stored.close()
    curator = Curator(schema=schema, allowance=whole_budget(again.epsilon, again.delta), store=store)
    curator.tape = tape
    model = again._make(
        curator,
        again.settings,
        seed=store.meta["seed"],
        device="cpu",
        progress=lambda *said: told.append(said),
    )
    statement = guarantee_statement(
        schema=schema,
        epsilon=again.epsilon,
        delta=again.delta,
        releases=store,
        dataset=configuration["dataset"],
        on_violation=configuration["on_violation"],
        is_secret=configuration["secret_source"],
    )
    again.device_, again.added_delta_ = "cpu", store.meta["added_delta"]
    again.fingerprint_ = again.fingerprint(None, schema=schema, dataset=configuration["dataset"])
    again.ledger_link_ = store.meta["ledger_link"]
    again._adopt(again.settings, store.meta["seed"], tuple(store), model, statement)
    again.save(folder / "again.privsynth")
    return told, store


def untimed(told):
    return [(SECONDS_LEFT.sub("", text), *counts) for text, *counts in told]


@every_kind
def test_model_file_checkpoint_and_progress_are_rebuilt_byte_by_byte_without_records(
    kind, tmp_path, monkeypatch
):
    _, told, tape = fitted(kind, tmp_path / "fit", monkeypatch)
    told_again, store = rebuilt(kind, tmp_path / "fit", tape)
    first, second = (zipfile.ZipFile(tmp_path / "fit" / f"{name}.privsynth") for name in ("m", "again"))
    with first, second:
        for member in MEMBERS:
            assert first.read(member) == second.read(member), member
    assert untimed(told) == untimed(told_again)
    stored = ReleaseStore(tmp_path / "fit" / "m.partial")
    kept, kept_again = stored.checkpoint(BLOCK), store.checkpoint(BLOCK)
    stored.close()
    assert (kept is None) == (kept_again is None) == (not tape)
    assert (kept or {}).keys() == (kept_again or {}).keys()
    for name, array in (kept or {}).items():
        again = kept_again[name]
        assert (array.dtype, array.shape, array.tobytes()) == (again.dtype, again.shape, again.tobytes()), (
            name
        )


@every_kind
def test_what_is_kept_beside_the_releases_is_known_before_a_record_is_read(kind, tmp_path, monkeypatch):
    """Two tables of other sizes leave the same beside their releases, but for the name of the run."""
    metas = []
    for n_rows in (300, 601):
        folder = tmp_path / str(n_rows)
        synthesizer, *_ = fitted(kind, folder, monkeypatch, n_rows=n_rows)
        store = ReleaseStore(folder / "m.partial")
        meta = dict(store.meta)
        store.close()
        assert len(str(meta.pop("run"))) == 32
        assert set(meta.pop("ledger_link")) == {"chain", "head", "number"}
        assert meta.pop("ledger") == str((folder / "ledger.sqlite").resolve())
        for name in [name for name in meta if name.endswith(("/begun", "/kept"))]:
            assert meta.pop(name) == synthesizer.settings.n_steps
        metas.append(json.dumps(meta, sort_keys=True))
    assert metas[0] == metas[1]
    assert set(json.loads(metas[0])) == {
        "configuration",
        "seed",
        "added_delta",
        "on_violation",
        "noiseless_stops",
        "snapshots",
    }


@pytest.mark.parametrize("n_rows", [30, 1000])
def test_the_warning_of_delta_is_a_function_of_the_released_number(n_rows, tmp_path, monkeypatch):
    """The noise is ten times as large as the table: whoever used the exact number would say another thing."""
    for attempt in range(6):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            synthesizer, *_ = fitted(
                MarginalSynthesizer,
                tmp_path / str(attempt),
                monkeypatch,
                n_rows=n_rows,
                epsilon=0.02,
                delta=1e-2,
            )
        limit = 1.0 / (10.0 * synthesizer.model_.n_units)
        said = [str(warning.message) for warning in caught if "delta=" in str(warning.message)]
        assert len(said) == (limit < 1e-2)
        assert all(f"below {limit:.1g} protects" in message for message in said)
