"""The event stream as any ASGI server sees it, message by message."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.access.gate import ANONYMOUS, WHO
from api.delivery.asgi import Dropped, EventStream, FastPathFirst, Stalled, framing_of
from api.delivery.fast_path import FAST_PATH
from api.delivery.uvicorn_direct import CUT, LEND
from api.dialects.native import local_frame
from api.dialects.sse import KEEP_ALIVE, RETRY
from api.intake.negotiate import EVENT_STREAM_HEADERS
from api.viewing.framing import Framing, chunk, plain
from api.viewing.transcripts import Told
from api.viewing.viewer import Viewer
from broker.errors import StorageUnavailable
from broker.events import END, Entry
from broker.ids import BEGINNING, EntryId
from tests.api.delivery.test_uvicorn_direct import TOLD, Empty
from tests.api.viewing.test_feed import arrive, bytes_of, new_feed
from tests.harness.clockwork import at_once

Message = dict[str, Any]
LAST = b"data: last\n\n"
LOCATION = (b"location", b"/there")
MORE = local_frame("queued", position=7)


class Call:
    """One call of the response, on a server that takes everything. `client` is what it does; then it leaves."""

    def __init__(self, client: Callable[["Call"], Coroutine[Any, Any, object]], **extensions: Message) -> None:
        self.client = client
        self.feed = new_feed()
        self.viewer = arrive(self.feed, Empty())
        self.hub: Any = SimpleNamespace(detach=lambda viewer: self.detached.append(viewer))
        self.detached: list[Viewer] = []
        self.sent: list[Message] = []
        self.extensions = extensions
        self.asked = 0
        self.sends = True

    async def _receive(self) -> Message:
        self.asked += 1
        if self.asked == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.client(self)
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        if not self.sends and TOLD in message.get("body", b""):
            await asyncio.Event().wait()

    async def turns(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    def stream(self, **parts: Any) -> EventStream:
        return EventStream(self.hub, self.viewer, **parts)

    async def _run(self, stream: EventStream) -> None:
        async with asyncio.timeout(5):
            await stream({"type": "http", "extensions": self.extensions}, self._receive, cast(Any, self._send))
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1, "nobody listens to it any more"

    def run(self, **parts: Any) -> None:
        asyncio.run(self._run(self.stream(**parts)))

    @property
    def bodies(self) -> list[bytes]:
        for message in self.sent[1:]:
            assert message["type"] == "http.response.body"
            assert message["more_body"] is True
        return [message["body"] for message in self.sent[1:]]


async def stays(_: Call) -> None:
    await asyncio.Event().wait()


def body(text: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": more}


def test_a_stream_is_its_head_what_goes_before_its_frames_and_what_goes_behind() -> None:
    end = Entry(EntryId(1, 0), END, b'{"type":"stream_end"}')

    async def ends(call: Call) -> None:
        await call.turns()
        call.feed.add([end])
        call.viewer.position = 0
        call.viewer.wake()
        await stays(call)

    call = Call(ends)
    call.run(first=TOLD, last=LAST, headers=[LOCATION])
    start = {"type": "http.response.start", "status": 200, "headers": [*EVENT_STREAM_HEADERS, LOCATION]}
    framed = bytes_of([end])
    assert call.sent == [start, body(KEEP_ALIVE + RETRY + TOLD), body(framed), body(LAST, more=False)]
    assert call.detached == [call.viewer]


def test_what_a_viewer_is_told_is_sent_whenever_it_is_told() -> None:
    async def tells(call: Call) -> None:
        for told in (TOLD, MORE):
            await call.turns()
            call.viewer.tell(told)
        await call.turns()

    call = Call(tells)
    call.run(last=LAST)
    assert call.bodies == [KEEP_ALIVE, RETRY + TOLD, MORE], "a client that left is sent no end"
    assert call.sent[0]["headers"] == [*EVENT_STREAM_HEADERS]
    assert call.detached == [call.viewer]


def test_the_head_of_a_stream_does_not_wait_for_what_it_is_opened_with() -> None:
    call = Call(Call.turns)

    async def opening() -> Told:
        assert call.bodies == [KEEP_ALIVE]
        return Told((b"data: a", b"b\n\n"), EntryId(1, 0), EntryId(1, 0), None)

    call.run(opening=opening)
    assert call.bodies == [KEEP_ALIVE, RETRY + b"data: a", b"b\n\n"]
    assert call.viewer.cursor == EntryId(1, 0)


def test_an_opening_of_nothing_changes_nothing() -> None:
    async def opening() -> Told:
        return Told((b"data: nothing\n\n",), BEGINNING, BEGINNING, None)

    call = Call(Call.turns)
    call.run(opening=opening)
    assert (call.bodies, call.viewer.cursor) == ([KEEP_ALIVE], BEGINNING)


@pytest.mark.parametrize("seconds", [0, 7])
def test_who_cannot_be_given_its_opening_is_sent_away(seconds: int) -> None:
    async def opening() -> Told:
        await asyncio.sleep(seconds)
        raise StorageUnavailable

    call = Call(stays)
    call.hub.send_away = lambda viewer: (viewer.tell(TOLD), viewer.drop())
    with pytest.raises(Dropped):
        at_once(call.stream(opening=opening)({"type": "http"}, call._receive, cast(Any, call._send)))
    assert call.bodies == [KEEP_ALIVE, RETRY + TOLD]
    assert call.detached == [call.viewer]


async def drops(call: Call) -> None:
    call.viewer.drop()
    await stays(call)


async def stalls(call: Call) -> None:
    call.sends = False
    call.viewer.tell(TOLD)
    await call.turns()
    call.viewer.abort()
    await stays(call)


@pytest.mark.parametrize(("client", "kind", "within"), [(drops, Dropped, ()), (stalls, Stalled, (0,))])
def test_a_stream_without_its_end_is_cut_by_the_server_or_by_an_exception(
    client: Any, kind: type[Exception], within: tuple[int, ...]
) -> None:
    call = Call(client)
    with pytest.raises(Dropped) as raised:
        call.run(last=LAST)
    assert type(raised.value) is kind
    assert len(call.bodies) <= 2
    assert call.detached == [call.viewer]

    cuts: list[tuple[int, ...]] = []
    known: list[int] = []

    async def cut(*seconds: int) -> None:
        cuts.append(seconds)

    async def looks(call: Call) -> None:
        known.append(call.viewer.taken())
        await client(call)

    call = Call(looks, **{CUT: {"cut": cut, "taken": lambda: 41}})
    call.run(last=LAST)
    assert (cuts, known) == ([within], [41])
    assert len(call.bodies) <= 2
    assert call.detached == [call.viewer]


def test_who_is_cancelled_though_its_client_takes_everything_has_not_stalled() -> None:
    async def cancels(call: Call) -> None:
        await call.turns()
        call.viewer.abort()
        await stays(call)

    call = Call(cancels)
    with pytest.raises(asyncio.CancelledError):
        call.run()
    assert call.detached == [call.viewer]


def test_a_server_that_takes_the_viewer_over_gets_it_once_the_stream_has_begun() -> None:
    lent: list[tuple[Any, ...]] = []

    def lend(*parts: Any) -> None:
        lent.append((*parts, len(call.sent)))

    call: Call = Call(stays, **{LEND: {"lend": lend}, CUT: {}})
    call.run(last=LAST)
    assert lent == [(call.viewer, call.hub.detach, LAST, 2)]
    assert call.bodies == [KEEP_ALIVE]
    assert call.asked == 0
    assert call.detached == []


def test_a_server_without_extensions_and_one_that_fails_leave_no_viewer_behind() -> None:
    call = Call(stays)

    async def fails(_: object) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(call.stream()({"type": "http"}, cast(Any, None), fails))
    assert call.detached == [call.viewer]


def test_a_server_that_takes_viewers_over_gets_chunks_and_any_other_gets_bodies() -> None:
    assert framing_of({"extensions": {LEND: {}, CUT: {}}}) is chunk
    assert framing_of({"extensions": {CUT: {}}}) is plain
    assert framing_of({}) is plain


@pytest.mark.parametrize(
    ("scope", "asks"),
    [
        ({}, True),
        ({"method": "POST"}, False),
        ({"method": "HEAD"}, False),
        ({"query_string": b"a=1"}, False),
        ({"type": "lifespan"}, False),
    ],
)
def test_the_door_is_asked_about_a_plain_get_and_the_application_about_the_rest(scope: Message, asks: bool) -> None:
    call = Call(lambda call: call.turns())
    admitted: list[tuple[bytes, Any, Framing]] = []
    passed: list[Any] = []
    lets_in = True

    def admit(path: bytes, headers: Any, framing: Framing, *, who: object) -> Viewer | None:
        assert who is ANONYMOUS
        admitted.append((path, headers, framing))
        return call.viewer if lets_in else None

    async def app(*parts: Any) -> None:
        passed.append(parts)

    whole = {
        "type": "http", "method": "GET", "query_string": b"", "path": "/a", "headers": [(b"host", b"b")],
        WHO: ANONYMOUS,
        "state": {FAST_PATH: SimpleNamespace(admit=admit, hub=call.hub)},
    } | scope  # fmt: skip

    async def once() -> None:
        async with asyncio.timeout(5):
            await FastPathFirst(app)(whole, call._receive, cast(Any, call._send))

    asyncio.run(once())
    assert admitted == ([(b"/a", [(b"host", b"b")], plain)] if asks else [])
    assert bool(call.sent) is asks
    assert call.detached == ([call.viewer] if asks else [])
    lets_in = False
    asyncio.run(once())
    assert passed == [(whole, call._receive, call._send)] * (1 if asks else 2)
