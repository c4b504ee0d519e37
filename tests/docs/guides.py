"""The guides as data: what a page of docs/guides/ wants run, with which settings and files, and what that prints. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.docs.pages import ROOT

FOLDER: Final = ROOT / "docs" / "guides"
GUIDES: Final = tuple(sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md"))
ADDRESS: Final = "127.0.0.1:8000"
"""What stands for the API in a page."""

_BLOCK = re.compile(r"(?:^<!-- file: (?P<file>\S+) -->\n+)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.M | re.S)
_SETTINGS = re.compile(r"^<!-- settings: (.+) -->$", re.M)
_MARK = "@@ block {} has ended"


@dataclass(frozen=True, slots=True)
class Guide:
    """`steps` are the shell blocks in order, each with what it prints, if the page says."""

    settings: Mapping[str, str]
    files: Mapping[str, str]
    steps: tuple[tuple[str, str | None], ...]

    @classmethod
    def of(cls, text: str) -> Self:
        settings = dict(pair.split("=", 1) for line in _SETTINGS.findall(text) for pair in line.split())
        files: dict[str, str] = {}
        steps: list[tuple[str, str | None]] = []
        before = -1
        for match in _BLOCK.finditer(text):
            if match["file"]:
                files[match["file"]] = match["body"]
            elif match["language"] == "sh":
                steps.append((match["body"], None))
            elif match["language"] == "text" and steps and not text[before : match.start()].strip():
                steps[-1] = (steps[-1][0], match["body"])
            before = match.end() if match["language"] == "sh" and not match["file"] else len(text)
        return cls(settings, files, tuple(steps))

    @classmethod
    def at(cls, path: Path) -> Self:
        return cls.of(path.read_text())

    def script(self, address: str) -> str:
        """All steps as one script, which tells where each ends."""
        steps = (f"{body}printf '\\n{_MARK.format(number)}\\n'\n" for number, (body, _) in enumerate(self.steps))
        return "".join(steps).replace(ADDRESS, address)

    def misfits(self, printed: str, address: str) -> list[str]:
        """What the steps printed and the page does not say, each beside what it says."""
        found = []
        for number, (_, said) in enumerate(self.steps):
            output, _, printed = printed.partition(f"\n{_MARK.format(number)}\n")
            if said is not None and not fits(said.replace(ADDRESS, address), output):
                found.append(f"{output}\n-- is not --\n{said}")
        return found


def fits(said: str, printed: str) -> bool:
    """Whether the page's words stand for what was printed; blank lines at the end count for nothing."""
    lines = ("(?:.*\n)*?" if line.strip() == "…" else _line(line) for line in said.rstrip().split("\n"))
    return re.fullmatch("".join(lines), printed.rstrip() + "\n") is not None


def _line(line: str) -> str:
    return ".*".join(map(re.escape, line.rstrip().split("…"))) + r"[ \t]*\n"
