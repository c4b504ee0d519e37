"""A generation as one object of an archive: its record, and its log in pieces that are read one by one.

    respool-archive 1 LF
    size of the head, 4 bytes, big-endian
    the head: {"id", "record": size, "chunks": [[attempt, seq, entries, size], ...]}, JSON
    the record: {field: value, ...}, JSON, compressed
    the chunks, each compressed: entries whose ids count on, as they are published on a live channel (events.py)

Compressed is in zlib's format. An object never changes: its digest is in its name, and in the stub that Redis keeps. All work
is done in slices (turns.py).
"""

import base64
import hashlib
import zlib
from bisect import bisect_right
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from broker.events import Run, parse_append
from broker.ids import BEGINNING, EntryId
from broker.turns import Turns

_MAGIC: Final = b"respool-archive 1\n"
_SIZE: Final = 4
_SLICE: Final = 32 * 1024
"""Bytes that are compressed in one slice, which takes about a millisecond; four times as many are decompressed in less."""
_HASHED: Final = 512 * 1024
_HEX: Final = 32
"""Half of SHA-256."""


class UnreadableObject(Exception):
    """What is in the archive is not what was put there, or of a version that is not known here."""


class _Chunk(NamedTuple):
    first: EntryId
    entries: int
    at: int
    size: int


async def digest(data: bytes, turns: Turns) -> str:
    """What an object is known by."""
    hashed, view = hashlib.sha256(), memoryview(data)
    for at in range(0, len(data), _HASHED):
        await turns.take()
        hashed.update(view[at : at + _HASHED])
    return hashed.hexdigest()[:_HEX]


async def pack(id_: str, record: Mapping[bytes, bytes], log: AsyncIterable[Sequence[Run]], turns: Turns) -> bytes:
    """The object of a generation that has ended, whose log comes in pages as it is stored."""
    fields = {name.decode(): value.decode() for name, value in _kept(record).items()}
    packed_record = await _compress([orjson.dumps(fields)], turns)
    chunks, bodies = list[tuple[int, int, int, int]](), list[bytes]()
    async for page in log:
        for (attempt, seq), contents in page:
            body = await _compress(_published(Run(EntryId(attempt, seq), contents)), turns)
            chunks.append((attempt, seq, len(contents), len(body)))
            bodies.append(body)
    head = orjson.dumps({"id": id_, "record": len(packed_record), "chunks": chunks})
    return b"".join((_MAGIC, len(head).to_bytes(_SIZE), head, packed_record, *bodies))


def _kept(record: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """The wrapped data key stays in Redis alone: when its record is gone, nothing opens the object. What is sealed is no
    text."""
    if b"sealed" not in record:
        return record
    kept = {name: value for name, value in record.items() if name != b"sealed"}
    return {**kept, b"request": base64.b64encode(kept[b"request"])} if b"request" in kept else kept


def request_of(record: Mapping[str, str], *, sealed: bool) -> bytes:
    """The request in an object's record, as Redis had it. Raises KeyError, ValueError."""
    return base64.b64decode(record["request"], validate=True) if sealed else record["request"].encode()


def _published(run: Run) -> Iterable[bytes]:
    yield b"%d-%d\n" % run.first
    for kind, value in run.contents:
        yield b"%b%d:%b" % (kind, len(value), value)


async def _compress(parts: Iterable[bytes], turns: Turns) -> bytes:
    body = b"".join(parts)
    squeeze, found, view = zlib.compressobj(), list[bytes](), memoryview(body)
    for at in range(0, len(body), _SLICE):
        await turns.take()
        found.append(squeeze.compress(view[at : at + _SLICE]))
    return b"".join((*found, squeeze.flush()))


async def _decompress(data: bytes, turns: Turns) -> bytes:
    inflate, found, left = zlib.decompressobj(), list[bytes](), data
    while not inflate.eof:
        await turns.take()
        piece = inflate.decompress(left, 4 * _SLICE)
        left = inflate.unconsumed_tail
        if not piece and not left and not inflate.eof:
            raise UnreadableObject("it ends too early")
        found.append(piece)
    return b"".join(found)


class Packed:
    """An object that was read. It is kept compressed: `size` bytes. Each read decompresses what it needs."""

    def __init__(self, data: bytes) -> None:
        """Raises UnreadableObject."""
        if not data.startswith(_MAGIC):
            raise UnreadableObject("it is of no version that is known here")
        self._data = data
        begin = len(_MAGIC) + _SIZE
        at = begin + int.from_bytes(data[len(_MAGIC) : begin])
        try:
            head = orjson.loads(data[begin:at])
            self.id = str(head["id"])
            self._record = slice(at, at + head["record"])
            at += head["record"]
            self._chunks = list[_Chunk]()
            for attempt, seq, entries, size in head["chunks"]:
                self._chunks.append(_Chunk(EntryId(attempt, seq), entries, at, size))
                at += size
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise UnreadableObject("its head cannot be read") from None
        if at != len(data):
            raise UnreadableObject("it is not whole")
        self._firsts = [chunk.first for chunk in self._chunks]

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def last(self) -> EntryId:
        """The id of the log's last entry, BEGINNING if it had none."""
        if not self._chunks:
            return BEGINNING
        (attempt, seq), entries, _, _ = self._chunks[-1]
        return EntryId(attempt, seq + entries - 1)

    @property
    def entries(self) -> int:
        return sum(chunk.entries for chunk in self._chunks)

    async def record(self, turns: Turns) -> dict[str, str]:
        """The record's fields as they were. Raises UnreadableObject."""
        try:
            fields: dict[str, str] = orjson.loads(await _decompress(self._data[self._record], turns))
        except (zlib.error, orjson.JSONDecodeError):
            raise UnreadableObject("its record cannot be read") from None
        return fields

    async def runs(self, first: EntryId, count: int, turns: Turns) -> list[Run]:
        """Up to `count` entries from this id on, the id's own included. Raises UnreadableObject."""
        found = list[Run]()
        for chunk in self._chunks[max(0, bisect_right(self._firsts, first) - 1) :]:
            if count <= 0:
                break
            if chunk.first >= first:
                skip = 0
            elif chunk.first.attempt == first.attempt:
                skip = first.seq - chunk.first.seq
            else:
                continue
            if skip < chunk.entries:
                contents = (await self._contents(chunk, turns))[skip : skip + count]
                found.append(Run(EntryId(chunk.first.attempt, chunk.first.seq + skip), contents))
                count -= len(contents)
        return found

    async def _contents(self, chunk: _Chunk, turns: Turns) -> list[tuple[bytes, bytes]]:
        try:
            published = await _decompress(self._data[chunk.at : chunk.at + chunk.size], turns)
            await turns.take(chunk.entries)
            _, entries = parse_append(published)
        except (zlib.error, ValueError):
            raise UnreadableObject("a piece of it cannot be read") from None
        if len(entries) != chunk.entries or entries[0].id != chunk.first:
            raise UnreadableObject("a piece of it is another's")
        return [(kind, value) for _, kind, value in entries]
