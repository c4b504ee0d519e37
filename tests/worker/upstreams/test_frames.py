"""Frames out of bytes, wherever they are cut, held against the standard's own words and against the SDK's decoder."""

import time
from collections.abc import Iterator

import pytest
from anthropic._streaming import SSEDecoder
from hypothesis import example, given
from hypothesis import strategies as st

from worker.upstreams.frames import LARGEST, Frame, FrameTooLarge, Splitter


def by_the_standard(stream: bytes) -> list[Frame]:
    """What https://html.spec.whatwg.org/multipage/server-sent-events.html says, in its order, of a whole stream."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    frames, event, data, any_data = [], b"", b"", False
    for line in text.split(b"\n")[:-1]:
        if line == b"":
            if any_data:
                frames.append((event, data[:-1]))
            event, data, any_data = b"", b"", False
            continue
        if line.startswith(b":"):
            continue
        name, colon, value = line.partition(b":")
        if colon and value.startswith(b" "):
            value = value[1:]
        if name == b"event":
            event = value
        elif name == b"data":
            data, any_data = data + value + b"\n", True
    return frames


def split(*parts: bytes) -> list[Frame]:
    splitter = Splitter()
    return [frame for part in parts for frame in splitter.feed(part)]


PIECES = st.sampled_from(
    [
        b"event: x", b"event:x", b"event", b"event: ", b"data: {}", b"data:", b"data", b"data:  two", b"data: a: b", b": ping",
        b":", b"id: 1", b"retry: 5", b"\n", b"\n\n", b"\r\n", b"\r\n\r\n", b"\r", b"\r\r", b"\n\r", b" ", b"\xef\xbb\xbf",
        b"\xef", b"\xbb", "data: \u2028\u2029\x85\x0b\x0c".encode(), b"\xff", b"\x00", b"event: delta\ndata: {}\n\n",
    ]
)  # fmt: skip
STREAMS = st.lists(PIECES | st.binary(max_size=4), max_size=24).map(b"".join)


@st.composite
def cuts(draw: st.DrawFn) -> list[bytes]:
    stream = draw(STREAMS)
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


@given(cuts())
@example([b"\xef", b"\xbb", b"\xbfdata: a\n", b"\n"])
@example([b"data: a\r", b"", b"\n", b"\r", b"\n"])
@example([b"data: a\n", b"", b"\n"])
@example([b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n"])
def test_frames_are_the_standard_s_however_the_stream_is_cut(parts: list[bytes]) -> None:
    assert split(*parts) == by_the_standard(b"".join(parts))


WHOLE = (
    "\ufeffevent: message_start\ndata: {}\n\n\n: a comment\r\nevent: a\r\ndata: 1\r\ndata:2\r\n\r\nevent: b\rdata: \u2028\r\r"
    "data: nameless\n\nevent: nothing\n\nid: 7\nretry: 1\nevent: c\nevent: d\ndata\n\nevent: cut off\ndata: x\n"
).encode()
FRAMES = [
    (b"message_start", b"{}"), (b"a", b"1\n2"), (b"b", "\u2028".encode()), (b"", b"nameless"), (b"d", b""),
]  # fmt: skip


def every_cut() -> Iterator[tuple[bytes, bytes, bytes]]:
    for first in range(len(WHOLE) + 1):
        for second in range(first, len(WHOLE) + 1):
            yield WHOLE[:first], WHOLE[first:second], WHOLE[second:]


def test_every_two_cuts_of_a_stream_with_everything_in_it_give_the_same() -> None:
    assert by_the_standard(WHOLE) == FRAMES
    for parts in every_cut():
        assert split(*parts) == FRAMES, parts


def test_byte_by_byte_it_is_the_same_too() -> None:
    assert split(*(WHOLE[at : at + 1] for at in range(len(WHOLE)))) == FRAMES


LINES = st.sampled_from(
    [b"event: x", b"event: stop", b"data: {}", b"data: \xc3\xa4\xe2\x80\xa8", b": c", b"id: 1", b""]
)


@given(st.lists(LINES, max_size=20), st.sampled_from([b"\n", b"\r\n"]))
def test_the_sdk_s_own_decoder_finds_the_same_frames_where_they_have_data(lines: list[bytes], end: bytes) -> None:
    stream = b"".join(line + end for line in lines)
    found = [(sse.event or "", sse.data) for sse in SSEDecoder().iter_bytes(iter([stream])) if sse.data]
    assert [(name.decode(), data.decode()) for name, data in split(stream)] == found


def test_a_frame_without_end_is_bounded_and_the_whole_ones_before_it_are_given() -> None:
    splitter = Splitter(largest=100)
    assert splitter.feed(b"data: a\n\ndata: " + b"x" * 94) == [(b"", b"a")], "exactly the bound"
    assert splitter.feed(b"x\n\ndata: b\n\n" + b"y" * 101) == [(b"", b"x" * 95), (b"", b"b")]
    with pytest.raises(FrameTooLarge):
        splitter.feed(b"\n\n")


def test_a_frame_that_grows_in_small_pieces_is_bounded_too() -> None:
    splitter = Splitter(largest=1000)
    for _ in range(1001):
        assert splitter.feed(b"x") == []
    with pytest.raises(FrameTooLarge):
        splitter.feed(b"x")


def test_an_enormous_frame_costs_its_length_and_not_the_square_of_it() -> None:
    splitter = Splitter()
    piece = b"x" * 1024
    begun = time.process_time()
    for _ in range(LARGEST // 1024 - 1):
        splitter.feed(piece)
    assert splitter.feed(b"\n\n") == []
    assert time.process_time() - begun < 5, "copied once per piece it is a hundred gigabytes"


def test_the_bound_is_twice_what_a_log_may_hold() -> None:
    assert LARGEST == 16 * 1024 * 1024
