"""One hub against a real server: what its viewers see when the log is not what it was, when it misses what is published, and
when an end is not safe yet."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Literal, TypeVar, cast

import pytest

from api.access.gate import ANONYMOUS
from api.dialects.native import local_frame
from api.dialects.sse import KEEP_ALIVE
from api.routes.service import Service
from api.settings import ApiSettings
from api.viewing.hub import Hub
from api.viewing.viewer import Viewer
from broker.errors import StorageUnavailable
from broker.events import TEXT, Content, event
from broker.ids import BEGINNING, EntryId
from broker.local.embedded import EmbeddedServer
from broker.record import Ending, Record
from broker.replies import Appended
from broker.store.accepting import Submissions
from broker.store.agreement import Agreement
from broker.store.coordination import Coordination
from broker.store.limiting import Limiter
from broker.store.logs import Logs
from tests.api.viewing.test_feed import PLAIN, take
from tests.broker.store.scripted import Generation, Server
from tests.harness.client import Frame, frames

T = TypeVar("T")

_SECONDS = 8.0
_SAFETY_SECONDS = 15.0
"""The slow safety read comes round every 5 s; a tick that is late may miss a turn."""
OPENED = event("block_start", index=0, block={"type": "text", "text": ""})
A, B, C = (Content(TEXT, text) for text in (b"a", b"b", b"c"))


class Seat:
    """One viewer: takes all that it can get, whenever it is woken."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.bytes = b""
        self.kept_alive = 0
        viewer.wake = self._take
        self._take()

    def _take(self) -> None:
        while more := take(self.viewer):
            self.kept_alive += more.count(KEEP_ALIVE)
            self.bytes += more.replace(KEEP_ALIVE, b"")

    @property
    def frames(self) -> list[Frame]:
        return list(frames(iter([self.bytes])))

    @property
    def ids(self) -> list[str]:
        return [frame.id for frame in self.frames if frame.id is not None]


class Theatre:
    """A hub that runs while the test waits for something."""

    def __init__(self, server: Server, url: str, logs: Logs | None = None, *, keep_alive: float = 15) -> None:
        self._server = server
        self._settings = ApiSettings(redis_url=url, keep_alive=keep_alive)
        self._logs = logs or Logs(server.redis)

    def __enter__(self) -> "Theatre":
        self._server.do(self._start())
        return self

    async def _start(self) -> None:
        self.hub = Hub(self._logs, Coordination(self._server.redis), self._settings, str)
        self._running = asyncio.create_task(self.hub.run())

    def __exit__(self, *error: object) -> None:
        self._server.do(self._end())

    async def _end(self) -> None:
        """The hub, and what is still being read for viewers who are gone."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=5)

    def seat(self, generation: Generation, cursor: EntryId = BEGINNING, *, ended: bool = False) -> Seat:
        async def attach() -> Seat:
            return Seat(self.hub.attach(generation.id, cursor, PLAIN, who=ANONYMOUS, ended=ended))

        return self._server.do(attach())

    def until(self, condition: Callable[[], object], seconds: float = _SECONDS) -> None:
        """Lets the hub work until the condition holds; fails the test if it does not in time."""

        async def wait() -> None:
            async with asyncio.timeout(seconds):
                while not condition():
                    await asyncio.sleep(0.01)

        self._server.do(wait())


@pytest.fixture
def theatre(embedded: EmbeddedServer, server: Server) -> Iterator[Theatre]:
    with Theatre(server, embedded.url) as theatre:
        yield theatre


@pytest.fixture
def generation(server: Server) -> Generation:
    made = Generation(server)
    made.create()
    return made


def ids_of(generation: Generation) -> list[str]:
    return [str(entry.id) for entry in generation.log]


GAP = local_frame("gap", reason="rewound")


def test_a_viewer_ahead_of_the_log_is_told_of_the_gap_and_gets_what_there_is(
    theatre: Theatre, generation: Generation
) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A)
    seat = theatre.seat(generation)
    before = generation.save()
    generation.append(attempt, 2, B, C)
    theatre.until(lambda: len(seat.ids) == 4)
    generation.roll_back(before)
    generation.expire_lease()
    successor = generation.granted()
    generation.append(successor, 1, C)
    theatre.until(lambda: len(seat.ids) == 8)
    seen, _, replayed = seat.bytes.partition(GAP)
    assert len(list(frames(iter([seen])))) == 4
    assert [frame.id for frame in frames(iter([replayed]))] == ids_of(generation)


def test_a_silent_loss_is_found_out_too(theatre: Theatre, generation: Generation) -> None:
    """Nothing is published behind it: the slow safety read sees it."""
    attempt = generation.granted()
    seat = theatre.seat(generation)
    before = generation.save()
    generation.append(attempt, 1, A)
    theatre.until(lambda: len(seat.ids) == 2)
    generation.roll_back(before)
    theatre.until(lambda: GAP in seat.bytes and len(seat.ids) == 3, _SAFETY_SECONDS)
    assert seat.ids[-1] == f"{attempt}-0"


def test_a_tail_that_is_back_under_its_ids_is_shown_once(theatre: Theatre, generation: Generation) -> None:
    attempt = generation.granted()
    seat = theatre.seat(generation)
    before = generation.save()
    generation.append(attempt, 1, A, B)
    theatre.until(lambda: len(seat.ids) == 3)
    generation.roll_back(before)
    generation.append(attempt, 1, A, B, C)
    theatre.until(lambda: len(seat.ids) == 4)
    assert seat.ids == ids_of(generation)
    assert GAP not in seat.bytes


def test_what_was_written_and_never_heard_of_is_read_from_the_log(
    theatre: Theatre, server: Server, generation: Generation
) -> None:
    attempt = generation.granted()
    seat = theatre.seat(generation)
    theatre.until(lambda: len(seat.ids) == 1)
    server.command("XADD", generation.keys[1], f"{attempt}-1", "t", "a")  # a message that was lost on the way
    generation.append(attempt, 2, B)
    theatre.until(lambda: len(seat.ids) == 3)
    assert seat.ids == ids_of(generation)


def test_a_viewer_with_a_cursor_gets_what_follows_it_and_nothing_else(theatre: Theatre, generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A, B)
    seats = [theatre.seat(generation, EntryId(attempt, seq)) for seq in range(3)]
    assert generation.append(attempt, 3, C) == Appended(3)
    theatre.until(lambda: all(seat.ids and seat.ids[-1] == f"{attempt}-3" for seat in seats))
    assert [seat.ids for seat in seats] == [ids_of(generation)[seq + 1 :] for seq in range(3)]


def test_a_cursor_that_the_log_has_lost_is_told_so_before_what_there_is(
    theatre: Theatre, generation: Generation
) -> None:
    attempt = generation.granted()
    before = generation.save()
    generation.append(attempt, 1, A, B)
    generation.roll_back(before)
    generation.expire_lease()
    generation.append(generation.granted(), 1, C)
    seat = theatre.seat(
        generation, EntryId(attempt, 2)
    )  # it looked whether the log has its cursor before that was lost
    theatre.until(lambda: len(seat.ids) == 3)
    assert seat.bytes.startswith(GAP)
    assert seat.ids == ids_of(generation)


def newcomers_read(theatre: Theatre, generation: Generation) -> None:
    """Waits until somebody who comes now gets the log as it is."""
    log, seats = ids_of(generation), list[Seat]()

    def exactly() -> bool:
        seats.append(Seat(theatre.hub.attach(generation.id, BEGINNING, PLAIN, who=ANONYMOUS, ended=False)))
        return any(seat.ids == log for seat in seats)

    theatre.until(exactly)


def test_an_end_that_was_read_and_then_lost_is_not_shown_to_who_comes_later(
    theatre: Theatre, generation: Generation
) -> None:
    attempt = generation.granted()
    live = theatre.seat(generation)
    before = generation.save()
    generation.finish(attempt, 1)
    early = theatre.seat(generation)
    theatre.until(lambda: _has_ended(live) and _has_ended(early))
    generation.roll_back(before)
    generation.expire_lease()
    generation.granted()
    newcomers_read(theatre, generation)


def test_who_arrived_just_before_the_end_makes_nobody_wait_who_comes_back_behind_it(
    theatre: Theatre, generation: Generation
) -> None:
    """The first of them found the generation running, and the hub began to watch it when it had ended."""
    attempt = generation.granted()
    generation.finish(attempt, 1)
    early = theatre.seat(generation)
    theatre.until(lambda: _has_ended(early))
    assert not theatre.hub.knows(generation.id, generation.last, PLAIN, ANONYMOUS)
    back = theatre.seat(generation, generation.last)
    theatre.until(lambda: back.viewer.done == "end")
    assert back.bytes == b""


def test_what_was_read_before_redis_went_away_is_read_again(
    theatre: Theatre, server: Server, generation: Generation
) -> None:
    """Nobody watched meanwhile, so nobody has noticed that the log is another."""
    attempt = generation.granted()
    before = generation.save()
    generation.finish(attempt, 1)
    early = theatre.seat(generation, ended=True)
    theatre.until(lambda: _has_ended(early))
    theatre.hub.detach(early.viewer)
    generation.roll_back(before)
    server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    newcomers_read(theatre, generation)


def test_what_is_withdrawn_is_shown_to_nobody_any_more(theatre: Theatre, generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, OPENED, *[A] * 1200)
    watching = theatre.seat(generation)
    theatre.until(lambda: len(watching.ids) == 1202)
    back = theatre.seat(generation, EntryId(attempt, 600))
    theatre.until(lambda: len(back.ids) == 601)
    assert theatre.hub.statistics().page_bytes > 0
    told = b'{"type":"withdraw","guardrail":"g","reason":"","category":""}'
    generation.finish(attempt, 1202, Ending("failed", code="blocked", message="no", withdraw=told))
    for seat in (watching, back):
        theatre.until(lambda seat=seat: _is_withdrawn(seat))  # type: ignore[misc]
        assert [frame.type for frame in seat.frames[-3:]] == ["text", "withdraw", "error"]
        assert not any(frame.type == "gap" for frame in seat.frames)
    for cursor in (BEGINNING, EntryId(attempt, 0), EntryId(attempt, 600), EntryId(attempt, 1201)):
        late = theatre.seat(generation, cursor)
        theatre.until(lambda late=late: _is_withdrawn(late))  # type: ignore[misc]
        assert [frame.type for frame in late.frames] == ["withdraw", "error"]
    assert theatre.hub.statistics().rewound == 0


def _is_withdrawn(seat: Seat) -> bool:
    return b'"code":"blocked"' in seat.bytes


class Unsure(Logs):
    """A Redis of which it is not known whether what it holds is safe (None: it is away)."""

    safe: bool | None = None

    async def acknowledged(self) -> Literal["disk", "replica"] | None:
        if self.safe is None:
            raise StorageUnavailable
        return "replica" if self.safe else None


@pytest.fixture
def unsure(server: Server) -> Unsure:
    return Unsure(server.redis)


@pytest.fixture
def strict(unsure: Unsure, server: Server) -> Generation:
    generation = Generation(server)
    server.do(unsure.create(generation.id, b"{}", "sim-1", 60_000, "strict"))
    return generation


@pytest.fixture
def doubt(embedded: EmbeddedServer, server: Server, unsure: Unsure) -> Iterator[Theatre]:
    """A hub that does not know whether ends are safe."""
    with Theatre(server, embedded.url, unsure) as theatre:
        yield theatre


def test_a_strictly_durable_end_is_shown_to_nobody_before_redis_has_it_safe(
    doubt: Theatre, server: Server, unsure: Unsure, strict: Generation
) -> None:
    attempt = strict.granted()
    live = doubt.seat(strict)
    strict.append(attempt, 1, OPENED)
    doubt.until(lambda: len(live.ids) == 2)
    strict.finish(attempt, 2)
    readers = [doubt.seat(strict, EntryId(attempt, 1)), doubt.seat(strict)]
    for unsafe in (None, False):
        unsure.safe = unsafe
        server.do(asyncio.sleep(0.3))
        assert not any(map(_has_ended, (live, *readers)))
    unsure.safe = True
    for seat in (live, *readers):
        doubt.until(partial(_has_ended, seat))
    assert live.ids == readers[1].ids == ids_of(strict)
    known = _service(doubt, unsure)
    assert server.do(known.whole(strict.id, ANONYMOUS))[0].state == "completed"
    assert server.do(unsure.record(strict.id)).unconfirmed is False  # another process need not wait


def test_an_end_that_redis_loses_while_it_is_held_back_is_never_shown(
    doubt: Theatre, server: Server, unsure: Unsure, strict: Generation
) -> None:
    attempt = strict.granted()
    live = doubt.seat(strict)
    strict.append(attempt, 1, OPENED)
    doubt.until(lambda: len(live.ids) == 2)
    before = strict.save()
    strict.finish(attempt, 2)
    unsure.safe = False
    alone = [doubt.seat(strict, cursor, ended=True) for cursor in (BEGINNING, EntryId(attempt, 1))]
    late = doubt.seat(strict)
    reading = server.do(_begin(_service(doubt, unsure).whole(strict.id, ANONYMOUS)))
    server.do(asyncio.sleep(0.3))
    strict.roll_back(before)
    unsure.safe = True
    doubt.until(lambda: all(seat.viewer.done == "cut" for seat in alone), 2 * _SECONDS)
    record, told = server.do(_end(reading))
    assert (record.state, str(told.last), told.end) == ("running", ids_of(strict)[-1], None)
    assert not any(b"gap" in seat.bytes for seat in alone)  # they come back, and go on
    strict.append(attempt, 2, B)
    strict.finish(attempt, 3)
    for seat in (live, late):
        doubt.until(partial(_has_ended, seat), _SAFETY_SECONDS)
        assert seat.ids[-4:] == ids_of(strict)
        assert seat.bytes.count(b"stream_end") == 1


def test_a_record_whose_end_is_not_safe_is_listed_as_it_was_before(
    doubt: Theatre, server: Server, unsure: Unsure, strict: Generation
) -> None:
    attempt = strict.granted()
    strict.finish(attempt, 1)
    service = _service(doubt, unsure)

    async def shown() -> Record:
        return service.shown(await unsure.record(strict.id))

    unsure.safe = False
    held = server.do(shown())
    assert (held.state, held.finished_ms, held.end) == ("running", None, None)
    unsure.safe = True
    ended = server.do(unsure.record(strict.id))
    doubt.until(lambda: service.shown(ended).ended)
    assert server.do(shown()).state == "completed"


def _service(theatre: Theatre, logs: Logs) -> Service:
    return Service(
        logs, cast(Coordination, None), cast(Submissions, None), theatre.hub, cast(Agreement, None), cast(Limiter, None),
        trust="checked",
    )  # fmt: skip


async def _begin(work: Coroutine[None, None, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work)


async def _end(work: asyncio.Task[T]) -> T:
    return await work


def _has_ended(seat: Seat) -> bool:
    return b"stream_end" in seat.bytes


def test_a_viewer_who_waits_for_an_end_to_be_safe_is_kept_alive(
    embedded: EmbeddedServer, server: Server, unsure: Unsure, strict: Generation
) -> None:
    attempt = strict.granted()
    strict.finish(attempt, 1)
    unsure.safe = False
    with Theatre(server, embedded.url, unsure, keep_alive=3) as theatre:
        alone = theatre.seat(strict, ended=True)
        late = theatre.seat(strict)
        for seat in (alone, late):
            theatre.until(partial(_kept_alive, seat))
            assert not _has_ended(seat)


def _kept_alive(seat: Seat) -> bool:
    return seat.kept_alive > 1
