"""A TCP proxy that behaves as networks do: slow, silent, cut in mid-message, or losing the answer to what it has carried."""

import asyncio
import random
import socket
import struct
from collections import deque
from contextlib import suppress
from enum import Enum, auto
from typing import Self, cast

from tests.proof.chaos.history import now


class Mode(Enum):
    """What happens to bytes on their way."""

    PASS = auto()
    DELAY = auto()  # each comes a while later, in order
    HOLD = auto()  # they wait, as does the end of a connection: nobody hears anything
    DROP_REPLIES = auto()  # the server gets what it is sent; the first thing it says is lost, with the connection
    TEAR = auto()  # half of the client's next message gets through, then the connection is cut


class FaultProxy:
    """Listens on a port of its own and carries each connection to `target`, which may be changed at any time.
    `struck` counts the connections that a mode other than PASS has touched; `carried` is when anything was said last."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.mode = Mode.PASS
        self.delay = 0.0
        self.struck = 0
        self.carried = 0.0
        self.links: set[Link] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Link(self).client, "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connecting):
            task.cancel()
        for link in list(self.links):
            link.reset()
        await asyncio.sleep(0)

    def set(self, mode: Mode, delay: float = 0.0) -> None:
        """From now on; what was held goes on its way."""
        self.mode, self.delay = mode, delay
        if mode is not Mode.HOLD:
            for link in list(self.links):
                link.client.flush()
                link.server.flush()

    def cut(self, rng: random.Random, share: float = 1.0) -> int:
        """Ends so much of the connections, some with a RST, some with a FIN; how many."""
        cut = [link for link in sorted(self.links, key=lambda link: link.number) if rng.random() < share]
        for link in cut:
            link.reset() if rng.random() < 0.5 else link.end()
        self.struck += len(cut)
        return len(cut)

    def connect(self, link: "Link") -> None:
        self.links.add(link)
        task = asyncio.get_running_loop().create_task(link.connect())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)


class Link:
    """One connection: the client's side, the server's side."""

    _numbers = 0

    def __init__(self, proxy: FaultProxy) -> None:
        Link._numbers += 1
        self.number = Link._numbers
        self.proxy = proxy
        self.client, self.server = Side(self, "client"), Side(self, "server")
        self.client.other, self.server.other = self.server, self.client
        self._struck: Mode = Mode.PASS

    async def connect(self) -> None:
        """Reaches the target; a client whose target is not there is cut off."""
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.server, *self.proxy.target)
        except OSError:
            self.reset()
            return
        self.client.flush()

    def strike(self) -> Mode:
        """The mode that holds for what is carried now; each link counts once a mode."""
        mode = self.proxy.mode
        if mode is not self._struck:
            self._struck = mode
            self.proxy.struck += mode is not Mode.PASS
        return mode

    def reset(self) -> None:
        self.proxy.links.discard(self)
        for side in (self.client, self.server):
            side.reset()

    def end(self) -> None:
        for side in (self.client, self.server):
            if side.transport is not None:
                side.transport.close()


class Side(asyncio.Protocol):
    """One end of a link. `_waiting` holds what this end has said and the other has not heard; None is the end."""

    other: "Side"

    def __init__(self, link: Link, name: str) -> None:
        self.link = link
        self.name = name
        self.transport: asyncio.Transport | None = None
        self._waiting: deque[bytes | None] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        with suppress(OSError, AttributeError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.name == "client":
            self.link.proxy.connect(self.link)

    def data_received(self, data: bytes) -> None:
        self._carry(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.link in self.link.proxy.links:
            self._carry(None)
            if self.other.transport is None and self.name == "server":
                self.link.proxy.links.discard(self.link)

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def _carry(self, data: bytes | None) -> None:
        mode = self.link.strike()
        self.link.proxy.carried = now()
        if mode is Mode.DROP_REPLIES and self.name == "server":
            self.link.reset()
            return
        if mode is Mode.TEAR and self.name == "client" and data is not None:
            if self.other.transport is not None:
                self.other.transport.write(data[: len(data) // 2])
            asyncio.get_running_loop().call_later(0.01, self.link.reset)
            self.link.proxy.links.discard(self.link)
            return
        if mode is Mode.PASS and not self._waiting and self.other.transport is not None:
            self._send(data)
            return
        self._waiting.append(data)
        if mode is Mode.DELAY:
            asyncio.get_running_loop().call_later(self.link.proxy.delay, self._release)

    def _release(self) -> None:
        """What was delayed is due."""
        if self.link.proxy.mode is not Mode.HOLD and self._waiting and self.other.transport is not None:
            self._send(self._waiting.popleft())

    def flush(self) -> None:
        """Everything that waits, in order; unless the network is silent, or nobody is there yet."""
        while self._waiting and self.link.proxy.mode is not Mode.HOLD and self.other.transport is not None:
            self._send(self._waiting.popleft())

    def _send(self, data: bytes | None) -> None:
        if self.other.transport is None:
            return
        if data is None:
            self.link.proxy.links.discard(self.link)
            self.other.transport.close()
        else:
            self.other.transport.write(data)

    def reset(self) -> None:
        """A RST, now."""
        if self.transport is not None:
            with suppress(OSError, AttributeError):
                self.transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            self.transport.abort()
