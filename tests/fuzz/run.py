"""Try mutated files on a target for some time: `python -m tests.fuzz.run TARGET SECONDS`."""

from __future__ import annotations

import hashlib
import math
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

from privsynth.errors import PrivsynthError
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS, read_bytes

CORPUS = Path(__file__).parent / "corpus"
MEMORY = 6 * 2**30  # for all of a process: a file of a few KB needs next to nothing


def kept(name: str) -> list[Path]:
    """Return the files that once were read wrongly."""
    return sorted((CORPUS / name).glob("*")) if (CORPUS / name).is_dir() else []


def unexpected(name: str, data: bytes, folder: Path) -> str | None:
    """Return what is wrong with how a target reads bytes; None if it reads or refuses them as it should."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read_bytes(TARGETS[name], data, folder)
        except PrivsynthError as error:
            text = str(error)
            if "\n" in text or not text:
                return f"{type(error).__name__} of several lines: {text[:200]!r}"
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)
            own = next((f for f in reversed(where) if "privsynth/" in f.filename), where[-1])
            return f"{type(error).__name__} in {Path(own.filename).name}:{own.lineno} ({own.name})"
    return None


def tried(
    name: str, *, seed: int, seconds: float = math.inf, most: float = math.inf
) -> Iterator[tuple[bytes, str | None]]:
    """Try mutated files until the time is over, or so many were tried."""
    rng, seeds, end = random.Random(seed), TARGETS[name].seeds(), time.monotonic() + seconds
    n = 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end and n < most:
            n += 1
            data = mutated(rng.choice(seeds), rng)
            yield data, unexpected(name, data, Path(folder))


def main(name: str, seconds: float) -> int:
    """Fuzz a target; keep one file of each kind of finding, and print what was found."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    n, found = 0, dict[str, int]()
    for data, wrong in tried(name, seconds=seconds, seed=time.time_ns()):
        n += 1
        if wrong is not None:
            if wrong not in found:
                (CORPUS / name).mkdir(parents=True, exist_ok=True)
                (CORPUS / name / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
            found[wrong] = found.get(wrong, 0) + 1
    print(f"{name}: {n} tries, {sum(found.values())} unexpected")
    for wrong, times in sorted(found.items(), key=lambda item: -item[1]):
        print(f"  {times} x {wrong}")
    return len(found)


if __name__ == "__main__":
    names = list(TARGETS) if sys.argv[1] == "all" else [sys.argv[1]]
    sys.exit(min(sum(main(name, float(sys.argv[2])) for name in names), 1))
