"""The check that ships: a file of regular expressions, none of which the text may match. RE2's time is linear in the text, so
that no pattern and no text can hang a worker."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from broker.aside import Aside
from worker.guardrails.verdicts import Block, Subject, Verdict

_LARGE: Final = 4096
"""Bytes of text: from here on it is searched beside the loop."""
_MOST_BYTES: Final = 1024 * 1024
"""Of the file."""


class _Pattern(Protocol):
    def search(self, text: bytes) -> object: ...


class DenyList:
    """`patterns` by the numbers of their lines."""

    def __init__(self, patterns: Sequence[tuple[int, _Pattern]]) -> None:
        self._patterns = patterns
        self._aside = Aside()

    async def __call__(self, text: str, subject: Subject) -> Verdict:
        """Blocks what matches. What is told is the line, never what it says or what it has found."""
        if len(text) < _LARGE:
            return self._search(text)
        return await self._aside.run(lambda: self._search(text))

    def _search(self, text: str) -> Verdict:
        encoded = text.encode()
        for line, pattern in self._patterns:
            if pattern.search(encoded) is not None:
                return Block(f"It matches line {line} of the deny list.", "deny_list")
        return None


def deny_list(path: str) -> Callable[[str, Subject], Awaitable[Verdict]]:
    """Reads the file: UTF-8, a pattern in each line that is not empty and does not begin with `#`. Raises ValueError, which
    names the file, and the line if it is one's fault."""
    try:
        import re2  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise ValueError("it takes the extra `guardrails` (pip install 'respool[guardrails]')") from None
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    patterns: list[tuple[int, _Pattern]] = []
    for number, line in enumerate(_read(path).split("\n"), 1):
        pattern = line.removesuffix("\r")
        if not pattern.strip() or pattern.startswith("#"):
            continue
        try:
            patterns.append((number, re2.compile(pattern, options)))
        except re2.error as error:
            raise ValueError(f"{path}: line {number} is no pattern: {_word(error)}") from None
    if not patterns:
        raise ValueError(f"{path}: there is no pattern in it")
    return DenyList(patterns)


def _read(path: str) -> str:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{path}: it has more than {_MOST_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: it is not UTF-8") from None


def _word(error: Exception) -> str:
    (said, *_) = error.args or ("",)
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
