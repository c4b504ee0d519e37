"""A TCP proxy that cuts connections in the middle of a byte stream, as networks do."""

import asyncio
import random
import socket
import struct
import threading
from types import TracebackType
from typing import Self

RESET = struct.pack("ii", 1, 0)


class CuttingProxy:
    """Use it as a context; it runs in a thread of its own. Each connection is cut (RST, or a FIN that comes too early) after
    a random number of the server's bytes, until `cuts` have been; those after that pass whole. With several targets each
    connection gets the next one."""

    def __init__(self, urls: list[str], *, seed: int, cuts: int, most_bytes: int) -> None:
        self._targets = [(host, int(port)) for host, port in (url.removeprefix("http://").split(":") for url in urls)]
        self._rng = random.Random(seed)
        self._most_bytes = most_bytes
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._loop = asyncio.new_event_loop()
        self._ends: list[asyncio.StreamWriter] = []
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.cuts = cuts
        self.connections = 0
        self.cut = 0

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
            self._ends.append(writer)
            task = self._loop.create_task(self._carry(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, sock=self._listening)
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in self._ends:
            end.transport.abort()
        await asyncio.sleep(0)  # the loop takes leave of the transports

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either end closes it or it is cut."""
        target = self._targets[self.connections % len(self._targets)]
        budget = self._rng.randrange(1, self._most_bytes) if self.connections < self.cuts else None
        self.connections += 1
        from_server, to_server = await asyncio.open_connection(*target)
        self._ends.append(to_server)
        ways = [
            asyncio.ensure_future(_copy(reader, to_server, None)),
            asyncio.ensure_future(_copy(from_server, writer, budget)),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if any(way.exception() is None and way.result() for way in done):
                self.cut += 1
                if self._rng.random() < 0.5:
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, to_server):
                end.close()
                await asyncio.gather(end.wait_closed(), return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int | None) -> bool:
    """Copies until the reader ends, or until so many bytes have passed: True."""
    while data := await reader.read(65536):
        writer.write(data[:budget])
        await writer.drain()
        if budget is not None:
            budget -= len(data)
            if budget <= 0:
                return True
    return False
