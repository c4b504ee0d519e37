"""One process's chain over its files, each named by when it was begun: `20261129T194132.123Z-api-<chain>-0001.jsonl`.

A write that fails leaves nothing behind: the file is cut back to its last whole line, and what was to be written is written
later. A crash leaves half a line at most.
"""

import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import orjson

from api.audit.lines import Action, Chain, Note, Place, dropped, header, noted

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of a file, before the next is begun."""
SUFFIX: Final = ".jsonl"
_MOST_SEEN: Final = 32
_LAST_BYTES: Final = 64 * 1024
"""Of a file, in which its last line is looked for: a header may be long."""


class BadAudit(Exception):
    """The audit log cannot be written; the text says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"RESPOOL_AUDIT_LOG cannot be written: {error.strerror or type(error).__name__}")


def check_folder(folder: Path) -> None:
    """Raises BadAudit if no file can be written there. The folder is made if need be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"\n")
    except OSError as error:
        raise BadAudit(error) from None


class Trail:
    """`process` is a word for what writes. The first file is there, with its header, when this returns. Raises BadAudit. To
    be used by one thread at a time."""

    def __init__(self, folder: Path, process: str, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._process = process
        self._most_bytes = most_bytes
        self._name = secrets.token_hex(8)
        self._part = 0
        self._chain = Chain()
        self._file = -1
        self._path = folder
        self._size = 0
        self._day = ""
        check_folder(folder)
        try:
            self._begin(time.time())
        except OSError as error:
            raise BadAudit(error) from None

    @property
    def end(self) -> Place:
        """The last line that was written."""
        return Place(self._path.name, self._chain.seq, self._chain.digest)

    def write(self, notes: Sequence[Note], missed: Mapping[Action, int]) -> None:
        """Writes lines, and returns when the disk has them. Raises OSError: then none of them is there."""
        now = time.time()
        if not self._is_there() or self._size >= self._most_bytes or self._day != _day(now):
            self._begin(now)
        chain = Chain(self._chain.seq, self._chain.digest)
        lines = [chain.line(noted(note)) for note in notes]
        if missed:
            lines.append(chain.line(dropped(now, missed)))
        written = b"".join(lines)
        _write(self._file, written, self._size)
        self._size += len(written)
        self._chain = chain

    def close(self) -> None:
        """Nothing is written any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _is_there(self) -> bool:
        """Whether what is written can be read by anybody: the file may have been removed, or another have taken its place."""
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _begin(self, now: float) -> None:
        """The next file. Raises OSError."""
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03}Z"
        path = self._folder / f"{stamp}-{self._process}-{self._name}-{self._part + 1:04}{SUFFIX}"
        seen = [place for place in _seen(self._folder) if self._name not in place.file]
        chain = Chain(self._chain.seq, self._chain.digest)
        first = header(now, self._name, self._part + 1, self._process, socket.gethostname(), os.getpid(), seen)
        line = chain.line(first)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write(file, line, 0)
            _sync_folder(self._folder)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self.close()
        self._file, self._path, self._size, self._day = file, path, len(line), _day(now)
        self._part += 1
        self._chain = chain


def _write(file: int, data: bytes, size: int) -> None:
    """Behind the first `size` bytes, which are all that stays if it fails. Raises OSError."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(file, view) :]
        os.fsync(file)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, size)
        raise


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _seen(folder: Path) -> Iterator[Place]:
    """Where the newest files that are there end."""
    for path in sorted(folder.glob(f"*{SUFFIX}"))[-_MOST_SEEN:]:
        with suppress(OSError, orjson.JSONDecodeError, KeyError, TypeError, IndexError):
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - _LAST_BYTES))
                last = orjson.loads(file.read().split(b"\n")[-2])
            yield Place(path.name, last["seq"], last["digest"])


def _day(now: float) -> str:
    return time.strftime("%Y%m%d", time.gmtime(now))
