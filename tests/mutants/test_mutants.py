"""The gate itself is not rotten: every mutant still has its place in the code, and names tests that there are."""

import ast
from functools import cache

import pytest

from tests.mutants.catalogue import MUTANTS, Mutant
from tests.mutants.gate import ROOT, edited


@cache
def defined(file: str) -> frozenset[str]:
    """Whatever a test file has at its top level, by name."""
    body = ast.parse((ROOT / file).read_text()).body
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assigned = {target.id for node in body if isinstance(node, ast.Assign) for target in node.targets
                if isinstance(target, ast.Name)}  # fmt: skip
    return frozenset(names | assigned)


def test_every_mutant_has_a_name_of_its_own_and_there_are_enough() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names) >= 14


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_still_applies_and_is_code(mutant: Mutant) -> None:
    texts: dict[str, str] = {}
    for edit in mutant.edits:
        before = texts.get(edit.file) or (ROOT / edit.file).read_text()
        texts[edit.file] = edited(before, edit)
        assert texts[edit.file] != before
    for file, text in texts.items():
        assert file.split("/")[0] in ("api", "broker", "worker")
        if file.endswith(".py"):
            compile(text, file, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_the_tests_that_a_mutant_names_exist(mutant: Mutant) -> None:
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file(), test
        assert not name or name.partition("[")[0] in defined(file), test
