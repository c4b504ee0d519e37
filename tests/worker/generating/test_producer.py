"""How a generation is ended: never over an entry that is not written. Against stand-ins that keep what they are told."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from broker.errors import StorageUnavailable
from broker.events import TEXT, Content
from broker.record import Ending
from broker.replies import Finished, Refused
from broker.store.coordination import Coordination
from broker.store.indexes import Together
from broker.store.logs import Logs
from tests.harness.clockwork import at_once
from tests.worker.generating.test_producing import World, produce
from worker.generating.producer import Producer
from worker.log.appender import Appender
from worker.log.writer import Writer
from worker.settings import WorkerSettings
from worker.upstreams import Upstream

COMPLETED = Ending("completed", stop_reason="end_turn")


class Ends(Together):
    """Logs that hold `written` entries and answer a finish as the script would; it is `away` for that many calls."""

    def __init__(self, written: int, away: int = 0) -> None:
        super().__init__(cast(Logs, None), cast(Coordination, None))
        self.written, self.away = written, away
        self.asked: list[tuple[int, Ending]] = []
        self.times: list[float] = []

    async def finish(self, id_: str, attempt: int, seq: int, ending: Ending, job: str) -> Finished:
        self.times.append(asyncio.get_running_loop().time() - 1000)
        if self.away:
            self.away -= 1
            raise StorageUnavailable("MISCONF")
        self.asked.append((seq, ending))
        return Finished("behind", self.written) if self.written + 1 < seq else Finished("ended")


def finish(
    logs: Ends, ending: Ending, on_put: Callable[[Writer], object], outage: float = 5
) -> tuple[int, Ending] | None:
    """Ends a generation that has put three entries; what the last finish was asked. `on_put` plays the appender."""

    async def run() -> None:
        settings = WorkerSettings(outage=outage)
        producer = Producer(
            "w", cast(Logs, logs), cast(Coordination, None), logs, cast(Appender, None), cast(Upstream, None), settings
        )
        loop = asyncio.get_running_loop()

        def soon(each: Writer) -> None:
            loop.call_soon(on_put, each)

        writer = Writer("gen", 7, max_unwritten=10, now=loop.time())
        writer.on_put = soon
        writer.put([Content(TEXT, b"a"), Content(TEXT, b"b"), Content(TEXT, b"c")])
        await producer._finish(writer, "gen:1", ending)

    at_once(run())
    return logs.asked[-1] if logs.asked else None


def writes_all(logs: Ends) -> Callable[[Writer], object]:
    def acknowledge(writer: Writer) -> None:
        logs.written = writer.next_seq - 1
        writer.acknowledge(logs.written, 0)

    return acknowledge


def test_an_end_names_the_seq_behind_everything_that_was_put() -> None:
    logs = Ends(0)
    assert finish(logs, COMPLETED, writes_all(logs)) == (4, COMPLETED)


def test_what_redis_lost_again_is_written_before_the_end() -> None:
    logs, calls = Ends(0), []

    def loses_the_tail_once(writer: Writer) -> None:
        calls.append(writer.next_seq)
        writer.acknowledge(3, 0)
        logs.written = 3 if len(calls) > 1 else 1

    assert finish(logs, COMPLETED, loses_the_tail_once) == (4, COMPLETED)
    assert [seq for seq, _ in logs.asked] == [4, 4]


def test_a_full_redis_never_makes_it_complete() -> None:
    def full_behind_the_first(writer: Writer) -> None:
        writer.acknowledge(1, 0)
        writer.stop("storage_full")

    asked = finish(Ends(1), COMPLETED, full_behind_the_first)
    assert asked is not None
    seq, ending = asked
    assert (seq, ending.state, ending.code, ending.retryable) == (2, "failed", "storage_full", True)


def test_a_cancelled_one_may_leave_out_what_could_not_be_written() -> None:
    asked = finish(Ends(0), Ending("cancelled"), lambda writer: writer.stop("storage_error"))
    assert asked == (1, Ending("cancelled"))


def test_an_end_waits_out_a_redis_that_says_not_now() -> None:
    logs = Ends(0, away=2)
    assert finish(logs, COMPLETED, writes_all(logs)) == (4, COMPLETED)


def test_no_end_is_written_if_the_outage_is_too_long() -> None:
    assert finish(Ends(0), COMPLETED, lambda _: None, outage=0.2) is None


@pytest.mark.parametrize("cause", ["fenced", "rewound"])
def test_an_attempt_that_has_lost_its_log_ends_nothing(cause: Any) -> None:
    assert finish(Ends(0), COMPLETED, lambda writer: writer.stop(cause)) is None


def test_what_was_written_whole_before_redis_was_full_is_complete() -> None:
    def takes_all_and_is_full(writer: Writer) -> None:
        writer.acknowledge(3, 0)
        writer.stop("storage_full")

    assert finish(Ends(3), COMPLETED, takes_all_and_is_full) == (4, COMPLETED)


def test_a_redis_that_says_not_now_is_asked_again_soon_and_until_the_outage_is_too_long(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logs = Ends(0, away=1000)
    assert finish(logs, COMPLETED, writes_all(logs), outage=2) is None
    pauses = [after - before for before, after in zip(logs.times, logs.times[1:], strict=False)]
    assert pauses == pytest.approx([0.1] * len(pauses))
    assert 1.8 <= logs.times[-1] < 2
    assert caplog.messages == ["gen: Redis was away too long to write the end"]


def test_what_a_slow_redis_takes_within_the_outage_is_written_before_the_end() -> None:
    logs = Ends(0)

    def late(writer: Writer) -> None:
        asyncio.get_running_loop().call_later(4, writes_all(logs), writer)

    assert finish(logs, COMPLETED, late, outage=5) == (4, COMPLETED)
    assert finish(Ends(0), COMPLETED, late, outage=3) is None


def test_a_log_that_grows_for_ever_is_planned_from_five_times() -> None:
    assert produce(World(verdicts=[Refused("moved")])).names == ["record", "claim"] * 5
