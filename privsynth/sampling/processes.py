"""Work in other processes: results in the order of the tasks, and nothing that runs on when it is over.

A worker is a Python process of its own, which reads what to do from a pipe. It ends when the pipe does, so
also with a process that is killed; signals of the terminal reach only the process that began it.

What goes through the pipes is pickled, on purpose and nowhere else in the package: both ends are the same
user's code, begun by this process; nobody else can write into a pipe, and nothing of it is kept. A worker
takes no module from the folder that it is begun in (``-P``), only from where its parent does. Pools of the
standard library would run the caller's main module again, and ask every script for a guard.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from privsynth.errors import PrivsynthError

Task = TypeVar("Task")
Result = TypeVar("Result")

AHEAD = 2  # tasks a worker that are begun before their results are asked for
PATIENCE = 10.0  # seconds between the end of a pipe and that of its process
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MAIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from privsynth.sampling.processes import work; work()"
)


def in_processes(make: Callable[[Task], Result], tasks: Iterable[Task], *, jobs: int) -> Generator[Result]:
    """Yield what is made of each task, in their order.

    Args:
        make: Makes it; can be pickled, and is sent to each worker once.
        tasks: Taken one by one, a few before their results are asked for.
        jobs: Number of workers; with one it is this process.

    Raises:
        PrivsynthError: If a worker ends before its time. What `make` raises is raised here.
    """
    if jobs == 1:
        yield from map(make, tasks)
        return
    start, idle = pickle.dumps(make, protocol=5), SimpleQueue[_Worker]()
    workers: list[_Worker] = []
    threads = ThreadPoolExecutor(jobs)  # each waits for a worker, and has no other work
    try:
        for _ in range(jobs):
            workers.append(_Worker(start))
            idle.put(workers[-1])
        begun: deque[Future[Result]] = deque()
        for task in tasks:
            begun.append(threads.submit(_ask, idle, task))
            if len(begun) >= AHEAD * jobs:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for worker in workers:
            worker.end()
        threads.shutdown(cancel_futures=True)


def _ask(idle: SimpleQueue[_Worker], task: Any) -> Any:
    worker = idle.get()
    try:
        return worker.ask(task)
    finally:
        idle.put(worker)


class _Worker:
    """A process that makes one result after the other."""

    def __init__(self, start: bytes) -> None:
        self._first: bytes | None = start
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", _MAIN, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | dict.fromkeys(_THREADS, "1"),
            start_new_session=True,
        )

    def ask(self, task: Any) -> Any:
        """Return what the worker makes of a task."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if self._first is not None:
                self._process.stdin.write(self._first)
                self._first = None
            pickle.dump(task, self._process.stdin, protocol=5)
            self._process.stdin.flush()
            is_made, result = pickle.load(self._process.stdout)  # noqa: S301  of a worker of its own
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            raise PrivsynthError(
                f"a process that draws rows ended before its time ({self._ending()}); nothing was written",
                next="run it again, with fewer --jobs (jobs=) if memory was short",
            ) from None
        if not is_made:
            raise result
        return result

    def _ending(self) -> str:
        try:
            code = self._process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return "it gave no answer"
        if code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
        return f"killed by signal {-code}"

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]  # both are pipes


def work() -> None:
    """Do what a worker is there for: read what makes results, then task after task, to the last."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    asked = sys.stdin.buffer
    make = pickle.load(asked)  # noqa: S301  from the process that began it
    while True:
        try:
            task = pickle.load(asked)  # noqa: S301  likewise
        except EOFError:
            return
        try:
            answer = (True, make(task))
        except Exception as error:
            answer = (False, error)
        try:
            pickle.dump(answer, answers, protocol=5)
            answers.flush()
        except BrokenPipeError:  # nobody waits for it any more
            os._exit(0)
