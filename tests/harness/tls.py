"""A server behind TLS, which its own build need not know."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

_SECONDS: Final = 10.0


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def tls_port(socket_path: Path, certificate: Path, key: Path) -> AsyncIterator[int]:
    """A port of loopback that speaks TLS and leads to the server on this Unix socket."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    joined: set[asyncio.Task[None]] = set()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        joined.add(task)
        task.add_done_callback(joined.discard)
        there, back = await asyncio.open_unix_connection(socket_path)
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        except asyncio.CancelledError:
            pass
        finally:
            for each in (back, writer):
                each.transport.abort()

    listening = await asyncio.start_server(join, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in joined:
            task.cancel()
        if joined:
            await asyncio.wait(joined, timeout=_SECONDS)
        await asyncio.sleep(0)  # what was aborted is closed in the loop's next turn


@contextmanager
def tls_port_in_a_thread(socket_path: Path, certificate: Path, key: Path) -> Iterator[int]:
    """The same, for who has no loop."""
    told: list[int] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with tls_port(socket_path, certificate, key) as port:
            told.append(port)
            ready.set()
            await over.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(_SECONDS), "a port that speaks TLS"
    assert told, "a port that speaks TLS"
    try:
        yield told[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(_SECONDS)
