"""The gate itself is not rotten: every mutant still has its place in the code, and names tests that there are."""

import ast
import re
from functools import cache

import pytest

from tests.proof.mutants.catalogue import MUTANTS, Mutant
from tests.proof.mutants.equivalent import EQUIVALENT, LEFT_OUT
from tests.proof.mutants.gate import edited
from tests.proof.mutants.places import ROOMS, ROOT, definitions, extent, file_of, files, is_in, label


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
    for file, text in edited(ROOT, mutant.edits).items():
        assert text != (ROOT / file).read_text()
        if file.endswith(".py"):
            compile(text, file, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_the_tests_that_a_mutant_names_exist(mutant: Mutant) -> None:
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file(), test
        assert not name or name.partition("[")[0] in defined(file), test


def test_a_place_is_found_by_its_name_wherever_its_file_is() -> None:
    assert file_of("EntryId.of_redis") == file_of("ids.EntryId.of_redis") == "broker/ids.py"
    assert file_of("claim.lua") == "broker/store/lua/claim.lua"
    with pytest.raises(LookupError, match=r"main is in .*, "):
        file_of("main")
    with pytest.raises(LookupError, match="is in no file"):
        file_of("EntryId.of_nothing")


def test_an_extent_is_a_whole_definition_with_its_decorators() -> None:
    text = "A = 1\n\n\n@cache\ndef f() -> int:\n    return A\n\n\nclass C:\n    b: int = 2\n\n    def f(self) -> None: ...\n"
    assert [each.name for each in definitions(text)] == ["A", "f", "C", "C.b", "C.f"]
    start, stop = extent("f", text)
    assert text[start:stop] == "@cache\ndef f() -> int:\n    return A\n"
    start, stop = extent("module.C.f", text)
    assert text[start:stop] == "    def f(self) -> None: ...\n"


@cache
def texts() -> dict[str, str]:
    """What stands in each place that a generated mutant can be of, by the place's label; of a script's functions, all of it."""
    found: dict[str, str] = {}
    for file in (*files(".py", *ROOMS), *files(".lua", *ROOMS)):
        text = (ROOT / file).read_text()
        found[label(file, "")] = _spaced(text)
        if file.endswith(".lua"):
            found |= {label(file, name): _spaced(text) for name in re.findall(r"(?m)^local function (\w+)", text)}
            continue
        lines = text.split("\n")
        for each in definitions(text):
            own = _spaced("\n".join(lines[each.start : each.stop]))
            found[label(file, each.name)] = found.get(label(file, each.name), "") + own
    return found


def _spaced(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_what_a_listed_mutant_changes_is_still_there() -> None:
    split = [key.partition(": ") for key in EQUIVALENT]
    gone = [place for place, _, edit in split if edit.partition(" => ")[0] not in texts().get(place, "")]
    assert gone == []


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_one_module_or_one_package(name: str) -> None:
    found = [file for file in files(".py", *ROOMS) if is_in(file, name)]
    package = f"/{name.replace('.', '/')}/"
    folders = {f"/{file}".partition(package)[0] for file in found}
    assert len(found) == 1 or (found and len(folders) == 1 and not any(file[1:] in found for file in folders))
