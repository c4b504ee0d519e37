"""The chunks as lines, each with its number: what is alike in the messages of all who read them on a WebSocket. Pure.

    a chunk       data: {"type":"text-delta",…}     id: 7-2
    its line      {"type":"chunk","sequence":2,"chunk":{"type":"text-delta",…}
    its message   {"type":"chunk","sequence":2,"chunk":{"type":"text-delta",…},"requestId":"…"}

Each reader calls what it reads by a name of its own, so a line lacks its end: frames are shared, ends are not. An error that
says that the reader has what is wrong is no chunk but the end of the request: a reader that fails at a chunk asks for the stop.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from api.dialects import Dialect, State
from api.dialects.sse import EVENT_END
from api.dialects.ui import UI
from api.dialects.ui.said import NOT_UNDONE
from broker.events import Entry
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

_DATA: Final = b"data: "


class Numbered(Dialect):
    begin = UI.begin
    keep_alive = b""
    """A connection has one for all that it carries: a ping."""
    done = b""

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        number = UI.count(state)
        state, frames = UI.fold(state, entries)
        lines = list[bytes]()
        for frame in frames:
            line = b""
            for event in frame.split(EVENT_END)[:-1]:
                data = event[len(_DATA) :].partition(b"\n")[0]
                if event.startswith(_NOT_UNDONE):
                    line += data[:-1] + b"\n"
                else:
                    line += b'{"type":"chunk","sequence":%d,"chunk":%b\n' % (number, data)
                number += 1
            lines.append(line)
        return state, lines

    def skip(self, state: State, kind: bytes, values: Sequence[bytes]) -> State:
        return UI.skip(state, kind, values)

    def count(self, state: State) -> int:
        return UI.count(state)

    def weight(self, state: State) -> int:
        return UI.weight(state)

    def queued(self, wait: Wait) -> bytes:
        return b""

    def gap(self, reason: GapReason) -> bytes:
        return _of_an_error(UI.gap(reason))

    def drain(self, retry_ms: int) -> bytes:
        """Nothing: the connection ends, which says it."""
        return b""

    def closed(self, reason: ClosedReason) -> bytes:
        return _of_an_error(UI.closed(reason))

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        """Nothing: chunks behind one would have other numbers."""
        return iter(())

    def first(self, body: bytes) -> bytes | None:
        return body


def _of_an_error(event: bytes) -> bytes:
    """The line of an `error`: as a message it has the members that it has as a chunk."""
    return event[len(_DATA) : -len(EVENT_END) - 1] + b"\n"


_NOT_UNDONE: Final = NOT_UNDONE.removesuffix(EVENT_END)
NUMBERED: Final = Numbered()


def tail(request: str) -> bytes:
    """What ends the messages of this request."""
    return b',"requestId":' + orjson.dumps(request) + b"}"
