"""The text view, as its readers see it: what they append is the text."""

import random

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.dialects.text import TEXT_VIEW
from broker.events import END, EVENT, START, TEXT, THINKING, TOOL_INPUT, Entry, event
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.waiting import Wait
from tests.api.dialects.test_dialects import log_of

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Reader:
    """An EventSource as the standard has it, and a page that appends its messages."""

    def __init__(self) -> None:
        self.text = ""
        self.cursor = ""
        self.named: list[tuple[str, dict[str, object]]] = []

    def read(self, stream: bytes) -> None:
        event, data = "message", list[str]()
        for line in stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name == "event":
                event = value
            elif name == "id":
                self.cursor = value
            elif not line and data:
                self._dispatch(event, "\n".join(data))
                event, data = "message", []

    def _dispatch(self, event: str, data: str) -> None:
        if event == "message":
            self.text += data
            return
        said = orjson.loads(data)
        self.named.append((event, said))
        if event == "discard":
            self.text = self.text[: said["keep"]]


def entry(seq: int, kind: bytes, value: bytes) -> Entry:
    return Entry(EntryId(5, seq), kind, value)


def frames(*contents: tuple[bytes, bytes]) -> list[bytes]:
    return TEXT_VIEW.fold(TEXT_VIEW.begin, [entry(seq, *content) for seq, content in enumerate(contents)])[1]


def lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def readable(log: list[Entry]) -> list[Entry]:
    """Without what a transcript does not allow: deltas before there is a block, or between an attempt and its block."""
    kept: list[Entry] = []
    opened = False
    for each in log:
        if each.kind in (TEXT, THINKING) and not opened:
            continue
        if each.kind == START:
            opened = False
        elif b"block_start" in each.value:
            opened = True
            said = orjson.loads(each.value)
            each = Entry(each.id, EVENT, event("block_start", index=said["index"], block={"type": "text"}).value)
        if each.kind == THINKING:
            continue  # it is of a block of its own
        kept.append(each)
    return kept


@examples
@given(st.integers(0, 2**32), st.data())
def test_what_a_reader_has_appended_is_the_text_wherever_it_was_away(seed: int, data: st.DataObject) -> None:
    log = readable(log_of(random.Random(seed), 80))
    cut = data.draw(st.integers(0, len(log) - 1))
    snapshot = data.draw(st.booleans())
    reader = Reader()
    state, before = TEXT_VIEW.fold(TEXT_VIEW.begin, log[:cut])
    _, behind = TEXT_VIEW.fold(state, log[cut:])
    transcript = Transcript(log[:cut])
    reader.read(b"".join(TEXT_VIEW.snapshot(transcript)) if snapshot else b"".join(before))
    assert reader.text == lines(transcript.text)
    reader.read(b"".join(behind))
    assert reader.text == lines(Transcript(log).text)
    assert reader.named[-1] == ("end", {"done": True, "type": "stream_end", "status": "completed"})
    assert reader.cursor == str(log[-1].id)


def test_text_is_sent_bare_and_nothing_else_is_without_a_name() -> None:
    assert frames(
        event("stream_start", keep_blocks=0), event("block_start", index=0, block={}), (THINKING, b"hm"),
        (TOOL_INPUT, b"{"), event("usage", stop_reason="end_turn"), (TEXT, b" The"),
        (END, b'{"type":"error","code":"idle_timeout"}'),
    ) == [
        b"", b"", b"", b"", b"",
        b"data:  The\nid: 5-5\n\n",
        b'event: end\ndata: {"done":true,"type":"error","code":"idle_timeout"}\nid: 5-6\n\n',
    ]  # fmt: skip


def test_each_line_of_a_text_is_a_field_of_its_own() -> None:
    assert frames((TEXT, b"a\nb"), (TEXT, b"\n\n"), (TEXT, "é\u2028f".encode())) == [
        b"data: a\ndata: b\nid: 5-0\n\n",
        b"data: \ndata: \ndata: \nid: 5-1\n\n",
        "data: é\u2028f\nid: 5-2\n\n".encode(),
    ]


def test_a_line_end_that_is_cut_in_two_is_one() -> None:
    assert frames((TEXT, b"a\r"), (TEXT, b"\nb"), (TEXT, b"\r"), (TEXT, b"\n"), (TEXT, b"\n"), (TEXT, b"c\r\nd")) == [
        b"data: a\ndata: \nid: 5-0\n\n",
        b"data: b\nid: 5-1\n\n",
        b"data: \ndata: \nid: 5-2\n\n",
        b"",
        b"data: \ndata: \nid: 5-4\n\n",
        b"data: c\ndata: d\nid: 5-5\n\n",
    ]


def test_what_is_taken_back_is_told_in_characters_of_what_was_sent() -> None:
    block = [event("block_start", index=index, block={}) for index in range(3)]
    start = [event("stream_start", keep_blocks=keep) for keep in range(3)]
    got = frames(
        start[0], block[0], (TEXT, "é🧵\r\n".encode()), block[1], (TEXT, b"\r"), start[2], start[1], block[1],
        (TEXT, b"\nx"), start[1], start[0], start[0],
    )  # fmt: skip
    assert got[5] == b"", "all of it is kept"
    assert got[6] == b'event: discard\ndata: {"type":"discard","keep":3}\nid: 5-6\n\n'
    assert got[8] == b"data: \ndata: x\nid: 5-8\n\n"
    assert got[9] == b'event: discard\ndata: {"type":"discard","keep":3}\nid: 5-9\n\n'
    assert got[10] == b'event: discard\ndata: {"type":"discard","keep":0}\nid: 5-10\n\n'
    assert got[11] == b"", "there was nothing to take back"
    assert frames(block[0], start[0]) == [b"", b""]


def test_a_block_that_is_gone_on_with_is_where_it_was() -> None:
    block = event("block_start", index=0, block={})
    got = frames(
        block,
        (TEXT, b"ab"),
        event("stream_start", keep_blocks=1),
        block,
        (TEXT, b"c"),
        event("stream_start", keep_blocks=0),
    )
    assert got[-1] == b'event: discard\ndata: {"type":"discard","keep":0}\nid: 5-5\n\n'


def test_what_is_about_the_connection_has_a_name_and_no_id() -> None:
    assert TEXT_VIEW.gap("rewound") == b'event: gap\ndata: {"type":"gap","reason":"rewound"}\n\n'
    told = b'event: queued\ndata: {"type":"queued","position":2,"estimated_wait_ms":null}\n\n'
    assert TEXT_VIEW.queued(Wait(2)) == told
    assert TEXT_VIEW.first(told) == told.replace(b"queued\ndata", b"queued\nretry: 500\ndata")
    assert TEXT_VIEW.drain(700) == b'event: drain\ndata: {"type":"drain"}\nretry: 700\n\n'
    assert TEXT_VIEW.first(b": ka\n") is None
    assert (TEXT_VIEW.keep_alive, TEXT_VIEW.done) == (b": ka\n", b"data: [DONE]\n\n")


def test_a_snapshot_without_text_says_nothing() -> None:
    transcript = Transcript([entry(0, *event("block_start", index=0, block={"type": "text", "text": ""}))])
    assert list(TEXT_VIEW.snapshot(transcript)) == []
