"""One attempt's hand on its log, against a Redis that answers late, not at all, or comes back without its tail."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.events import TEXT, Content, Run
from broker.ids import EntryId
from broker.sealing import Seal, SealedBefore
from tests.harness.clockwork import at_once
from worker.log.writer import TAIL_SECONDS, Writer


def writer(most: int = 10) -> Writer:
    return Writer("gen_x", 7, max_unwritten=most, now=0.0)


def sealing() -> Writer:
    return Writer("gen_x", 7, max_unwritten=1000, now=0.0, seal=Seal("gen_x", b"k" * 32))


def contents(*texts: str) -> list[Content]:
    return [Content(TEXT, text.encode()) for text in texts]


class Writing(RuleBasedStateMachine):
    """The log is a list whose index is the seq; seq 0 was written by the claim."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = writer()
        self.put: list[Content] = contents("claim")
        self.log: list[tuple[float, Content]] = [(0.0, self.put[0])]
        self.now = 0.0

    @rule(number=st.integers(1, 700))
    def puts(self, number: int) -> None:
        new = contents(*(str(len(self.put) + each) for each in range(number)))
        self.put += new
        self.writer.put(new)

    @rule(answered=st.booleans())
    def flush(self, answered: bool) -> None:
        """One call of append.lua, whose reply may be lost on the way."""
        first, batch = self.writer.batch()
        if first > len(self.log):
            answer = len(self.log) - 1  # behind: the log ends before what should precede these
        else:
            new = batch[len(self.log) - first :]
            self.log += [(self.now, each) for each in new]
            answer = len(self.log) - 1
        if answered and self.writer.writable:
            self.writer.acknowledge(answer, self.now)

    @rule(lost=st.integers(1, 50))
    def redis_comes_back_without_its_latest(self, lost: int) -> None:
        """It loses what is younger than the time for which the writer keeps what it has written."""
        young = [place for place, (at, _) in enumerate(self.log) if place and at > self.now - TAIL_SECONDS]
        del self.log[max(young[0], len(self.log) - lost) if young else len(self.log) :]

    @rule(seconds=st.floats(0.1, TAIL_SECONDS))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_log_is_a_beginning_of_what_was_put(self) -> None:
        assert [content for _, content in self.log] == self.put[: len(self.log)]

    @invariant()
    def every_entry_keeps_its_seq(self) -> None:
        first, batch = self.writer.batch()
        assert batch == self.put[first : first + len(batch)]
        assert self.writer.next_seq == len(self.put)
        assert self.writer.unwritten == len(self.put) - first

    @invariant()
    def what_may_be_lost_is_still_in_hand(self) -> None:
        assert self.writer.cause is None

    @precondition(lambda self: self.writer.unwritten or len(self.log) < len(self.put))
    @rule()
    def it_is_written_in_the_end(self) -> None:
        for _ in range(len(self.put)):
            self.flush(answered=True)
            if len(self.log) == len(self.put) and not self.writer.unwritten:
                return
        raise AssertionError("it never ends")


TestWriting = Writing.TestCase
TestWriting.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_a_reply_that_was_lost_is_no_second_write() -> None:
    it = writer()
    it.put(contents("a", "b"))
    first = it.batch()
    it.put(contents("c"))
    assert it.batch() == (first[0], contents("a", "b", "c")), "the same again, under the same ids, and what is new"
    it.acknowledge(3, 1.0)
    assert it.batch() == (4, [])


def test_a_tail_that_redis_lost_is_written_again_under_its_ids() -> None:
    it = writer()
    it.put(contents("a", "b", "c"))
    it.acknowledge(3, 1.0)
    it.usage = it.usage_written = b"{}"
    it.acknowledge(1, 2.0)
    assert it.batch() == (2, contents("b", "c"))
    assert it.usage_written == b"", "the record's figures went with it"


def test_a_loss_that_is_older_than_the_buffer_ends_the_attempt() -> None:
    it = writer()
    it.put(contents("a"))
    it.acknowledge(1, 1.0)
    it.put(contents("b"))
    it.acknowledge(2, 1.0 + TAIL_SECONDS + 2)
    it.acknowledge(0, 14.0)
    assert it.cause == "rewound"
    assert not it.writable


def test_the_buffer_forgets_what_is_old() -> None:
    it = writer()
    for second in range(100):
        it.put(contents("x" * 1000))
        it.acknowledge(second + 1, float(second))
    assert len(it._kept) <= 2 * (TAIL_SECONDS + 3)


def test_a_flush_is_bounded() -> None:
    it = writer()
    it.put(contents(*map(str, range(2000))))
    first, batch = it.batch()
    assert (first, len(batch)) == (1, 500)


@given(st.integers(1, 20), st.integers(0, 40))
@settings(deadline=None)
def test_a_producer_waits_for_room_and_no_longer(most: int, put: int) -> None:
    async def run() -> None:
        it = writer(most)
        it.put(contents(*"x" * put))
        assert it.crowded is (put >= most)
        waiting = asyncio.create_task(it.room())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert waiting.done() is (put < most)
        if put >= most:
            it.acknowledge(put - most + 1, 1.0)
        async with asyncio.timeout(5):
            await waiting

    asyncio.run(run())


def test_who_waits_for_room_or_for_the_flush_is_freed_when_the_attempt_is_stopped() -> None:
    async def run() -> None:
        it = writer(1)
        stopped: list[str] = []
        it.on_stop = lambda: stopped.append("stop")
        it.put(contents("a", "b"))
        waits = [asyncio.create_task(it.room()), asyncio.create_task(it.flushed(30))]
        await asyncio.sleep(0)
        it.stop("fenced")
        it.stop("cancelled")
        async with asyncio.timeout(5):
            await waits[0]
            assert await waits[1] is False
        assert (it.cause, stopped) == ("fenced", ["stop"]), "the first cause stays"

    asyncio.run(run())


def test_a_flush_that_takes_too_long_is_given_up() -> None:
    async def run() -> bool:
        it = writer()
        it.put(contents("a"))
        return await it.flushed(0.01)

    assert asyncio.run(run()) is False


@pytest.mark.parametrize(
    ("cause", "writable"),
    [
        *(("cancelled", True), ("idle_timeout", True), ("total_timeout", True), ("drain", True)),
        *(("fenced", False), ("rewound", False), ("storage_full", False), ("storage_error", False)),
    ],
)
def test_a_cancelled_attempt_may_write_its_last_words_and_a_fenced_one_may_not(cause: str, writable: bool) -> None:
    it = writer()
    it.stop(cause)  # type: ignore[arg-type]
    assert it.writable is writable


def test_the_watchdog_bites_when_its_time_is_over() -> None:
    it = writer()
    assert it.expired(1e9) is None
    it.deadline = (5.0, "idle_timeout")
    assert (it.expired(4.9), it.expired(5.0)) == (None, "idle_timeout")


def put_and_written(*texts: str, now: float = 0.0) -> Writer:
    each = writer()
    each.put(contents(*texts))
    each.acknowledge(len(texts), now)
    return each


def test_what_was_written_more_than_ten_seconds_ago_is_let_go_and_the_rest_is_not() -> None:
    for lost, cause in ((0, "rewound"), (1, None)):
        each = put_and_written("a")
        each.put(contents("b"))
        each.acknowledge(2, 5.0)
        each.put(contents("c"))
        each.acknowledge(3, 10.5)
        each.acknowledge(lost, 11.0)
        assert each.cause == cause


def test_what_is_old_is_let_go_after_a_loss_too() -> None:
    each = put_and_written("a")
    each.put(contents("b", "c"))
    each.acknowledge(3, 5.0)
    each.acknowledge(1, 6.0)
    each.acknowledge(3, 10.5)
    each.acknowledge(0, 11.0)
    assert each.cause == "rewound"


def test_a_lost_claim_overrules_whatever_an_attempt_was_ended_for() -> None:
    each, stops = writer(), []
    each.on_stop = lambda: stops.append(each.cause)
    each.stop("cancelled")
    each.stop("idle_timeout")
    assert (each.cause, each.writable) == ("cancelled", True)
    each.stop("fenced")
    assert (each.cause, each.writable) == ("fenced", False)
    assert stops == ["cancelled"]


def test_the_first_reason_why_nothing_more_is_written_stays() -> None:
    each = writer()
    each.stop("storage_full")
    each.stop("storage_error")
    assert (each.cause, each.unwritable, each.writable) == ("storage_full", "storage_full", False)


def test_a_flush_that_changes_nothing_is_a_sign_of_life_and_takes_no_usage_back() -> None:
    each = put_and_written("a")
    each.usage_written = b"{}"
    each.acknowledge(1, 7.0)
    assert (each.flushed_at, each.usage_written) == (7.0, b"{}")
    each.acknowledge(0, 8.0)
    assert (each.flushed_at, each.usage_written, each.unwritten) == (8.0, b"", 1)


def test_flushed_waits_until_all_is_written_or_cannot_be_or_time_is_over() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        each = writer()
        each.put(contents("a", "b"))
        loop.call_later(1, each.acknowledge, 1, 1.0)
        loop.call_later(2, each.acknowledge, 2, 2.0)
        begun = loop.time()
        assert await each.flushed(10)
        assert loop.time() - begun == 2
        each.put(contents("c"))
        assert not await each.flushed(10)
        assert loop.time() - begun == 12
        loop.call_later(1, each.stop, "storage_full")
        assert not await each.flushed(10)
        assert loop.time() - begun == 13

    at_once(scene())


@given(st.lists(st.sampled_from(["put", "lost reply", "answer", "lost tail"]), max_size=30))
def test_an_id_that_was_sent_sealed_is_sent_with_the_same_bytes_for_ever(happens: list[str]) -> None:
    """A nonce is an id: other bytes under it would betray both."""
    one, sent, texts = sealing(), dict[int, Content](), list[str]()
    for what in ["put", *happens, "answer"]:
        if what == "put":
            texts += [f"{len(texts)} ", f"{len(texts) + 1} "]
            one.put(contents(*texts[-2:]))
        elif what == "lost tail":
            one.acknowledge(max(0, one.acked - 3), 0.0)
        first, batch = one.batch()
        for seq, content in enumerate(batch, first):
            assert sent.setdefault(seq, content) == content
        if what == "answer":
            one.acknowledge(first + len(batch) - 1, 0.0)
    opened = Seal("gen_x", b"k" * 32).opened_run(
        Run(EntryId(7, 1), [(sent[seq].kind, sent[seq].value) for seq in sorted(sent)])
    )
    assert [value.decode() for _, value in opened.contents] == texts


@pytest.mark.parametrize("one", [writer(), sealing()], ids=["plain", "sealed"])
def test_what_was_sent_stays_when_the_rest_is_dropped_for_it_may_be_in_the_log(one: Writer) -> None:
    one.put(contents("sent"))
    _, sent = one.batch()
    one.put(contents("dropped"))
    assert one.drop_unwritten() == 1
    one.put(contents("after"))
    first, batch = one.batch()
    assert (first, batch[0], len(batch)) == (1, sent[0], 2)
    one.acknowledge(2, 0.0)
    one.acknowledge(0, 0.0)
    assert one.batch() == (1, batch)


def test_what_nobody_can_write_any_more_is_dropped_whole_and_no_seq_of_it_is_sealed_again() -> None:
    one = sealing()
    one.put(contents("sent"))
    one.batch()
    one.stop("fenced")
    assert one.drop_unwritten() == 1
    assert one.unwritten == 0
    one.put(contents("other"))
    with pytest.raises(SealedBefore):
        one.batch()
