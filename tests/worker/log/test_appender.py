"""The one task that appends, against a real server: what it keeps alive, what it writes again, and what it never shows."""

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from broker import keys
from broker.events import TEXT, Content
from broker.replies import AppendReply
from broker.store.appends import AppendCall
from broker.store.lanes import OneLane
from tests.broker.store.scripted import Generation, Heard, Server
from worker.log.appender import Appender
from worker.log.writer import Writer

_LEASE_MS = 600
_SECONDS = 5.0
ONE, TWO, THREE, FOUR = (Content(TEXT, text) for text in (b"one", b"two", b"three", b"four"))


class Desk:
    """An appender that runs while the test waits, and one generation whose attempt is in its hands."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.generation = Generation(server)
        self.generation.create()
        self.attempt = self.generation.granted()
        self.appender = Appender(OneLane(server.appends), _LEASE_MS)
        self.writer = Writer(self.generation.id, self.attempt, max_unwritten=100, now=0.0)
        self.appender.add(self.writer)

    def until(self, condition: Callable[[], object]) -> None:
        """Appends until the condition holds; fails the test if it does not in time."""
        self.server.do(self._run(condition))

    async def _run(self, condition: Callable[[], object]) -> None:
        running = asyncio.create_task(self.appender.run())
        try:
            async with asyncio.timeout(_SECONDS):
                while not condition():
                    await asyncio.sleep(0.01)
        finally:
            running.cancel()
            await asyncio.wait({running})

    def silence(self, seconds: float) -> None:
        """Time passes and upstream says nothing."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end)

    @property
    def lease_left_ms(self) -> int:
        return int(self.generation.field("lease_until") or 0) - self.server.now_ms()

    @property
    def values(self) -> list[bytes]:
        """The log, but for the claim's entry."""
        return [entry.value for entry in self.generation.log[1:]]


@pytest.fixture
def desk(server: Server) -> Desk:
    return Desk(server)


def test_an_attempt_whose_upstream_is_silent_keeps_its_lease(desk: Desk) -> None:
    desk.writer.put([ONE])
    desk.until(lambda: not desk.writer.unwritten)
    desk.generation.expire_lease()
    desk.silence(1.5 * _LEASE_MS / 1000)
    assert 0 < desk.lease_left_ms <= _LEASE_MS
    assert desk.writer.cause is None


def test_a_silent_attempt_finds_out_that_it_was_cancelled_or_has_lost_its_claim(desk: Desk) -> None:
    other = Desk(desk.server)
    desk.generation.cancel()
    desk.until(lambda: desk.writer.cause == "cancelled")
    other.generation.expire_lease()
    other.generation.granted()
    other.until(lambda: other.writer.cause == "fenced")


def test_what_redis_does_not_take_is_never_shown(desk: Desk) -> None:
    with Heard(desk.server, keys.live(desk.generation.id)) as heard:
        desk.writer.put([ONE])
        desk.until(lambda: not desk.writer.unwritten)
        (published,) = heard.appends()
        assert published.entries == desk.generation.log[1:]

        desk.generation.expire_lease()
        desk.generation.granted()
        heard.appends()
        desk.writer.put([TWO])
        desk.until(lambda: desk.writer.cause == "fenced")
        assert heard.appends() == []


def test_what_a_full_redis_refuses_is_never_shown(desk: Desk) -> None:
    with Heard(desk.server, keys.live(desk.generation.id)) as heard:
        desk.server.command("CONFIG", "SET", "maxmemory", 1)
        try:
            desk.writer.put([ONE])
            desk.until(lambda: desk.writer.cause == "storage_full")
        finally:
            desk.server.command("CONFIG", "SET", "maxmemory", 0)
        assert heard.appends() == []
    assert desk.values == []


def test_a_tail_that_the_server_has_lost_is_there_again_under_its_ids(desk: Desk) -> None:
    desk.writer.put([ONE])
    desk.until(lambda: not desk.writer.unwritten)
    before = desk.generation.save()
    desk.writer.put([TWO, THREE])
    desk.until(lambda: not desk.writer.unwritten)
    log = desk.generation.log
    desk.generation.roll_back(before)
    desk.writer.put([FOUR])
    desk.until(lambda: not desk.writer.unwritten)
    assert desk.generation.log[:-1] == log
    assert desk.generation.log[-1].value == FOUR.value
    assert desk.writer.cause is None


def test_what_an_attempt_has_cost_so_far_is_in_the_record_and_again_after_it_was_lost(desk: Desk) -> None:
    before = desk.generation.save()
    desk.writer.usage = b'{"output_tokens":1}'
    desk.writer.put([ONE])
    desk.until(lambda: not desk.writer.unwritten)
    assert desk.generation.field("usage") == '{"output_tokens":1}'
    desk.generation.roll_back(before)
    desk.writer.put([TWO])
    desk.until(lambda: not desk.writer.unwritten)
    assert desk.generation.field("usage") == '{"output_tokens":1}'


def test_usage_that_came_while_a_flush_was_under_way_is_written_by_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = desk.server.appends.send

    async def meanwhile(calls: Sequence[AppendCall]) -> list[AppendReply]:
        replies = await send(calls)
        desk.writer.usage = b'{"output_tokens":2}'
        return replies

    desk.writer.usage = b'{"output_tokens":1}'
    desk.writer.put([ONE])
    monkeypatch.setattr(desk.server.appends, "send", meanwhile)
    desk.silence(1.0)
    assert desk.generation.field("usage") == '{"output_tokens":2}'


def test_an_old_attempts_end_leaves_its_successors_writer_alone(desk: Desk) -> None:
    successor = Writer(desk.generation.id, desk.attempt + 1, max_unwritten=100, now=0.0)
    desk.appender.add(successor)
    desk.appender.remove(desk.writer)
    assert desk.appender.writer(desk.generation.id) is successor
    desk.appender.remove(successor)
    assert desk.appender.writers == []
