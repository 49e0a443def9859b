"""What the documents name is there: paths, tests, modules, lemmas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.test_architecture import ORDER, lines_of_code

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "privsynth"
DOCUMENTS = {  # and where their relative paths begin, beside the root
    "README.md": ROOT,
    "CONTRIBUTING.md": PACKAGE,
    "privsynth/privacy/README.md": PACKAGE / "privacy",
    "privsynth/privacy/PROOF.md": PACKAGE / "privacy",
}
of_each = pytest.mark.parametrize("name", DOCUMENTS)


def words(name: str) -> Iterator[str]:
    """Yield what stands in backticks outside of blocks of code, and what is linked."""
    text = re.sub(r"```.*?```", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", text)
    yield from re.findall(r"\]\(([^)#:]+)\)", text)


@of_each
def test_every_path_that_is_named_exists(name: str) -> None:
    paths = [
        word.partition("::")[0]
        for word in words(name)
        if re.fullmatch(r"[a-zA-Z_.][\w.-]*(/[\w.-]+)*/?(::\w+)?", word)
        and "NAME" not in word
        and ("/" in word or word.rpartition(".")[2] in ("py", "md", "toml"))
    ]
    assert len(paths) > 3
    lacking = [path for path in paths if not any((at / path).exists() for at in (ROOT, DOCUMENTS[name]))]
    assert lacking == []


@of_each
def test_every_test_that_is_named_exists(name: str) -> None:
    path = ""
    for word in words(name):
        found = re.fullmatch(r"(tests/[\w/]+\.py)?(?:::(\w+))?", word)
        if found is None:
            continue
        path = found[1] or path
        source = (ROOT / path).read_text(encoding="utf-8")
        assert found[2] is None or f"def {found[2]}(" in source, word


@of_each
def test_every_name_of_the_package_that_is_shown_can_be_imported(name: str) -> None:
    for word in words(name):
        dotted = re.match(r"privsynth((?:\.\w+)+)", word)
        if dotted is None or word.endswith((".partial", ".NAME")):
            continue
        thing = import_module("privsynth")
        for part in dotted[1].strip(".").split("."):
            try:
                thing = getattr(thing, part)
            except AttributeError:
                thing = import_module(f"{thing.__name__}.{part}")


def test_the_reading_order_has_the_lengths_of_its_files() -> None:
    text = (PACKAGE / "privacy" / "README.md").read_text(encoding="utf-8")
    read: set[Path] = set()
    for files, said in re.findall(r"^\| (`[^|]+`) \| (\d+) \|", text, flags=re.MULTILINE):
        paths = [(PACKAGE / "privacy" / path).resolve() for path in re.findall(r"`([^`]+)`", files)]
        n_lines = sum(lines_of_code(path.read_text(encoding="utf-8")) for path in paths)
        assert abs(n_lines - int(said)) <= 0.15 * n_lines + 5, files
        read.update(paths)
    assert {path for path in (PACKAGE / "privacy").rglob("*.py") if path.name != "__init__.py"} <= read


def test_the_map_of_packages_is_whole_and_in_the_order_of_imports() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Five recipes")[0]
    shown = [name.partition(".")[0] for name in re.findall(r"^\| `([\w.]+)/?` \|", text, flags=re.MULTILINE)]
    levels = [next(i for i, packages in enumerate(ORDER) if name in packages) for name in shown]
    assert levels == sorted(levels)
    assert set(shown) == set().union(*ORDER) - {"__init__", "__main__"}


def test_the_lemmas_are_numbered_and_each_names_its_files_and_tests() -> None:
    text = (PACKAGE / "privacy" / "PROOF.md").read_text(encoding="utf-8")
    lemmas = re.split(r"^## (?=\d+\. )", text, flags=re.MULTILINE)[1:]
    assert [int(lemma.partition(".")[0]) for lemma in lemmas] == list(range(1, len(lemmas) + 1))
    for lemma in lemmas:
        for part in ("**Statement.**", "**Proof.**", "**Rests on it:** `", "**Tests:** `tests/"):
            assert lemma.count(part) == 1, lemma[:60]
    for name in DOCUMENTS:
        named = re.findall(r"Lemmas? (\d+)", (ROOT / name).read_text(encoding="utf-8"))
        assert all(int(number) <= len(lemmas) for number in named)
    for path in PACKAGE.rglob("*.py"):
        named = re.findall(r"Lemmas? (\d+) of\s+(?:`?privacy/)?PROOF", path.read_text(encoding="utf-8"))
        assert all(int(number) <= len(lemmas) for number in named)
