"""`PATEGANSynthesizer` beyond the contract of every synthesizer."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch

from privsynth.accounting.budget import Spend
from privsynth.errors import ParameterError
from privsynth.ledger.ledger import Ledger
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms import votes as votes_module
from privsynth.privacy.mechanisms.votes import Votes
from privsynth.synthesizers import PATEGANSynthesizer
from privsynth.synthesizers.tables import pategan
from privsynth.synthesizers.tables.model_arrays import model_arrays
from privsynth.synthesizers.tables.pategan import PATEGANSettings
from tests.helpers.predictable import PredictableSourceForTests
from tests.helpers.tables import PATIENTS, patients

QUICK = {"n_bins": 16, "n_states": 512, "fake_batch_size": 256}
SMALL = QUICK | {"n_rounds": 4, "queries_per_round": 32, "fakes_per_round": 64, "n_states": 128}


def fitted(frame, ledger, *, epsilon: float | None = 3.0, settings=SMALL, **arguments):
    synthesizer = PATEGANSynthesizer(
        epsilon=epsilon, settings=PATEGANSettings(**settings), random_state=0, device="cpu"
    )
    return synthesizer.fit(frame, schema=PATIENTS, dataset="patients", ledger=ledger, **arguments)


def test_it_learns_what_its_untrained_start_does_not_know(tmp_path):
    frame, gaps = patients(8000), {}
    for n_rounds in (0, 20):
        settings = QUICK | {"n_rounds": n_rounds}
        rows = fitted(frame, tmp_path / f"{n_rounds}.sqlite", epsilon=10.0, settings=settings).sample(4000)
        gaps[n_rounds] = rows["age"][rows["ill"]].mean() - rows["age"][~rows["ill"]].mean()
    real = frame["age"][frame["ill"]].mean() - frame["age"][~frame["ill"]].mean()
    assert abs(gaps[0]) < 3.0
    assert 0.4 * real < gaps[20] < 1.6 * real


def test_the_student_sees_generated_rows_and_noisy_votes_and_nothing_else(tmp_path, monkeypatch):
    generated, votes, learnt = [], [], []
    codes, ask, make = pategan._Game._codes, Curator.release, pategan.Student

    def generating(self, n):
        generated.append(codes(self, n))
        return generated[-1]

    def asking(self, key, mechanism):
        release = ask(self, key, mechanism)
        if isinstance(mechanism, Votes):
            counts = torch.from_numpy(release.arrays["votes"]).float()
            votes.append(counts / mechanism.ensemble.n_teachers)
        return release

    def learning(kernel, queries, shares, **named):
        learnt.append((queries, shares))
        return make(kernel, queries, shares, **named)

    monkeypatch.setattr(pategan._Game, "_codes", generating)
    monkeypatch.setattr(Curator, "release", asking)
    monkeypatch.setattr(pategan, "Student", learning)
    synthesizer = fitted(patients(600), tmp_path / "ledger.sqlite")
    assert len(learnt) == 4
    for n, (queries, shares) in enumerate(learnt, start=1):
        assert torch.equal(queries, torch.cat(generated[1 : 2 * n : 2]))  # every second draw is for teachers
        assert torch.equal(shares, torch.cat([share - share.mean() for share in votes[:n]]))
    drawn = list(generated)
    generated.clear()
    synthesizer.replay()  # without records the same rows: they were generated from releases
    assert len(generated) == len(drawn) == 8
    assert all(torch.equal(a, b) for a, b in zip(generated, drawn, strict=True))


def test_ctrl_c_leaves_a_usable_model_and_the_same_call_ends_where_it_would_have(tmp_path):
    def press(message, done, total):
        if done == 2 and message.startswith("training"):
            os.kill(os.getpid(), signal.SIGINT)

    frame, ledger, partial = patients(600), Ledger(tmp_path / "l.sqlite"), tmp_path / "m.partial"
    with pytest.raises(KeyboardInterrupt, match="after 2 of 4 rounds"):
        fitted(frame, ledger, progress=press, secret=PredictableSourceForTests(5), releases_path=partial)
    resumed = fitted(frame, ledger, secret=PredictableSourceForTests(5), releases_path=partial)
    uncut = fitted(frame, Ledger(tmp_path / "other.sqlite"), secret=PredictableSourceForTests(5))
    first, second = model_arrays(resumed.model_), model_arrays(uncut.model_)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert [r.event for r in resumed.releases_] == [r.event for r in uncut.releases_]


def test_votes_lost_in_a_crash_are_paid_for_and_the_rest_is_made_of_what_is_left(tmp_path, monkeypatch):
    original, calls = votes_module.count_votes, []

    def dying(*arguments, **named):
        calls.append(1)
        if len(calls) == 2:
            raise SystemExit("the process dies while the teachers vote")
        return original(*arguments, **named)

    ledger, partial = Ledger(tmp_path / "l.sqlite"), tmp_path / "m.partial"
    monkeypatch.setattr(votes_module, "count_votes", dying)
    with pytest.raises(SystemExit):
        fitted(patients(600), ledger, releases_path=partial)
    synthesizer = fitted(patients(600), ledger, releases_path=partial)
    run = ledger.datasets()[0].runs[0]
    assert [r.lost for r in synthesizer.releases_ if r.key == "votes/001"].count(True) == 1
    assert len([r for r in synthesizer.releases_ if r.key.startswith("votes/")]) == 5
    assert run.epsilon_spent <= 3.0


def test_the_plan_says_when_there_are_too_few_teachers():
    def advice(n_rows, epsilon):
        allowance = Spend.of_budget(epsilon=epsilon, delta=1e-6)
        return " ".join(PATEGANSynthesizer.plan_for(PATIENTS, PATEGANSettings(), allowance, n_rows).advice)

    assert "200 teachers" in advice(1000, 1.0)
    assert "too few" in advice(1000, 1.0)
    assert "too few" not in advice(50_000, 1.0)
    assert "too few" not in advice(2000, 10.0)


@pytest.mark.parametrize("settings", [{"units_per_teacher": 0}, {"vote_spread": 0.0}, {"averaging": 1.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ParameterError, match=next(iter(settings))):
        PATEGANSettings(**settings)
