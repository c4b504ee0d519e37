"""The chat form as bare text (docs/protocol.md, "The chat form"), for readers that append what is not JSON. Pure.

Such a reader takes what is behind `data: `, of a line or of all lines of a frame, and appends it unless it is JSON. So no text
may look like JSON, nor like `[DONE]`. What is a JSON string, array, object or word is cut in two frames behind its beginning,
neither of which is JSON. A number cannot be cut so: from its first digit on it is held until more text has come, and sent with
that. What is held follows from the text alone, however it came in pieces.

    text      "is"  " 42"  ", as"   "[DONE]"
    frames    is    " "    42, as   [  DONE]
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from api.dialects import UNKNOWN, Dialect, State, sse
from api.dialects.chat import KEEP_ALIVE, local, with_id
from api.dialects.native import NATIVE, local_frame
from api.dialects.text import CR, LF, TEXT_VIEW, Mark, Said, in_data, step
from broker.events import END, TEXT, Entry
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

_new: Final = tuple.__new__
_WHITE: Final = b" \t\r\n"
_NUMERIC: Final = b"0123456789.eE+- \t\r\n"
"""What a number may go on with, and what may stand behind it."""
_DIGIT: Final = re.compile(rb"\d")
_WORDS: Final = frozenset((b"true", b"false", b"null"))
_CLOSED_BY: Final = {b'"': b'"', b"[": b"]", b"{": b"}"}
_OPENING: Final = re.compile(rb"[\s\[{]*[\[{]")
_QUOTES: Final = re.compile(rb'[\s"]*"')
_TELLING: Final = b'0123456789\n"[{'
"""Without these, a text that is none of the words is one line that cannot be taken for JSON, with no number in it."""
_MOST_HELD: Final = 64
"""Bytes. Longer rows of numbers are sent as they come: nothing grows without a bound."""


class Told(NamedTuple):
    """What the text view knows, its Said; the end of the text, which is numbers and was not sent yet; and whether it ends with
    a row of numbers that is too long to be held."""

    characters: int
    cr: bool
    blocks: tuple[Mark, ...]
    held: bytes
    long: bool


class ChatText(Dialect):
    begin = Told(*TEXT_VIEW.begin, b"", False)
    keep_alive = KEEP_ALIVE
    done = sse.DONE

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        told: Told = state  # type: ignore[assignment]  # by whoever keeps it; to look takes time
        frames: list[bytes] = []
        characters, cr, blocks, held, long = told
        for entry in entries:
            _, kind, value = entry
            if kind == TEXT and value and not cr and CR not in value:  # nearly always; as `_step` has it
                characters += len(value) if value.isascii() else len(value.decode())
                if (
                    not held and not long and len(value.translate(None, _TELLING)) == len(value)
                    and value.strip() not in _WORDS
                ):  # fmt: skip
                    frames.append(b"data: %b\n\n" % value)
                else:
                    text = held + value
                    number, long = _number_at_the_end(text, long=long)
                    held = text[number:]
                    frames.append(frames_of(text[:number]))
            else:
                (characters, cr, blocks, held, long), frame = _step(Told(characters, cr, blocks, held, long), entry)
                frames.append(frame)
        return _new(Told, (characters, cr, blocks, held, long)), frames

    def skip(self, state: State, kind: bytes, values: Sequence[bytes]) -> State:
        assert isinstance(state, Told)
        said = TEXT_VIEW.skip(Said(*state[:3]), kind, values)
        text = b"".join(values)
        if not isinstance(said, Said) or not text or kind != TEXT:
            return UNKNOWN if said is UNKNOWN else state
        text = state.held + text
        number, long = _number_at_the_end(text, long=state.long)
        return Told(*said, text[number:], long)

    def queued(self, wait: Wait) -> bytes:
        """Nothing: the one JSON that every reader knows is the end's."""
        return b""

    def gap(self, reason: GapReason) -> bytes:
        return local(NATIVE.gap(reason))

    def drain(self, retry_ms: int) -> bytes:
        return local(NATIVE.drain(retry_ms), retry_ms=retry_ms)

    def closed(self, reason: ClosedReason) -> bytes:
        return local(NATIVE.closed(reason))

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        text = b"".join(transcript.written)
        if text:
            yield frames_of(text)

    def first(self, body: bytes) -> bytes | None:
        return body


def _step(told: Told, entry: Entry) -> tuple[Told, bytes]:
    """The state behind the entry, and its frames."""
    *_, held, long = told
    if entry.kind == END:
        end = b'{"done":true,' + entry.value[1:]
        return told._replace(held=b"", long=False), frames_of(held) + b"data: %b\n\n" % with_id(end, entry.id)
    said, shown = step(Said(*told[:3]), entry)
    if isinstance(shown, int):
        return Told(*said, b"", False), frames_of(held) + local_frame("discard", keep=shown)
    if not shown:
        return Told(*said, held, long), b""
    text = held + shown
    number, long = _number_at_the_end(text, long=long)
    return Told(*said, text[number:], long), frames_of(text[:number])


def _number_at_the_end(text: bytes, *, long: bool) -> tuple[int, bool]:
    """Where the numbers begin that the text ends with, its length if there are none, or none to be held; and whether they are
    too many for that. `long`: they were, before this text."""
    size = len(text)
    numeric = len(text.rstrip(_NUMERIC))
    if numeric == 0 and long:
        return size, True
    digit = _DIGIT.search(text, numeric)
    if digit is None:
        return size, False
    return (digit.start(), False) if size - digit.start() <= _MOST_HELD else (size, True)


def frames_of(text: bytes) -> bytes:
    """Frames which, joined, are the text, and none of which looks like JSON or `[DONE]`, as a whole or in one of its lines; a
    number apart."""
    if not text:
        return b""
    several = LF in text
    if not any(map(_opens, text.split(b"\n") if several else (text,))):  # most of the time: nothing is cut
        return b"data: %b\n\n" % (in_data(text) if several else text)
    cuts = _cuts(text, 0, len(text))
    if several:
        begin = 0
        for line in text.split(b"\n"):
            cuts |= _cuts(text, begin, begin + len(line))
            begin += len(line) + 1
    frames, at = [], 0
    for cut in sorted(cuts):
        frames.append(b"data: %b\n\n" % in_data(text[at:cut]))
        at = cut
    return b"".join(frames) + (b"data: %b\n\n" % in_data(text[at:]) if at < len(text) else b"")


def _opens(line: bytes) -> bool:
    """Whether it begins as a JSON value does that must be cut."""
    value = line.strip(_WHITE)
    return value[:1] in _CLOSED_BY or value in _WORDS


def _cuts(text: bytes, begin: int, end: int) -> set[int]:
    """Where what stands there must be cut, so that no part is a JSON value; nowhere if it is none."""
    value = text[begin:end].strip(_WHITE)
    if value in _WORDS:
        return {text.index(value, begin) + 1}
    closing = _CLOSED_BY.get(value[:1])
    if closing is None or len(value) < 2 or not value.endswith(closing):
        return set()
    # All that opens belongs to the first part: behind it the rest is closed, and was never opened.
    lead = (_QUOTES if closing == b'"' else _OPENING).match(text, begin, end)
    assert lead is not None
    if lead[0].count(b'"') == 2:  # as a whole it would be a string
        return {text.index(b'"', begin) + 1, lead.end()}
    return {lead.end()}


CHAT_TEXT: Final = ChatText()
