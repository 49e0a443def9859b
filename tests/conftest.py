"""What holds for every test: one thread each, as they run side by side; Ctrl-C; not the user's own ledger."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and scikit-learn are imported
settings.register_profile("privsynth", deadline=None)  # a busy machine is no failure
settings.load_profile("privsynth")
_FOLDER = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Point the ledger into a folder of this test process, and listen to Ctrl-C and to a closed terminal.

    A shell starts background commands with SIGINT ignored, nohup with SIGHUP, a fit leaves it so, and
    children inherit it: the tests of these would wait for what never comes.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_FOLDER] = tempfile.mkdtemp(prefix="privsynth-tests-")
    os.environ["PRIVSYNTH_LEDGER"] = os.path.join(config.stash[_FOLDER], "ledger.sqlite")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove that folder."""
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)
