"""What every page must hold to: links lead somewhere, names name something, nothing is said of how it was made."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, page

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FORBIDDEN = re.compile(r"\.\./shared|(?<![\w.])/work(?![a-z])|(?<![\w.])/tmp(?![a-z])|\bissues? #?\d", re.IGNORECASE)
_TOURS = sorted(
    str(tour.parent.relative_to(ROOT))
    for room in ("api", "broker", "worker")
    for tour in (ROOT / room).rglob("__init__.py")
    if tour.parent.name != "lua"  # scripts, which the architecture names
)
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
_NUMBER = re.compile(r"\[(\d{4})\]\(\1-[\w-]+\.md\)")
_STATUS = re.compile(
    r"Status: (?:accepted|superseded by {0})(?:; extended by {0}(?:, {0})*)?".format(r"\[\d{4}\]\([\w-]+\.md\)")
)


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
def test_a_tour_names_files_and_rooms_that_exist_and_leaves_none_out(room: str) -> None:
    tour, others = page(f"{room}/__init__.py"), {"__init__.py", "__main__.py", "settings.py"}
    here = {path.name for path in (ROOT / room).glob("*.py")} - others
    assert set(re.findall(r"(?<![\w/])(\w+\.py)\b", tour)) - others == here
    rooms = {path.parent.name for path in (ROOT / room).glob("*/__init__.py")}
    assert rooms <= set(re.findall(r"(?<![\w/])(\w+)/", tour))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name[:4])
def test_each_decision_says_whether_it_stands_why_what_and_at_what_cost(path: Path) -> None:
    title, status, _ = path.read_text().split("\n\n", 2)
    assert title.startswith("# ")
    assert _STATUS.fullmatch(status), status
    assert re.findall(r"^## (.*)$", path.read_text(), re.MULTILINE) == ["Context", "Decision", "What it costs"]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name[:4])
def test_a_decision_is_extended_and_superseded_by_later_ones_that_there_are(path: Path) -> None:
    numbers = _NUMBER.findall(path.read_text().split("\n\n", 2)[1])
    assert set(numbers) <= {other.name[:4] for other in DECISIONS}
    assert all(number > path.name[:4] for number in numbers)


def test_the_index_of_decisions_has_each_with_its_title_and_status() -> None:
    index = page("docs/decisions/README.md")
    rows = []
    for path in DECISIONS:
        title, status, _ = path.read_text().split("\n\n", 2)
        said = _NUMBER.sub(r"\1", status.removeprefix("Status: "))
        rows.append(f"- [{path.name[:4]}]({path.name}) {title.removeprefix('# ')} ({said})")
    assert re.findall(r"(?m)^- .*$", index) == rows


def test_the_architecture_names_every_script() -> None:
    text = page("docs/architecture.md")
    scripts = {path.name for path in (ROOT / "broker" / "store" / "lua").glob("*.lua")} - {
        "attempts.lua",
        "budget.lua",
        "charges.lua",
        "clock.lua",
        "common.lua",
        "cost.lua",
        "creating.lua",
        "ending.lua",
        "fingerprints.lua",
        "lease.lua",
        "limits.lua",
        "lists.lua",
        "pace.lua",
        "tenants.lua",
        "turns.lua",
    }
    assert set(re.findall(r"\(\.\./broker/store/lua/(\w+\.lua)\)", text)) == scripts
