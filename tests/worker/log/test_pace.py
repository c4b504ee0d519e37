"""Tokens that wait for one another: for how long, which never do, and that none is lost or out of order; no server, and no time
passes but the test's."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import StorageUnavailable
from broker.replies import Appended, AppendReply, Behind, NotAppended
from tests.worker.log.test_appender_steps import Redis, put, scene
from worker.log.writer import Writer

PACE_MS = 100


def begun(redis: Redis, id_: str = "a") -> Writer:
    """One whose first token is on its way."""
    writer = redis.writer(id_)
    put(writer, "first")
    writer.paced = True
    return writer


def sent(redis: Redis) -> list[tuple[float, tuple[bytes, ...]]]:
    """When what was sent, of one generation."""
    return [(seconds, call[4]) for (seconds, _), call in zip(redis.flushes, redis.calls, strict=True)]


def test_tokens_that_follow_within_the_pace_share_an_append_and_none_waits_longer() -> None:
    async def work(redis: Redis) -> None:
        writer = begun(redis)
        await asyncio.sleep(0.01)
        for number in range(1, 12):
            put(writer, str(number))
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        values = [number.to_bytes() for number in b"123456789"]
        assert sent(redis) == [
            (0.0, (b"first",)), (0.1, (*values[:5],)), (0.2, (*values[5:], b"10")), (0.3, (b"11",)),
        ]  # fmt: skip

    scene(work, PACE_MS)


def test_a_token_that_comes_later_than_the_pace_goes_at_once() -> None:
    async def work(redis: Redis) -> None:
        writer = begun(redis)
        for number in range(3):
            await asyncio.sleep(0.15)
            put(writer, str(number))
        await asyncio.sleep(0.05)
        assert sent(redis) == [(0.0, (b"first",)), (0.15, (b"0",)), (0.3, (b"1",)), (0.45, (b"2",))]

    scene(work, PACE_MS)


def test_nothing_up_to_the_first_token_waits() -> None:
    async def work(redis: Redis) -> None:
        writer = redis.writer()
        for text in ("block", "retrying", "first"):
            put(writer, text)
            await asyncio.sleep(0.01)
        assert sent(redis) == [(0.0, (b"block",)), (0.01, (b"retrying",)), (0.02, (b"first",))]

    scene(work, PACE_MS)


def test_an_end_waits_for_nothing_and_nor_does_what_follows_it() -> None:
    async def work(redis: Redis) -> None:
        writer = begun(redis)
        await asyncio.sleep(0.01)
        put(writer, "last")
        await asyncio.sleep(0.01)
        assert await writer.flushed(0.05)
        assert redis.seconds == 0.02
        put(writer, "behind")
        await asyncio.sleep(0.001)
        assert sent(redis)[1:] == [(0.02, (b"last",)), (0.02, (b"behind",))]
        await asyncio.sleep(0.2)
        assert len(redis.calls) == 3

    scene(work, PACE_MS)


def test_all_that_wait_go_in_one_trip_when_the_first_has_waited_long_enough() -> None:
    async def work(redis: Redis) -> None:
        writers = [begun(redis, "a")]
        await asyncio.sleep(0.06)
        writers.append(begun(redis, "b"))
        await asyncio.sleep(0.02)
        for writer in writers:
            put(writer, "second")
        await asyncio.sleep(0.1)
        assert redis.flushes == [(0.0, ["a"]), (0.06, ["b"]), (0.1, ["a", "b"])]

    scene(work, PACE_MS)


def test_what_is_too_much_to_wait_goes_at_once() -> None:
    async def work(redis: Redis) -> None:
        writer = begun(redis)
        await asyncio.sleep(0.01)
        put(writer, *["x"] * 1200)
        await asyncio.sleep(0.01)
        assert [len(call[4]) for call in redis.calls] == [1, 500, 500], "a part that fits into one flush may wait"
        await asyncio.sleep(0.1)
        assert [len(call[4]) for call in redis.calls] == [1, 500, 500, 200]
        put(writer, "y")
        assert writer.held
        put(writer, *["x"] * 499)
        await asyncio.sleep(0.01)
        assert len(redis.calls[4][4]) == 500

    scene(work, PACE_MS)


def test_a_lease_and_a_cancel_are_looked_at_as_often_as_without_a_pace() -> None:
    async def work(redis: Redis) -> None:
        writer = begun(redis)
        await asyncio.sleep(0.35)
        redis.rules["a"] = [Appended(2, cancel_pending=True)]
        put(writer, "x")
        await asyncio.sleep(0.1)
        assert (writer.cause, writer.unwritten, redis.seconds) == ("cancelled", 0, 0.45)

    scene(work, 1000)


moments = st.lists(st.tuples(st.sampled_from((0, 1, 5, 20, 90, 130)), st.integers(1, 400)), max_size=25)
replies = st.lists(st.sampled_from(("taken", "away", "unheard", "refused", "behind")), max_size=12)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from((0, 1, 20, 100, 1000)), moments, replies, st.booleans())
def test_no_entry_is_lost_or_out_of_order_whatever_the_pace(
    pace_ms: int, puts: list[tuple[int, int]], said: list[str], ends: bool
) -> None:
    """So many entries are put after so many ms, and Redis does what it does: takes them, is not reached, takes them and does
    not say so, says that it cannot now, comes back without its last three entries."""
    log: list[bytes] = []

    def reply(first: int, count: int) -> AppendReply:
        kind = said.pop(0) if said else "taken"
        if kind == "away":
            raise StorageUnavailable
        if kind == "refused":
            return NotAppended(StorageUnavailable("MISCONF"))
        if kind == "behind" and len(log) > 3:
            del log[-3:]
        if len(log) < first - 1:
            return Behind(len(log))
        # What is there already is skipped, as the script does.
        _, _, _, _, values = redises[0].calls[-1]
        log.extend(values[len(log) - (first - 1) :])
        if kind == "unheard":
            raise StorageUnavailable("silent")
        return Appended(first + count - 1)

    redises: list[Redis] = []

    async def work(redis: Redis) -> None:
        redises.append(redis)
        redis.rules["a"] = [reply] * 10_000
        writer, put_all = redis.writer(), list[bytes]()
        for wait, number in puts:
            await asyncio.sleep(wait / 1000)
            texts = [f"{len(put_all) + at}" for at in range(number)]
            put_all += [text.encode() for text in texts]
            put(writer, *texts)
            writer.paced = True
        if ends:
            assert await writer.flushed(60)
        else:
            await asyncio.sleep(8)
        assert log == put_all
        assert (writer.cause, writer.held) == (None, False)

    scene(work, pace_ms)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 1000), st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 300)), max_size=30))
def test_no_entry_waits_longer_than_the_pace(pace_ms: int, puts: list[tuple[str, int]]) -> None:
    async def work(redis: Redis) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        writers = {id_: redis.writer(id_) for id_ in "abc"}
        when: dict[bytes, float] = {}
        for number, (id_, wait) in enumerate(puts):
            await asyncio.sleep(wait / 1000)
            when[str(number).encode()] = clock() - began
            put(writers[id_], str(number))
            writers[id_].paced = True
        await asyncio.sleep(2)
        calls = iter(redis.calls)
        seen: dict[bytes, float] = {}
        for seconds, ids in redis.flushes:
            for _ in ids:
                seen |= dict.fromkeys(next(calls)[4], seconds)
        assert seen.keys() == when.keys()
        assert all(
            seconds - when[value] <= pace_ms / 1000 + 0.011 for value, seconds in seen.items()
        )  # rounded to 10 ms

    scene(work, pace_ms)
