"""A TCP proxy that loses answers: a request comes to its server, and its connection ends before a byte of the answer."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from tests.harness.cutting import RESET

_LOOK_SECONDS: Final = 0.02


class LosingProxy:
    """Use it as a context; it runs in a thread of its own. The answers of the first `losses` requests are lost, each by RST, as
    soon as `arrived` says that so many have come to the server, of those that went there; all others pass. Each connection gets
    the next target, and has one request that may be lost. What comes after a loss goes on when `noted` says that the servers
    know of the losses: how soon a client repeats is not what is tried here."""

    def __init__(
        self, urls: list[str], *, losses: int, arrived: Callable[[int], bool], noted: Callable[[], bool] = lambda: True
    ) -> None:
        self._targets = [(host, int(port)) for host, port in (url.removeprefix("http://").split(":") for url in urls)]
        self._arrived = arrived
        self._noted = noted
        self._left = losses
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.connections = self.lost = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        tasks: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(self._carry(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, sock=self._listening)
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = self._targets[self.connections % len(self._targets)]
        self.connections += 1
        while self.lost and not await asyncio.to_thread(self._noted):
            await asyncio.sleep(_LOOK_SECONDS)
        from_server, to_server = await asyncio.open_connection(*target)
        loses, self._left = self._left > 0, self._left - 1
        ways = [asyncio.ensure_future(_copy(reader, to_server))]
        ways.append(asyncio.ensure_future(self._lose(self.connections) if loses else _copy(from_server, writer)))
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            if loses:
                self.lost += 1
            for end in (writer, to_server):
                if loses:
                    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.close()
                with suppress(OSError):
                    await end.wait_closed()

    async def _lose(self, number: int) -> None:
        """Returns when so many requests have come."""
        while not await asyncio.to_thread(self._arrived, number):
            await asyncio.sleep(_LOOK_SECONDS)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
