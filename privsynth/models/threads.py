"""Threads: as many as the process may use and others leave idle, and none that spins while it waits.

An OpenMP thread that waits for work spins by default. Where other processes want the processors, or a quota
limits them, a fit would spend most of its time on that. What the caller has set is left alone.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # how OpenMP threads wait
NUMBERS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LOAD = Path("/proc/loadavg")
N_LOOKS, SECONDS_APART = 5, 0.002


def wait_passively() -> None:
    """Have OpenMP threads sleep while they wait; works only before an OpenMP library is loaded."""
    if not any(name in os.environ for name in WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def n_idle() -> int:
    """Return how many processors this process may use and nobody else does just now; at least 1.

    Affinity and quotas of a container count; how busy others are is known on Linux only.
    """
    import joblib

    usable = int(joblib.cpu_count())
    looks = []
    for _ in range(N_LOOKS if usable > 1 and LOAD.exists() else 0):
        looks.append(int(LOAD.read_text().split()[3].partition("/")[0]) - 1)  # without this thread
        time.sleep(SECONDS_APART)
    n_others = statistics.median_low(looks) if looks else 0
    return max(1, min(usable, (os.cpu_count() or 1) - n_others))


@contextmanager
def idle_processors_only() -> Iterator[None]:
    """Compute with as many threads as there are idle processors, unless the caller has set their number."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    if any(name in os.environ for name in NUMBERS) or before != _default():
        yield
        return
    with threadpool_limits(n := min(before, n_idle())):
        torch.set_num_threads(n)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _default() -> int:
    """Return how many threads torch takes if nobody sets them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
