"""A TCP proxy that cuts connections in the middle of a byte stream, as networks and proxies do."""

import asyncio
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias

RESET = struct.pack("ii", 1, 0)
Cut: TypeAlias = Literal["reset", "fin", "end", "half"]
"""How a connection is cut: RST, or FIN, in the middle of the chunked body; or that body is ended as if it were whole, at any
byte (`end`) or behind a line of an event whose blank line is missing (`half`)."""
ALL: tuple[Cut, ...] = ("reset", "fin", "end", "half")


class CuttingProxy:
    """Use it as a context; it runs in a thread of its own. Each connection is cut after a random number of the server's bytes,
    at least so many, until `cuts` have been; those after that pass whole. Of several targets each connection gets the next."""

    def __init__(
        self, urls: list[str], *, seed: int, cuts: int, most_bytes: int, kinds: Sequence[Cut] = ("reset", "fin"),
        least_bytes: int = 1,
    ) -> None:  # fmt: skip
        self._targets = [(host, int(port)) for host, port in (url.removeprefix("http://").split(":") for url in urls)]
        self._rng = random.Random(seed)
        self._least_bytes, self._most_bytes = least_bytes, most_bytes
        self._kinds = kinds
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._loop = asyncio.new_event_loop()
        self._ends: list[asyncio.StreamWriter] = []
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.cuts = cuts
        self.connections = 0
        self.cut_so: Counter[Cut] = Counter()

    @property
    def cut(self) -> int:
        """How many connections were cut."""
        return self.cut_so.total()

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
        kind = self._rng.choice(self._kinds) if self.connections < self.cuts else None
        knife = (
            None if kind is None else _knife(kind, self._rng.randrange(self._least_bytes, self._most_bytes), self._rng)
        )
        self.connections += 1
        from_server, to_server = await asyncio.open_connection(*target)
        self._ends.append(to_server)
        ways = [
            asyncio.ensure_future(_copy(reader, to_server, None)),
            asyncio.ensure_future(_copy(from_server, writer, knife)),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if kind is not None and any(way.exception() is None and way.result() for way in done):
                self.cut_so[kind] += 1
                if kind == "reset":
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, to_server):
                end.close()
                await asyncio.gather(end.wait_closed(), return_exceptions=True)


class _Knife(Protocol):
    def take(self, data: bytes) -> tuple[bytes, bool]:
        """What of the server's bytes passes, and whether that was the cut."""


class _Anywhere:
    """Lets so many bytes pass, whatever they are."""

    def __init__(self, budget: int) -> None:
        self._budget = budget

    def take(self, data: bytes) -> tuple[bytes, bool]:
        passed = data[: self._budget]
        self._budget -= len(data)
        return passed, self._budget <= 0


class _Ending:
    """Ends a chunked body behind so many bytes of it, or behind the `line`-th line of an event that begins there, as if it were
    whole. Answers with other bodies, ahead of it on its connection, pass."""

    def __init__(self, budget: int, line: int) -> None:
        self._budget, self._line = budget, line
        self._raw, self._body, self._sent = b"", b"", 0
        self._chunked, self._others = False, 0

    def take(self, data: bytes) -> tuple[bytes, bool]:
        self._raw += data
        passed = b""
        while not self._chunked:
            other, self._raw = self._raw[: self._others], self._raw[self._others :]
            passed, self._others = passed + other, self._others - len(other)
            head, blank, rest = self._raw.partition(b"\r\n\r\n")
            if not blank:
                return passed, False
            passed, self._raw = passed + head + blank, rest
            self._chunked = b"transfer-encoding: chunked" in head.lower()
            length = re.search(rb"content-length: (\d+)", head.lower())
            self._others = int(length[1]) if length else 0
        whole = self._unchunk()
        end = self._end()
        upto = len(self._body) if end is None else end
        part, self._sent = self._body[self._sent : upto], upto
        passed += b"%x\r\n%b\r\n" % (len(part), part) if part else b""
        return passed + (b"0\r\n\r\n" if end is not None or whole else b""), end is not None

    def _unchunk(self) -> bool:
        """Moves whole chunks into the body; whether the last one was among them."""
        while b"\r\n" in self._raw:
            size, _, rest = self._raw.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                return False
            self._body, self._raw = self._body + rest[:length], rest[length + 2 :]
            if length == 0:
                return True
        return False

    def _end(self) -> int | None:
        """Where the body ends, if it has come so far."""
        if self._line == 0:
            return self._budget if self._budget <= len(self._body) else None
        at = self._body.find(b"\n\n", self._budget)
        if at < 0:
            return None
        end = at + len(b"\n\n")
        for _ in range(self._line):
            end = self._body.find(b"\n", end) + 1
            if end == 0:
                return None
        return end


def _knife(kind: Cut, budget: int, rng: random.Random) -> _Knife:
    if kind in ("reset", "fin"):
        return _Anywhere(budget)
    return _Ending(budget, line=rng.choice((1, 2)) if kind == "half" else 0)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, knife: _Knife | None) -> bool:
    """Copies until the reader ends, or until there is a cut: True."""
    while data := await reader.read(65536):
        passed, cut = (data, False) if knife is None else knife.take(data)
        writer.write(passed)
        await writer.drain()
        if cut:
            return True
    return False
