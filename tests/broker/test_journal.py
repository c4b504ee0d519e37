"""What is logged: all that is ours from the level that is set on, of the rest what is grave."""

import logging
import sys
import threading
import warnings
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
    for module, hook in (
        (sys, "excepthook"),
        (sys, "unraisablehook"),
        (threading, "excepthook"),
        (warnings, "showwarning"),
    ):
        monkeypatch.setattr(module, hook, getattr(module, hook))
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


CANARY = "canary-5d0c9a"


def said(record: logging.LogRecord) -> str:
    """The line that is printed."""
    journal.begin("DEBUG")
    return logging.root.handlers[0].format(record)


def record_of(name: str, message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    raised = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(name, logging.ERROR, "here.py", 1, message, arguments, raised)


def failed() -> BaseException:
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as error:
            raise ExceptionGroup(CANARY, [ValueError(CANARY), OSError(28, CANARY)]) from error
    except ExceptionGroup as error:
        return error


@pytest.mark.usefixtures("hears")
def test_an_exception_is_told_by_its_class_and_where_it_was_raised_and_never_by_what_it_says() -> None:
    line = said(record_of("respool.api", "unexpected %s", "KeyError", error=failed()))
    assert CANARY not in line
    for told in (
        "unexpected KeyError",
        "builtins.ExceptionGroup",
        "builtins.KeyError",
        "builtins.ValueError",
        "errno 28",
    ):
        assert told in line
    assert "test_journal.py" in line


@pytest.mark.usefixtures("hears")
@pytest.mark.parametrize(
    ("name", "message", "arguments", "told"),
    [
        ("arq.worker", "%6.2fs ! %s failed, %s", (1.5, CANARY, CANARY), "  1.50s ! … failed, …"),
        ("asyncio", f"Exception in callback go({CANARY!r})\nhandle: <Handle {CANARY}>", (), "Exception in callback go"),
        ("asyncio", "Executing %s took %.3f seconds", (f"<Handle {CANARY}>", 0.2), "Executing … took 0.200 seconds"),
        ("httpx", "no numbers %d", (CANARY,), "no numbers %d"),
        ("uvicorn.error", "Started server process [%d]", (7,), "Started server process [7]"),
        ("respool.hub", "%s: begun", ("gen_x",), "gen_x: begun"),
    ],
)
def test_a_library_is_told_without_its_words_and_with_its_numbers(
    name: str, message: str, arguments: tuple[object, ...], told: str
) -> None:
    line = said(record_of(name, message, *arguments))
    assert line.endswith(told)
    assert CANARY not in line


@pytest.mark.usefixtures("hears")
def test_what_nobody_catches_and_what_warns_is_told_without_its_words(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    error = failed()
    sys.excepthook(type(error), error, error.__traceback__)
    warnings.showwarning(UserWarning(CANARY), UserWarning, "there.py", 3)
    threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))
    assert "builtins.ExceptionGroup" in capsys.readouterr().err
    assert "UserWarning at there.py:3" in caplog.text
    assert CANARY not in caplog.text
