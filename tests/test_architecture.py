"""Who may import whom, and how small the part is that a reviewer has to read to believe epsilon."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "privsynth"
MODULES = sorted(PACKAGE.rglob("*.py"))

ORDER = (  # each may import of the package only itself and what stands before its line
    {"errors", "old_paths"},
    {"schema", "accounting"},
    {"io", "domains", "releases", "datasets"},
    {"ledger", "records", "models"},
    {"privacy", "sampling"},
    {"counting"},
    {"warehouse"},  # counts as a holder of records does, and reaches engines that only fits open
    {"synthesizers", "attacks"},
    {"metrics", "rebalancing"},
    {"report"},
    {"__init__", "cli"},
    {"__main__"},
)
MAKERS = {"privacy", "counting", "warehouse", "sampling", "synthesizers", "models.tables", "models.images"}
# what samples has no records, nothing that is fitted runs in the locked room, and what judges a table judges
# any tool's
APART = {
    "models": {"io"},
    "sampling": {"io", "records"},
    "privacy": {"models"},
    "counting": {"models", "sampling"},
    "warehouse": {"models", "sampling"},
    "attacks": MAKERS,
    "metrics": MAKERS,
    "report": MAKERS,
}
EXCEPTIONS = {  # who spends a budget of its own, by the mechanisms that every generator takes
    "attacks/private_audit/",  # an audit under a budget
    "metrics/utility/dp_classifier.py",  # what training on the records under the same budget reaches
}
ONLY_IN = {
    "opacus": {"privacy"},
    "dp_accounting": {"accounting"},
    "cryptography": {"privacy"},
    "sdmetrics": {"metrics"},
    "fairlearn": {"metrics"},
    "torchmetrics": {"metrics"},
    "torch_fidelity": {"metrics"},
    "typer": {"cli"},
    "ibis": {"io"},
    "psycopg": {"io"},
}


def imported(source: str, module: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the full name of everything that a module's source imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ("privsynth", *module)[: -node.level or None] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def violations(part: str, source: str, module: tuple[str, ...] = ()) -> list[str]:
    """Return what the module imports of the package without being allowed to."""
    level = next(i for i, parts in enumerate(ORDER) if part in parts)
    allowed = set().union(*ORDER[:level], {part})
    file = "/".join(module) + ".py"
    apart = APART.get(part, set()) if not file.startswith(tuple(EXCEPTIONS)) else set()
    found = []
    for name in imported(source, module):
        top, _, of = name.partition(".")
        first = of.split(".")[0]
        is_apart = any(f"{of}.".startswith(f"{other}.") for other in apart)
        if top == "privsynth" and (first not in allowed or is_apart):
            found.append(name)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_lies_before_it(path: Path) -> None:
    source, module = path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).with_suffix("").parts
    assert violations(part_of(path), source, module) == []
    for name in imported(source, module):
        top = name.split(".")[0]
        assert part_of(path) in ONLY_IN.get(top, {part_of(path)}), f"{top} is imported outside {ONLY_IN[top]}"


def test_nothing_lies_about_at_the_top() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} == {
        "__init__.py",
        "__main__.py",
        "datasets.py",
        "py.typed",
    }
    assert {part_of(path) for path in MODULES} == set().union(*ORDER)


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("models", "from privsynth.io.tables import read_table"),
        ("models", "def f():\n    from privsynth import privacy"),
        ("sampling", "import privsynth.privacy.mechanisms.noise as noise"),
        ("sampling", "from ..privacy import noise"),
        ("privacy", "from privsynth.models.tables.mixture import Mixture"),
        ("metrics", "from privsynth.synthesizers.tables.marginal import MarginalSynthesizer"),
        ("attacks", "from privsynth.privacy.curator import Curator"),
        ("metrics", "from privsynth.privacy.curator import Curator"),
        ("synthesizers", "from privsynth.metrics import fidelity"),
        ("schema", "from privsynth import MarginalSynthesizer"),
    ],
)
def test_an_import_against_the_order_is_found(part: str, source: str) -> None:
    assert violations(part, source, (part, "module"))


def test_no_files_import_each_other_in_a_circle() -> None:
    names = {
        ".".join(("privsynth", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in MODULES
    }
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        found = imported(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).with_suffix("").parts)
        files = {full if full in names else full.rpartition(".")[0] for full in found}
        graph[name] = {file for file in files if file in names and not file.endswith("__init__")} - {name}
    assert len(tuple(TopologicalSorter(graph).static_order())) == len(names)  # raises at a circle


def lines_of_code(source: str) -> int:
    """Count the lines that hold code: no blank lines, comments or docstrings."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            docstrings.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    blank = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in blank:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - docstrings)


def test_what_a_reviewer_has_to_read_stays_small() -> None:
    example = (
        '"""Doc.\n\nMore.\n"""\n# comment\n\nx = [\n    1,\n]\n\ndef f():\n    """Doc."""\n    return x\n'
    )
    assert lines_of_code(example) == 5
    for part, most in (
        ("privacy", 1000),
        ("counting", 600),
        ("warehouse", 1100),
        ("accounting", 400),
        ("ledger", 900),  # in a file and on a server, which a third of it is about
    ):
        files = [path for path in (PACKAGE / part).rglob("*.py") if path.name != "distributed.py"]
        assert 100 < sum(lines_of_code(path.read_text(encoding="utf-8")) for path in files) < most, part
