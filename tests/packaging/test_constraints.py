"""constraints.txt pins everything, on every platform and Python that we support, and says nothing else."""

import re

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.packaging.pins import EXTRAS, ROOT, applies, asked_for, closure

LINES = (ROOT / "constraints.txt").read_text().splitlines()
PINS = dict(line.split("==") for line in LINES if not line.startswith("#"))


def test_every_line_is_a_comment_or_one_exact_version_and_no_address() -> None:
    for line in LINES:
        assert line.startswith("# ") or re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), line
        assert "://" not in line
        assert not line.startswith("-")


def test_names_are_sorted_and_canonical() -> None:
    assert list(PINS) == sorted(map(canonicalize_name, PINS))


def test_everything_that_is_asked_for_directly_or_not_is_pinned() -> None:
    assert closure() - PINS.keys() == set()


def test_nothing_else_is_pinned() -> None:
    """What is installed only for another platform cannot be looked into here, so the answer may only be smaller."""
    assert PINS.keys() - closure() == set()


def test_each_pin_is_a_version_that_pyproject_allows() -> None:
    for requirement in asked_for():
        specifier: SpecifierSet = requirement.specifier
        assert Version(PINS[canonicalize_name(requirement.name)]) in specifier, str(requirement)


def test_the_closure_sees_what_other_pythons_and_platforms_need() -> None:
    assert applies(Requirement("one; python_full_version < '3.11.3'"), {""})
    assert applies(Requirement("one; sys_platform == 'darwin' and python_version >= '3.14'"), {""})
    assert applies(Requirement("one; extra == 'test'"), set(EXTRAS))
    assert not applies(Requirement("one; sys_platform == 'win32'"), {""})
    assert not applies(Requirement("one; python_version < '3.11'"), {""})
    assert "async-timeout" in PINS, "redis asks for it below Python 3.11.3"
