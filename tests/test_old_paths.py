"""Modules are found under the names that documentation once gave them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from privsynth.old_paths import MOVED


@pytest.mark.parametrize("name", MOVED)
def test_a_module_is_found_under_its_old_name(name):
    old = import_module(name)
    for home in map(import_module, MOVED[name]):
        own = {
            key: value
            for key, value in vars(home).items()
            if getattr(value, "__module__", "") == home.__name__
        }
        assert own
        assert all(getattr(old, key) is value for key, value in own.items())
    with pytest.raises(AttributeError, match=MOVED[name][0]):
        _ = old.nothing_of_this_name


def test_old_names_are_imported_in_every_way_and_said_to_be_old():
    code = (
        "from privsynth import sources\n"
        "from privsynth.sources import *\n"
        "from privsynth.sources import read_table as read, conform as held\n"
        "import privsynth.splitting as splitting\n"
        "from privsynth.errors import SchemaError\n"
        "from privsynth.datasets import load_rand_hie\n"
        "import privsynth.metrics, privsynth.synthesizers, privsynth.schema\n"
        "assert read is read_table is sources.read_table and held is conform\n"
        "assert splitting.split.__module__ == 'privsynth.records.splitting'\n"
    )
    ran = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "privsynth.sources is now privsynth.io.tables and privsynth.records.conform" in ran.stderr
    assert "privsynth.splitting is now privsynth.records.splitting" in ran.stderr


def test_what_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        import_module("privsynth.sauces")
