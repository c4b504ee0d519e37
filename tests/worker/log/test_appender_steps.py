"""What the appender asks of Redis, when, and what it does about each reply; no server, and no time passes but the test's."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

import hiredis
import pytest

from broker import keys
from broker.errors import StorageForbidden, StorageFull, StorageRefused, StorageUnavailable
from broker.events import TEXT, Content
from broker.refusals import Away
from broker.replies import Appended, AppendReply, Behind, Fenced, NotAppended
from broker.store.appends import Lane
from broker.store.lanes import OneLane
from tests.harness.clockwork import at_once
from worker.log.appender import Appender, AppenderStatistics
from worker.log.writer import Writer

LEASE_MS = 3000
Rule = Callable[[int, int], AppendReply]
"""The reply to a call that writes `count` entries from seq `first` on."""


def takes(first: int, count: int) -> AppendReply:
    return Appended(first + count - 1)


class Redis:
    """Redis and one appender before it. `rules` has what is replied to a generation's next calls; else they are taken. `away`
    is for so many flushes."""

    def __init__(self, pace_ms: int = 0) -> None:
        self.rules: dict[str, list[Any]] = {}
        self.away = 0
        self.closed = False
        self.calls: list[tuple[str, int, int, bytes, tuple[bytes, ...]]] = []
        """Each call: generation, first seq, lease, usage, values."""
        self.flushes: list[tuple[float, list[str]]] = []
        self.writers: list[Writer] = []
        self.appender = Appender(OneLane(cast(Lane, self)), LEASE_MS, pace_ms)
        self._clock = asyncio.get_running_loop().time
        self._begun = self._clock()

    def writer(self, id_: str = "a", attempt: int = 7) -> Writer:
        writer = Writer(id_, attempt, max_unwritten=5000, now=self._clock())
        self.appender.add(writer)
        self.writers.append(writer)
        return writer

    @property
    def seconds(self) -> float:
        return round(self._clock() - self._begun, 2)

    # -- what the appender uses

    async def send(self, calls: list[bytes]) -> list[AppendReply]:
        await asyncio.sleep(0)
        self.flushes.append((self.seconds, []))
        if self.away:
            self.away -= 1
            raise StorageUnavailable
        before = len(self.calls)
        replies = [self._called(*words_of(call)) for call in calls]
        self.flushes[-1][1].extend(call[0] for call in self.calls[before:])
        return replies

    def _called(self, command: bytes, _sha: bytes, count: bytes, *words: bytes) -> AppendReply:
        assert command == b"EVALSHA"
        names, args = [name.decode() for name in words[: int(count)]], words[int(count) :]
        live, attempt, first, lease, usage, *contents = args
        (id_,) = (writer.id for writer in self.writers if keys.live(writer.id) == live.decode())
        assert names == [keys.record(id_), keys.log(id_)]
        assert attempt == b"7"
        assert set(contents[::2]) <= {TEXT}
        self.calls.append((id_, int(first), int(lease), usage, tuple(contents[1::2])))
        rules = self.rules.get(id_)
        rule = rules.pop(0) if rules else takes
        return rule(int(first), len(contents) // 2) if callable(rule) else rule


def words_of(call: bytes) -> list[bytes]:
    """A command as Redis reads it."""
    reader = hiredis.Reader()
    reader.feed(call)
    words: list[bytes] = reader.gets()
    assert reader.gets() is False, "one command"
    return words


def put(writer: Writer, *texts: str) -> None:
    writer.put([Content(TEXT, text.encode()) for text in texts])


def scene(work: Callable[[Redis], Coroutine[Any, Any, None]], pace_ms: int = 0) -> None:
    """Runs the scene beside the appender."""

    async def run() -> None:
        redis = Redis(pace_ms)
        appending = asyncio.create_task(redis.appender.run())
        await asyncio.sleep(0)
        await work(redis)
        assert not appending.done(), "nothing ends it"
        appending.cancel()
        with suppress(asyncio.CancelledError):
            await appending

    at_once(run())


def test_what_was_put_goes_out_at_once_and_of_all_generations_together() -> None:
    async def work(redis: Redis) -> None:
        a, b = redis.writer("a"), redis.writer("b")
        put(a, "1", "2")
        put(b, "3")
        put(a, "4")
        await asyncio.sleep(0.01)
        assert redis.flushes == [(0.0, ["a", "b"])]
        assert redis.calls == [("a", 1, 0, b"", (b"1", b"2", b"4")), ("b", 1, 0, b"", (b"3",))]
        put(b, "5")
        await asyncio.sleep(0.01)
        assert redis.calls[2:] == [("b", 2, 0, b"", (b"5",))]
        assert (a.acked, b.acked, a.flushed_at) == (3, 2, 1000.0)
        assert redis.appender.statistics() == AppenderStatistics(
            writers=2, unwritten=0, crowded=0, flushes=2, calls=3, entries=5, unavailable=0, fenced=0, tails_lost=0, refused=0
        )  # fmt: skip
        for writer in (a, b):
            redis.appender.remove(writer)
        seen = redis.appender.statistics()
        assert (seen.writers, seen.entries) == (0, 5)

    scene(work)


def test_what_comes_during_a_flush_goes_out_with_the_next_and_so_does_what_was_too_much_for_one() -> None:
    async def work(redis: Redis) -> None:
        writer = redis.writer()

        def meanwhile(first: int, count: int) -> AppendReply:
            put(writer, "2")
            return takes(first, count)

        redis.rules["a"] = [meanwhile]
        put(writer, "1")
        await asyncio.sleep(0.01)
        assert [call[4] for call in redis.calls] == [(b"1",), (b"2",)]
        put(writer, *["x"] * 1200)
        await asyncio.sleep(0.01)
        assert [len(call[4]) for call in redis.calls[2:]] == [500, 500, 200]

    scene(work)


def test_a_lease_is_renewed_and_a_cancel_looked_for_now_and_then_however_silent_the_upstream_is() -> None:
    async def work(redis: Redis) -> None:
        redis.writer()
        await asyncio.sleep(3.05)
        times = [seconds for seconds, _ in redis.flushes]
        assert times == [0.4, 0.8, 1.2, 1.6, 2.0, 2.4, 2.8]
        assert all(call == ("a", 1, lease, b"", ()) for call, lease in zip(redis.calls, leases(7), strict=True))

    def leases(count: int) -> list[int]:
        """Renewed at a third of it: each second, at the next look."""
        return [LEASE_MS if look in (2, 5) else 0 for look in range(count)]

    scene(work)


def test_of_a_lively_upstream_s_calls_no_more_renew_than_of_a_silent_one() -> None:
    async def work(redis: Redis) -> None:
        writer = redis.writer()
        for _ in range(61):
            put(writer, "x")
            await asyncio.sleep(0.05)
        assert len(redis.calls) >= 60
        assert [call[2] for call in redis.calls].count(LEASE_MS) in (2, 3)

    scene(work)


def test_usage_is_written_once_and_again_when_it_has_changed() -> None:
    async def work(redis: Redis) -> None:
        writer = redis.writer()
        for usage, text in ((b"{}", "1"), (None, "2"), (b'{"a":1}', "3")):
            writer.usage = writer.usage if usage is None else usage
            put(writer, text)
            await asyncio.sleep(0.01)
        assert [call[3] for call in redis.calls] == [b"{}", b"", b'{"a":1}']

    scene(work)


def test_usage_that_was_refused_or_came_too_late_is_written_again() -> None:
    async def work(redis: Redis) -> None:
        writer = redis.writer()

        def later(first: int, count: int) -> AppendReply:
            writer.usage = b"second"
            return takes(first, count)

        redis.rules["a"] = [NotAppended(StorageUnavailable()), later]
        writer.usage = b"first"
        put(writer, "1")
        await asyncio.sleep(0.1)
        put(writer, "2")
        await asyncio.sleep(0.01)
        assert [call[3] for call in redis.calls] == [b"first", b"first", b"second"]

    scene(work)


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (Fenced(), "fenced"), (NotAppended(StorageFull()), "storage_full"),
        (NotAppended(StorageRefused("WRONGTYPE")), "storage_error"), (NotAppended(StorageForbidden()), "storage_error"),
    ],
)  # fmt: skip
def test_a_log_that_takes_no_more_stops_its_attempt_and_nothing_more_is_sent(reply: AppendReply, cause: str) -> None:
    async def work(redis: Redis) -> None:
        writer, other = redis.writer("a"), redis.writer("b")
        redis.rules["a"] = [reply]
        put(writer, "1")
        put(other, "2")
        await asyncio.sleep(2)
        assert (writer.cause, writer.writable, writer.unwritten) == (cause, False, 1)
        assert [call[0] for call in redis.calls].count("a") == 1
        put(writer, "3")
        await asyncio.sleep(0.01)
        assert [call[0] for call in redis.calls].count("a") == 1
        assert (other.cause, other.acked) == (None, 1)
        seen = redis.appender.statistics()
        assert (seen.fenced, seen.refused) == ((1, 0) if cause == "fenced" else (0, 1))
        assert (seen.entries, seen.unwritten, seen.unavailable) == (1, 2, 0)

    scene(work)


def test_a_cancel_stops_the_attempt_whose_last_words_are_written_all_the_same() -> None:
    async def work(redis: Redis) -> None:
        writer = redis.writer()
        redis.rules["a"] = [lambda first, count: Appended(first + count - 1, cancel_pending=True)]
        writer.usage = b"{}"
        put(writer, "1", "2")
        await asyncio.sleep(0.01)
        assert (writer.cause, writer.acked, writer.writable) == ("cancelled", 2, True)
        put(writer, "3")
        await asyncio.sleep(0.01)
        assert redis.calls[1:] == [("a", 3, 0, b"", (b"3",))]

    scene(work)


def test_a_tail_that_is_missing_is_sent_again_under_its_ids() -> None:
    async def work(redis: Redis) -> None:
        writer = redis.writer()
        put(writer, "1", "2", "3")
        await asyncio.sleep(0.01)
        redis.rules["a"] = [Behind(1)]
        put(writer, "4")
        await asyncio.sleep(0.01)
        assert [(call[1], call[4]) for call in redis.calls[1:]] == [(4, (b"4",)), (2, (b"2", b"3", b"4"))]
        assert (writer.acked, writer.cause) == (4, None)
        seen = redis.appender.statistics()
        assert (seen.tails_lost, seen.entries, seen.calls) == (1, 4, 3)

    scene(work)


def test_while_redis_is_away_it_is_asked_after_growing_pauses_and_nothing_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(redis: Redis) -> None:
        writer, other = redis.writer("a"), redis.writer("b")
        redis.away = 7
        put(writer, "1")
        await asyncio.sleep(0.01)
        put(other, "2")
        await asyncio.sleep(4)
        waits = [after - before for (before, _), (after, _) in zip(redis.flushes, redis.flushes[1:], strict=False)]
        assert [round(wait, 2) for wait in waits[:7]] == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5, 0.5]
        assert (writer.acked, other.acked) == (1, 1)
        assert caplog.messages == ["Redis is away: unreachable, 1 generations wait"], "once"
        assert redis.appender.statistics().unavailable == 7
        redis.away = 1
        put(writer, "3")
        await asyncio.sleep(1)
        assert writer.acked == 2
        assert len(caplog.messages) == 2

    scene(work)


@pytest.mark.parametrize("why", ["MISCONF", "READONLY", "unreachable"])
def test_a_reply_that_says_not_now_is_waited_out_and_is_no_failure(why: Away, caplog: pytest.LogCaptureFixture) -> None:
    async def work(redis: Redis) -> None:
        writer, other = redis.writer("a"), redis.writer("b")
        redis.rules["a"] = [NotAppended(StorageUnavailable(why))] * 3
        put(writer, "1")
        put(other, "2")
        await asyncio.sleep(0.3)
        assert [seconds for seconds, ids in redis.flushes if "a" in ids][:3] == [0.0, 0.05, 0.15]
        await asyncio.sleep(1)
        assert (writer.acked, writer.cause, other.acked) == (1, None, 1)
        seen = redis.appender.statistics()
        assert (seen.unavailable, seen.refused) == (3, 0)
        assert len(caplog.messages) == 1

    scene(work)


def test_the_watchdog_bites_when_its_time_is_over_and_not_before() -> None:
    async def work(redis: Redis) -> None:
        writer = redis.writer()
        writer.deadline = (1002.0, "idle_timeout")
        await asyncio.sleep(1.95)
        assert writer.cause is None
        await asyncio.sleep(0.2)
        assert writer.cause == "idle_timeout"

    scene(work)


def test_a_generation_that_is_over_is_asked_for_no_more() -> None:
    async def work(redis: Redis) -> None:
        writer = redis.writer()
        redis.appender.remove(writer)
        await asyncio.sleep(2)
        assert redis.flushes == []
        full = redis.writer("b")
        full.stop("storage_full")
        await asyncio.sleep(2)
        assert redis.flushes == []
        put(full, "1")
        await asyncio.sleep(2)
        assert redis.flushes == [], "not even an empty flush"

    scene(work)


def test_what_is_put_during_a_flush_that_fails_goes_out_with_it_again() -> None:
    async def work(redis: Redis) -> None:
        writer, other = redis.writer("a"), redis.writer("b")
        redis.away = 1
        put(writer, "1")
        while not redis.flushes:
            await asyncio.sleep(0)
            if not other.unwritten:
                put(other, "2")
        await asyncio.sleep(0.06)
        assert redis.flushes == [(0.0, []), (0.05, ["b", "a"])]

    scene(work)


@pytest.mark.parametrize(("age", "lease"), [(0.9998, 0), (1.0, LEASE_MS), (60.0, LEASE_MS)])
def test_a_lease_is_renewed_at_a_third_of_it(age: float, lease: int) -> None:
    async def work(redis: Redis) -> None:
        writer = redis.writer()
        writer.renewed_at = 1000.0 - age
        put(writer, "1")
        await asyncio.sleep(0.01)
        assert redis.calls == [("a", 1, lease, b"", (b"1",))]
        assert writer.renewed_at == (1000.0 if lease else 1000.0 - age)

    scene(work)


def test_while_redis_is_away_its_statistics_say_what_waits_and_whose_upstream() -> None:
    async def work(redis: Redis) -> None:
        writer, other = redis.writer("a"), redis.writer("b")
        redis.away = 1000
        put(writer, *["x"] * 5000)
        put(other, "y")
        await asyncio.sleep(1)
        seen = redis.appender.statistics()
        assert (seen.writers, seen.unwritten, seen.crowded, seen.entries) == (2, 5001, 1, 0)
        assert (seen.flushes, seen.calls, seen.unavailable) == (
            len(redis.flushes),
            2 * len(redis.flushes),
            len(redis.flushes),
        )

    scene(work)
