"""The harness' stack in threads of the test's own process: two APIs, each by another way to the socket, and a worker.
The server and the upstream are lent."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace, TracebackType
from typing import Self
from unittest import mock

from api.__main__ import listen
from api.serving import serve
from api.settings import ApiSettings
from tests.harness.reached import Reached
from tests.harness.stack import LEASE, until
from worker import process
from worker.settings import WorkerSettings

_SECONDS = 10.0


class ThreadedStack(Reached):
    """As much of Stack as tests of the shared one use."""

    def __init__(self, url: str, upstream_url: str) -> None:
        super().__init__(upstream_url)
        self.server = SimpleNamespace(url=url)
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None

    def __enter__(self) -> Self:
        for http in ("direct", "plain"):
            self._start_api(ApiSettings(redis_url=self.server.url, port=0, http=http, shutdown=1))
        self._start_thread(self._work)
        for url in self.urls:
            until(partial(self.is_ready, url), "the API is ready", _SECONDS)
        return self

    def _start_api(self, settings: ApiSettings) -> None:
        listening = listen(settings, shared=False)
        self.urls.append(f"http://127.0.0.1:{listening.getsockname()[1]}")
        self._start_thread(lambda: serve(settings, listening, None))

    def _work(self) -> None:
        settings = WorkerSettings(redis_url=self.server.url, drain=0, lease=LEASE)

        async def signalled() -> None:
            self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
            await self._stopped.wait()

        environment = {"ANTHROPIC_BASE_URL": self.upstream_url, "ANTHROPIC_API_KEY": "simulated"}
        with mock.patch.object(process, "_signalled", signalled), mock.patch.dict("os.environ", environment):
            asyncio.run(process.serve(settings, "threaded"))

    def _start_thread(self, run: Callable[[], object]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Its threads end with its process."""
        self.close_clients()
