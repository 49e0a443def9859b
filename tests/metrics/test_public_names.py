"""`privsynth.metrics.fidelity` and its like are functions, whatever was imported before."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASKED = """
import inspect, sys
import privsynth.metrics
from privsynth.metrics import fairness, fidelity, utility
for found, name in ((fairness, "fairness"), (fidelity, "fidelity"), (utility, "utility")):
    assert inspect.isfunction(found), name
    assert getattr(privsynth.metrics, name) is found, name
    assert inspect.ismodule(sys.modules["privsynth.metrics." + name]), name
from privsynth.metrics.fidelity import images
assert inspect.ismodule(images)
"""


@pytest.mark.parametrize(
    "before",
    [
        "import privsynth.metrics.fidelity",
        "from privsynth.metrics.fairness.rates import Rates; import privsynth.metrics.utility",
        "import privsynth.metrics.leakage.membership, privsynth.metrics.images, privsynth.metrics.public",
    ],
)
def test_metrics_are_functions_in_whatever_order_modules_are_imported(before: str) -> None:
    subprocess.run([sys.executable, "-c", f"{before}\n{ASKED}"], check=True)
