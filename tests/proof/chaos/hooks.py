"""A receiver of webhooks for a whole round: it checks and writes down what it is sent, refuses some once, leaves some without
an answer, and has the worker killed that tells one where a fault asks for that."""

import asyncio
import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson
from standardwebhooks import Webhook, WebhookVerificationError

from tests.proof.chaos.history import Recorder

SECRET: Final = "whsec_Y2hhb3MgaXMgYSBsYWRkZXIsIGl0IGlzIHNhaWQ="
TIMEOUT: Final = 2.0
"""RESPOOL_WEBHOOK_TIMEOUT of a round."""
_REFUSED: Final = 0.2
_HANGS: Final = 0.05
_HELD_SECONDS: Final = 1.5


class Receiver:
    """One per round. `taken`: by generation, the ids of what was told and taken."""

    def __init__(self, recorder: Recorder, seed: str) -> None:
        self._recorder = recorder
        self._seed = seed
        self._signer = Webhook(SECRET)
        self._asked: dict[str, int] = {}
        self._next: asyncio.Future[int] | None = None
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> "Receiver":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def url(self, gen: str) -> str:
        """Where the end of this one is told."""
        return f"http://127.0.0.1:{self.port}/{gen}"

    async def caller(self, seconds: float) -> int | None:
        """The port of who tells something next, which then waits for its answer; None if nobody does in time."""
        self._next = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                return await self._next
        except TimeoutError:
            return None
        finally:
            self._next = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *fields = head.split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields) if name
            }
            body = await reader.readexactly(int(headers["content-length"]))
            status = await self._told(line.split()[1].removeprefix("/"), headers, body, writer)
            writer.write(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
            await writer.drain()
        writer.close()

    async def _told(self, gen: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> int:
        """The status to answer with."""
        if self._next is not None and not self._next.done():
            self._next.set_result(writer.get_extra_info("peername")[1])
            await asyncio.sleep(_HELD_SECONDS)
        number = self._asked[gen] = self._asked.get(gen, 0) + 1
        chance = random.Random(f"{self._seed} {gen}").random()
        if number == 1 and chance < _HANGS:
            await asyncio.sleep(TIMEOUT * 2)
        status = 503 if number == 1 and chance < _REFUSED else 204
        told = orjson.loads(body)
        self._recorder.write(
            "told", gen=gen, id=told["data"]["id"], state=told["data"]["state"], webhook=headers.get("webhook-id"),
            signed=self._signed(headers, body), status=status,
        )  # fmt: skip
        return status

    def _signed(self, headers: dict[str, str], body: bytes) -> bool:
        try:
            self._signer.verify(body, headers)
        except WebhookVerificationError:
            return False
        return True


def has_socket(pid: int, port: int) -> bool:
    """Whether this process has the end of a connection of 127.0.0.1 that has this port."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {f"socket:[{row.split()[9]}]" for row in rows if row.split()[1].endswith(f":{port:04X}")}
    with suppress(OSError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if os.readlink(each) in inodes:
                    return True
    return False
