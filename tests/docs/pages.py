"""The documentation as data: its pages, headings, code blocks and tables."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def page(path: str) -> str:
    """The text of a page, by its path in the repository."""
    return (ROOT / path).read_text()


def blocks(text: str, language: str) -> list[str]:
    """The contents of the fenced blocks of that language."""
    return [body for name, body in _FENCED.findall(text) if name == language]


def anchors(text: str) -> set[str]:
    """What a link's fragment may name: the headings as GitHub makes anchors of them."""
    headings = _HEADING.findall(_FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(text: str, heading: str) -> str:
    """What stands below a heading of the second level."""
    _, _, below = text.partition(f"\n## {heading}\n")
    assert below, heading
    return below.partition("\n## ")[0]


def table(text: str, first_column: str) -> list[list[str]]:
    """The cells of the tables whose first column is headed so, row by row, without their heads."""
    found: list[list[str]] = []
    for lines in re.findall(r"^(?:\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines.splitlines()]
        if head[0] == first_column:
            found += rows
    return found


def named(cell: str) -> str:
    """The name in a cell that is one name in backquotes."""
    match = re.fullmatch(r"`([^`]+)`", cell)
    assert match, cell
    return match[1]
