"""What every page must hold to: links lead somewhere, names name something, nothing is said of how it was made."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, page

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FORBIDDEN = re.compile(r"\.\./shared|(?<![\w.])/work(?![a-z])|(?<![\w.])/tmp(?![a-z])|\bissues? #?\d", re.IGNORECASE)
_TOURS = ("broker", "worker", "worker/upstreams", "worker/upstreams/anthropic", "api")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in _LINK.findall(path.read_text()):
        if link.startswith(("https://", "http://")):
            continue
        file, _, fragment = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if fragment:
            assert fragment in anchors(target.read_text()), link


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_tells_of_the_machine_it_was_written_on(path: Path) -> None:
    assert _FORBIDDEN.findall(path.read_text()) == []


@pytest.mark.parametrize("room", _TOURS)
def test_a_tour_names_files_that_exist_and_leaves_none_out(room: str) -> None:
    tour = page(f"{room}/__init__.py")
    here = {path.name for path in (ROOT / room).glob("*.py")} - {"__init__.py", "__main__.py", "settings.py"}
    named = set(re.findall(r"(?<![\w/])(\w+\.py)\b", tour))
    assert named - {"settings.py", "__init__.py"} == here


def test_the_index_of_decisions_has_each_with_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    for path in sorted(folder.glob("0*.md")):
        title = path.read_text().partition("\n")[0].removeprefix("# ")
        assert f"- [{path.name[:4]}]({path.name}) {title}\n" in (folder / "README.md").read_text()


def test_each_decision_says_why_what_and_at_what_cost() -> None:
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        assert re.findall(r"^## (.*)$", path.read_text(), re.MULTILINE) == ["Context", "Decision", "What it costs"], (
            path
        )


def test_the_architecture_names_every_script() -> None:
    text = page("docs/architecture.md")
    scripts = {path.name for path in (ROOT / "broker" / "lua").glob("*.lua")} - {"clock.lua", "common.lua", "lease.lua"}
    assert set(re.findall(r"\(\.\./broker/lua/(\w+\.lua)\)", text)) == scripts
