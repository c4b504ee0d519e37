"""Whatever is chunked, flushed when, left where and resumed in which size: the text joined is the log's, nothing comes twice,
ids rise. In the fold, and through feed, rendition, pages and viewers, where time passes."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects import Dialect, State
from api.dialects.chunks import Held, Size, in_chunks
from api.dialects.native import NATIVE
from api.dialects.text import TEXT_VIEW
from api.viewing.chunking import MOST_SECONDS, PAST_SECONDS, Chunking
from broker.events import END, EVENT, START, TEXT, THINKING, TOOL_INPUT, WITHDRAW, Entry
from broker.ids import BEGINNING, EntryId
from tests.api.dialects.test_dialects import Seat, Theatre, examples, log_of, without_retry
from tests.api.dialects.test_text import Reader
from tests.harness.clockwork import at_once

SIZES: tuple[Size, ...] = ("token", "word", "sentence")
WORDS = [
    "It",
    " is",
    " done",
    ".",
    " Then",
    " he",
    "\n",
    "```",
    "py\n",
    "x = 1",
    " #",
    "!",
    " ",
    "'",
    "t",
    "é\n\n",
    "🧵",
]
WORDS += ["\r", "\r\n"]


def prose(rng: random.Random, count: int) -> list[Entry]:
    """Attempts that think, write, ask for tools, and take back what an earlier one wrote."""
    log = log_of(rng, count)
    kinds = {TEXT: TEXT, THINKING: THINKING}
    said = [rng.choice(WORDS).encode() for _ in log]
    return [
        Entry(id_, kind, text if kind in kinds else value) for (id_, kind, value), text in zip(log, said, strict=True)
    ]


def events(got: bytes) -> list[tuple[dict[str, Any], str]]:
    """Each frame's event and id."""
    found = []
    for block in without_retry(got).split(b"\n\n")[:-1]:
        data, _, id_ = block.removeprefix(b": ka\n").removeprefix(b"data: ").partition(b"\nid: ")
        found.append((orjson.loads(data), id_.decode()))
    return found


def joined(got: bytes) -> list[tuple[dict[str, Any], str]]:
    """With texts that follow one another made one, which has the id of the last."""
    found: list[tuple[dict[str, Any], str]] = []
    for said, id_ in events(got):
        kind = said["type"]
        if kind in ("text", "thinking") and found and found[-1][0]["type"] == kind:
            found[-1] = {"type": kind, kind: found[-1][0][kind] + said[kind]}, id_
        else:
            found.append((said, id_))
    return found


def ids(got: bytes) -> list[EntryId]:
    return [EntryId.of_redis(id_.encode()) for _, id_ in events(got)]


def tokens(log: Sequence[Entry]) -> bytes:
    return b"".join(NATIVE.fold(None, log)[1])


def behind(dialect: Dialect, log: Sequence[Entry], at: int) -> State:
    """The state behind so many entries, as who resumes there gets it."""
    return dialect.flush(dialect.fold(dialect.begin, log[:at])[0])[0]


@pytest.mark.parametrize("size", SIZES)
@examples
@given(st.integers(0, 2**32), st.lists(st.integers(0, 60), max_size=8))
def test_a_log_that_is_folded_in_portions_is_the_same(size: Size, seed: int, cuts: list[int]) -> None:
    log, dialect = prose(random.Random(seed), 60), in_chunks(NATIVE, size)
    state, frames = dialect.begin, list[bytes]()
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(log)], strict=True):
        before = state
        state, more = dialect.fold(state, log[start:stop])
        frames += more
        assert dialect.fold(before, log[start:stop]) == (state, more), "a state is not changed in place"
    assert frames == dialect.fold(dialect.begin, log)[1]
    assert len(frames) == len(log)


@examples
@given(st.integers(0, 2**32), st.data())
def test_however_it_is_cut_flushed_left_and_resumed_the_text_is_the_log_s(seed: int, data: st.DataObject) -> None:
    rng = random.Random(seed)
    log = prose(rng, 80)
    place = {entry.id: at for at, entry in enumerate(log, 1)}
    at, got = 0, b""
    while at < len(log):
        dialect = in_chunks(NATIVE, data.draw(st.sampled_from(SIZES)))
        state, shown, position = behind(dialect, log, at), at, at
        leaves = data.draw(st.integers(at + 1, len(log)))
        while position < leaves:
            step = rng.randrange(1, 9)
            state, frames = dialect.fold(state, log[position : position + step])
            position = min(len(log), position + step)
            if rng.random() < 0.3:
                state, more = dialect.flush(state, rng.choice([None, 1, 2]))
                frames += more
            got += b"".join(frames)
            shown += len(frames)
            assert all(frame in (b"", NATIVE.fold(None, [log[at]])[1][0]) or b"id: %d-%d\n" % log[at].id in frame
                       for at, frame in enumerate(frames, shown - len(frames)))  # fmt: skip
        seen = ids(got)
        at = place[seen[-1]] if seen else 0
        assert at == shown or position < len(log), "who leaves has a cursor behind all that was shown"
    assert joined(got) == joined(tokens(log))
    assert ids(got) == sorted(set(ids(got)))


@pytest.mark.parametrize("size", SIZES)
@examples
@given(st.integers(0, 2**32))
def test_the_text_view_in_chunks_amounts_to_the_same(size: Size, seed: int) -> None:
    log, whole, chunked = prose(random.Random(seed), 80), Reader(), Reader()
    whole.read(b"".join(TEXT_VIEW.fold(TEXT_VIEW.begin, log)[1]))
    dialect = in_chunks(TEXT_VIEW, size)
    chunked.read(b"".join(dialect.fold(dialect.begin, log)[1]))
    assert vars(chunked) == vars(whole)


# ── one by one ──


def entry(seq: int, kind: bytes, value: str | dict[str, Any]) -> Entry:
    return Entry(EntryId(7, seq), kind, value.encode() if isinstance(value, str) else orjson.dumps(value))


def texts(*pieces: str, first: int = 2) -> list[Entry]:
    return [entry(seq, TEXT, piece) for seq, piece in enumerate(pieces, first)]


OPEN = [entry(0, START, {"type": "stream_start", "keep_blocks": 0}),
        entry(1, EVENT, {"type": "block_start", "index": 0, "block": {}})]  # fmt: skip


def shown(size: Size, log: list[Entry]) -> list[tuple[str, str]]:
    dialect = in_chunks(NATIVE, size)
    got = b"".join(dialect.fold(dialect.begin, log)[1])
    return [(said.get("text", said.get("thinking", said["type"])), id_) for said, id_ in events(got)]


def test_a_chunk_has_the_id_of_its_last_entry_and_what_is_no_text_does_not_overtake_it() -> None:
    log = [*OPEN, *texts("It", " is", " done", ".", " Then"), entry(7, EVENT, {"type": "block_stop", "index": 0})]
    assert shown("sentence", log) == [
        ("stream_start", "7-0"), ("block_start", "7-1"), ("It is done.", "7-5"), (" Then", "7-6"), ("block_stop", "7-7"),
    ]  # fmt: skip
    assert shown("word", log)[2:] == [
        ("It", "7-2"), (" is", "7-3"), (" done.", "7-5"), (" Then", "7-6"), ("block_stop", "7-7"),
    ]  # fmt: skip


def test_the_end_flushes_and_thinking_is_cut_as_text_is_and_a_tool_s_input_is_not() -> None:
    log = [*OPEN, entry(2, THINKING, "Let me"), entry(3, THINKING, " see."), *texts("Yes", first=4),
           entry(5, TOOL_INPUT, '{"a'), entry(6, TOOL_INPUT, '":1}'), *texts("No", first=7),
           Entry(EntryId(8, 0), END, b'{"type":"stream_end"}')]  # fmt: skip
    assert shown("sentence", log)[2:] == [
        ("Let me see.", "7-3"), ("Yes", "7-4"), ("tool_input", "7-5"), ("tool_input", "7-6"), ("No", "7-7"),
        ("stream_end", "8-0"),
    ]  # fmt: skip


def test_a_block_that_is_gone_on_with_is_in_its_code_fence_still() -> None:
    begun = [*OPEN, *texts("```\n", "x = 1. Y", "\n", "z = ")]
    for index, whole in ((0, "2. A = 3"), (1, "2. A")):
        goes_on = [
            Entry(EntryId(9, 0), START, orjson.dumps({"type": "stream_start", "keep_blocks": index + 1})),
            Entry(EntryId(9, 1), EVENT, orjson.dumps({"type": "block_start", "index": index, "block": {}})),
            *(Entry(EntryId(9, seq), TEXT, piece) for seq, piece in enumerate((b"2. A", b" = 3", b"\n", b"q"), 2)),
        ]
        assert shown("word", [*begun, *goes_on])[-2 if index == 0 else -3][0] == whole


def test_a_chunk_that_has_become_too_large_ends() -> None:
    for piece, count in (("ab", 300), ("x" * 1000, 12)):
        log = [*OPEN, *texts(*[piece] * count)]
        dialect = in_chunks(NATIVE, "sentence")
        state, frames = dialect.fold(dialect.begin, log)
        assert isinstance(state, Held)
        assert 1 <= len(state.entries) < count
        assert max(map(len, frames)) < 6000


def test_who_asks_for_the_same_gets_the_same_dialect_and_tokens_are_as_ever() -> None:
    assert in_chunks(NATIVE, "word") is in_chunks(NATIVE, "word")
    assert in_chunks(NATIVE, "token") is NATIVE
    assert set(get_args(Size)) == set(SIZES) or set(SIZES) == {"token", "word", "sentence"}


# ── with a feed, renditions, pages and viewers ──


class Stream(Seat):
    """One viewer; it comes back in another size when it is `cut`."""

    @property
    def last(self) -> EntryId:
        seen = [id_ for _, id_ in events(without_retry(self.got)) if id_]
        return EntryId.of_redis(seen[-1].encode()) if seen else self.cursor


@examples
@given(st.integers(0, 2**32), st.integers(0, 120))
def test_every_viewer_gets_exactly_what_is_behind_its_cursor_in_whatever_size(seed: int, before: int) -> None:
    """Viewers come at any moment, at any cursor, at any speed, and come back; time passes; the ring overflows."""
    rng = random.Random(seed)
    log = prose(rng, before + rng.randrange(200))

    async def scene() -> None:
        here = Theatre(log[:before])
        streams: list[tuple[list[bytes], Stream]] = []
        at = before

        def attach(cursor: EntryId) -> Stream:
            return Stream(here.viewer(in_chunks(NATIVE, rng.choice(SIZES)), cursor), cursor, rng)

        while at < len(log):
            new = log[at : at + rng.randrange(1, 12)]
            at += len(new)
            here.publish(new)
            if rng.random() < 0.4:
                streams.append(([], attach(rng.choice([BEGINNING, *(each.id for each in log[:at])]))))
            if streams and rng.random() < 0.3:  # one drops, and comes back
                said, stream = streams[(which := rng.randrange(len(streams)))]
                whole = stream.got[: stream.got.rfind(b"\n\n") + 2] if b"\n\n" in stream.got else b""
                last = stream.last
                stream.viewer.wake = lambda: None
                rendition = stream.viewer.rendition
                assert rendition is not None
                rendition.leave(stream.viewer, 0.0)
                again = attach(last)
                again.first = stream.first if hasattr(stream, "first") else stream.cursor  # type: ignore[attr-defined]
                streams[which] = ([*said, whole], again)
            if rng.random() < 0.1:
                here.feed.send_to_log()
            if rng.random() < 0.1:
                here.feed.release(0.0)
            await asyncio.sleep(rng.choice([0, 0, 0.01, 0.03, 0.06, 0.3]))
        order = [BEGINNING, *(each.id for each in log)]
        for said, stream in streams:
            await stream.finish()
            got = without_retry(b"".join([*said, stream.got]))
            first = getattr(stream, "first", stream.cursor)
            assert joined(got) == joined(tokens(log[order.index(first) :]))
            assert ids(got) == sorted(set(ids(got)))
            assert stream.viewer.done == "end"

    at_once(scene())


class Watching:
    """One viewer of a running log, in a size."""

    def __init__(self, size: Size) -> None:
        self.here = Theatre([])
        self.dialect = in_chunks(NATIVE, size)
        self.at = 0
        self.publish(OPEN)
        self.viewer = self.here.viewer(self.dialect, BEGINNING)
        self.got: list[tuple[float, str]] = []
        self.viewer.wake = self.read
        self.read()

    @property
    def shown(self) -> Chunking:
        rendition = self.viewer.rendition
        assert isinstance(rendition, Chunking)
        return rendition

    def publish(self, entries: list[Entry]) -> None:
        self.here.publish(entries)

    async def say(self, *pieces: str, every: float = 0.0) -> None:
        for piece in pieces:
            self.publish([Entry(EntryId(7, 2 + self.at), TEXT, piece.encode())])
            self.at += 1
            await asyncio.sleep(every)

    def read(self) -> None:
        now = asyncio.get_running_loop().time()
        while body := self.viewer.take():
            self.got += [(now, said["text"]) for said, _ in events(body) if said["type"] == "text"]

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.got]


async def watch(size: Size) -> Watching:
    """It has read what there is."""
    watching = Watching(size)
    for _ in range(20):
        await asyncio.sleep(0)
    return watching


def test_nothing_is_held_for_longer_than_a_quarter_of_a_second() -> None:
    async def scene() -> None:
        watching = await watch("sentence")
        await watching.say("It", " goes", " on", every=0.1)
        begun = asyncio.get_running_loop().time() - 0.3
        assert watching.texts == ["It goes on"]
        assert watching.got[0][0] == pytest.approx(begun + MOST_SECONDS)
        await watching.say(" and", " on", every=0.0)
        await asyncio.sleep(0.24)
        assert len(watching.texts) == 1
        await asyncio.sleep(0.02)
        assert watching.texts[1:] == [" and on"]

    at_once(scene())


@pytest.mark.parametrize(
    ("size", "piece"), [("sentence", " done."), ("word", " done."), ("word", "one two"), ("sentence", "So. It")]
)
def test_what_is_past_its_boundary_is_held_for_a_twentieth_of_a_second(size: Size, piece: str) -> None:
    async def scene() -> None:
        watching = await watch(size)
        await watching.say("It", every=0.15)
        await watching.say(piece)
        await asyncio.sleep(PAST_SECONDS - 0.01)
        held = watching.texts[-1:] != [piece] and "".join(watching.texts) != "It" + piece
        assert held
        await asyncio.sleep(0.02)
        assert "".join(watching.texts) == "It" + piece

    at_once(scene())


def test_in_a_code_fence_a_line_is_whole_or_late() -> None:
    async def scene() -> None:
        watching = await watch("word")
        await watching.say("```", "py\n", "a", " = ", "1. B", "\n", "c", " d", every=0.02)
        await asyncio.sleep(1)
        assert watching.texts == ["```py\n", "a = 1. B", "\n", "c d"]

    at_once(scene())


def test_while_nothing_is_held_there_is_no_timer_and_of_tokens_never() -> None:
    async def scene() -> None:
        watching = await watch("sentence")
        assert watching.shown._timer is None
        await watching.say("It")
        assert watching.shown._timer is not None
        watching.publish([Entry(EntryId(7, 3), EVENT, b'{"type":"block_stop","index":0}')])
        assert watching.texts == ["It"]
        await asyncio.sleep(1)
        assert watching.shown._timer is None
        assert not isinstance(watching.here.rendition(NATIVE), Chunking)

    at_once(scene())


def test_one_timer_serves_all_viewers_and_they_get_the_same_frames() -> None:
    async def scene() -> None:
        watching = await watch("sentence")
        others = [watching.here.viewer(watching.dialect, BEGINNING) for _ in range(5)]
        assert {other.rendition for other in others} == {watching.shown}
        await watching.say("It", " is.", " So")
        timer = watching.shown._timer
        await asyncio.sleep(0)
        assert watching.shown._timer is timer
        await asyncio.sleep(0.3)
        got = [await watching.here.read(other) for other in others]
        assert {tuple(said.get("text") for said, _ in events(each))[2:] for each in got} == {("It is.", " So")}

    at_once(scene())


def test_who_joins_within_what_is_held_gets_only_what_is_new_and_the_others_lose_nothing() -> None:
    async def scene() -> None:
        watching = await watch("sentence")
        await watching.say("It", " goes")
        joins = watching.here.viewer(watching.dialect, EntryId(7, 3))
        assert await watching.here.read(joins) == b""
        assert watching.texts == ["It goes"], "it ends there, for all"
        await watching.say(" on.", " So")
        await asyncio.sleep(0.3)
        got = await watching.here.read(joins)
        assert [said["text"] for said, _ in events(got)] == [" on.", " So"] == watching.texts[1:]

    at_once(scene())


def test_who_comes_with_a_cursor_within_a_chunk_that_was_shown_gets_the_rest_of_it() -> None:
    async def scene() -> None:
        watching = await watch("sentence")
        await watching.say("It", " goes", " on", ".", " So")
        assert watching.texts == ["It goes on."]
        for seq, rest in ((2, " goes on. So"), (3, " on. So"), (5, " So"), (6, "")):
            got = await watching.here.read(watching.here.viewer(watching.dialect, EntryId(7, seq)))
            assert "".join(said["text"] for said, _ in events(got)) == rest

    at_once(scene())


def test_who_is_sent_away_is_shown_first_what_was_held() -> None:
    async def scene() -> None:
        watching = await watch("sentence")
        await watching.say("It", " goes")
        watching.here.feed.release(0.0)
        assert watching.texts == ["It goes"]
        assert watching.shown._timer is None

    at_once(scene())


def test_what_a_log_has_lost_is_not_shown_because_it_was_held() -> None:
    async def scene() -> None:
        watching = await watch("sentence")
        await watching.say("It", " goes")
        watching.here.feed.start(EntryId(7, 1), ended=False)
        await asyncio.sleep(1)
        assert watching.texts == []
        assert watching.shown.frames == []

    at_once(scene())


def test_what_is_withdrawn_is_not_shown_because_it_was_held() -> None:
    async def scene() -> None:
        watching = await watch("sentence")
        await watching.say("It", " goes")
        watching.here.log.entries[:] = [Entry(EntryId(8, 0), WITHDRAW, b'{"type":"withdraw"}')]
        watching.here.feed.withdraw(EntryId(8, 0))
        watching.here.feed.wake()
        await asyncio.sleep(1)
        assert watching.texts == []
        assert watching.shown._timer is None

    at_once(scene())
