"""A WebSocket as an ASGI application: what the client says, one message after the other, and a bundle of viewers that write.

There are two ways to the socket, as for event streams (asgi.py): any ASGI server has `send`, a message at a time; our own
protocol class (uvicorn_socket.py) takes the bundle over.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias

from starlette.types import Receive, Scope, Send

from api.delivery.uvicorn_socket import CLOSE_SECONDS, SOCKET
from api.dialects.websocket import Texts, message
from api.viewing.bundle import Bundle, Left, Why
from api.viewing.viewer import Viewer
from broker.ids import EntryId
from broker.tasks import Tasks

log = logging.getLogger("respool.sockets")

BURST: Final = 400
PER_SECOND: Final = 100
"""Messages of a client: those beyond a burst are read at this pace, and wait on its side until then."""
AT_ONCE: Final = 16
"""Messages that are being answered: those behind them wait, as one may be about a cell that does not answer."""
TEXT_ONLY: Final = 1003
POLICY: Final = 1008

Hear: TypeAlias = Callable[[str], Coroutine[None, None, None]]


class Ending(NamedTuple):
    """`code` and `reason` are told to the client; a `code` of 0: the connection is ended without a word."""

    code: int
    reason: str = ""


class Socket:
    """One connection. `left` is as of a bundle, whose viewers are detached there. To be made in the loop, and `run` once."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, left: Left) -> None:
        self._receive, self._send = receive, send
        self._extension: dict[str, Any] = scope.get("extensions", {}).get(SOCKET, {})
        self._told_left = left
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._ending: Ending | None = None
        self._tasks = Tasks(log)
        self.bundle = Bundle(self._left)
        self.bundle.abort = self._extension.get("abort", self._abort)
        self.bundle.taken = self._extension.get("taken", self.bundle.taken)

    # -- what is said

    def say(self, text: bytes) -> None:
        self.bundle.say(message(text))

    def carry(self, viewer: Viewer, name: str = "", tail: bytes | None = None) -> None:
        """Writes what it has, until `left` is called with it, or the connection is gone. `name` and `tail` as of a bundle."""
        self.bundle.add(viewer, name, tail)
        self._tell_carries()

    def close(self, code: int, reason: str) -> None:
        """Ends it, behind what was written."""
        if self._ending is None:
            self._ending = Ending(code, reason)
            self._over.set_result(None)
            self.bundle.wake()

    def _abort(self) -> None:
        self.close(0, "")

    def _left(self, viewer: Viewer, why: Why, place: EntryId | None) -> None:
        self._told_left(viewer, why, place)
        self._tell_carries()

    def _tell_carries(self) -> None:
        if (carries := self._extension.get("carries")) is not None:
            carries(len(self.bundle) > 0)

    # -- its life

    async def run(self, subprotocol: str | None, hear: Hear, at_once: int = AT_ONCE) -> list[Viewer]:
        """Accepts it, and hears every message, a few at the same time, until either side ends it. Returns who was on it."""
        if (await self._receive())["type"] != "websocket.connect":
            return []
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
        self._tell_carries()
        carry = self._extension.get("carry")
        running: list[asyncio.Task[None]] = [asyncio.create_task(self._read(hear, at_once))]
        if carry is not None:
            carry(self.bundle)
        else:
            running.append(asyncio.create_task(self._pump()))
        try:
            await asyncio.wait([*running, self._over], return_when=asyncio.FIRST_COMPLETED)
            if self._ending is not None and self._ending.code:
                self.bundle.settle()
                if pumping := running[1:]:
                    await asyncio.wait(pumping, timeout=CLOSE_SECONDS)
        finally:
            self._tasks.cancel()
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            if carry is not None:
                self._extension["put_down"]()
            there = self.bundle.end()
        await self._end(running)
        return there

    async def _end(self, running: list[asyncio.Task[None]]) -> None:
        for task in running:
            if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, OSError):
                log.error("a connection failed", exc_info=error)
                self.close(1011, "")
        if (ending := self._ending) is not None and ending.code:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._send({"type": "websocket.close", "code": ending.code, "reason": ending.reason})

    async def _read(self, hear: Hear, at_once: int) -> None:
        slots, allowance, at = asyncio.Semaphore(at_once), float(BURST), self._loop.time()
        while (heard := await self._receive())["type"] == "websocket.receive":
            text = heard.get("text")
            if text is None:
                self.close(TEXT_ONLY, "text only")
                return
            now = self._loop.time()
            allowance, at = min(BURST, allowance + (now - at) * PER_SECOND) - 1, now
            if allowance < 0:
                await asyncio.sleep(-allowance / PER_SECOND)
            await slots.acquire()
            self._tasks.spawn(_in_turn(hear(text), slots))

    async def _pump(self) -> None:
        """Sends what the bundle has, until that is all and there is to be no more."""
        bundle, texts, more = self.bundle, Texts(), asyncio.Event()
        bundle.wake = more.set
        while True:
            more.clear()
            if body := bundle.take():
                bundle.lend(None, self._loop.time())
                for text in texts.of(body):
                    await self._send({"type": "websocket.send", "text": text.decode()})
                bundle.lend(None)
                continue
            if self._over.done():
                bundle.settle()  # who is done says so
                if not more.is_set():
                    return
            await more.wait()


async def _in_turn(hearing: Coroutine[None, None, None], slots: asyncio.Semaphore) -> None:
    try:
        await hearing
    finally:
        slots.release()
