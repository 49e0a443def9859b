"""What a private step costs beside a non-private one: ``python -m tests.benchmarks.private_step``.

Median over interleaved repetitions in one run, one thread, batch 1,024: the fast path (noise and optimizer
included), the path by record, Opacus' hooks and Opacus' ghost clipping, each over the plain step of the same
network. Then peak memory of a step on 16,384 records, by micro-batches, in processes of their own.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from privsynth.accounting.step_plan import StepPlan
from privsynth.counting.coded_rows import RowsOfTensor
from privsynth.privacy.mechanisms.clipping import RecordClipper
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from privsynth.privacy.randomness import OsEntropy
from privsynth.privacy.units import Weighting

BATCH, WIDTH, REPETITIONS = 1024, 300, 30


class Bilinear(nn.Module):
    """A discriminator with a 300 x 300 pair term beside an MLP: ``x' W x + mlp(x)``."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs = nn.Linear(WIDTH, WIDTH, bias=False)
        self.mlp = mlp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mlp(x) + (self.pairs(x) * x).sum(1, keepdim=True)


def mlp() -> nn.Sequential:
    """Return an MLP 300-128-128-1."""
    return nn.Sequential(
        nn.Linear(WIDTH, 128), nn.LeakyReLU(0.2), nn.Linear(128, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1)
    )


def loss(network: Callable[[torch.Tensor], torch.Tensor], records: torch.Tensor) -> torch.Tensor:
    """Return the softplus loss of real records, one each."""
    return nn.functional.softplus(-network(records)[:, 0])


def ours(make: Callable[[], nn.Module], rows: torch.Tensor, **options: object) -> Callable[[], None]:
    """Return a private step on all rows (sampling rate 1), noise and optimizer included."""
    network = make()
    plan = StepPlan(
        n_steps=10**6,
        sample_rate=1.0,
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        expected_batch_size=len(rows),
        slack=1e-7,
    )
    steps = GradientSteps(
        plan,
        records=RowsOfTensor(rows, Weighting(None, None, 1, 1)),
        secret=OsEntropy(),
        advance=lambda n: None,
    )
    clipper = RecordClipper(network, loss, max_grad_norm=1.0, **options)
    optimizer = steps.optimizer(torch.optim.Adam(network.parameters()))

    def step() -> None:
        steps.noisy_gradient(clipper, optimizer)
        optimizer.original_optimizer.step()

    return step


def plain(make: Callable[[], nn.Module], rows: torch.Tensor) -> Callable[[], None]:
    """Return a non-private step."""
    network = make()
    optimizer = torch.optim.Adam(network.parameters())

    def step() -> None:
        optimizer.zero_grad()
        loss(network, rows).mean().backward()
        optimizer.step()

    return step


def opacus(make: Callable[[], nn.Module], rows: torch.Tensor, *, ghost: bool) -> Callable[[], None]:
    """Return a private step by Opacus, on its fast noise."""
    from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    settings = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "expected_batch_size": len(rows)}
    target = torch.ones(len(rows), 1)
    if ghost:
        wrapped = GradSampleModuleFastGradientClipping(make(), max_grad_norm=1.0, use_ghost_clipping=True)
        optimizer = DPOptimizerFastGradientClipping(torch.optim.Adam(wrapped.parameters()), **settings)
        criterion = DPLossFastGradientClipping(wrapped, optimizer, nn.BCEWithLogitsLoss(reduction="mean"))

        def step() -> None:
            optimizer.zero_grad()
            criterion(wrapped(rows), target).backward()
            optimizer.step()

        return step
    wrapped = GradSampleModule(make())
    hooked = DPOptimizer(torch.optim.Adam(wrapped.parameters()), **settings)

    def hook_step() -> None:
        hooked.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(wrapped(rows), target).backward()
        hooked.step()

    return hook_step


def times(make: Callable[[], nn.Module]) -> dict[str, float]:
    """Return the median milliseconds of each kind of step, interleaved."""
    rows = one_hot_like(BATCH)
    steps = {
        "plain": plain(make, rows),
        "by layer": ours(make, rows),
        "by record": ours(make, rows, by_record=True),
        "Opacus hooks": opacus(make, rows, ghost=False),
        "Opacus ghost": opacus(make, rows, ghost=True),
    }
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for repetition in range(REPETITIONS):
        for name, step in steps.items():
            if name in ("by record", "Opacus hooks") and repetition >= 6:
                continue
            started = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - started)
    return {name: 1e3 * float(np.median(values[2:])) for name, values in taken.items()}


def one_hot_like(n: int) -> torch.Tensor:
    """Return public rows with 15 ones among 300 entries."""
    rows = torch.zeros(n, WIDTH)
    starts = torch.arange(0, WIDTH, WIDTH // 15)
    picks = torch.randint(0, WIDTH // 15, (n, 15), generator=torch.Generator().manual_seed(0))
    return rows.scatter_(1, starts + picks, 1.0)


def peak_megabytes(path: str, micro_batch_size: int) -> float:
    """Return the peak memory that one step on 16,384 records adds, in a process of its own."""
    code = f"from tests.benchmarks.private_step import peak_here; peak_here({path!r}, {micro_batch_size})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def peak_here(path: str, micro_batch_size: int) -> None:
    """Print how much memory one step on 16,384 records adds to this process."""
    torch.set_num_threads(1)
    step = ours(mlp, one_hot_like(16_384), by_record=path == "by record", micro_batch_size=micro_batch_size)
    before = _peak()
    step()
    print((_peak() - before) / 1024)


def _peak() -> int:
    """Return the peak memory of this process in kB (`getrusage` would inherit the parent's)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def main() -> None:
    """Print both tables as Markdown."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # Opacus tells of its hooks
    print(
        "| network | "
        + " | ".join(["plain ms", "by layer", "by record", "Opacus hooks", "Opacus ghost"])
        + " |"
    )
    print("|" + "---|" * 6)
    for name, make in (("MLP 300-128-128", mlp), ("pairs 300 x 300 + MLP", Bilinear)):
        found = times(make)
        ratios = [f"{found[kind] / found['plain']:.2f} x" for kind in list(found)[1:]]
        print(f"| {name} | {found['plain']:.1f} | " + " | ".join(ratios) + " |", flush=True)
    print("\n| path, 16,384 records | micro-batch | added peak MB |\n|---|---|---|")
    for path in ("by layer", "by record"):
        for size in (16_384, 4_096, 512):
            print(f"| {path} | {size} | {peak_megabytes(path, size):.0f} |", flush=True)


if __name__ == "__main__":
    main()
