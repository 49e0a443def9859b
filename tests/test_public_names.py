"""What `privsynth` offers by name: from one list of synthesizers, typed, imported when used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import privsynth
from privsynth.cli.models import BY_DEFAULT, SynthesizerName
from privsynth.errors import ParameterError, SchemaError
from privsynth.synthesizers import IMAGE_SYNTHESIZERS, NAMES, SYNTHESIZERS, TABLE_SYNTHESIZERS
from tests.helpers.tables import PATIENTS

PACKAGE = Path(privsynth.__file__).parent


def typed_names(path: Path) -> set[str]:
    """Return what a module gives to type checkers: imports ``X as X`` under TYPE_CHECKING."""
    return {
        alias.asname
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }


def test_what_type_checkers_see_is_what_is_there() -> None:
    of_synthesizers = typed_names(PACKAGE / "synthesizers" / "__init__.py")
    assert of_synthesizers | {"load"} == set(privsynth.synthesizers.__all__)
    assert typed_names(PACKAGE / "__init__.py") | of_synthesizers | {"load"} == set(privsynth.__all__)


@pytest.mark.parametrize("name", privsynth.__all__)
def test_every_public_name_is_there_and_shown(name: str) -> None:
    assert getattr(privsynth, name).__name__.rpartition(".")[2] == name
    assert name in dir(privsynth)


def test_an_unknown_name_is_an_attribute_error() -> None:
    for module in (privsynth, privsynth.synthesizers):
        with pytest.raises(AttributeError, match="has no attribute 'SequenceSynthesizer'"):
            _ = module.SequenceSynthesizer


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "sorted({'torch', 'pandas', 'numpy', 'scipy', 'sklearn', 'plotly'} & set(sys.modules))"
    code = f"import sys, privsynth, privsynth.synthesizers; dir(privsynth); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_the_names_of_synthesizers_stand_in_one_list() -> None:
    assert list(SYNTHESIZERS) == list(NAMES)
    assert {**TABLE_SYNTHESIZERS, **IMAGE_SYNTHESIZERS} == SYNTHESIZERS
    for name, kind in SYNTHESIZERS.items():
        assert kind.name == name
        assert getattr(privsynth, kind.__name__) is kind
        assert getattr(privsynth, kind.settings_type.__name__) is kind.settings_type
    assert [name.value for name in SynthesizerName] == list(NAMES)
    assert BY_DEFAULT == "marginal"


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_is_made_by_name(name: str) -> None:
    image = {"image": {"height": 8, "width": 8, "channels": 1}} if name in IMAGE_SYNTHESIZERS else {}
    schema = privsynth.Schema.from_dict(PATIENTS.to_dict() | image)
    fields = privsynth.plan(schema, 20_000, 1.0, synthesizer=name)
    assert (fields["synthesizer"], fields["delta"]) == (name, 1e-6)
    assert sum(step["share"] for step in fields["steps"]) == pytest.approx(1.0)


def test_a_plan_of_an_unknown_synthesizer_or_of_another_kind_says_which_there_are() -> None:
    with pytest.raises(ParameterError, match=r"expected one of marginal, .*got 'histories'"):
        privsynth.plan(PATIENTS, 100, 1.0, synthesizer="histories")
    with pytest.raises(SchemaError, match="take marginal or dpgan or pategan or denoising"):
        privsynth.plan(PATIENTS, 100, 1.0, synthesizer="image-gan")
