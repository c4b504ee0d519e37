"""A whole Respool of real processes for a test: the embedded server, the simulated upstream, APIs and workers."""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from broker.local.embedded import EmbeddedServer, free_port
from broker.processes.orphans import Orphans
from tests.harness.processes import Child, python
from tests.harness.reached import Reached

LEASE = 2.0
"""Seconds; short, so that tests of dead workers are."""
STARTS = 60.0
"""Seconds that a process may take to start: reading its libraries is slow on a machine that does much else."""


def until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """Polls until the condition is truthy and returns it; fails the test, naming `what`, when time is over."""
    end = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end, f"{what} within {seconds} s"
        time.sleep(0.01)


class Stack(Reached):
    """Use it as a context. `upstream` is the base URL of another upstream than the simulated one; `settings` go to every API
    and worker as RESPOOL_<NAME>, where `{upstream}` is the base URL."""

    def __init__(
        self, *, apis: int = 1, workers: int = 1, server: EmbeddedServer | None = None, server_port: int | None = None,
        upstream: str = "",
        **settings: object,
    ) -> None:  # fmt: skip
        super().__init__(upstream)
        self._folder = tempfile.TemporaryDirectory(prefix="respool-test-")
        self.folder = Path(self._folder.name)
        self._orphans = Orphans()
        self.server = server or EmbeddedServer(self.folder / "data", server_port)
        self._settings = {"drain": 0, "lease": LEASE, "shutdown": 3, **settings}
        self._counts = (apis, workers)
        self.apis: list[Child] = []
        self.workers: list[Child] = []
        self.simulator: Child | None = None

    def __enter__(self) -> Self:
        try:
            self.server.start()
            if not self.upstream_url:
                self._start_simulator()
            apis, workers = self._counts
            for _ in range(workers):
                self.add_worker(wait=False)
            for _ in range(apis):
                self.add_api(wait=False)
            for url in self.urls:
                self._await_ready(url)
            for worker in self.workers:
                self._await_worker(worker)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        children = [*self.apis, *self.workers, *([self.simulator] if self.simulator else [])]
        for child in children:
            if child.running:
                child.kill()
        if error is not None:
            for child in children:
                print(f"---- {child.name}\n{child.log[-4000:]}")
        self.close_clients()
        self.server.stop()
        self._orphans.close()
        self._folder.cleanup()

    def environment(self) -> dict[str, str]:
        settings = {
            f"RESPOOL_{name.upper()}": str(value).replace("{upstream}", self.upstream_url)
            for name, value in self._settings.items()
        }
        return {"RESPOOL_REDIS_URL": self.server.url, **settings}

    def add_api(self, *, wait: bool = True, raw: Mapping[str, str] | None = None, **settings: object) -> str:
        """Starts one more API; its base URL. `raw`: variables that are no settings of ours."""
        port = free_port()
        name = f"api-{len(self.apis)}"
        # Every other one writes through plain ASGI: both ways to the socket must show the same.
        http = ("direct", "plain")[len(self.apis) % 2]
        own = {f"RESPOOL_{key.upper()}": str(value) for key, value in settings.items()}
        environment = {"RESPOOL_HTTP": http, **self.environment(), "RESPOOL_PORT": str(port), **own, **(raw or {})}
        self.apis.append(Child(name, python("api", "--alone"), environment, self.folder, self._orphans).start())
        self.urls.append(f"http://127.0.0.1:{port}")
        if wait:
            self._await_ready(self.urls[-1])
        return self.urls[-1]

    def add_worker(self, *, wait: bool = True, **settings: object) -> Child:
        name = f"worker-{len(self.workers)}"
        environment = {
            **self.environment(),
            "ANTHROPIC_BASE_URL": self.upstream_url,
            "ANTHROPIC_API_KEY": "simulated",
            **{f"RESPOOL_{key.upper()}": str(value) for key, value in settings.items()},
        }
        command = python("worker", "--name", name)
        self.workers.append(Child(name, command, environment, self.folder, self._orphans).start())
        if wait:
            self._await_worker(self.workers[-1])
        return self.workers[-1]

    def _start_simulator(self) -> None:
        port = free_port()
        self.upstream_url = f"http://127.0.0.1:{port}"
        command = python("worker.simulator", "--port", str(port))
        self.simulator = Child("simulator", command, {}, self.folder, self._orphans).start()
        until(lambda: self.simulator and self.simulator.said("simulated upstream on"), "the simulator listens", STARTS)

    def _await_ready(self, url: str) -> None:
        until(lambda: self.is_ready(url), "the API is ready", STARTS)

    def _await_worker(self, worker: Child) -> None:
        until(lambda: worker.said("worker ready"), "the worker is ready", STARTS)
