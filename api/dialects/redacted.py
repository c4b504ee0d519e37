"""A dialect for readers who may see text alone: a fold around any other, of entries of which the rest is withheld
(redaction.py). Pure.

    log       7-0 stream_start   7-1 block_start   7-2 thinking   7-3 block_start   7-4 "It"
    frames    7-0 without labels 7-1 "withheld"                   7-3               7-4 "It"

The ids are the log's, so who resumes behind any of them gets exactly the rest, whether it is shown what that id names or not.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from api.dialects import Dialect, State
from api.dialects.redaction import redacted_entry, redacted_transcript
from broker.events import TEXT, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait


class Redacted(Dialect):
    """The one inside is given what is shown, and nothing else: it holds no entries back."""

    def __init__(self, inner: Dialect) -> None:
        assert not inner.holds, "chunks are around what is redacted"
        self._inner = inner
        self.begin = inner.begin
        self.keep_alive, self.done, self.slice = inner.keep_alive, inner.done, inner.slice

    def behind(self, cursor: EntryId) -> State:
        return self._inner.behind(cursor)

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        if all(kind == TEXT for _, kind, _ in entries):  # nearly always
            return self._inner.fold(state, entries)
        frames = list[bytes]()
        for entry in entries:
            shown = redacted_entry(entry)
            if shown is None:
                frames.append(b"")
            else:
                state, frame = self._inner.fold(state, [shown])
                frames += frame
        return state, frames

    def skip(self, state: State, kind: bytes, values: Sequence[bytes]) -> State:
        return self._inner.skip(state, kind, values) if kind == TEXT else state

    # -- the rest is as inside

    def queued(self, wait: Wait) -> bytes:
        return self._inner.queued(wait)

    def gap(self, reason: GapReason) -> bytes:
        return self._inner.gap(reason)

    def drain(self, retry_ms: int) -> bytes:
        return self._inner.drain(retry_ms)

    def closed(self, reason: ClosedReason) -> bytes:
        return self._inner.closed(reason)

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        return self._inner.snapshot(redacted_transcript(transcript))

    def first(self, body: bytes) -> bytes | None:
        return self._inner.first(body)


@cache
def redacted(dialect: Dialect) -> Dialect:
    """The dialect for who may see text alone: one and the same for all of them, so that they share frames."""
    return Redacted(dialect)
