"""Threads: what the caller set stays, and what others use is left to them."""

from __future__ import annotations

import os
import subprocess
import sys

import joblib
import pytest

from privsynth.models import threads

FRESH = {
    name: value for name, value in os.environ.items() if name not in (*threads.NUMBERS, *threads.WAITING)
}
N = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
SHOW = "import os, privsynth; print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('GOMP_SPINCOUNT'))"


def said(code: str, **environment: str) -> str:
    """Return what a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=FRESH | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_threads_sleep_while_they_wait_unless_the_caller_says_otherwise():
    assert said(SHOW) == "PASSIVE None"
    assert said(SHOW, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE None"
    assert said(SHOW, GOMP_SPINCOUNT="1000") == "None 1000"


def test_no_library_with_threads_is_loaded_before_their_waiting_is_set():
    code = "import sys, privsynth.models.threads; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    assert said(code) == "False False"


INSIDE = """
import sys, torch
from privsynth.models import threads
threads.n_idle = lambda: 1
torch.set_num_threads(int(sys.argv[1])) if len(sys.argv) > 1 else None
before = torch.get_num_threads()
with threads.idle_processors_only():
    inside = torch.get_num_threads()
print(before, inside, torch.get_num_threads())
"""


def test_a_fit_uses_the_idle_processors_only_and_puts_the_number_back():

    assert said(INSIDE) == f"{N} 1 {N}"


def test_a_number_of_threads_that_the_caller_set_stays():
    assert said(INSIDE, OMP_NUM_THREADS=str(N)) == f"{N} {N} {N}"
    assert said("import sys; sys.argv = ['', '7']" + INSIDE) == "7 7 7"


@pytest.mark.parametrize(("running", "idle"), [(1, 4), (2, 3), (4, 1), (40, 1)])
def test_processors_that_others_use_are_left_to_them(running, idle, tmp_path, monkeypatch):
    load = tmp_path / "loadavg"
    load.write_text(f"9.00 9.00 9.00 {running}/500 12345\n")
    monkeypatch.setattr(threads, "LOAD", load)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    assert threads.n_idle() == idle
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)  # a quota, or affinity, of two
    assert threads.n_idle() == min(idle, 2)


def test_without_a_word_on_load_all_that_may_be_used_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "LOAD", tmp_path / "none")
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert threads.n_idle() == 2
