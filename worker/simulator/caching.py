"""What the simulator's prompt cache has: prefixes of requests that were marked, each for five minutes. Without I/O.

As the real one, a request reads the longest prefix that an earlier one has written, and writes what is between that and its
last mark. Other than there, no prefix is too short to be cached, and an hour's mark lasts as long as any.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import orjson

_SECONDS: Final = 300.0
_MOST: Final = 10_000
"""Prefixes that are remembered; the one that was not read for longest is forgotten first."""


class Cached(NamedTuple):
    """Tokens of a prompt that were read from the cache, and that were written to it."""

    read: int = 0
    written: int = 0


NOTHING: Final = Cached()


class PromptCache:
    """Of all models."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def account(self, body: bytes, input_tokens: int) -> Cached:
        """What this request reads and writes, which counts from now on. `input_tokens` are those of the whole prompt."""
        if b'"cache_control"' not in body:
            return NOTHING
        asked = orjson.loads(body)
        prefixes = list(_prefixes(asked))
        marks = [at for at, (_, _, mark) in enumerate(prefixes) if mark]
        if asked.get("cache_control") is not None:
            marks.append(len(prefixes) - 1)
        if not marks:
            return NOTHING
        now, whole = self._clock(), prefixes[-1][1]
        known = [size for digest, size, _ in prefixes[: marks[-1] + 1] if self._until.get(digest, 0.0) > now]
        for at in marks:
            self._keep(prefixes[at][0], now)
        read = max(known, default=0)
        tokens = [size * input_tokens // whole for size in (read, prefixes[marks[-1]][1])]
        return Cached(tokens[0], tokens[1] - tokens[0])

    def _keep(self, digest: bytes, now: float) -> None:
        self._until[digest] = now + _SECONDS
        self._until.move_to_end(digest)
        while len(self._until) > _MOST:
            self._until.popitem(last=False)


def _prefixes(asked: dict[str, Any]) -> Iterator[tuple[bytes, int, bool]]:
    """For each block, in the order in which the API reads them: a digest and the bytes of all up to it, and whether it is
    marked."""
    digest, size = hashlib.sha256(str(asked.get("model")).encode()), 0
    for role, block in _blocks(asked):
        mark = block.get("cache_control") is not None
        said = orjson.dumps([role, {name: value for name, value in block.items() if name != "cache_control"}])
        digest.update(said)
        size += len(said)
        yield digest.digest(), size, mark


def _blocks(asked: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for tool in asked.get("tools") or ():
        yield "tool", tool
    for block in _content(asked.get("system")):
        yield "system", block
    for message in asked["messages"]:
        for block in _content(message["content"]):
            yield message["role"], block


def _content(value: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": value}] if isinstance(value, str) else list(value or ())
