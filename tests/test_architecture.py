"""Who may import whom, and how small the part is that a reviewer has to read to believe epsilon."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "privsynth"
MODULES = sorted(PACKAGE.rglob("*.py"))

SCHEMA = {
    "code_books",
    "columns",
    "constraints",
    "dialect",
    "errors",
    "image_shape",
    "number_format",
    "plain_values",
    "schema",
    "arguments",
    "seeds",
    "schema_files",
    "spellings",
    "sdv_metadata",
    "times",
    "writing",
}
PLAIN = SCHEMA | {
    "binning",
    "coding",
    "drawing",
    "encoding",
    "image_files",
    "images",
    "release_kinds",
    "releases",
}
RECORDS = {
    "checking",
    "conforming",
    "csv_files",
    "datasets",
    "distinct",
    "drafting",
    "image_sources",
    "inference",
    "number_lines",
    "parquet_files",
    "single_values",
    "sources",
    "splitting",
}
JUDGES = {"attacks", "metrics", "report"}
MAKERS = {"accounting", "models", "sampling", "ledger", "privacy", "synthesizers"}

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "threads": set(),
    "plain_values": set(),
    "times": {"errors"},
    "writing": {"errors"},
    "dialect": {"errors"},
    "number_format": {"errors"},
    "spellings": set(),
    "columns": {"errors", "number_format", "plain_values", "times"},
    "image_shape": {"errors"},
    "images": {"errors", "image_shape"},
    "image_files": {"errors", "images", "writing"},
    "constraints": {"columns", "errors"},
    "seeds": {"errors"},
    "arguments": {"errors"},
    "schema": SCHEMA,
    "code_books": SCHEMA,
    "schema_files": SCHEMA,
    "sdv_metadata": SCHEMA,
    "binning": PLAIN,
    "accounting": {"errors", "arguments", "accounting"},
    "coding": {"columns"},
    "drawing": set(),
    "encoding": PLAIN,
    "releases": PLAIN,
    "release_kinds": {"releases"},
    "ranks": {"errors", "releases"},
    "models": PLAIN | {"models"},
    "sampling": PLAIN | {"models", "sampling"},
    **dict.fromkeys(RECORDS, PLAIN | RECORDS),
    "ledger": PLAIN | {"accounting", "ledger"},
    "privacy": PLAIN | {"ledger.steps", "accounting", "sources", "ranks", "privacy"},
    "synthesizers": PLAIN | {"sources", "parquet_files", "image_sources", "ranks", "threads"} | MAKERS,
    "attacks": SCHEMA
    | {"accounting", "sources", "attacks", "ledger"}
    | {f"privacy.{part}" for part in ("noise", "secret")},
    # a classifier trained under the same budget, to compare with, takes the steps that every generator takes
    "metrics": SCHEMA
    | {"accounting", "distinct", "image_sources", "images", "single_values", "sources", "splitting"}
    | {"attacks", "metrics"}
    | {f"privacy.{part}" for part in ("clipping", "dpsgd", "secret", "units")},
    "report": SCHEMA | {"threads", "sources", "images", "image_sources", "image_files"} | JUDGES,
    "resampling": PLAIN | RECORDS | MAKERS | {"resampling"},
    "augmentation": PLAIN | RECORDS | MAKERS | {"augmentation"},
    "demo": PLAIN | RECORDS | MAKERS | JUDGES,
    "cli": PLAIN | RECORDS | MAKERS | JUDGES | {"demo", "ranks", "cli"},
    "__main__": {"cli"},
    "__init__": PLAIN | RECORDS | MAKERS | JUDGES | {"augmentation", "resampling", "threads"},
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
    allowed = MAY_IMPORT[part]
    own = [name for name in imported(source, module) if name.split(".")[0] == "privsynth"]
    return [
        name
        for name in own
        if not any(name == f"privsynth.{a}" or name.startswith(f"privsynth.{a}.") for a in allowed)
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_lies_before_it(path: Path) -> None:
    source, module = path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).with_suffix("").parts
    assert violations(part_of(path), source, module) == []
    for name in imported(source, module):
        top = name.split(".")[0]
        assert part_of(path) in ONLY_IN.get(top, {part_of(path)}), f"{top} is imported outside {ONLY_IN[top]}"


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("models", "from privsynth.sources import read_table"),
        ("models", "def f():\n    from privsynth import privacy"),
        ("sampling", "import privsynth.privacy.noise as noise"),
        ("sampling", "from ..privacy import noise"),
        ("privacy", "from privsynth.models.mixture import Mixture"),
        ("metrics", "from privsynth.synthesizers.marginal import MarginalSynthesizer"),
        ("attacks", "from privsynth.privacy.curator import Curator"),
        ("metrics", "from privsynth.privacy.curator import Curator"),
        ("synthesizers", "from privsynth.metrics import fidelity"),
        ("schema", "from privsynth import MarginalSynthesizer"),
    ],
)
def test_an_import_against_the_order_is_found(part: str, source: str) -> None:
    assert violations(part, source, (part, "module"))


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
    for part, most in (("privacy", 1000), ("accounting", 400), ("ledger", 600)):
        files = (PACKAGE / part).rglob("*.py")
        assert 100 < sum(lines_of_code(path.read_text(encoding="utf-8")) for path in files) < most, part


def test_every_test_that_the_proof_names_is_there() -> None:
    text = (PACKAGE / "privacy" / "README.md").read_text(encoding="utf-8")
    named, path = [], ""
    for found, name in re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", text):
        path = found or path
        if path:
            named.append((path, name))
    assert len(named) > 50
    for path, name in named:
        source = (PACKAGE.parent / path).read_text(encoding="utf-8")
        assert f"def {name}(" in source if name else source, f"{path}::{name}"
