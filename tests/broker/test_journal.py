"""What is logged: all that is ours from the level that is set on, of the rest what is grave."""

import logging
from collections.abc import Callable

import pytest

from broker import journal

Hear = Callable[[str, int], bool]


@pytest.fixture
def hears(monkeypatch: pytest.MonkeyPatch) -> Hear:
    """Whether the log has what this logger says at this level, where we and a library are at DEBUG."""
    heard: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", heard.append)
    monkeypatch.setattr(logging.root, "handlers", [handler])
    for name, level in (("respool", logging.ERROR), ("uvicorn", logging.ERROR), ("httpx", logging.DEBUG)):
        monkeypatch.setattr(logging.getLogger(name), "level", level)
    journal.begin("DEBUG")

    def hear(name: str, level: int) -> bool:
        heard.clear()
        logging.getLogger(name).log(level, "said")
        return bool(heard)

    return hear


@pytest.mark.parametrize(
    ("name", "level", "is_heard"),
    [
        ("respool", logging.DEBUG, True),
        ("respool.api", logging.DEBUG, True),
        ("respool.api.hub", logging.INFO, True),
        ("uvicorn", logging.DEBUG, False),
        ("uvicorn.error", logging.INFO, True),
        ("httpx", logging.DEBUG, False),
        ("httpx", logging.INFO, False),
        ("httpx", logging.WARNING, True),
        ("httpx", logging.ERROR, True),
        ("a.respool", logging.ERROR, True),
    ],
)
def test_ours_is_heard_at_its_level_and_a_library_only_where_it_is_grave(
    hears: Hear, name: str, level: int, is_heard: bool
) -> None:
    assert hears(name, level) is is_heard


def test_a_library_is_not_ours_because_of_how_its_name_ends(hears: Hear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("a.respool"), "level", logging.DEBUG)
    assert not hears("a.respool", logging.INFO)
