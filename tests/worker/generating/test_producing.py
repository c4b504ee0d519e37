"""What a worker does with a generation from its job to its end: everything that it asks of Redis is noted, in order."""

import asyncio
import re
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import Any, Literal, cast

import orjson
import pytest

from broker.errors import StorageUnavailable, UnknownGeneration
from broker.events import TEXT, Content, Entry, Run
from broker.ids import BEGINNING, EntryId
from broker.record import Ending, Record, State
from broker.replies import Finished, Granted, Look, Refused, Released
from tests.harness.clockwork import at_once
from tests.worker.generating.test_plan import log, record
from tests.worker.upstreams.teller import CLOSE, OPEN, START, STOP, USAGE, WHOLE, Teller, text
from worker.generating.producer import Producer
from worker.log.writer import Writer
from worker.settings import WorkerSettings
from worker.upstreams import Answer, Call, Json, UpstreamFailure

CUT = [START, OPEN, text("a"), UpstreamFailure("upstream_disconnected", "cut")]
COMPLETED = Ending("completed", stop_reason="end_turn")
FIRST = Granted(7, 1)


class World(Teller):
    """All that a producer talks to, around one generation."""

    def __init__(
        self,
        *answers: list[Any],
        verdicts: list[Granted | Refused] | None = None,
        found: Record | None = None,
        **how: Any,
    ) -> None:
        super().__init__(*answers)
        self.verdicts = verdicts or [FIRST]
        self.found = found or record()
        self.entries: list[Entry] = []
        self.ended: State | None = "completed"
        self.still_runs = True
        self.released = 0
        self.no_more: Literal["last", "exhausted"] | None = None
        self.slow: dict[str, float] = {}
        self.away: set[str] = set()
        self.did: list[tuple[Any, ...]] = []
        self.times: list[tuple[str, float]] = []
        self.put: list[Content] = []
        self.writer: Writer
        everything = cast(Any, self)
        settings = WorkerSettings(**{"lease": 2.5, "pickup_grace": 3, "outage": 5, **how})
        self.producer = Producer("w", everything, everything, everything, everything, self, settings)

    async def note(self, *what: Any) -> None:
        if seconds := self.slow.get(what[0]):
            await asyncio.sleep(seconds)
        if what[0] in self.away:
            raise StorageUnavailable
        self.did.append(what)
        self.times.append((what[0], asyncio.get_running_loop().time()))

    def asked(self, *names: str) -> list[tuple[Any, ...]]:
        return [each for each in self.did if each[0] in names]

    def when(self, name: str) -> list[float]:
        return [time for each, time in self.times if each == name]

    @property
    def names(self) -> list[str]:
        return [each[0] for each in self.did]

    @property
    def events(self) -> list[Json]:
        return [orjson.loads(each.value) for each in self.put if each.value.startswith(b"{")]

    # -- logs

    async def record(self, id_: str, *, with_request: bool = False) -> Record:
        await self.note("record", id_, with_request)
        return self.found

    async def runs(self, id_: str, first: EntryId, count: int) -> list[Run]:
        await self.note("runs", id_, first)
        return [Run(entry.id, [(entry.kind, entry.value)]) for entry in self.entries if entry.id >= first][:count]

    async def claim(self, id_: str, claimant: str, **how: Any) -> Granted | Refused:
        await self.note("claim", id_, claimant, how)
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]

    async def release(self, id_: str, attempt: int, *, counts: bool, **limits: int) -> Released:
        await self.note("release", id_, attempt, counts)
        self.limits = limits
        self.released += counts
        if counts and self.no_more is not None:
            return Released(self.no_more)
        return Released("released" if self.still_runs else "fenced", self.released)

    async def finish(self, id_: str, attempt: int, seq: int, ending: Ending, job: str) -> Finished:
        assert job == f"{id_}:1"
        await self.note("finish", id_, attempt, seq, ending)
        return Finished("ended")

    async def looks(self, ids: list[str]) -> dict[str, Look | None]:
        (id_,) = ids
        await self.note("look", id_)
        return {id_: None if self.ended is None else look(self.ended)}

    # -- coordination

    async def look_again(self, in_ms: dict[str, int]) -> None:
        await self.note("look_again", in_ms)

    async def enqueue(self, id_: str, ordinal: int, *, created_ms: int, place_ms: int | None, owner: str) -> None:
        await self.note("enqueue", id_, ordinal, created_ms, owner)

    async def retire(self, ended: dict[str, Look]) -> None:
        await self.note("retire", ended)

    # -- the appender

    def add(self, writer: Writer) -> None:
        def write(writer: Writer) -> None:
            first, contents = writer.batch()
            self.put += contents
            writer.acknowledge(first + len(contents) - 1, 0.0)

        assert writer.flushed_at == asyncio.get_running_loop().time()
        writer.on_put = write
        self.writer = writer
        self.did.append(("add", writer.id, writer.attempt))

    def remove(self, writer: Writer) -> None:
        assert writer is self.writer
        self.did.append(("remove",))

    # -- upstream

    def answer_to(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        self.did.append(("call",))
        return super().answer_to(call)


def look(state: State) -> Look:
    return Look(state, 1, 1234, 0, 1000, 5)


def produce(world: World, *, left: int = 1) -> World:
    """Runs it to its end; no task is left behind."""

    async def run() -> None:
        await world.producer.produce("gen_x:1")
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == left

    at_once(run())
    return world


def test_a_generation_is_claimed_produced_and_ended() -> None:
    world = produce(World(WHOLE))
    (claim,) = world.asked("claim")
    assert re.fullmatch("w/[0-9a-f]{16}", claim[2])
    asked = dict(claim[3])
    assert orjson.loads(asked.pop("start_json"))["reason"] == "start"
    assert asked == {
        "lease_ms": 2500,
        "most_attempts": 3,
        "planned_from": BEGINNING,
        "run": True,
        "kept_chunks": 0,
        "attempts_in_all": 20,
        "most_paid": 0,
        "guarded": False,
        "discards": False,
    }
    assert [each for each in world.did if each != claim] == [
        ("record", "gen_x", True),
        ("add", "gen_x", 7),
        ("call",),
        ("finish", "gen_x", 7, 7, COMPLETED),
        ("remove",),
    ]
    assert world.writer.acked == 6


def test_whoever_is_cancelled_ends_nothing_any_more_and_leaves_no_task() -> None:
    async def scene() -> None:
        world = World([START, 1000])
        running = asyncio.create_task(world.producer.produce("gen_x:1"))
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.wait({running})
        await asyncio.sleep(20)
        assert world.asked("finish", "release") == []
        assert world.names[-1] == "remove"

    at_once(scene())


# -- claiming


@pytest.mark.parametrize("why", ["held", "ended", "unknown"])
def test_what_somebody_else_has_or_has_ended_is_left_alone(why: Any) -> None:
    assert produce(World(verdicts=[Refused(why)])).names == ["record", "claim"]


def test_what_the_claim_itself_has_ended_is_listed_as_that() -> None:
    world = World(verdicts=[Refused("sealed")])
    world.ended = "failed"
    assert produce(world).names == ["record", "claim", "look", "retire"]
    assert world.did[-1] == ("retire", {"gen_x": look("failed")})


@pytest.mark.parametrize("state", [None, "queued", "running"])
def test_what_has_not_ended_is_not_listed_as_ended(state: State | None) -> None:
    world = World(verdicts=[Refused("sealed")])
    world.ended = state
    assert produce(world).names == ["record", "claim", "look"]


def test_a_log_that_has_grown_is_planned_from_anew_a_few_times_under_one_name() -> None:
    moved = Refused("moved")
    world = produce(World(WHOLE, verdicts=[moved, moved, moved, moved, FIRST]))
    assert world.names[:10] == ["record", "claim"] * 5
    assert len({claim[2] for claim in world.asked("claim")}) == 1
    assert len(world.asked("finish")) == 1


def test_a_generation_is_made_with_what_its_tenants_are_made_with() -> None:
    world = World(WHOLE)
    asked: list[str] = []

    def upstream_of(owner: str) -> World:
        asked.append(owner)
        return world

    world.producer._upstream_of = upstream_of
    world.producer._upstream = cast(Any, SimpleNamespace(resumed=world.resumed))
    produce(world)
    assert (asked, len(world.asked("call"))) == (["acme"], 1)


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_what_has_ended_is_not_claimed(state: State) -> None:
    assert produce(World(found=record(state=state))).names == ["record"]


@pytest.mark.parametrize(("on_interrupt", "run"), [("continue", True), ("restart", True), ("fail", False)])
def test_the_submitter_says_whether_there_is_another_attempt(on_interrupt: str, run: bool) -> None:
    world = World(WHOLE, found=record(ordinal=1, on_interrupt=on_interrupt))
    (claim,) = produce(world).asked("claim")
    assert claim[3]["run"] is run
    assert world.names[:3] == ["record", "runs", "claim"]


def test_a_log_that_loses_its_tail_while_it_is_read_is_read_anew() -> None:
    world = World(WHOLE, found=record(ordinal=1))
    pages = [[Run(EntryId(7, 0), [(b"q", b"")] * 1000)], [Run(EntryId(9, 0), [(b"q", b"")])], []]

    async def runs(*_: Any) -> list[Run]:
        return pages.pop(0)

    vars(world)["runs"] = runs
    assert produce(world).names[:3] == ["record", "record", "claim"]
    assert not pages


def test_a_worker_that_ends_claims_nothing() -> None:
    world = World()
    world.producer.draining = True
    assert produce(world).did == []

    async def moved(*_: Any, **__: Any) -> Refused:
        world.producer.draining = True
        return Refused("moved")

    world = World()
    cast(Any, world).claim = moved
    assert produce(world).names == ["record"]


def test_a_worker_that_was_told_to_end_while_it_claimed_hands_over_and_calls_nobody() -> None:
    world = World(WHOLE)
    claim = world.claim

    async def told(*what: Any, **how: Any) -> Granted | Refused:
        world.producer.draining = True
        return await claim(*what, **how)

    cast(Any, world).claim = told
    assert [name for name in produce(world).names if name in ("call", "release", "enqueue")] == ["release", "enqueue"]


# -- attempts


def test_what_was_interrupted_goes_on_from_its_text_after_a_pause() -> None:
    world = World(CUT, [START, OPEN, text("d"), CLOSE, USAGE, STOP], verdicts=[FIRST, Granted(9, 2)])
    release = world.release

    async def and_later(id_: str, attempt: int, *, counts: bool, **limits: int) -> Released:
        world.found = record(ordinal=1, spent=1, usage=b'{"input_tokens":10}', state="running")
        world.entries = log("abc")
        return await release(id_, attempt, counts=counts, **limits)

    cast(Any, world).release = and_later
    produce(world)
    assert world.asked("release", "finish") == [("release", "gen_x", 7, True), ("finish", "gen_x", 9, 6, COMPLETED)]
    _, claim = world.asked("claim")
    assert (claim[3]["planned_from"], claim[3]["kept_chunks"]) == (EntryId(7, 3), 2)
    assert world.calls[1].body["told"] == "abc"
    assert [each["index"] for each in world.events if each["type"] == "block_start"] == [0, 0], "its text goes on"
    assert orjson.loads(world.writer.usage) == {"input_tokens": 13, "output_tokens": 2}, "each attempt was paid for"


def test_what_is_kept_counts_against_the_limit_of_a_log() -> None:
    world = World(WHOLE, found=record(ordinal=1), max_output_bytes=1024)
    world.entries = log("x" * 1020)
    ((*_, ending),) = produce(world).asked("finish")
    assert ending.code == "output_limit"


def test_each_attempt_waits_longer_and_their_number_is_bounded() -> None:
    world = produce(World(*[CUT] * 10, verdicts=[Granted(7 + n, n + 1) for n in range(10)], attempts_in_all=3))
    assert world.names.count("call") == 4
    assert world.limits == {"most_attempts": 3, "attempts_in_all": 3}
    released, claimed = world.when("release"), world.when("claim")
    first, second, third = (after - before for before, after in zip(released, claimed[1:], strict=False))
    assert 0.25 <= first <= 0.5 <= second <= 1.0 <= third <= 2.0


def test_attempts_that_are_free_do_not_wait_longer_each_time() -> None:
    world = World(*[CUT] * 3, verdicts=[Granted(7 + n, n + 1) for n in range(4)], attempts_in_all=3)
    world.released = -3
    produce(world)
    pauses = [after - before for before, after in zip(world.when("release"), world.when("claim")[1:], strict=False)]
    assert max(pauses) <= 0.5


@pytest.mark.parametrize("on_interrupt", ["continue", "restart"])
def test_the_last_attempt_s_interruption_is_the_end(on_interrupt: str) -> None:
    world = World(CUT, found=record(on_interrupt=on_interrupt))
    world.no_more = "last"
    failed = Ending("failed", code="upstream_disconnected", message="cut", retryable=True)
    assert produce(world).asked("release", "finish") == [
        ("release", "gen_x", 7, True),
        ("finish", "gen_x", 7, 4, failed),
    ]


def test_an_interruption_that_must_not_be_gone_on_from_is_the_end_at_once() -> None:
    world = World(CUT, found=record(on_interrupt="fail"))
    failed = Ending("failed", code="upstream_disconnected", message="cut", retryable=True)
    assert produce(world).asked("release", "finish") == [("finish", "gen_x", 7, 4, failed)]


def test_attempts_that_would_go_on_for_ever_are_ended() -> None:
    world = World(CUT)
    world.no_more = "exhausted"
    ((*_, ending),) = produce(world).asked("finish")
    assert (ending.state, ending.code, ending.retryable) == ("failed", "attempts_exhausted", True)
    assert "upstream_disconnected" in ending.message


def test_what_may_be_spent_is_told_to_the_claim_and_ends_an_attempt_that_spends_more() -> None:
    answer = [START, OPEN, *map(text, "abcd"), CLOSE, USAGE, STOP]
    ends = []
    for paid in (6, 7):
        world = produce(World(answer, verdicts=[Granted(7, 1, paid)], found=record(max_spend_tokens=10)))
        (claim,) = world.asked("claim")
        assert claim[3]["most_paid"] == 10
        ((*_, ending),) = world.asked("finish")
        ends.append((ending.state, ending.code, ending.retryable))
    assert ends == [("completed", "", False), ("failed", "spend_exceeded", False)]
    assert [each.value for each in world.put if each.kind == TEXT] == [b"a", b"b", b"c", b"d"], "what has come is shown"


def test_an_interruption_is_the_end_where_the_log_takes_no_more() -> None:
    world = World()

    def silent_and_full() -> None:
        world.writer.stop("idle_timeout")
        world.writer.stop("storage_full")

    world.answers = [[START, silent_and_full, 1000]]
    assert produce(world).asked("release", "finish") == [
        (
            "finish",
            "gen_x",
            7,
            2,
            Ending("failed", code="idle_timeout", message="The upstream fell silent.", retryable=True),
        )
    ]


@pytest.mark.parametrize("still_runs", [True, False])
def test_what_runs_at_the_worker_s_end_is_handed_over_and_does_not_count(still_runs: bool) -> None:
    world = World()
    world.answers = [[START, lambda: world.writer.stop("drain"), 1000]]
    world.still_runs = still_runs
    produce(world)
    after = world.did[world.names.index("release") :]
    handed = [("enqueue", "gen_x", 2, 1234, "acme"), ("look_again", {"gen_x": 3000})]
    assert after == [("release", "gen_x", 7, False), *(handed if still_runs else []), ("remove",)]


@pytest.mark.parametrize("cause", ["fenced", "rewound"])
def test_what_is_somebody_else_s_now_is_left_alone(cause: Any) -> None:
    world = World()
    world.answers = [[START, lambda: world.writer.stop(cause), 1000]]
    assert produce(world).asked("release", "finish", "enqueue", "retire") == []


def test_a_request_that_cannot_be_read_is_ended_and_nobody_is_called() -> None:
    world = produce(World(found=record(request=b"{}")))
    ((*_, seq, ending),) = world.asked("finish")
    message = "This version of Respool cannot read the request."
    assert (seq, ending) == (1, Ending("failed", code="unreadable_request", message=message))
    assert world.calls == []
    assert len(world.asked("claim")) == 1


@pytest.mark.parametrize("away", ["record", "claim", "release"])
def test_redis_being_away_is_the_sweepers_business(away: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(CUT)
    world.away = {away}
    produce(world)
    assert "gen_x: Redis is away, the sweeper will see to it" in caplog.messages


def test_what_is_not_there_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    async def unknown(*_: Any, **__: Any) -> Record:
        raise UnknownGeneration

    cast(Any, world).record = unknown
    assert produce(world).did == []
    assert caplog.messages == ["gen_x: given up: "]


def test_what_the_claim_has_ended_and_cannot_be_listed_is_the_sweepers_business() -> None:
    for away in ("look", "retire"):
        world = World(verdicts=[Refused("sealed")])
        world.away = {away}
        assert "claim" in produce(world).names


@pytest.mark.parametrize(("outcome", "ended"), [("whole", True), ("drain", False), ("fenced", False), ("held", False)])
def test_its_job_is_cleared_away_by_whoever_ends_it_and_nobody_else(outcome: str, ended: bool) -> None:
    async def scene() -> None:
        world = World(WHOLE)
        if outcome in ("drain", "fenced"):
            world.answers = [[START, lambda: world.writer.stop(cast(Any, outcome)), 1000]]
        elif outcome == "held":
            world.verdicts = [Refused("held")]
        assert await world.producer.produce("gen_x:1") is ended

    at_once(scene())


def test_an_end_that_another_has_made_is_nobody_s_here() -> None:
    async def fenced(*_: Any, **__: Any) -> Finished:
        return Finished("fenced")

    async def scene() -> None:
        world = World(WHOLE)
        cast(Any, world).finish = fenced
        assert await world.producer.produce("gen_x:1") is False

    at_once(scene())
