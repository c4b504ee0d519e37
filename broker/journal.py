"""What our processes log, and to where: standard error.

`RESPOOL_LOG_LEVEL` is the level of our own loggers. What libraries say below WARNING is dropped, whatever level they or their
environment variables set: at DEBUG an SDK logs every prompt, and an HTTP client every header. What they say above it is told
without its words: texts among a message's arguments, and what an exception says, may be a prompt or a key. So of any exception,
ours too, a log has its class and where it was raised.
"""

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, TextIO

OURS = "respool"
"""Every logger of ours is below this one."""
_SERVER = "uvicorn"
"""Says when it starts and ends; at INFO nothing of a request."""
_MOST_CAUSES: Final = 10
_log = logging.getLogger(f"{OURS}.journal")


class _Discreet(logging.Formatter):
    """Formats what is ours as it is, of others what cannot be content."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name.partition(".")[0] not in (OURS, _SERVER):
            record = logging.makeLogRecord({**vars(record), "msg": _without_words(record), "args": None})
        return super().format(record)

    def formatException(self, raised: object) -> str:  # noqa: N802
        error = raised[1] if isinstance(raised, tuple) else None
        return trace_of(error) if isinstance(error, BaseException) else ""


def begin(level: str) -> None:
    """Sends the log to standard error. Call it once, first."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger(OURS).setLevel(level)
    logging.getLogger(_SERVER).setLevel(logging.INFO)
    for handler in logging.root.handlers:
        handler.addFilter(_ours_or_grave)
        handler.setFormatter(_Discreet("%(asctime)s %(levelname)s %(name)s %(message)s"))
    sys.excepthook = _uncaught
    threading.excepthook = lambda raised: _log.error("a thread failed: %s", trace_of(raised.exc_value))
    sys.unraisablehook = lambda raised: _log.error("nobody could be told: %s", trace_of(raised.exc_value))
    warnings.showwarning = _warned


def trace_of(error: BaseException | None) -> str:
    """Where it was raised, and of which class it and its causes are; nothing of what they say."""
    return "\n".join(_traced(error))


def _traced(error: BaseException | None) -> Iterator[str]:
    seen = set[int]()
    while error is not None and id(error) not in seen and len(seen) < _MOST_CAUSES:
        seen.add(id(error))
        yield from (line.rstrip() for line in traceback.format_tb(error.__traceback__))
        number = f": errno {error.errno}" if isinstance(error, OSError) and error.errno else ""
        yield f"{type(error).__module__}.{type(error).__qualname__}{number}"
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions[:_MOST_CAUSES]:
                yield from (f"  {line}" for line in _traced(each))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if error is not None:
            yield "while handling:"


def _ours_or_grave(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in (OURS, _SERVER)


def _without_words(record: logging.LogRecord) -> str:
    """A library's message: numbers of its arguments stay. asyncio writes what it was about, too, into the text."""
    message = str(record.msg)
    given = record.args if isinstance(record.args, tuple) else ()
    if given:
        with suppress(TypeError, ValueError):
            message = message % tuple(each if isinstance(each, int | float) else "…" for each in given)
    return message.partition("\n")[0].partition("<")[0].partition("(")[0] if record.name == "asyncio" else message


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        print(trace_of(error), file=sys.stderr)


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    """Pydantic's warnings have values in them."""
    _log.warning("%s at %s:%d", category.__name__, filename, lineno)
