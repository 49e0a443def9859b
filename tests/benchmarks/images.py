"""Images: ``python -m tests.benchmarks.images --datasets mnist,fashion_mnist --epsilon 1,10 --runs 3``.

Fits a synthesizer to the training images in a process of its own (so that peak memory is the fit's), draws
balanced synthetic images, trains three classifiers on them, and tests these on the real test images: a
network of two convolutions (32 and 64 filters, as in Bie et al. 2023), a perceptron (one hidden layer of 200)
and a logistic regression. Prints one line a run, then means, as Markdown. The classifiers see synthetic
images only, a fixed number of epochs; nothing is chosen on real ones. ``--validation`` fits to the first
50,000 training images and tests on the last 10,000, as every choice must be; ``digits`` (scikit-learn, 8 x 8)
needs no files; ``--adversary`` adds, for image-gan, what its private steps are worth: accuracy
of a network trained on draws of the very prototypes it began with (``start``), and on those of a generator
that followed, as long, a critic that only these prototypes taught (``dead``); ``--settings
'{"spread": 0.5}'`` changes the recipe; ``--sheets DIR`` writes contact sheets.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from privsynth.records.images import read_images
from privsynth.schema import Schema
from privsynth.schema.images import LabelledImages
from tests.benchmarks.fitting import changed
from tests.helpers.tables import real_data

N_CLASSES = 10
FIGURES = ("cnn", "start", "dead", "mlp", "logistic", "fit_seconds", "peak_mb")


def load_split(name: str, *, validation: bool) -> tuple[LabelledImages, LabelledImages, Schema]:
    """Return training and test images of a data set, and its schema; classes are called ``label``."""
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.rint(digits.images / 16 * 255).astype(np.uint8)
        real = LabelledImages(images, pd.DataFrame({"label": digits.target}))
        held_out = np.arange(len(real)) % 5 == 0
        train, test = _part(real, ~held_out), _part(real, held_out)
        schema = _schema(8)
    else:
        schema = _schema(28)
        assert schema.image is not None
        train, test = (
            read_images(real_data() / name / f"{part}-images-idx3-ubyte.gz", shape=schema.image)
            for part in ("train", "t10k")
        )
    if validation:
        cut = len(train) * 5 // 6
        rows = np.arange(len(train))
        train, test = _part(train, rows < cut), _part(train, rows >= cut)
    return train, test, schema


def _part(real: LabelledImages, rows: np.ndarray) -> LabelledImages:
    return LabelledImages(real.images[rows], real.labels[rows].reset_index(drop=True))


def _schema(side: int) -> Schema:
    label = {"type": "categorical", "categories": list(range(N_CLASSES)), "role": "target"}
    return Schema({"label": label}, image={"height": side, "width": side, "channels": 1})


# -- classifiers -----------------------------------------------------------------------------------------


def classifier(kind: str, side: int) -> nn.Module:
    """Return an untrained classifier of square grey images."""
    if kind == "logistic":
        return nn.Sequential(nn.Flatten(), nn.Linear(side * side, N_CLASSES))
    if kind == "mlp":
        hidden = nn.Linear(side * side, 200)
        return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(200, N_CLASSES))
    padding, last = (0, (side - 2) // 2 - 2) if side >= 16 else (1, side // 2)
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=padding), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=padding), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.25), nn.Linear(64 * (last // 2) ** 2, 128), nn.ReLU()),
        *(nn.Dropout(0.5), nn.Linear(128, N_CLASSES)),
    )


def accuracy(kind: str, train: LabelledImages, test: LabelledImages, *, epochs: int, seed: int) -> float:
    """Train a classifier on one set of images, and return its accuracy on another."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = classifier(kind, train.images.shape[1])
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        images, labels = _tensors(train)
        network.train()
        for _ in range(epochs):
            for rows in torch.randperm(len(images)).split(64):
                loss = nn.functional.cross_entropy(network(images[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    network.eval()
    images, labels = _tensors(test)
    with torch.no_grad():
        guesses = torch.cat([network(part).argmax(1) for part in images.split(1000)])
    return float((guesses == labels).double().mean())


def _tensors(real: LabelledImages) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(real.images.astype(np.float32) / 255.0).permute(0, 3, 1, 2)
    return images, torch.from_numpy(real.labels["label"].to_numpy(np.int64))


# -- one run ---------------------------------------------------------------------------------------------


def fit_only(options: argparse.Namespace) -> None:
    """Fit in this process, save the model, and print time and peak memory."""
    from privsynth.synthesizers import IMAGE_SYNTHESIZERS

    train, _, schema = load_split(options.datasets, validation=options.validation)
    kind = IMAGE_SYNTHESIZERS[options.synthesizer]
    settings = changed(kind.settings_type(), json.loads(options.settings))
    epsilon = None if options.epsilon == "none" else float(options.epsilon)
    synthesizer = kind(epsilon=epsilon, delta=options.delta, settings=settings, random_state=options.seed)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        synthesizer.fit(train, schema=schema, dataset=options.datasets, ledger=Path(folder) / "ledger.sqlite")
    seconds = time.monotonic() - started
    synthesizer.save(options.model, force=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"fit_seconds": seconds, "peak_mb": peak}))


def one_run(options: argparse.Namespace, dataset: str, epsilon: str, seed: int) -> dict[str, Any]:
    """Fit, draw, and score once."""
    import privsynth

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.privsynth"
        command = [sys.executable, "-m", "tests.benchmarks.images", "--fit-only", "--model", str(model)]
        command += ["--datasets", dataset, "--epsilon", epsilon, "--seed", str(seed)]
        command += ["--synthesizer", options.synthesizer, "--settings", options.settings]
        command += ["--delta", str(options.delta), *(["--validation"] if options.validation else [])]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        out: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        synthesizer = privsynth.load(model)
    synthetic = synthesizer.sample(options.rows, balance=["label"], random_state=seed, on_unsupported="warn")
    if options.sheets:
        Path(options.sheets).mkdir(parents=True, exist_ok=True)
        name = f"{options.synthesizer}-{dataset}-{epsilon}-{seed}.png"
        synthesizer.contact_sheet(Path(options.sheets) / name, n_columns=20, force=True)
    _, test, _ = load_split(dataset, validation=options.validation)
    if options.adversary:
        settings = changed(type(synthesizer).settings_type(), json.loads(options.settings))
        of = without_adversary(synthesizer.model_, settings.gan, settings.n_steps, seed)
        for name, generator in of.items():
            drawn = _balanced(generator, options.rows, seed)
            out[name] = accuracy("cnn", drawn, test, epochs=options.epochs, seed=seed)
    for kind in options.classifiers.split(","):
        out[kind] = accuracy(kind, synthetic, test, epochs=options.epochs, seed=seed)
    return out


def without_adversary(model: Any, gan: Any, n_steps: int, seed: int) -> dict[str, Any]:
    """Return the start of a fitted image-gan, and what it becomes beside a critic that saw no record."""
    from privsynth.models.images.feature_gan import FeatureGan
    from privsynth.models.images.gan import GeneratedImages

    start = model.generator.start
    untrained = GeneratedImages.untrained(
        start.shape, N_CLASSES, gan, start, torch.Generator().manual_seed(seed)
    )
    shares = np.full(N_CLASSES, 1 / N_CLASSES)
    game = FeatureGan(untrained, gan, shares=shares, wait=n_steps // 4, device="cpu", seed=seed)
    game.warm_up()
    for _ in range(n_steps):
        game.generator_step(game.fakes())
    return {"start": start, "dead": game.averaged()}


def _balanced(generator: Any, rows: int, seed: int) -> LabelledImages:
    cells = np.arange(rows) % N_CLASSES
    images = generator.draw(cells, np.random.default_rng(seed))
    return LabelledImages(images, pd.DataFrame({"label": cells}))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", default="mnist,fashion_mnist")
    parser.add_argument("--epsilon", default="1")
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--synthesizer", default="image-feature")
    parser.add_argument("--settings", default="{}")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--classifiers", default="cnn,mlp,logistic")
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--adversary", action="store_true")
    parser.add_argument("--sheets")
    parser.add_argument("--json")
    parser.add_argument("--fit-only", action="store_true")
    parser.add_argument("--model")
    options = parser.parse_args()
    if options.fit_only:
        fit_only(options)
        return
    print(f"| data | epsilon | run | {' | '.join(FIGURES)} |")
    print("|" + " --- |" * (len(FIGURES) + 3))
    results = []
    for dataset, epsilon in itertools.product(options.datasets.split(","), options.epsilon.split(",")):
        runs = []
        for seed in range(options.seed, options.seed + options.runs):
            runs.append(one_run(options, dataset, epsilon, seed))
            print(_line(dataset, epsilon, str(seed), runs[-1]), flush=True)
        mean = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
        if len(runs) > 1:
            print(_line(dataset, epsilon, "mean", mean), flush=True)
        results.append({"data": dataset, "epsilon": epsilon, "runs": runs, "mean": mean})
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _line(dataset: str, epsilon: str, run: str, figures: dict[str, Any]) -> str:
    shown = [f"{figures[name]:.4g}" if name in figures else "" for name in FIGURES]
    return f"| {dataset} | {epsilon} | {run} | {' | '.join(shown)} |"


if __name__ == "__main__":
    main()
