"""What two processes of `test_distributed.py` do: ``torchrun ... -m tests.helpers.joint_steps all OUT``.

Each rank runs the guarantee checks of the gradient steps on blocks that both ranks share, as they are and
with a planted bug, then one joint fit; it writes what it found to ``OUT/rank-R.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch

from privsynth.accounting.step_plan import StepPlan
from privsynth.counting.coded_rows import RowsOfTensor
from privsynth.models.tables.gan import GanOptions
from privsynth.privacy.distributed import Ranks
from privsynth.privacy.mechanisms import noise
from privsynth.privacy.mechanisms.clipping import STEPS_PER_NORM
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from privsynth.privacy.randomness import OsEntropy
from privsynth.privacy.units import Weighting
from privsynth.synthesizers.tables.dpgan import DPGANSettings, DPGANSynthesizer
from tests.helpers import gradient_steps as checks
from tests.helpers.tables import PATIENTS, patients

SETTINGS = DPGANSettings(n_steps=8, batch_size=200, gan=GanOptions(n_states=64, fake_batch_size=64))


def noise_by_every_rank(ranks: Ranks):
    """The helper's sum has noise of the full size too, as if each rank took a whole step."""
    right = Ranks.helped

    def helped(self, clipped_sum: Callable):
        def noisy(part: torch.Tensor) -> list[torch.Tensor]:
            return [
                p + (1.3 * STEPS_PER_NORM * torch.randn(p.shape, dtype=torch.float64)).long()
                for p in clipped_sum(part)
            ]  # as the check's plan says

        return right(self, noisy)

    return patch.object(Ranks, "helped", helped)


def noise_by_no_rank(ranks: Ranks):
    """Each rank takes the noise to be the other's."""
    return patch.object(noise, "standard_normals", lambda n, secret: 0.0 * right_normals(n, secret))


def records_on_both_ranks(ranks: Ranks):
    """The whole batch goes to each rank."""
    return patch.object(torch.Tensor, "tensor_split", lambda batch, n: [batch] * n)


def half_of_the_records(ranks: Ranks):
    """The helper's answer is not added."""
    right = Ranks.helped
    return patch.object(Ranks, "helped", lambda self, s: right(self, lambda part: [0 * p for p in s(part)]))


right_normals = noise.standard_normals
BUGS = {
    "none": None,
    "noise by every rank": noise_by_every_rank,
    "noise by no rank": noise_by_no_rank,
    "records on both ranks": records_on_both_ranks,
    "half of the records": half_of_the_records,
}
CHECKS = {"noise": checks.check_noise_is_booked_noise, "sum": checks.check_the_divisor_is_public}


def outcome(check: Callable[[], None]) -> str:
    """Return whether a check holds."""
    try:
        check()
    except AssertionError:
        return "fails"
    return "holds"


def joint_blocks(ranks: Ranks) -> Callable[..., GradientSteps]:
    """Return what stands in for `checks.block`: a block that all ranks share; helpers have no records."""

    def block(step_plan: StepPlan, records: torch.Tensor) -> GradientSteps:
        return GradientSteps(
            step_plan,
            records=RowsOfTensor(records, Weighting(None, None, 1, 1)) if ranks.is_first else None,
            secret=OsEntropy(),
            advance=lambda n: None,
            ranks=ranks,
        )

    return block


def joint_fit_of_patients(
    out: Path, ranks: Ranks | None, progress: Callable[[str, int, int], None] | None = None
) -> DPGANSynthesizer:
    """Fit; each rank names files of its own, of which a helper should write none."""
    is_first = ranks is None or ranks.is_first
    synthesizer = DPGANSynthesizer(epsilon=1.0, settings=SETTINGS, device="cpu", random_state=0)
    return synthesizer.fit(
        patients(1500) if is_first else "no such table.csv",  # which would fail if it were read
        schema=PATIENTS,
        dataset="patients",
        ledger=out / f"ledger-{int(is_first)}",
        releases_path=out / f"{int(is_first)}.partial",
        progress=progress,
    )


def fit_whose_helper_dies(out: Path) -> None:
    """Fit until the helper's process ends in the third step."""
    right, left = Ranks.helped, iter(range(2))

    def helped(self, clipped_sum: Callable):
        return right(self, clipped_sum) if next(left, None) is not None else os._exit(9)

    with patch.object(Ranks, "helped", helped):
        joint_fit_of_patients(out, Ranks.of_this_process())


def main(out: Path) -> None:
    """Run checks and fit; write this rank's findings."""
    ranks = Ranks.of_this_process()
    assert ranks is not None
    found: dict[str, object] = {}
    with patch.object(checks, "block", joint_blocks(ranks)):
        for name, bug in BUGS.items():
            for what, check in CHECKS.items():
                if bug is None:
                    found[f"{name}: {what}"] = outcome(check)
                else:
                    with bug(ranks):
                        found[f"{name}: {what}"] = outcome(check)
    fit(out, found)


def fit(out: Path, found: dict[str, object] | None = None) -> None:
    """Fit, and write this rank's findings, with what it has found before."""
    ranks, found = Ranks.of_this_process(), found or {}
    assert ranks is not None
    said: list[str] = []
    synthesizer = joint_fit_of_patients(out, ranks, lambda message, done, total: said.append(message))
    model = b"".join(array.tobytes() for array in synthesizer._arrays_of(synthesizer.model_).values())
    found |= {
        "model": hashlib.sha256(model).hexdigest(),
        "rows": len(synthesizer.sample(7, conditions={"sex": "F"})),
        "guarantee": synthesizer.guarantee_["statement"],
        "releases": [release.key for release in synthesizer.releases_],
        "said": len(said),
    }
    (out / f"rank-{0 if ranks.is_first else 1}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"all": main, "dying": fit_whose_helper_dies, "fit": fit}[sys.argv[1]](Path(sys.argv[2]))
