"""Workers: results in order, one clear message when one dies, and none that is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from privsynth.errors import PrivsynthError, RequestError
from privsynth.sampling.processes import AHEAD, in_processes


class Numbered:
    """Returns a task with the process that did it; some tasks are fatal."""

    def __call__(self, task: object) -> tuple[object, int]:
        if task == "refused":
            raise RequestError("no such column")
        if task == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if task == "printed":
            os.write(1, b"what libraries print")
        return task, os.getpid()


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_results_come_in_order_from_every_worker_and_none_is_left() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for i in range(40):
            taken.append(i)
            yield i

    ahead, processes = [], set()
    for i, (task, process) in enumerate(in_processes(Numbered(), tasks(), jobs=2)):
        assert task == i
        ahead.append(len(taken) - i)
        processes.add(process)
    assert max(ahead) == 2 * AHEAD
    assert os.getpid() not in processes
    assert len(processes) == 2
    assert not any(map(is_running, processes))


def test_one_job_is_this_process() -> None:
    assert list(in_processes(Numbered(), [7], jobs=1)) == [(7, os.getpid())]


def test_what_a_worker_raises_is_raised_here_and_what_it_prints_is_no_result() -> None:
    results = in_processes(Numbered(), ["printed", "refused", 1], jobs=2)
    assert next(results)[0] == "printed"
    with pytest.raises(RequestError, match="no such column"):
        next(results)


def test_a_worker_that_is_killed_is_told_in_one_line() -> None:
    results = in_processes(Numbered(), [1, "killed", 2], jobs=2)
    _, process = next(results)
    with pytest.raises(
        PrivsynthError, match=r"ended before its time \(killed by SIGKILL\).*fewer --jobs"
    ) as told:
        list(results)
    assert told.value.__cause__ is None
    assert not is_running(process)


def test_results_that_nobody_asks_for_any_more_end_the_workers() -> None:
    results = in_processes(Numbered(), range(100), jobs=2)
    processes = {next(results)[1] for _ in range(4)}
    results.close()
    assert not any(map(is_running, processes))


def test_workers_end_with_a_process_that_is_killed(tmp_path) -> None:
    code = (
        "import sys, time\n"
        "from privsynth.sampling.processes import in_processes\n"
        "from tests.sampling.test_processes import Numbered\n"
        "for _, process in in_processes(Numbered(), range(100), jobs=2):\n"
        "    print(process, flush=True)\n"
        "    time.sleep(60)\n"
    )

    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        worker = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 20
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(worker)
