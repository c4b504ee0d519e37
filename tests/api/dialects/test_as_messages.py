"""Events as messages of a WebSocket: what a client of `websockets` reads of them is what an event stream says."""

import json
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from api.dialects import Dialect
from api.dialects.as_messages import in_messages
from api.dialects.chat import CHAT_FORM
from api.dialects.chunks import in_chunks
from api.dialects.native import NATIVE
from api.dialects.redacted import redacted
from api.dialects.websocket import Texts, message
from broker.events import END, EVENT, START, TEXT, Entry, event
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.vocabulary import GapReason
from broker.waiting import Wait
from tests.api.dialects.test_dialects import ID, log_of
from tests.harness.client import frames

examples = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Told = dict[str, Any]


def read(data: bytes) -> Iterator[bytes]:
    """The messages, as `websockets` reads what a server sends: one unmasked frame of text each."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    while reader.buffer:
        parser = Frame.parse(reader.read_exact, mask=False, max_size=None)
        try:
            next(parser)
        except StopIteration as done:
            frame: Frame = done.value
            assert (frame.opcode, frame.fin, frame.rsv1) == (Opcode.TEXT, True, False)
            yield bytes(frame.data)
        else:
            raise AssertionError("a frame is not whole")


def told(data: bytes) -> list[Told]:
    return [json.loads(text) for text in read(data)]


def as_stream(dialect: Dialect, log: list[Entry]) -> list[Told]:
    """What an event stream says of the log, in the form of messages."""
    stream = b"".join(dialect.fold(dialect.begin, log)[1])
    return [
        {"generation": ID, **({"id": each.id} if each.id else {}), "event": each.data}
        for each in frames(iter([stream]))
    ]


@examples
@given(st.integers(0, 2**32), st.sampled_from([NATIVE, redacted(NATIVE), in_chunks(NATIVE, "sentence")]))
def test_messages_say_what_an_event_stream_says(seed: int, dialect: Dialect) -> None:
    log = log_of(random.Random(seed), 60)
    said = in_messages(dialect, ID)
    assert told(b"".join(said.fold(said.begin, log)[1])) == as_stream(dialect, log)


@examples
@given(st.lists(st.sampled_from([0, 1, 125, 126, 127, 1023, 1024, 65535, 65536, 70000]), max_size=5), st.data())
def test_messages_of_any_length_are_read_in_whatever_pieces_they_come(sizes: list[int], data: st.DataObject) -> None:
    texts = [b"%d" % (at % 10) * size for at, size in enumerate(sizes)]
    sent = b"".join(map(message, texts))
    assert list(read(sent)) == texts
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    parts, ours = Texts(), list[bytes]()
    for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        ours += parts.of(sent[start:stop])
    assert ours == texts


def test_what_is_said_of_the_connection_has_no_id() -> None:
    said = in_messages(NATIVE, ID)
    gap: GapReason = "unknown_cursor"
    whole = said.queued(Wait(2)) + said.gap(gap) + said.drain(700) + said.closed("revoked")
    assert told(whole) == [
        {"generation": ID, "event": {"type": "queued", "position": 2, "estimated_wait_ms": None}},
        {"generation": ID, "event": {"type": "gap", "reason": gap}},
        {"generation": ID, "retry_ms": 700, "event": {"type": "drain"}},
        {"generation": ID, "event": {"type": "closed", "reason": "revoked"}},
    ]
    assert said.keep_alive == said.done == b""


def test_a_snapshot_is_one_message_with_the_cursor_behind_it() -> None:
    said = in_messages(NATIVE, ID)
    transcript = Transcript(
        [
            Entry(EntryId(7, 0), START, event("stream_start", keep_blocks=0).value),
            Entry(EntryId(7, 1), EVENT, event("block_start", index=0, block={"type": "text", "text": ""}).value),
            Entry(EntryId(7, 2), TEXT, "é \u2028 x".encode() * 60_000),
        ]
    )
    (snapshot,) = told(b"".join(said.snapshot(transcript)))
    stream = b"".join(NATIVE.snapshot(transcript))
    assert snapshot == {"generation": ID, "id": "7-2", "event": json.loads(stream[6:].partition(b"\n")[0])}


def test_without_a_generation_a_message_is_the_events_json_alone() -> None:
    said = in_messages(NATIVE)
    log = log_of(random.Random(3), 20)
    stream = b"".join(NATIVE.fold(None, log)[1])
    assert told(b"".join(said.fold(None, log)[1])) == [each.data for each in frames(iter([stream]))]


def test_a_frame_of_several_events_is_as_many_messages() -> None:
    said = in_messages(CHAT_FORM, ID)
    log = [Entry(EntryId(7, 0), END, b'{"type":"stream_end","status":"completed"}')]
    frame = b"".join(CHAT_FORM.fold(CHAT_FORM.begin, log)[1])
    assert len(told(b"".join(said.fold(said.begin, log)[1]))) == len(list(frames(iter([frame]))))


def test_the_same_generation_in_the_same_dialect_is_the_same() -> None:
    def made(dialect: Dialect, generation: str) -> Dialect:
        in_messages.cache_clear()
        return in_messages(dialect, generation)

    assert made(NATIVE, ID) == made(NATIVE, ID)
    assert hash(made(NATIVE, ID)) == hash(made(NATIVE, ID))
    assert made(NATIVE, ID) != made(NATIVE, "gen_" + "1" * 26)
    assert made(NATIVE, ID) != made(redacted(NATIVE), ID)
