"""A network that goes silent between Redis and everybody: connections stay open and nothing comes (half-open, for both)."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from broker.local.embedded import EmbeddedServer
from tests.proof.chaos.proxy import FaultProxy, Mode


class Silence:
    """A proxy in a thread of its own. `url` is Redis, through it."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self._proxy = FaultProxy(("127.0.0.1", server.port))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Silence":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._proxy.start(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def url(self) -> str:
        return self._server.url_at(self._proxy.port)

    @contextmanager
    def falls(self) -> Iterator[None]:
        """Inside the block nothing passes, on old connections and new ones."""
        self._do(lambda: self._proxy.set(Mode.HOLD))
        try:
            yield
        finally:
            self._do(lambda: self._proxy.set(Mode.PASS))

    def _do(self, action: Callable[[], object]) -> None:
        async def act() -> None:
            action()

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(5)
