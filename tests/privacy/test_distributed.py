"""A fit by two processes of torchrun: one ledger, one batch, one noise, one model; bugs are caught."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from privsynth.errors import ParameterError
from privsynth.ledger.ledger import Ledger
from privsynth.privacy.distributed import Ranks
from privsynth.releases.store import ReleaseStore
from privsynth.synthesizers.distributed import joint_fit
from tests.helpers.joint_steps import SETTINGS, joint_fit_of_patients

ROOT = Path(__file__).parent.parent


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a module in two processes, one thread each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=300, env=environment
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("joint")
    done = torchrun("tests.helpers.joint_steps", "all", folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def found(out):
    return [json.loads((out / f"rank-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize(
    ("bug", "noise", "whole_sum"),
    [
        ("none", "holds", "holds"),
        ("noise by every rank", "fails", "fails"),
        ("noise by no rank", "fails", "holds"),
        ("records on both ranks", "holds", "fails"),
        ("half of the records", "holds", "fails"),
    ],
)
def test_the_joint_step_is_the_step_of_one_process(found, bug, noise, whole_sum):
    for of_rank in found:
        assert of_rank[f"{bug}: noise"] == noise
        assert of_rank[f"{bug}: sum"] == whole_sum


def test_the_first_rank_alone_pays_writes_and_speaks(out, found):
    first, helper = found
    assert sorted(path.name for path in out.iterdir() if "ledger" not in path.name) == [
        "1.partial",
        "rank-0.json",
        "rank-1.json",
    ]
    assert not list(out.glob("ledger-0*"))
    assert first["said"] > 0
    assert helper["said"] == 0
    store = ReleaseStore(out / "1.partial")
    run = store.meta["run"]
    store.close()
    (summary,) = Ledger(out / "ledger-1").datasets()
    assert summary.dataset == "patients"
    events = Ledger(out / "ledger-1").events(run)
    assert [key for _, key, _ in events] == first["releases"]  # each paid once
    (block,) = [event for _, key, event in events if key == "steps"]
    assert block.count == SETTINGS.n_steps


def test_all_ranks_end_with_one_usable_model(found):
    first, helper = found
    for key in ("model", "guarantee", "releases"):
        assert first[key] == helper[key]
    assert first["rows"] == helper["rows"] == 7


@pytest.mark.parametrize("n_processes", [1, 2])
def test_the_death_of_a_helper_ends_all_and_the_same_call_resumes_what_was_paid_for(n_processes, tmp_path):
    done = torchrun("tests.helpers.joint_steps", "dying", tmp_path)
    assert done.returncode != 0
    store = ReleaseStore(tmp_path / "1.partial")
    run = store.meta["run"]
    store.close()
    ledger = Ledger(tmp_path / "ledger-1")
    assert ledger.blocks(run)["steps"][0] == 3  # the step that was lost stays spent
    events = ledger.events(run)
    if n_processes == 1:
        assert len(joint_fit_of_patients(tmp_path, None).sample(7)) == 7
    else:
        done = torchrun("tests.helpers.joint_steps", "fit", tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        first, helper = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
        assert first["model"] == helper["model"]
    assert ledger.events(run) == events
    assert ledger.status(run) == "finished"
    (summary,) = ledger.datasets()
    assert len(summary.runs) == 1


def test_a_refusal_on_the_first_rank_ends_all(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("sex\nF\n")
    schema = tmp_path / "s.json"
    schema.write_text('{"columns": {"sex": {"type": "categorical", "categories": ["F", "M"]}}}')
    ledger = tmp_path / "ledger"
    Ledger(ledger).set_limit("t", epsilon=0.5, delta=1e-6)
    output = tmp_path / "m.privsynth"
    done = torchrun(
        "privsynth", "fit", table, "--schema", schema, "--epsilon", "1", "--ledger", ledger, "-o", output
    )
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1  # the helper leaves it to the first rank to say why
    assert "0.5" in done.stderr
    assert "exitcode  : 3" in done.stderr
    assert not list(tmp_path.glob("m.privsynth*"))


def test_a_process_alone_has_no_ranks_and_a_gpu_is_not_divided(monkeypatch):
    assert Ranks.of_this_process() is None
    monkeypatch.setattr(Ranks, "of_this_process", classmethod(lambda cls: object.__new__(cls)))
    with pytest.raises(ParameterError, match="fit without torchrun"), joint_fit("cuda"):
        pass
