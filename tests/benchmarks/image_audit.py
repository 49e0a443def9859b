"""Figures of the audit of images on MNIST: ``python -m tests.benchmarks.image_audit controls|direct|scale``.

``controls`` attacks sets that are known: other digits of the source, copies of some members among them, a
crude generator (a normal distribution for each class, in 64 principal components), and noise. ``direct``
prints what classifiers reach that are trained directly under a budget. ``scale`` times the whole audit of
60,000 real, 60,000 synthetic and 10,000 holdout images, page included, and says its peak memory. The data lie
at ``$PRIVSYNTH_DATA/mnist`` as idx files (or ``fashion_mnist``, with ``--data``).
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from privsynth import Schema
from privsynth.metrics.common.image_classifiers import FAMILIES, Training, train_classifier
from privsynth.metrics.common.image_features import Seen, see
from privsynth.metrics.common.images import load_images
from privsynth.metrics.fidelity.images import independent_pixels
from privsynth.metrics.leakage.image_membership import assess_membership
from privsynth.metrics.utility.dp_classifier import SCATTERING, train_directly
from privsynth.report.audit import audit
from privsynth.report.limits import ImageLimits
from tests.benchmarks.images import load_split

Set = tuple[np.ndarray, pd.DataFrame]
SCHEMA = Schema(
    {"label": {"type": "categorical", "categories": list(range(10)), "role": "target"}},
    image={"height": 28, "width": 28},
)
GUARANTEE = {
    "private": True, "epsilon": 10.0, "delta": 1e-5, "unit": "record", "neighbours": "add_or_remove_one",
    "accountant": "GDP filter", "events": [], "public": [], "not_covered": [],
}  # fmt: skip


def sets_of(name: str, *, validation: bool = False) -> tuple[Set, Set]:
    """Return training and test images, or two parts of the former."""
    train, test, _ = load_split(name, validation=validation)
    first, second = ((part.images, part.labels.astype(int)) for part in (train, test))
    return first, second


def rows(held: Set, chosen: np.ndarray | slice) -> Set:
    """Return some of a set."""
    return held[0][chosen], held[1].iloc[chosen].reset_index(drop=True)


def crude(real: Set, n: int, seed: int) -> Set:
    """Return images of a normal distribution for each class, in 64 principal components of all."""
    from sklearn.decomposition import PCA

    generator = np.random.default_rng(seed)
    flat = real[0].reshape(len(real[0]), -1) / 255.0
    components = PCA(64, svd_solver="randomized", random_state=0).fit(flat[:10_000])
    codes, labels = components.transform(flat), real[1]["label"].to_numpy()
    drawn = generator.choice(labels, n)
    out = np.empty((n, codes.shape[1]))
    for label in np.unique(labels):
        of_class = codes[labels == label]
        chosen = drawn == label
        out[chosen] = generator.multivariate_normal(of_class.mean(0), np.cov(of_class.T), int(chosen.sum()))
    pixels = np.clip(components.inverse_transform(out), 0, 1) * 255
    return pixels.astype(np.uint8).reshape(n, 28, 28, 1), pd.DataFrame({"label": drawn})


def controls(name: str, n: int, seed: int) -> None:
    """Attack sets of ``n`` images that are known, through one feature network.

    All come from the training images, at random. MNIST's test images will not do as outsiders: other people
    wrote them, so that they lie closer together than to the training images, and the attacks that use a
    reference tell both apart without any leak (AUC 0.53).
    """
    train, _ = sets_of(name)
    order = np.random.default_rng(seed).permutation(len(train[0]))
    real, fresh, holdout = (rows(train, order[i * n : j * n]) for i, j in ((0, 1), (1, 2), (2, 4)))
    sets: dict[str, Set] = {"other images of the source": fresh}
    for share in (0.01, 0.05, 0.2, 1.0):
        n_copies = int(share * n)
        sets[f"copies of {share:.0%} of the members"] = (
            np.concatenate([real[0][:n_copies], fresh[0][n_copies:]]),
            pd.concat([real[1][:n_copies], fresh[1][n_copies:]], ignore_index=True),
        )
    sets["normal distribution a class"] = crude(real, n, seed)
    sets["noise"] = (independent_pixels(real[0], np.random.default_rng(seed)), real[1])
    print(
        "| synthetic | attack | AUC | interval | TPR at 1 % | interval | measured FPR |\n" + "|---" * 7 + "|"
    )
    first: Seen | None = None
    for told, synthetic in sets.items():
        images = load_images(real, synthetic, schema=SCHEMA, holdout=holdout)
        first = first or see(images, random_state=seed)
        features = {**first.features, "synthetic": first.network.features(synthetic[0])}
        seen = Seen(images, first.network, features, first.reference, first.compared)
        for attack, figures in assess_membership(seen, random_state=seed)["attacks"].items():
            low, high = figures["auc_interval"]
            point = figures["tpr_at_fpr"]["0.01"]
            auc = f"{figures['auc']:.3f} | {low:.3f} to {high:.3f}"
            least, most = point["interval"]
            print(
                f"| {told} | {attack} | {auc} | {point['tpr']:.4f} | "
                f"{least:.4f} to {most:.4f} | {point['fpr']:.4f} |",
                flush=True,
            )


def direct(name: str, epsilons: list[float], seeds: int, *, validation: bool) -> None:
    """Train classifiers directly under a budget, and without one."""
    train, test = sets_of(name, validation=validation)
    labels = train[1]["label"].to_numpy()
    print("| classifier | epsilon | accuracy, each run | seconds a run |\n|---|---|---|---|")
    for family in (*FAMILIES, SCATTERING):
        for epsilon in [*epsilons, None] if family in FAMILIES else epsilons:
            accuracies, start = [], time.perf_counter()
            for seed in range(seeds):
                if epsilon is None:
                    trained = train_classifier(
                        family, *(train[0], labels), n_classes=10, training=Training(), seed=seed
                    )
                else:
                    trained = train_directly(
                        family, train[0], labels, None, n_classes=10, epsilon=epsilon, delta=1e-5, seed=seed
                    )
                accuracies.append((trained.logits(test[0]).argmax(1) == test[1]["label"]).mean())
            told = "none" if epsilon is None else f"{epsilon:g}"
            each = ", ".join(f"{accuracy:.4f}" for accuracy in accuracies)
            print(f"| {family} | {told} | {each} | {(time.perf_counter() - start) / seeds:.0f} |", flush=True)


def scale(name: str, families: tuple[str, ...], out: Path | None) -> None:
    """Time the whole audit; processor seconds are those of this process, all threads together."""
    train, holdout = sets_of(name)
    synthetic = crude(train, 60_000, 0)
    start, cpu_start = time.perf_counter(), time.process_time()

    def say(message: str) -> None:
        seconds, of_processor = time.perf_counter() - start, time.process_time() - cpu_start
        print(f"{seconds:7.1f} s, {of_processor:7.1f} s of processor  {message}", file=sys.stderr, flush=True)

    report = audit(
        real=train,
        synthetic=synthetic,
        holdout=holdout,
        schema=SCHEMA,
        guarantee=GUARANTEE,
        limits=ImageLimits(families=families),
        progress=say,
    )
    with tempfile.TemporaryDirectory() as folder:
        report.save(out or Path(folder) / "report", force=True)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{seconds:.0f} s, {time.process_time() - cpu_start:.0f} s of processor, peak {peak:.2f} GB")
    for verdict in report.verdicts:
        print(f"{verdict['verdict']}: {verdict['question']} {verdict['evidence']}")
    for key, figure in report.fidelity.items():
        if isinstance(figure, dict) and "ceiling" in figure:
            print(f"{key}: {figure['value']}, ceiling {figure['ceiling']}, floor {figure['floor']}")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["controls", "direct", "scale"])
    parser.add_argument("--data", default="mnist", choices=["mnist", "fashion_mnist"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3, help="runs a setting, for direct")
    parser.add_argument("--validation", action="store_true", help="divide the training images, for direct")
    parser.add_argument("--members", type=int, default=5_000, help="images of each side, for controls")
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--families", nargs="+", default=FAMILIES, help="classifiers trained, for scale")
    parser.add_argument("--out", type=Path, help="keep the report of scale in this folder")
    arguments = parser.parse_args()
    if arguments.what == "controls":
        controls(arguments.data, arguments.members, arguments.seed)
    elif arguments.what == "direct":
        direct(arguments.data, arguments.epsilons, arguments.seeds, validation=arguments.validation)
    else:
        scale(arguments.data, tuple(arguments.families), arguments.out)


if __name__ == "__main__":
    main()
